"""How many labels the dynamics contest: what detectors fall back on where scores do not part in two groups."""

import numpy as np

from jaxnoisy.detect.reduce import mean_over_epochs
from jaxnoisy.detect.rules import LINEAR, Rule, Scale, mixture, rank_threshold
from jaxnoisy.dynamics import signals
from jaxnoisy.dynamics.trace import Trace
from jaxnoisy.dynamics.votes import vote_block, vote_counts


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


def margin_rule(trace: Trace, scores: np.ndarray, *, scale: Scale, cut: str = "crossing") -> Rule:
    """The default rule of scores that are minus a mean margin: a mixture with floor 0.

    Where the mixture is distrusted, as many are flagged as are confidently contested.
    """
    fallback = max(0.0, rank_threshold(scores, confidently_contested(trace)))
    return mixture(floor=0.0, fallback=fallback, scale=scale, cut=cut)


def contested_rule(trace: Trace, scores: np.ndarray, *, scale: Scale) -> Rule:
    """The default rule of scores without a natural zero: a mixture whose floor lets as many through as are contested.

    A loss or a probability does not say by itself whether another class wins: 0.4 is a clear win among a thousand
    classes and a loss between two. The trace does say, for so many examples, and the mixture then decides. Where it is
    distrusted, as many are flagged as the margins flag.
    """
    floor = rank_threshold(scores, int(contested(trace).sum()))
    fallback = rank_threshold(scores, credible_count(trace))
    return mixture(floor=floor, fallback=max(floor, fallback), scale=scale)


def credible_count(trace: Trace) -> int:
    """How many examples the mean logit margin flags by :func:`margin_rule`, to be flagged by scores of any kind."""
    scores = -mean_over_epochs(trace, signals.margin)
    return int(margin_rule(trace, scores, scale=LINEAR)(scores).flagged.sum())
