"""How well influence foretells models trained on half the data: the linear datamodeling score of each method.

A query's loss under models trained on a random half of the examples is set against the sum of the influences of the
examples in that half; the score is Spearman's correlation over halves, per query (Park et al. 2023, "TRAK: Attributing
model behavior at scale", section 2). What is trained: digits, with a linear model, which has one minimum, and with a
small MLP, whose every seed ends elsewhere; its losses are means over seeds. One unit of work is (model, method).
"""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.stats import spearmanr

from jaxnoisy import curvature, influence, losses
from jaxnoisy.curvature import last_layer
from jaxnoisy.data import digits
from jaxnoisy.influence import head
from jaxnoisy.types import Array, PyTree

MODELS = {"linear": 0, "mlp": 16}
"""Hidden units of each."""


class Setting(NamedTuple):
    """One model, and what it is trained on."""

    hidden: int
    seeds: int
    subsets: int
    steps: int
    l2: float
    damping: float  # beyond the curvature of the penalty
    train: tuple[np.ndarray, np.ndarray]
    queries: tuple[np.ndarray, np.ndarray]


def features(params: PyTree, x: Array) -> Array:
    """What the head sees."""
    return jax.nn.softplus(x @ params["in"] + params["shift"]) if "in" in params else x


def logits(params: PyTree, x: Array) -> Array:
    return features(params, x) @ params["out"] + params["bias"]


def output_loss(z: Array, y: Array) -> Array:
    return losses.cross_entropy(z[None], y[None])[0]


def loss(params: PyTree, example: tuple[Array, Array]) -> Array:
    return output_loss(logits(params, example[0]), example[1])


def fit(s: Setting, weights: Array, key: Array) -> PyTree:
    """Train by Adam on all examples at once; those of weight 0 are left out."""
    (x, y), d = s.train, s.train[0].shape[1]
    inner, outer = jax.random.split(key)
    params = {"out": jax.random.normal(outer, (s.hidden or d, 10)) * (0.3 if s.hidden else 0), "bias": jnp.zeros(10)}
    if s.hidden:
        params |= {"in": jax.random.normal(inner, (d, s.hidden)) / d**0.5, "shift": jnp.zeros(s.hidden)}
    tx = optax.adam(optax.cosine_decay_schedule(0.02, s.steps))

    def objective(params: PyTree) -> Array:
        fitted = (weights * losses.cross_entropy(logits(params, x), y)).sum() / weights.sum()
        return fitted + s.l2 / 2 * sum(jnp.sum(a**2) for a in jax.tree.leaves(params))

    def step(state: tuple[PyTree, PyTree], _: None) -> tuple[tuple[PyTree, PyTree], None]:
        params, moments = state
        updates, moments = tx.update(jax.grad(objective)(params), moments)
        return (optax.apply_updates(params, updates), moments), None

    return jax.lax.scan(step, (params, tx.init(params)), None, length=s.steps)[0][0]


class Trained(NamedTuple):
    """The models of a setting, and what is compared of them."""

    members: np.ndarray  # (m, n) bool, the halves
    query_losses: np.ndarray  # (seeds, m, k), under the models trained on them
    whole: list[PyTree]  # per seed, trained on everything
    accuracy: float  # of these on the queries
    seconds: float


