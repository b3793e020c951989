"""``summary.json`` of a run that explained predictions: what was asked of what, and what came out, as plain values."""

from typing import Any

import numpy as np

from jaxnoisy.influences import Influences
from jaxnoisy.metrics import detection_metrics
from jaxnoisy.report.summary import describe_data, device, plain_settings, seeds, versions


def summarize_influences(found: Influences) -> dict[str, Any]:
    """Describe a run.

    Returns:
        A dictionary of plain values for :func:`jaxnoisy.files.write_json`:

        - ``data``: name, examples, classes, kind and shape of the inputs, how many were skipped, and the fingerprint;
        - ``queries``: their name, how many, how many the model predicts as given, and their mean loss;
        - ``solution``: how the systems were solved, in words, how many were, the largest residual, and the passes;
        - ``self_influence``: median, largest, and, where the clean labels are known, how well it ranks the wrong ones;
        - ``accuracy``: the share of training examples that the model predicts as given;
        - ``undefined``: influences that were left out of the rankings because they are NaN;
        - ``settings``, ``seeds``, ``versions``, ``device``, ``timings`` (seconds by stage).
    """
    settings = plain_settings(found.settings)
    values, flips = found.self_influence, found.dataset.flips
    measured = None
    if flips is not None and flips.any() and not flips.all():
        metrics = detection_metrics(values, np.zeros(len(values), bool), flips)._asdict()
        measured = {name: metrics[name] for name in ("roc_auc", "average_precision")}
    residual = np.asarray(found.solution.residual)
    return {
        "data": {**describe_data(found.dataset), "fingerprint": found.dataset.fingerprint()},
        "queries": {
            "name": found.queries.name,
            "examples": len(found),
            "predicted_as_given": int((found.predictions == found.queries.labels).sum()),
            "mean_loss": float(found.losses.mean()),
        },
        "solution": {
            "said": found.convergence,
            "converged": int(np.asarray(found.solution.converged).sum()),
            "largest_residual": float(residual.max()),
            "passes": int(found.solution.steps),
        },
        "self_influence": {"median": float(np.median(values)), "largest": float(values.max()), "metrics": measured},
        "accuracy": float((found.train_predictions == found.dataset.labels).mean()),
        "undefined": int(np.asarray(found.top.undefined).sum()),
        "settings": settings,
        "seeds": seeds(settings),
        "versions": versions(),
        "device": device(),
        "timings": {str(stage): float(seconds) for stage, seconds in found.timings.items()},
    }
