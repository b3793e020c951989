"""``summary.json`` of a repair: what was done to which labels, and what came of it, as plain values."""

from typing import Any

import numpy as np

from jaxnoisy.files import plain
from jaxnoisy.repaired import Evidence, Repaired
from jaxnoisy.report.summary import describe_data, device, plain_settings, seeds, versions


def summarize_repair(found: Repaired) -> dict[str, Any]:
    """Describe a repair.

    Returns:
        A dictionary of plain values for :func:`jaxnoisy.files.write_json`:

        - ``data``: name, examples, classes, kind and shape of the inputs, how many were skipped, and the fingerprint;
        - ``method``: what found the examples to drop;
        - ``labels``: how many were ``dropped``; of these how many are used again under another label
          (``relabelled``), used again under their own (``restored``) and ``left_out``; of the others how many are left
          out for the classifier's doubt (``doubted``); and how many the last model was trained on (``used``);
        - ``accuracies``: by model, then by data, and ``final``, the model among these that the repair ends with;
        - ``rounds``: the columns of ``rounds.csv`` for each, with ``measures`` and ``seconds`` by name;
        - ``truth``: where it is known, the share of wrong labels before and after, precision and recall of what was
          dropped, and the share of right labels among the relabelled; else None;
        - ``evidence``: how many candidates there were in the first round, the votes that drop one, and the class whose
          validation examples the influence is shown on; None without evidence;
        - ``settings``, ``seeds``, ``versions``, ``device``, ``timings`` (seconds by stage).
    """
    settings = plain_settings(found.settings)
    removed, used, changed = found.removed, found.used, found.changed
    return {
        "data": {**describe_data(found.dataset), "fingerprint": found.dataset.fingerprint()},
        "method": found.method,
        "labels": {
            "dropped": int(removed.sum()),
            "relabelled": int((removed & used & changed).sum()),
            "restored": int((removed & used & ~changed).sum()),
            "left_out": int((removed & ~used).sum()),
            "doubted": int((~removed & ~used).sum()),
            "used": int(used.sum()),
        },
        "accuracies": plain({name: dict(measured) for name, measured in found.accuracies.items()}),
        "final": found.final,
        "rounds": [plain({**info._asdict(), "removed": len(info.removed)}) for info in found.rounds],
        "truth": _against_truth(found),
        "evidence": None if found.evidence is None else _of_evidence(found.evidence),
        "settings": settings,
        "seeds": seeds(settings),
        "versions": versions(),
        "device": device(),
        "timings": {str(stage): float(seconds) for stage, seconds in found.timings.items()},
    }


def _against_truth(found: Repaired) -> dict[str, float | None] | None:
    flips, clean = found.dataset.flips, found.dataset.clean_labels
    if flips is None or clean is None:
        return None
    again = found.removed & found.used & found.changed
    return {
        "noise_before": found.noise_before,
        "noise_after": found.noise_after,
        "precision": _share(flips[found.removed]),
        "recall": _share(found.removed[flips]),
        "relabelled_right": _share((found.labels == clean)[again]),
    }


def _share(chosen: np.ndarray) -> float | None:
    return float(chosen.mean()) if len(chosen) else None


def _of_evidence(seen: Evidence) -> dict[str, int]:
    return {
        "candidates": int(seen.info.candidates.sum()),
        "required_votes": int(seen.info.required),
        "voting_classes": sum(mixture is not None for mixture in seen.info.mixtures),
        "shown_class": int(seen.shown_class),
    }
