"""Influence in convolutional networks: solving for queries, and EK-FAC self-influence, beside other packages.

Parts: "solve" solves (Gauss-Newton + damping I) x = g for 50 queries of a small network on 2,000 images of CIFAR-10, by
this library to a residual of 1e-2 for every query, and by other packages up to where they stop by default, timed on
ten queries, from which the time for all is extrapolated; "self" is the self-influence of all training images by EK-FAC,
of that network and of a ResNet-20, in rounds; "loop" is one product inside and outside a loop on the device. Every
measurement runs in a process of its own. What other machines measured stays in the file, and has tables of its own.

Needs CIFAR-10 (see packs.py), and the packages as said in influence_head.py; those not installed are left out.
"""

import argparse
import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

import cnn_task
import common
import numpy as np
from scipy import stats

OURS = (
    ("rows", "Nyström, rank 1000", "block CG"),
    ("rows", "EK-FAC", "block CG"),
    ("rows", "none", "block CG"),
    ("rows", "none", "cg"),
)
"""(products, preconditioner, method)"""

PEER_QUERIES = 10
"""Of other packages. They take queries one by one, or their products take time in proportion to them."""

PEERS = {"curvlinops": "peers_curvlinops", "dattri": "peers_dattri", "pydvl": "peers_pydvl"}

SELF = {
    "jaxnoisy, exact": ("cnn_jax", "self_influence", {"gradients": "exact"}),
    "jaxnoisy, drawn": ("cnn_jax", "self_influence", {"gradients": "drawn"}),
    "kronfluence": ("peers_kronfluence", "cnn", {}),
}
"""Method -> (module, function, further arguments)."""

FILES = {"jaxnoisy, exact": "EK-FAC-{}-exact", "jaxnoisy, drawn": "EK-FAC-{}-drawn", "kronfluence": "kronfluence-{}"}


def main() -> None:
    options = common.parser("influence_cnn", __doc__)
    options.add_argument("--rounds", type=int, default=3, help="of self-influence")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--parts", type=common.words, default=("solve", "self", "loop"))
    options.add_argument("--ours", type=int, default=len(OURS), help="of solve, only so many of our own ways")
    options.add_argument("--models", type=common.words, default=tuple(cnn_task.MODELS), help="of self-influence")
    options.add_argument("--work", type=Path, help="keeps networks and results; default: a temporary folder")
    args = options.parse_args()
    sizes = {
        "cnn": {"n": 2000, "queries": 50, "epochs": 12, "some": 100},
        "resnet20": {"n": 500, "queries": 10, "epochs": 15, "some": 50},
    }
    if args.quick:
        args.rounds = 1
        sizes = {name: {"n": 100, "queries": 3, "epochs": 2, "some": 10} for name in sizes}
    results = common.Results(
        args, {"seed": args.seed, "damping": cnn_task.DAMPING, "rounds": args.rounds, "sizes": sizes}
    )
    with tempfile.TemporaryDirectory() as folder:
        work = _Networks(args.work or Path(folder), args.seed, sizes)
        if "solve" in args.parts:
            _solve(results, work, args.ours)
        if "self" in args.parts:
            for name in args.models:
                _self(results, work, name, args)
        if "loop" in args.parts:
            results.measure(lambda: common.call("cnn_jax", "loop", work.folder("cnn"), name="cnn"), part="loop")


class _Networks:
    """Folders of trained networks and their images, made when first asked for."""

    def __init__(self, root: Path, seed: int, sizes: dict[str, dict[str, int]]) -> None:
        self.root, self.seed, self.sizes = root, seed, sizes

    def folder(self, name: str) -> Path:
        """That of one network."""
        size = {key: self.sizes[name][key] for key in ("n", "queries", "epochs")}
        path = self.root / f"{name}-{'-'.join(map(str, size.values()))}-{self.seed}"
        if not path.exists():
            partial = path.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            cnn_task.make(partial, model=name, seed=self.seed, **size)
            partial.rename(path)
        return path


def _solve(results: common.Results, work: _Networks, ways: int) -> None:
    folder = work.folder("cnn")
    for products, preconditioner, method in OURS[:ways]:
        which = {"products": products, "preconditioner": preconditioner, "method": method}
        results.measure(
            lambda which=which: common.call("cnn_jax", "solve", folder, name="cnn", **which),
            part="solve",
            package="jaxnoisy",
            **which,
            **common.processor(),
        )
    for package, module in PEERS.items():
        if _installed(package):
            results.measure(
                lambda module=module: common.call(module, "cnn", folder, name="cnn", some=PEER_QUERIES),
                part="solve",
                package=package,
                **common.processor(),
            )


def _installed(package: str) -> bool:
    if importlib.util.find_spec(package) is not None:
        return True
    print(f"{package}: left out, as it is not installed", flush=True)
    return False


def _self(results: common.Results, work: _Networks, name: str, args: argparse.Namespace) -> None:
    folder, some = work.folder(name), work.sizes[name]["some"]
    results.measure(
        lambda: common.call("cnn_jax", "reference", folder, name=name, some=some),
        part="self",
        model=name,
        method="conjugate gradient",
        **common.processor(),
    )
    methods = [method for method in SELF if not method.startswith("kron") or _installed("kronfluence")]
    for number in range(args.rounds):
        first = number % len(methods)
        for method in methods[first:] + methods[:first]:
            results.measure(
                lambda method=method: _self_influence(folder, name, method),
                part="self",
                model=name,
                method=method,
                round=number,
                **common.processor(),
            )
    results.measure(lambda: _agreement(folder, name), part="agreement", model=name, **common.processor())


def _self_influence(folder: Path, name: str, method: str) -> dict[str, Any]:
    module, function, more = SELF[method]
    measured = common.call(module, function, folder, name=name, **more)
    found = np.load(folder / f"{FILES[method].format(name)}.npy")
    reference = folder / f"CG-{name}.npy"
    if reference.exists():
        truth = np.load(reference)
        measured["rank_correlation"] = float(stats.spearmanr(found[: len(truth)], truth).statistic)
    return {**measured, "examples": len(found)}


def _agreement(folder: Path, name: str) -> dict[str, Any]:
    """Rank correlation over all training images, of each method with the first."""
    paths = {method: folder / f"{stem.format(name)}.npy" for method, stem in FILES.items()}
    found = {method: np.load(path) for method, path in paths.items() if path.exists()}
    first, *others = found
    ranks = {method: float(stats.spearmanr(found[first], found[method]).statistic) for method in others}
    return {"of": first, "rank_correlation": ranks}


if __name__ == "__main__":
    main()
