"""What several detectors of the same examples agree on."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from jaxnoisy import check
from jaxnoisy.detect.detection import Detection

_BELOW_ONE = 1 - 2**-40


class AgreedInfo(NamedTuple):
    """Who agreed.

    Attributes:
        detections: those that were compared, by name.
        votes: (n,) int32, how many of them flag the example.
    """

    detections: Mapping[str, Detection]
    votes: np.ndarray


def agreed(detections: Mapping[str, Detection]) -> Detection:
    """Flag what every detection flags: of two streams of a video, the clips that both find suspicious.

    The score is the smallest of an example's shares of rank, from 0 for the least suspicious to just below 1, and 1
    more for what is flagged. Ranks are taken because scores of different models have no scale in common; within a
    detection they follow its order, flagged examples first. So an example scores high only if all find it suspicious,
    and flagged examples come before the others. Ties in one detection share their mean rank.

    Park et al., "Influential Rank", appendix D, analyse the clips that are influential in both networks.

    Args:
        detections: by name, at least one, each of the same n examples.

    Returns:
        A :class:`Detection` with an :class:`AgreedInfo`. Cost: O(n log n) for each.

    Raises:
        ValueError: no detections, different numbers of examples, or scores that are not finite.

    Example:
        >>> first = Detection(np.array([3.0, 2.0, 1.0]), np.array([True, True, False]), 1.5)
        >>> second = Detection(np.array([0.1, 0.9, 0.2]), np.array([False, True, False]), 0.5)
        >>> found = agreed({"rgb": first, "flow": second})
        >>> found.flagged.tolist(), found.scores.round(2).tolist(), found.info.votes.tolist()
        ([False, True, False], [0.0, 1.5, 0.0], [1, 2, 0])
    """
    if not detections:
        raise ValueError("there are no detections to compare: give at least one")
    sizes = {name: len(found.scores) for name, found in detections.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"detections must be of the same examples, but are of {sizes}")
    for name, found in detections.items():
        check.finite(found.scores, name=f"the scores of {name}")
    votes = np.stack([found.flagged for found in detections.values()]).sum(axis=0, dtype=np.int32)
    flagged = votes == len(detections)
    share = np.min([_share(found) for found in detections.values()], axis=0)
    return Detection(flagged + share, flagged, _BELOW_ONE, AgreedInfo(dict(detections), votes))


def _share(detection: Detection) -> np.ndarray:
    """(n,) from 0 to just below 1, rising with suspicion."""
    n = len(detection.scores)
    _, place = np.unique(detection.scores, return_inverse=True)
    place = place + n * detection.flagged.astype(np.int64)
    ordered = np.sort(place)
    below, to = (np.searchsorted(ordered, place, side=side) for side in ("left", "right"))
    return np.minimum((below + to - 1) / (2 * max(1, n - 1)), _BELOW_ONE)