def retrain(s: Setting) -> Trained:
    """All models of a setting, in one program: the halves and the seeds side by side."""
    started, n = time.perf_counter(), len(s.train[0])
    rng = np.random.default_rng(0)
    members = np.stack([rng.permutation(n) < n // 2 for _ in range(s.subsets)])
    weights = np.concatenate([members, np.ones((1, n), bool)]).astype(np.float32)
    one = functools.partial(fit, s)
    many = jax.jit(jax.vmap(lambda key: jax.vmap(lambda w: one(w, key))(weights)))
    params = many(jax.random.split(jax.random.key(0), s.seeds))
    x, y = s.queries
    z = jax.vmap(jax.vmap(lambda p: logits(p, x)))(params)
    found = np.asarray(jax.vmap(jax.vmap(lambda z: losses.cross_entropy(z, y)))(z))
    whole = [jax.tree.map(lambda a, i=i: a[i, -1], params) for i in range(s.seeds)]
    accuracy = float((z[:, -1].argmax(-1) == y).mean())
    return Trained(members, found[:, :-1], whole, accuracy, time.perf_counter() - started)


def exact_head(s: Setting, params: PyTree) -> tuple[np.ndarray, Array]:
    """All but the head taken as given; the whole model where it is linear."""

    def of(data: tuple[np.ndarray, np.ndarray]) -> tuple[Array, Array, np.ndarray]:
        return features(params, jnp.asarray(data[0])), logits(params, jnp.asarray(data[0])), jnp.asarray(data[1])

    train = of(s.train)
    factor = last_layer.factorise(*train[:2], damping=s.l2 + s.damping)
    solved, info = last_layer.solve(factor, head.gradients(*of(s.queries)))
    return np.asarray(influence.matrix(head.pairwise(solved, *train))), info.converged


Inverse = Callable[[Setting, PyTree], curvature.Inverse]


def solved_by(inverse: Inverse | None) -> Callable[[Setting, PyTree], tuple[np.ndarray, Array | None]]:
    """Influence through all parameters; None leaves the gradients as they are."""

    def found(s: Setting, params: PyTree) -> tuple[np.ndarray, Array | None]:
        vectors, converged = influence.gradients(loss)(params, s.queries), None
        if inverse is not None:
            vectors, info = inverse(s, params)(vectors)
            converged = info.converged
        return np.asarray(influence.matrix(influence.pairwise(loss)(params, s.train, vectors))), converged

    return found


def gauss_newton(s: Setting, params: PyTree) -> curvature.Operator:
    return curvature.gauss_newton(logits, output_loss)(params, tuple(map(jnp.asarray, s.train)))


def hessian(s: Setting, params: PyTree) -> curvature.Operator:
    return curvature.hessian(loss)(params, tuple(map(jnp.asarray, s.train)))


def cg(matrix: Callable[[Setting, PyTree], curvature.Operator]) -> Inverse:
    return lambda s, params: functools.partial(
        jax.jit(curvature.block_cg(damping=s.l2 + s.damping, tolerance=1e-3)), matrix(s, params)
    )


def lissa(s: Setting, params: PyTree) -> curvature.Inverse:
    solve = curvature.lissa(damping=s.l2 + s.damping, tolerance=1e-2, max_steps=2_000)
    return functools.partial(jax.jit(solve), gauss_newton(s, params))


def arnoldi(s: Setting, params: PyTree) -> curvature.Inverse:
    matrix, key = gauss_newton(s, params), jax.random.key(0)
    return curvature.arnoldi(key, matrix, params, rank=50, damping=s.l2 + s.damping, complement=True)


def ekfac(s: Setting, params: PyTree) -> curvature.Inverse:
    approximate = curvature.ekfac(logits, output_loss)(params, tuple(map(jnp.asarray, s.train)))
    return approximate.inverse(s.l2 + s.damping)


METHODS = {
    "gradient products": solved_by(None),
    "head, exact": exact_head,
    "Gauss-Newton, block CG": solved_by(cg(gauss_newton)),
    "Hessian, block CG": solved_by(cg(hessian)),
    "Gauss-Newton, LiSSA": solved_by(lissa),
    "Gauss-Newton, Arnoldi of rank 50": solved_by(arnoldi),
    "EK-FAC": solved_by(ekfac),
}


def score(trained: Trained, influences: np.ndarray, actual: np.ndarray) -> float:
    """Mean over queries of the rank correlation over halves."""
    foretold = trained.members.astype(float) @ influences
    return float(np.mean([spearmanr(foretold[:, q], actual[:, q]).statistic for q in range(actual.shape[1])]))


def judge(s: Setting, trained: Trained, method: str) -> dict[str, Any]:
    """Scores of the influences at each seed's model, and of their mean over seeds."""
    started, converged, each = time.perf_counter(), [], []
    for params in trained.whole:
        values, done = METHODS[method](s, params)
        each.append(values)
        converged.append(None if done is None else float(np.mean(done)))
    actual = trained.query_losses.mean(axis=0)
    return {
        "lds": [score(trained, values, actual) for values in each],
        "lds_of_mean": score(trained, np.mean(each, axis=0), actual),
        "converged": converged,
        "seconds": time.perf_counter() - started,
    }


def ceiling(trained: Trained) -> dict[str, Any]:
    """How well models of some seeds foretell those of the others: the part of the losses that the halves decide."""
    half = len(trained.query_losses) // 2
    found: dict[str, Any] = {"accuracy": trained.accuracy, "seconds": trained.seconds}
    if half:
        a, b = trained.query_losses[:half].mean(axis=0), trained.query_losses[half:].mean(axis=0)
        found["agreement"] = float(np.mean([spearmanr(a[:, q], b[:, q]).statistic for q in range(a.shape[1])]))
    return found


def main() -> None:
    options = common.parser("influence_lds", __doc__)
    options.add_argument("--models", type=common.words, default=tuple(MODELS))
    options.add_argument("--methods", type=lambda text: tuple(text.split(";")), default=tuple(METHODS))
    options.add_argument("--examples", type=int, default=1_000)
    options.add_argument("--queries", type=int, default=50)
    options.add_argument("--subsets", type=int, default=60)
    options.add_argument("--seeds", type=int, default=4, help="of the MLP")
    options.add_argument("--steps", type=int, default=400, help="of Adam on all examples")
    options.add_argument("--l2", type=float, default=0.003)
    options.add_argument("--damping", type=float, default=0.0, help="added to the penalty's curvature")
    args = options.parse_args()
    if args.quick:
        args.examples, args.queries, args.subsets, args.seeds, args.steps = 100, 5, 8, 2, 20

    data = digits.read_digits()
    x = data.inputs.reshape(len(data), -1).astype(np.float32) / 255
    order = np.random.default_rng(0).permutation(len(x))
    parts = order[: args.examples], order[args.examples :][: args.queries]
    train, queries = ((x[rows], data.labels[rows]) for rows in parts)
    names = ("examples", "queries", "subsets", "seeds", "steps", "l2", "damping")
    results = common.Results(args, {name: getattr(args, name) for name in names})
    for model in args.models:
        seeds = args.seeds if MODELS[model] else 1
        numbers = {"subsets": args.subsets, "steps": args.steps, "l2": args.l2, "damping": args.damping}
        s = Setting(hidden=MODELS[model], seeds=seeds, **numbers, train=train, queries=queries)
        trained = retrain(s)
        results.measure(lambda trained=trained: ceiling(trained), model=model, method="other seeds")
        for method in args.methods:
            results.measure(lambda s=s, t=trained, method=method: judge(s, t, method), model=model, method=method)


if __name__ == "__main__":
    main()
