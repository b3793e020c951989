"""The end of a repair: new labels for what was dropped, and a model trained anew on what is sure."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxnoisy.refine.setting import Setting
from jaxnoisy.refine.subject import Weights, learned, probabilities
from jaxnoisy.repair import Relabelled, relabel
from jaxnoisy.timing import timed
from jaxnoisy.training.loop import EpochReport, fit
from jaxnoisy.training.trained import Trained


class Anew(NamedTuple):
    """What the end came to.

    Attributes:
        relabelled: labels and confidences of all n examples, and which are sure.
        trained: the model trained anew, or None.
        reason: why there is none, or "".
    """

    relabelled: Relabelled
    trained: Trained | None
    reason: str


def train_anew(
    setting: Setting,
    last: Weights,
    removed: np.ndarray,
    *,
    seconds: dict[str, float],
    mesh: Mesh | None = None,
    checkpoints: Path | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> Anew:
    """Relabel with the last classifier, keep what it is sure of, and train from a fresh initialisation.

    Nothing is trained where a class has no example left that is sure, as the model would never predict it, and
    nothing comes of a training that diverges.
    """
    data, above = setting.data, setting.choices.relabel_above
    with timed(seconds, "relabel"):
        found = relabel(threshold=above)(probabilities(setting.subject, last, data), data.labels, removed)
    missing = np.setdiff1d(data.labels, found.labels[found.kept])
    if missing.size:
        names = ", ".join(repr(data.class_names[k]) for k in missing[:10])
        return Anew(
            found,
            None,
            f"Not trained anew: the last model is sure, above {above:g}, of no example of the class {names}; a lower "
            "threshold keeps more.",
        )
    try:
        with timed(seconds, "train anew"):
            done = fit(
                setting.fresh(),
                data.with_labels(found.labels),
                setting.anew,
                keep=found.kept,
                scale=setting.trained.scale,
                mesh=mesh,
                checkpoints=checkpoints,
                resume=True,
                on_epoch=on_epoch,
            )
    except FloatingPointError as error:
        return Anew(found, None, f"Not trained anew: {error}.")
    settings = {**setting.trained.settings, "epochs": setting.anew.epochs}
    return Anew(found, Trained(done.network.merge(*learned(done)), setting.trained.scale, settings), "")
