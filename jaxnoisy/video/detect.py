"""Influential Rank on video: train two streams, score the clips by each, and flag what both flag."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxnoisy import files
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.data.queries import fitted
from jaxnoisy.detect import Detection, agreed, influential_rank
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.loop import EpochReport
from jaxnoisy.training.trained import Trained
from jaxnoisy.video.scores import clip_scores
from jaxnoisy.video.streams import predict_clips, streams, train_streams


class ClipFindings(NamedTuple):
    """What was found in a set of clips.

    Attributes:
        detection: of the n clips; its :class:`~jaxnoisy.detect.AgreedInfo` holds the detection of each stream.
        probabilities: (n, c) of the clips' classes by both streams together, which have seen the given labels.
        trained: the networks, by stream.
    """

    detection: Detection
    probabilities: np.ndarray
    trained: Mapping[str, Trained]


def influential_clips(
    trained: Mapping[str, Trained],
    data: Dataset,
    clean: Dataset,
    *,
    gamma: float = 0.8,
    damping: float = 0.01,
    timings: dict[str, float] | None = None,
) -> Detection:
    """Flag the clips that are influential in every stream.

    Park et al., "Influential Rank: a new perspective of post-training for robust model against noisy labels", section
    4.4 and appendix D.

    Args:
        trained: networks by stream, from :func:`jaxnoisy.video.train_streams`.
        data: n clips under their given labels; with flow, or without, for its frames alone.
        clean: k clips under clean labels, in the same classes and with the same streams.
        gamma: how many classes must agree, see :func:`jaxnoisy.detect.influential_rank`.
        damping: added to the diagonal of the curvature.
        timings: seconds by stage, to be added to.

    Returns:
        See :func:`jaxnoisy.detect.agreed`.

    Raises:
        ValueError: streams that are missing, or as from :func:`jaxnoisy.video.clip_scores`.
    """
    select = influential_rank(gamma=gamma)
    held, right = streams(data), streams(clean)
    if not set(held) == set(right) == set(trained):
        raise ValueError(
            f"the models are of {sorted(trained)}, the clips hold {sorted(held)}, and the clean clips hold "
            f"{sorted(right)}: give the same streams of each"
        )
    found = {}
    for name, stream in held.items():
        scores, _ = clip_scores(trained[name], stream, right[name], damping=damping, timings=timings)
        found[name] = select(scores)
    return agreed(found)


def refuse_clips(data: Dataset, clean: Dataset, *, gamma: float, damping: float) -> None:
    """Refuse, before anything is trained, what :func:`influential_clips` would refuse afterwards.

    Raises:
        ValueError: data that are no clips, flow on one side only, gamma or damping out of range, or more votes than
            there are classes with two clean clips.
        TypeError: a gamma that is no number.
    """
    influential_rank(gamma=gamma)
    if not 0 < damping < np.inf:
        raise ValueError(f"damping must be a positive number, but is {damping!r}")
    held, right = streams(data), streams(clean)
    if set(held) != set(right):
        raise ValueError("either both the clips and the clean ones must hold flow, or none of them: read both alike")
    if data.flow is not None and clean.flow is not None and data.flow.shape[2:] != clean.flow.shape[2:]:
        raise ValueError(
            f"flow has shape {clean.flow.shape[2:]} for each frame of the clean clips, but {data.flow.shape[2:]} for "
            "the others: read both alike"
        )
    voters = int((np.bincount(clean.labels, minlength=data.num_classes) > 1).sum())
    if isinstance(gamma, (int, np.integer)) and gamma > voters:
        raise ValueError(
            f"gamma asks for {gamma} votes, but only {voters} classes have the two clean clips that a vote takes: give "
            "more clean clips, or gamma as a fraction"
        )


def detect_clips(
    data: Dataset,
    clean: Dataset,
    *,
    model: str = "auto",
    config: TrainConfig | None = None,
    penultimate: int | None = None,
    gamma: float = 0.8,
    damping: float = 0.01,
    seed: int = 0,
    mesh: Mesh | None = None,
    checkpoints: files.PathLike | None = None,
    resume: bool = False,
    on_epoch: Callable[[str, EpochReport, int], None] | None = None,
    timings: dict[str, float] | None = None,
) -> ClipFindings:
    """Find mislabeled clips: :func:`train_streams`, then :func:`influential_clips`.

    Args:
        data: n clips under their given labels, from ``jaxnoisy.data.load("clips:...", flow=True)``.
        clean: k clips under clean labels, such as from :func:`jaxnoisy.data.load_clean`; a few of each class.
        model: see :func:`train_streams`, and so ``config``, ``penultimate``, ``seed``, ``mesh``, ``checkpoints``,
            ``resume`` and ``on_epoch``.
        config: how to train.
        penultimate: units of a further hidden layer.
        gamma: see :func:`influential_clips`, and so ``damping`` and ``timings``.
        damping: > 0.
        seed: of everything random.
        mesh: to train on several devices.
        checkpoints: folder for checkpoints.
        resume: go on from them.
        on_epoch: called after each epoch.
        timings: seconds by stage, to be added to.

    Raises:
        ValueError: data that are no clips, clean clips that do not fit them, or options out of range. All but what the
            model decides is found out before training.
        FloatingPointError: training diverged.
    """
    streams(data)  # that these are clips is what there is to say first
    clean = fitted(clean, data, name="the clean clips")
    refuse_clips(data, clean, gamma=gamma, damping=damping)
    trained = train_streams(
        data,
        model=model,
        config=config,
        penultimate=penultimate,
        seed=seed,
        mesh=mesh,
        checkpoints=checkpoints,
        resume=resume,
        on_epoch=on_epoch,
    )
    found = influential_clips(trained, data, clean, gamma=gamma, damping=damping, timings=timings)
    return ClipFindings(found, predict_clips(trained, data), trained)
