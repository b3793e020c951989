"""Influence in a convolutional network by this library: conjugate gradient on the Gauss-Newton matrix, and EK-FAC."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cnn_task
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from memory import Peak

from jaxnoisy import curvature, tree
from jaxnoisy.models import Classifier, build
from jaxnoisy.types import Array, PyTree

TOLERANCE = 1e-2

Model = Callable[[PyTree, Array], Array]


def train(name: str, images: np.ndarray, labels: np.ndarray, *, epochs: int, seed: int):
    """Train a network by Adam; returns its weights in the order that :func:`cnn_task.make` states, and its logits."""
    model = _network(name, seed)
    optimizer = nnx.Optimizer(model, optax.adam(2e-3), wrt=nnx.Param)

    @nnx.jit
    def step(model: Classifier, optimizer: nnx.Optimizer, x: Array, y: Array) -> None:
        def loss(model: Classifier) -> Array:
            return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

        optimizer.update(model, nnx.grad(loss)(model))

    rng = np.random.default_rng(seed)
    size = min(100, len(images))
    for _ in range(epochs):
        for rows in rng.permutation(len(images))[: len(images) // size * size].reshape(-1, size):
            step(model, optimizer, jnp.asarray(images[rows]), jnp.asarray(labels[rows]))
    model.eval()
    forward = nnx.jit(lambda model, x: model(x))
    logits = [np.asarray(forward(model, jnp.asarray(images[i : i + size]))) for i in range(0, len(images), size)]
    return [np.asarray(w[...]) for w in _in_order(model)], np.concatenate(logits)


def _network(name: str, seed: int) -> Classifier:
    return build(name, input_shape=(32, 32, 3), num_classes=10, key=jax.random.key(seed), **cnn_task.MODELS[name])


def _in_order(model: Any) -> list[nnx.Variable]:
    """The variables of all layers, in the order in which an image passes them."""
    if isinstance(model, (nnx.Conv, nnx.Linear)):
        return [model.kernel] if model.bias is None else [model.kernel, model.bias]
    if isinstance(model, nnx.BatchNorm):
        return [model.scale, model.bias, model.mean, model.var]
    if hasattr(model, "blocks"):
        layers = [model.conv, model.norm, *model.blocks, model.head]
    elif hasattr(model, "convs"):
        layers = [*model.convs, model.head]
    else:
        layers = [model.conv1, model.norm1, model.conv2, model.norm2]
    return [variable for layer in layers for variable in _in_order(layer)]


def _loaded(folder: Path, name: str) -> tuple[Model, PyTree]:
    """The network in evaluation mode as ``model(params, image) -> logits``, and its parameters."""
    network = _network(name, 0)
    for variable, array in zip(_in_order(network), cnn_task.weights(folder), strict=True):
        variable[...] = jnp.asarray(array)
    network.eval()
    graph, params, rest = nnx.split(network, nnx.Param, ...)
    return (lambda p, x: nnx.merge(graph, p, rest)(x[None])[0]), nnx.to_pure_dict(params)


def _cross_entropy(logits: Array, label: Array) -> Array:
    return jax.nn.logsumexp(logits) - logits[label]


def _gradients(model: Model, params: PyTree, x: np.ndarray, y: np.ndarray) -> PyTree:
    loss = lambda p, x, y: _cross_entropy(model(p, x), y)  # noqa: E731
    return jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))(params, jnp.asarray(x), jnp.asarray(y))


def solve(
    folder: Path, *, name: str, products: str, preconditioner: str, method: str, max_steps: int = 400
) -> dict[str, Any]:
    """Solve (Gauss-Newton + damping I) x = g for the loss of every query, to :data:`TOLERANCE` for each.

    ``seconds`` is all of it: compiling, the matrix, the preconditioner, the solve. ``worst_residual`` is by products
    that differentiate, whichever the solver took.
    """
    with Peak() as peak:
        task = cnn_task.load(folder)
        model, params = _loaded(folder, name)
        data = jnp.asarray(task["images"]), jnp.asarray(task["labels"])
        started = time.perf_counter()
        rhs = _gradients(model, params, task["query_images"], task["query_labels"])
        matrix = PRODUCTS[products](model, params, data)
        jax.block_until_ready((matrix, rhs))
        prepared, passes = _preconditioner(preconditioner, model, params, data, matrix, len(task["query_labels"]))
        jax.block_until_ready(prepared)
        between = time.perf_counter()
        options = {"damping": cnn_task.DAMPING, "tolerance": TOLERANCE, "max_steps": max_steps}
        solver = {"cg": curvature.cg, "block CG": curvature.block_cg}[method](**options)
        x, info = solver(matrix, rhs, preconditioner=prepared)
        jax.block_until_ready(x)
        ended = time.perf_counter()
    del matrix
    left = _residuals(PRODUCTS["differentiated"](model, params, data), rhs, x)
    return {
        "seconds": ended - started,
        "solve_seconds": ended - between,
        "steps": int(info.steps),
        "preparing_passes": passes,
        "converged": int(info.converged.sum()),
        "queries": len(info.residual),
        "reported_residual": float(info.residual.max()),
        "worst_residual": float(left.max()),
        "median_residual": float(np.median(left)),
        "parameters": tree.size(params),
        **peak.bytes,
    }


def _rows_held(model: Model, params: PyTree, data: tuple[Array, Array]) -> curvature.Operator:
    return curvature.gauss_newton_rows(model, _cross_entropy)(params, data)


def _differentiated(model: Model, params: PyTree, data: tuple[Array, Array]) -> curvature.Operator:
    matrix = curvature.gauss_newton(model, _cross_entropy, memory=4 << 30)(params, data)
    return curvature.stepwise(matrix, at_once=5)


PRODUCTS = {"rows": _rows_held, "differentiated": _differentiated}


def _residuals(matrix: curvature.Operator, rhs: PyTree, x: PyTree) -> np.ndarray:
    """||g - (A + damping I) x|| / ||g||, (k,)."""
    left = tree.axpy(-1.0, tree.axpy(cnn_task.DAMPING, x, matrix.block(x)), rhs)
    return np.asarray(jax.vmap(tree.norm)(left) / jax.vmap(tree.norm)(rhs))


def self_influence(folder: Path, *, name: str, gradients: str) -> dict[str, Any]:
    """EK-FAC self-influence of all training images, into ``EK-FAC-NAME-GRADIENTS.npy``. Twice: the first compiles."""
    with Peak() as peak:
        task = cnn_task.load(folder)
        model, params = _loaded(folder, name)
        data = jnp.asarray(task["images"]), jnp.asarray(task["labels"])
        key = {"key": jax.random.key(0)} if gradients == "drawn" else {}
        build_matrix = curvature.ekfac(model, _cross_entropy, gradients=gradients)
        forms = curvature.ekfac_quadratic_forms(model, _cross_entropy, damping=cnn_task.DAMPING)
        marks = []
        for _ in range(2):
            marks.append(time.perf_counter())
            matrix = jax.block_until_ready(build_matrix(params, data, **key))
            marks.append(time.perf_counter())
            found = np.asarray(forms(matrix, params, data))
            marks.append(time.perf_counter())
        np.save(folder / f"EK-FAC-{name}-{gradients}.npy", found)
    return {
        "first_seconds": marks[2] - marks[0],
        "seconds": marks[5] - marks[3],
        "factor_seconds": marks[4] - marks[3],
        "self_seconds": marks[5] - marks[4],
        "parameters": tree.size(params),
        **peak.bytes,
    }


def reference(folder: Path, *, name: str, some: int, together: int = 50) -> dict[str, Any]:
    """Self-influence of the first ``some`` training images by conjugate gradient to 1e-3, into ``CG-NAME.npy``."""
    task = cnn_task.load(folder)
    model, params = _loaded(folder, name)
    data = jnp.asarray(task["images"]), jnp.asarray(task["labels"])
    started = time.perf_counter()
    matrix = _rows_held(model, params, data)
    rank = min(1000, len(task["labels"]))
    prepared, _ = _preconditioner(f"Nyström, rank {rank}", model, params, data, matrix, 1)
    solver = curvature.block_cg(damping=cnn_task.DAMPING, tolerance=1e-3, max_steps=500)
    found, worst = [], 0.0
    for i in range(0, some, together):
        rhs = _gradients(model, params, *(task[key][i : min(i + together, some)] for key in ("images", "labels")))
        x, info = solver(matrix, rhs, preconditioner=prepared)
        found.append(np.asarray(jax.vmap(tree.dot)(rhs, x)))
        worst = max(worst, float(info.residual.max()))
    np.save(folder / f"CG-{name}.npy", np.concatenate(found))
    return {"seconds": time.perf_counter() - started, "examples": some, "worst_residual": worst}


def _preconditioner(
    name: str, model: Model, params: PyTree, data: tuple[Array, Array], matrix: curvature.Operator, queries: int
):
    """A preconditioner, and how many passes over the data with all queries it took to make."""
    damping = cnn_task.DAMPING
    if name == "none":
        return None, 0
    if name == "EK-FAC":
        return curvature.ekfac(model, _cross_entropy)(params, data).preconditioner(damping), 2
    rank = int(name.rpartition(" ")[2])
    prepared = jax.jit(lambda key, matrix: curvature.nystrom(key, matrix, params, rank=rank, damping=damping))
    return prepared(jax.random.key(0), matrix), rank / queries


def loop(folder: Path, *, name: str, examples: int = 256, vectors: int = 4) -> dict[str, Any]:
    """Seconds of one product with a block, as a program of its own and as the body of a loop on the device."""
    task = cnn_task.load(folder)
    model, params = _loaded(folder, name)
    data = jnp.asarray(task["images"][:examples]), jnp.asarray(task["labels"][:examples])
    block = _gradients(model, params, task["query_images"][:vectors], task["query_labels"][:vectors])
    matrix = curvature.gauss_newton(model, _cross_entropy)(params, data)
    outside = jax.jit(lambda matrix, v: matrix.block(v))
    inside = jax.jit(lambda matrix, v: jax.lax.fori_loop(0, 1, lambda i, v: matrix.block(v), v))
    found = {}
    for where, product in (("outside", outside), ("inside", inside)):
        jax.block_until_ready(product(matrix, block))
        started = time.perf_counter()
        jax.block_until_ready(product(matrix, block))
        found[where] = time.perf_counter() - started
    return {"product_seconds": found, "examples": examples, "vectors": vectors}
