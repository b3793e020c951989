"""``summary.json``: what was run, on what, and what came out, as plain values."""

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax

import jaxnoisy
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.findings import Findings

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn")


def summarize(findings: Findings) -> dict[str, Any]:
    """Describe a run.

    Args:
        findings: n examples, c classes, t epochs.

    Returns:
        A dictionary of plain values for :func:`jaxnoisy.files.write_json`:

        - ``data``: name, examples, classes, kind and shape of the inputs, how many were skipped, the trace's mode and
          epochs, and the fingerprint;
        - ``settings`` as the run gave them, and ``seeds``: those settings whose name contains "seed";
        - ``versions``, ``device``, ``timings`` (seconds by stage);
        - ``primary``: the method that ``issues.csv`` follows; ``noise_rate``: the estimated share of wrong labels;
          ``known_noise_rate``: the true share, or None;
        - ``methods``: by method ``threshold``, ``flagged`` and ``flagged_share``;
        - ``metrics``: by method the fields of :class:`~jaxnoisy.metrics.DetectionMetrics`; empty where the truth is
          not known.

    Cost: where the truth is known, a sort of n per method.
    """
    settings = plain_settings(findings.settings)
    return {
        "data": _data(findings),
        "settings": settings,
        "seeds": seeds(settings),
        "versions": versions(),
        "device": device(),
        "timings": {str(stage): float(seconds) for stage, seconds in findings.timings.items()},
        "primary": findings.primary,
        "noise_rate": float(findings.noise_rate),
        "known_noise_rate": None if findings.flips is None else float(findings.flips.mean()),
        "methods": {
            name: {
                "threshold": None if found.threshold is None else float(found.threshold),
                "flagged": int(found.flagged.sum()),
                "flagged_share": float(found.flagged.mean()),
            }
            for name, found in findings.detections.items()
        },
        "metrics": {name: measured._asdict() for name, measured in findings.metrics().items()},
    }


def versions() -> dict[str, str]:
    """Versions of Python, of this package, and of the installed packages that decide its numbers."""
    found = {"python": platform.python_version(), "jaxnoisy": jaxnoisy.__version__}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def device() -> dict[str, Any]:
    """What JAX computes on here: platform, kind of device, and how many there are."""
    devices = jax.devices()
    return {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)}


def describe_data(data: Dataset) -> dict[str, Any]:
    """Name, size and kind of a data set, and what was left out of it."""
    return {
        "name": data.name,
        "examples": len(data),
        "classes": data.num_classes,
        "inputs": "clips" if data.is_clips else "images" if data.is_images else "features",
        "shape": list(data.inputs.shape[1:]),
        "skipped": list(data.skipped),
    }


def _data(findings: Findings) -> dict[str, Any]:
    data, trace = findings.dataset, findings.trace
    nothing: dict[str, Any] = {"name": None, "inputs": None, "shape": None, "skipped": []}
    return {
        **(nothing if data is None else describe_data(data)),
        "examples": len(findings),
        "classes": len(findings.class_names),
        "epochs": trace.epochs,
        "mode": trace.mode,
        "fingerprint": trace.fingerprint,
    }


def seeds(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Those of the settings whose name contains "seed"."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if "seed" in name.lower():
            found[prefix + name] = value
        elif isinstance(value, dict):
            found |= seeds(value, f"{prefix}{name}.")
    return found


def plain_settings(value: Any) -> Any:
    """Settings as JSON can say them; a path or another object stands as its text rather than spoil a finished run."""
    if isinstance(value, Mapping):
        return {str(k): plain_settings(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_settings(v) for v in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
