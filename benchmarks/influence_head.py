"""Exact influence on a linear head: time, memory and error, beside other packages and beside bare matrix products.

Parts: "exact" is one task by all methods, in rounds A B C, B C A, ..., each method in a process of its own; "larger" is
more examples and queries; "growth" reads features from disk for more and more examples; "wide" is a head too large for
a dense matrix, by conjugate gradient. Errors are against a float64 reference, for all examples of the first part and
for the first thousand of "larger".

Methods that are not installed are left out with a message. They come with `pip install -e '.[bench]'`, but pyDVL, which
asks for an older NumPy than it needs, with `pip install --no-deps pyDVL==0.10.0`.
"""

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

import common
import head_task

from jaxnoisy import files

METHODS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "jaxnoisy": ("head_jax", None, {}),
    "PyTorch, by hand": ("peers_torch", "torch", {"way": "by hand"}),
    "PyTorch, autograd": ("peers_torch", "torch", {"way": "autograd"}),
    "pyDVL": ("peers_pydvl", "pydvl", {}),
    "kronfluence": ("peers_kronfluence", "kronfluence", {}),
    "dattri": ("peers_dattri", "dattri", {"some": 64}),
}
"""Name -> (module with ``exact``, the package that it needs, further arguments)."""

ONCE = ("PyTorch, autograd", "pyDVL", "dattri")  # too slow to repeat


def main() -> None:
    options = common.parser("influence_head", __doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--parts", type=common.words, default=("exact", "larger", "growth", "wide"))
    options.add_argument(
        "--work", type=Path, help="keeps the tasks' arrays and references; default: a temporary folder"
    )
    args = options.parse_args()
    sizes: dict[str, Any] = {
        "exact": {"n": 20_000, "d": 512, "c": 10, "queries": 100},
        "larger": {"n": 50_000, "d": 512, "c": 10, "queries": 500},
        "growth": [10_000, 100_000, 1_000_000],
        "wide": {"n": 20_000, "d": 2048, "c": 1000, "queries": 50},
    }
    if args.quick:
        args.rounds = 1
        sizes["exact"] |= {"n": 1000, "d": 32, "queries": 10}
        sizes["larger"] |= {"n": 2000, "d": 32, "queries": 20}
        sizes["growth"] = [1000, 3000]
        sizes["wide"] |= {"n": 500, "d": 64, "c": 50, "queries": 4}
    settings = {"seed": args.seed, "damping": head_task.DAMPING, "rounds": args.rounds, "sizes": sizes}
    results = common.Results(args, settings)
    with tempfile.TemporaryDirectory() as folder:
        work = _Tasks(args.work or Path(folder), args.seed)
        if "exact" in args.parts:
            _exact(results, work, sizes["exact"], args.rounds)
        if "larger" in args.parts:
            _larger(results, work, sizes["larger"])
        if "growth" in args.parts:
            for n in sizes["growth"]:
                shape = sizes["exact"] | {"n": n, "queries": 10}  # fewer results, which are held
                results.measure(lambda shape=shape: _mapped(work, shape), part="growth", n=n)
        if "wide" in args.parts:
            shape = sizes["wide"]
            results.measure(
                lambda: common.call("head_wide", "solve", work.folder(steps=20, **shape), together=25), part="wide"
            )


class _Tasks:
    """The folders of tasks, made when first asked for."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed = root, seed

    def folder(self, **shape: int) -> Path:
        """The arrays of a task."""
        path = self.root / ("head-" + "-".join(f"{k}{v}" for k, v in {**shape, "seed": self.seed}.items()))
        if not path.exists():
            partial = path.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            common.in_own_process(head_task.make, partial, seed=self.seed, **shape)
            partial.rename(path)
        return path


def _exact(results: common.Results, work: _Tasks, shape: dict[str, int], rounds: int) -> None:
    folder = work.folder(**shape)
    results.measure(lambda: _reference(folder), part="exact", method="reference")
    names = [name for name, (_, package, _) in METHODS.items() if _installed(name, package)]
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            if number == 0 or name not in ONCE:
                results.measure(lambda name=name: _method(folder, name), part="exact", method=name, round=number)
        results.measure(lambda: _products(shape), part="exact", method="products", round=number)


def _installed(name: str, package: str | None) -> bool:
    if package is None or importlib.util.find_spec(package):
        return True
    print(f"{name}: left out, as {package} is not installed", flush=True)
    return False


def _method(folder: Path, name: str) -> dict[str, Any]:
    module, _, more = METHODS[name]
    _reference(folder)
    return {**common.call(module, "exact", folder, **more), "errors": head_task.errors(folder, name)}


def _reference(folder: Path, **options: Any) -> dict[str, Any]:
    """The reference into the folder, unless it is there."""
    kept = folder / "reference.json"
    if not kept.exists():
        files.write_json(kept, common.call("peers_reference", "exact", folder, **options))
    return files.read_json(kept)


def _products(shape: dict[str, int]) -> dict[str, Any]:
    return common.call("head_jax", "products", shape["n"], shape["d"], shape["c"], shape["queries"])


def _larger(results: common.Results, work: _Tasks, shape: dict[str, int]) -> None:
    def measured() -> dict[str, Any]:
        folder = work.folder(**shape)
        _reference(folder, some=1000)
        return {**common.call("head_jax", "exact", folder), "errors": head_task.errors(folder, "jaxnoisy")}

    results.measure(measured, part="larger", method="jaxnoisy")
    results.measure(lambda: _products(shape), part="larger", method="products")


def _mapped(work: _Tasks, shape: dict[str, int]) -> dict[str, Any]:
    folder = work.folder(**shape)
    found = common.call("head_jax", "exact", folder, mapped=True)
    return {**found, "features_bytes": (folder / "features.npy").stat().st_size}


if __name__ == "__main__":
    main()
