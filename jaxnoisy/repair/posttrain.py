"""Rounds of post-training: find suspicious examples, drop them, train on, and keep the drop only if it helped.

Park et al., "Influential Rank: a new perspective of post-training for robust model against noisy labels", section 3.3
and Algorithm 1. What finds, what trains and what measures are functions of the caller's, so that the rounds are the
same for any score and any model.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection
from jaxnoisy.repair.drop import Drop, drop
from jaxnoisy.timing import timed


class PostTrainState(NamedTuple):
    """Where the rounds stand.

    Attributes:
        model: the last good model, whatever ``find``, ``train`` and ``accuracy`` understand.
        kept: (n,) bool, examples that were not dropped.
        accuracy: of the model on validation data.
        round: rounds done.
        finished: no further round is to be made.
    """

    model: Any
    kept: np.ndarray
    accuracy: float
    round: int
    finished: bool


class RoundInfo(NamedTuple):
    """What one round came to.

    Attributes:
        round: 1, 2, ...
        accepted: whether its drop was kept.
        reason: a sentence on why it was kept, restored or refused.
        removed: (k,) rows dropped, or tried; none where nothing was found.
        accuracy_before: of the model before, on validation data.
        accuracy_after: of the model trained in this round; NaN where none was, or where it diverged.
        kept: examples left after the round; all of before where the drop was restored.
        noise_before: share of wrong labels among the examples kept before; None where the truth is not known.
        noise_after: the same after the round.
        precision: share of wrong labels in ``removed``; None where the truth is not known or nothing was removed.
        recall: share of the wrong labels still kept that are in ``removed``; None where that is not known or there
            are none.
        measures: further accuracies of the model trained in this round, by name.
        seconds: spent on "find" and "train".
    """

    round: int
    accepted: bool
    reason: str
    removed: np.ndarray
    accuracy_before: float
    accuracy_after: float
    kept: int
    noise_before: float | None
    noise_after: float | None
    precision: float | None
    recall: float | None
    measures: Mapping[str, float]
    seconds: Mapping[str, float]


class Step(Protocol):
    """What :func:`post_train` returns."""

    def __call__(
        self, state: PostTrainState, labels: np.ndarray, flips: np.ndarray | None = None
    ) -> tuple[PostTrainState, RoundInfo]:
        """Make one round.

        Args:
            state: from :func:`begin` or the round before.
            labels: (n,) given labels.
            flips: (n,) bool, known wrong labels, for the records only; None where the truth is not known.
        """


def begin(model: Any, n: int, accuracy: float) -> PostTrainState:
    """The state before the first round: ``model``, trained on all n examples, with its validation accuracy.

    Example:
        >>> begin("a model", 3, 0.5).kept.tolist()
        [True, True, True]
    """
    check.positive_int(n, name="n")
    if not np.isfinite(accuracy):
        raise ValueError(f"accuracy must be a finite number, but is {accuracy!r}: has the model's training diverged?")
    return PostTrainState(model, np.ones(n, bool), float(accuracy), 0, False)


def post_train(
    *,
    find: Callable[[Any, np.ndarray], Detection],
    train: Callable[[Any, np.ndarray, int], Any],
    accuracy: Callable[[Any], float],
    rounds: int = 2,
    min_gain: float = 0.0,
    class_floor: int | None = None,
    measures: Mapping[str, Callable[[Any], float]] | None = None,
) -> Step:
    """Make rounds of post-training.

    A round looks for suspicious examples among those still kept, drops what is flagged, and trains on from the model
    it began with. Where validation accuracy rises, the drop stays and the next round begins from the new model.
    Otherwise examples and model are as before and the rounds end, as the next would do the same again. They end, too,
    where nothing is flagged, where a class would lose its last example, or where a FloatingPointError says that
    scoring, training or measuring diverged; the model is then the last good one, and the reason is in the record.

    Args:
        find: ``(model, rows) -> Detection`` over those (k,) rows.
        train: ``(model, kept, round) -> model``: the model trained on from here with the (n,) bool examples. It leaves
            the model it was given as it is.
        accuracy: of a model on validation data, which decides. It may be any finite number of which more is better.
        rounds: the most rounds to make, at least 1; the paper makes 2.
        min_gain: a rise must be larger than this, at least 0.
        class_floor: spares the so many least suspicious examples of each class; by default a round that would empty a
            class is refused.
        measures: further accuracies of each round's model, such as on test data: for the record, they decide nothing.

    Returns:
        ``step(state, labels, flips=None) -> (PostTrainState, RoundInfo)``, to be called until ``state.finished``.

    Raises:
        ValueError: rounds or a floor below 1, a gain below 0; from ``step``: a state that is finished, labels or flips
            that do not belong to it, a detection of other examples than it was asked about.

    Example:
        Numbers to be averaged, of which one does not belong; the model is the mean.

        >>> import numpy as np
        >>> from jaxnoisy.detect import Detection
        >>> x, labels = np.array([1.0, 1.2, 9.0, 0.8]), np.array([0, 1, 1, 0])
        >>> def find(mean, rows):
        ...     far = abs(x[rows] - mean)
        ...     return Detection(far, far > 3, 3.0)
        >>> def train(mean, kept, number):
        ...     return x[kept].mean()
        >>> step = post_train(find=find, train=train, accuracy=lambda mean: -abs(mean - 1))
        >>> state, info = step(begin(x.mean(), 4, -2.0), labels)
        >>> info.accepted, info.removed.tolist(), state.finished
        (True, [2], False)
        >>> step(state, labels)[1].reason
        'Nothing is flagged among the examples that are left.'
    """
    check.positive_int(rounds, name="rounds")
    if not 0 <= min_gain < float("inf"):
        raise ValueError(f"min_gain must be a number >= 0, but is {min_gain!r}")
    choose = drop(class_floor=class_floor)
    further = dict(measures or {})

    def step(
        state: PostTrainState, labels: np.ndarray, flips: np.ndarray | None = None
    ) -> tuple[PostTrainState, RoundInfo]:
        given, wrong = _checked(state, labels, flips)
        number, rows = state.round + 1, np.flatnonzero(state.kept)
        seconds: dict[str, float] = {}
        removed, model, after = np.zeros(0, np.int64), None, float("nan")
        try:
            with timed(seconds, "find"):
                chosen = choose(_over(find(state.model, rows), len(rows)), given[rows])
            removed = rows[chosen.rows]
            reason = _refusal(chosen)
            if not reason:
                with timed(seconds, "train"):
                    model = train(state.model, _without(state.kept, removed), number)
                after = float(accuracy(model))
                reason = _verdict(state.accuracy, after, min_gain)
        except FloatingPointError as error:
            reason = f"Restored: {error}."
        accepted = after > state.accuracy + min_gain
        kept = _without(state.kept, removed) if accepted else state.kept
        info = RoundInfo(
            round=number,
            accepted=accepted,
            reason=reason,
            removed=removed,
            accuracy_before=state.accuracy,
            accuracy_after=after,
            kept=int(kept.sum()),
            noise_before=_share(wrong, state.kept),
            noise_after=_share(wrong, kept),
            precision=_share(wrong, removed),
            recall=_recall(wrong, rows, removed),
            measures={} if model is None else {name: _measured(of, model) for name, of in further.items()},
            seconds=seconds,
        )
        if not accepted:
            return state._replace(round=number, finished=True), info
        return PostTrainState(model, kept, after, number, number >= rounds), info

    return step


def _checked(
    state: PostTrainState, labels: np.ndarray, flips: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    if state.finished:
        raise ValueError(f"the rounds are finished after round {state.round}: begin anew for more")
    n = len(state.kept)
    given = check.labels(labels, n=n)
    if flips is None:
        return given, None
    wrong = np.asarray(flips)
    if wrong.shape != (n,) or wrong.dtype != bool:
        raise ValueError(f"flips must be bool of shape ({n},), but is {wrong.dtype} of shape {wrong.shape}")
    return given, wrong


def _over(detection: Detection, n: int) -> Detection:
    if np.shape(detection.flagged) != (n,) or np.shape(detection.scores) != (n,):
        raise ValueError(
            f"find was asked about {n} examples, but gave scores of shape {np.shape(detection.scores)} and flags of "
            f"shape {np.shape(detection.flagged)}: return one of each for every row"
        )
    return detection


def _refusal(chosen: Drop) -> str:
    """Why nothing is to be dropped, or nothing to say."""
    if chosen.emptied:
        classes = ", ".join(map(str, chosen.emptied))
        return (
            f"Refused: all examples left of class {classes} are flagged, and a model trained without them would never "
            "predict it; class_floor spares some of each class."
        )
    if not chosen.rows.any():
        spared = f" but {chosen.spared} that the class floor spares" if chosen.spared else ""
        return f"Nothing is flagged among the examples that are left{spared}."
    return ""


def _verdict(before: float, after: float, min_gain: float) -> str:
    change = f"validation accuracy went from {before:.4f} to {after:.4f}"
    if after > before + min_gain:
        return f"Kept: {change}."
    if not np.isfinite(after):
        return "Restored: the validation accuracy is not a number."
    needed = f", and a rise of more than {min_gain:g} was asked for" if min_gain else ", which is no rise"
    return f"Restored: {change}{needed}."


def _without(kept: np.ndarray, removed: np.ndarray) -> np.ndarray:
    left = kept.copy()
    left[removed] = False
    return left


def _share(wrong: np.ndarray | None, rows: np.ndarray) -> float | None:
    return None if wrong is None or not wrong[rows].size else float(wrong[rows].mean())


def _recall(wrong: np.ndarray | None, rows: np.ndarray, removed: np.ndarray) -> float | None:
    return None if wrong is None or not wrong[rows].any() else float(wrong[removed].sum() / wrong[rows].sum())


def _measured(of: Callable[[Any], float], model: Any) -> float:
    try:
        return float(of(model))
    except FloatingPointError:
        return float("nan")
