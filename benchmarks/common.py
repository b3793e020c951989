"""What the benchmarks share: command line, the record of the machine, timing, and results saved unit by unit."""

import argparse
import concurrent.futures
import importlib
import importlib.metadata
import importlib.util
import multiprocessing
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from jaxnoisy import files

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn", "cleanlab", "torch", "aum"),
    *("pyDVL", "dattri", "kronfluence", "curvlinops-for-pytorch"),
)


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The options every benchmark has; ``name`` decides where the results go."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.set_defaults(name=name)
    options.add_argument("--quick", action="store_true", help="tiny settings, to see that it runs; not for reporting")
    options.add_argument("--out", type=Path, help=f"default: benchmarks/results/{name}.json; --quick: a temporary file")
    options.add_argument("--resume", action="store_true", help="keep the units of work that --out already holds")
    return options


def integers(text: str) -> tuple[int, ...]:
    """The value of an option such as ``--seeds 0,1,2``; nothing for an empty text."""
    return tuple(int(part) for part in text.split(",") if part)


def words(text: str) -> tuple[str, ...]:
    """The value of an option such as ``--noises aggre,worst``."""
    return tuple(text.split(","))


class Results:
    """The JSON file of one benchmark, written anew after each unit of work.

    It holds ``settings`` (what all units share), ``runs`` (each command that added units, and the machine it ran on)
    and ``units``: what was measured, each with the fields that name it.

    Args:
        args: what :func:`parser` read.
        settings: plain values that decide what a unit measures. A file with others is not resumed.
    """

    def __init__(self, args: argparse.Namespace, settings: dict[str, Any]) -> None:
        quick = Path(tempfile.gettempdir()) / "jaxnoisy-benchmarks"
        self.path = args.out or (quick if args.quick else RESULTS) / f"{args.name}.json"
        settings = files.plain(settings)
        self.content: dict[str, Any] = {
            "benchmark": args.name,
            "quick": args.quick,
            "settings": settings,
            "runs": [],
            "units": [],
        }
        if args.resume and self.path.exists():
            self.content = files.read_json(self.path)
            if (self.content["settings"], self.content["quick"]) != (settings, args.quick):
                raise SystemExit(
                    f"{self.path} was made with {self.content['settings']}, not {settings}: give another --out"
                )
        self._run = {
            "command": _command(),
            "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            **in_own_process(environment),
        }

    def measure(self, work: Callable[[], dict[str, Any]], **which: Any) -> None:
        """Do one unit of work and save what it returns, unless a unit named ``which`` is there already."""
        which = files.plain(which)
        name = ", ".join(f"{k} {v}" for k, v in which.items())
        if any(which.items() <= unit.items() for unit in self.content["units"]):
            print(f"{name}: already measured", flush=True)
            return
        load, started = os.getloadavg()[0], time.perf_counter()
        measured = work()
        seconds = time.perf_counter() - started
        runs = self.content["runs"]
        if self._run not in runs:
            runs.append(self._run)
        host = {"run": runs.index(self._run), "load": [load, os.getloadavg()[0]], "unit_seconds": seconds}
        self.content["units"].append({**which, **measured, **host})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(self.path, self.content)
        print(f"{name}: {seconds:.1f} s -> {self.path}", flush=True)


def _command() -> str:
    """How to measure this again: where files go, and what is left out, makes no difference."""
    ignored = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    ignored.add_argument("--out")
    ignored.add_argument("--work")
    ignored.add_argument("--features")
    ignored.add_argument("--resume", action="store_true")
    _, kept = ignored.parse_known_args(sys.argv[1:])
    return shlex.join(["python", os.path.relpath(sys.argv[0], ROOT), *kept])


def environment() -> dict[str, Any]:
    """Versions, processor, accelerator, threads and load. Imports JAX and PyTorch: call it in a process of its own."""
    import jax

    import jaxnoisy

    found = {"python": platform.python_version(), "jaxnoisy": jaxnoisy.__version__, "commit": _commit()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    machine = {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "jax_device": f"{len(jax.devices())} x {jax.devices()[0].device_kind}",
        "jax_platform": jax.default_backend(),
        "load": os.getloadavg(),
    }
    if importlib.util.find_spec("torch"):
        import torch

        machine["torch_threads"] = torch.get_num_threads()
    return {"versions": found, "machine": machine}


def _commit() -> str:
    """The commit that is checked out, with "+" where the library differs from it; "" outside a checkout."""
    try:
        commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        change = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "jaxnoisy"], cwd=ROOT, capture_output=True)
    except OSError:
        return ""
    return commit.stdout.strip() + ("+" if commit.returncode == 0 and change.returncode else "")


def processor() -> dict[str, Any]:
    """What tells machines apart in the names of units that are slow on any, and faster on some."""
    return {"cpu": _cpu(), "cores": len(os.sched_getaffinity(0))}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def in_own_process(work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run ``work``, a function of a module, in a fresh interpreter, so that no memory or thread pool is shared."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(work, *args, **kwargs).result()


def call(module: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Run function ``name`` of a benchmark's module in a fresh interpreter, where alone the module is imported."""
    return in_own_process(_in_module, module, name, *args, **kwargs)


def _in_module(module: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
    return getattr(importlib.import_module(module), name)(*args, **kwargs)


def interleaved(variants: dict[str, Callable[[], Any]], *, rounds: int, warmup: int = 2) -> dict[str, list[float]]:
    """Seconds that each variant takes in each round: A B C, B C A, C A B, ..., after ``warmup`` rounds left out.

    A variant must wait until its work is done (``jax.block_until_ready``). Load that comes and goes on the host meets
    all of them alike, and no variant always follows the same other.
    """
    names = list(variants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warmup, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            variants[name]()
            if number >= 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def overheads(seconds: dict[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """What each variant adds to ``base``, as a share of it, per round: see :func:`spread`."""
    plain = np.array(seconds[base])
    return {name: spread(np.array(values) / plain - 1) for name, values in seconds.items() if name != base}


def spread(values: Any) -> dict[str, float]:
    """Median, its 95 % confidence interval (from order statistics: no distribution assumed), quartiles and range."""
    ordered = np.sort(np.asarray(values, float))
    n = len(ordered)
    below = int(stats.binom.ppf(0.025, n, 0.5))
    q1, median, q3 = np.quantile(ordered, [0.25, 0.5, 0.75])
    low, high = ordered[max(below - 1, 0)], ordered[min(n - below, n - 1)]
    return {"median": median, "ci_low": low, "ci_high": high, "q1": q1, "q3": q3, "min": ordered[0], "max": ordered[-1]}
