"""How many labels the dynamics contest: what detectors fall back on where scores do not part in two groups."""

import numpy as np

from jaxnoisy.detect.reduce import last_epoch, mean_over_epochs
from jaxnoisy.detect.rules import LINEAR, Flags, Rule, Scale, mixture, rank_threshold
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace
from jaxnoisy.dynamics.votes import vote_block, vote_counts

_LEAST = 3  # epochs in which a model learns something


def contested(trace: Trace) -> np.ndarray:
    """(n,) bool: on average over the recorded epochs, another class has a larger logit than the given one."""
    return np.asarray(mean_over_epochs(trace, signals.margin) < 0)


def confidently_contested(trace: Trace) -> int:
    """How many given labels another class claims with confidence: confident learning's count, from a trace alone.

    A weak model contests every example that it gets wrong, right label or not. Confident learning asks for more, that
    the other class be as probable as it is on average where it is the given label (Northcutt et al. 2021, equations 1
    to 3). It takes the probabilities of all classes; a trace holds those of the given label and of each epoch's best
    other class. Here an example's rival is the class most often predicted in its place, and the rival's mean
    probability counts only the epochs in which it was the prediction. That is a lower bound, so that the count errs
    on the side of too few.

    Returns:
        The estimated number of wrong labels, at most the number contested. Cost: O(n t) time, and a block of rows in
        memory.
    """
    claims = trace.per_example(_claims, block=vote_block(trace))
    own, other, rival = claims[:, 0], claims[:, 1], claims[:, 2].astype(np.int64)
    given, c = trace.labels, trace.num_classes
    size = np.bincount(given, minlength=c)
    usual = np.bincount(given, weights=own, minlength=c) / np.maximum(size, 1)
    claimed = (other > own) & (other >= usual[rival]) & (size[rival] > 0)
    held = (own >= usual[given]) & ~claimed
    lost = np.bincount(given[claimed], minlength=c)
    sure = lost + np.bincount(given[held], minlength=c)
    return min(round(float((size * lost / np.maximum(sure, 1)).sum())), int(contested(trace).sum()))


def _claims(part: Trace) -> np.ndarray:
    """(k, 3): mean probability of the given label, that of its rival where the rival was predicted, and the rival."""
    counts = vote_counts(part)
    counts[np.arange(len(part)), part.labels] = 0
    rival = counts.argmax(axis=1)
    other = np.exp(np.asarray(part.seen.log_p_other, np.float32))
    predicted = part.seen.argmax == rival[:, None]
    epochs = np.maximum(part.recorded.sum(axis=1), 1)
    mean_other = np.where(predicted & (rival != part.labels)[:, None], other, 0).sum(axis=1) / epochs
    return np.stack([signals.mean_recorded(signals.probability(part.seen)), mean_other, rival], axis=1)


def with_memorised(trace: Trace, count: int, *, early: int | None = None) -> int:
    """``count``, and the wrong labels that the whole trace no longer shows because the model learned them by heart.

    Right labels are learned first. Let k labels be confidently contested in the first ``early`` epochs, and let the
    last recorded epoch predict all given labels but u. Where u >= k, no label that was contested early need have
    been memorised, and ``count`` stands. Otherwise at least k - u of the k were fitted since, the share 1 - u / k, and
    that share of the gap between ``count`` and k is put back. A trace that ends with every label fitted thus counts
    what was contested early; one that ends where the model has learned no more than it can know is left as it is.

    A model that fits right labels late, on examples that it finds hard, is taken to memorise them. Nothing is put back
    where fewer than three epochs are early: they show a model that has learned nothing yet.

    Args:
        trace: n examples, t epochs.
        count: how many labels are held to be wrong on the evidence of the whole trace.
        early: epochs; by default a quarter of them, rounded down.

    Returns:
        At least ``count``. Cost: O(n t) time.
    """
    early = trace.epochs // 4 if early is None else early
    if early < _LEAST:
        return count
    start = trace.until(early)
    if not start.per_example(lambda part: np.asarray(part.recorded.any(axis=1))).all():
        return count
    contested_early = confidently_contested(start)
    unfitted = int((last_epoch(trace, signals.margin) < 0).sum())
    if contested_early <= max(count, unfitted):
        return count
    return count + round((1 - unfitted / contested_early) * (contested_early - count))


def margin_rule(trace: Trace, scores: np.ndarray, *, scale: Scale, cut: str = "crossing") -> Rule:
    """The default rule of scores that are minus a mean margin: a mixture with floor 0.

    Where the mixture is distrusted, as many are flagged as are confidently contested; and in any case as many as
    :func:`with_memorised` makes of the number found.
    """
    return _widened(_margin_rule(trace, scores, scale=scale, cut=cut), trace)


def contested_rule(trace: Trace, scores: np.ndarray, *, scale: Scale) -> Rule:
    """The default rule of scores without a natural zero: a mixture whose floor lets as many through as are contested.

    A loss or a probability does not say by itself whether another class wins: 0.4 is a clear win among a thousand
    classes and a loss between two. The trace does say, for so many examples, and the mixture then decides. Where it is
    distrusted, as many are flagged as the margins flag; and in any case as many as :func:`with_memorised` makes of the
    number found.
    """
    floor = rank_threshold(scores, int(contested(trace).sum()))
    fallback = rank_threshold(scores, _margin_count(trace))
    return _widened(mixture(floor=floor, fallback=max(floor, fallback), scale=scale), trace)


def credible_count(trace: Trace) -> int:
    """How many examples the mean logit margin flags by :func:`margin_rule`, to be flagged by scores of any kind."""
    return with_memorised(trace, _margin_count(trace))


def _margin_rule(trace: Trace, scores: np.ndarray, *, scale: Scale, cut: str = "crossing") -> Rule:
    fallback = max(0.0, rank_threshold(scores, confidently_contested(trace)))
    return mixture(floor=0.0, fallback=fallback, scale=scale, cut=cut)


def _margin_count(trace: Trace) -> int:
    scores = -mean_over_epochs(trace, signals.margin)
    return int(_margin_rule(trace, scores, scale=LINEAR)(scores).flagged.sum())


def _widened(rule: Rule, trace: Trace) -> Rule:
    """``rule``, lowered where it flags fewer than :func:`with_memorised` asks for."""

    def widened(scores: np.ndarray) -> Flags:
        flags = rule(scores)
        found = int(flags.flagged.sum())
        count = with_memorised(trace, found)
        if count == found:
            return flags
        threshold = min(flags.threshold, rank_threshold(scores, count))
        return Flags(scores > threshold, threshold, flags.info and flags.info._replace(trusted=False))

    return widened
