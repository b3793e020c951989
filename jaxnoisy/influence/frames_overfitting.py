"""OSM and OSD of examples that are several frames under one label, by the parameters of a linear head."""

from collections.abc import Callable

from jaxnoisy import check
from jaxnoisy.curvature import last_layer
from jaxnoisy.curvature.last_layer import HeadFactor
from jaxnoisy.influence import head_frames
from jaxnoisy.influence.head_frames import FrameData
from jaxnoisy.influence.overfitting import OverfittingInfo
from jaxnoisy.influence.overfitting_scores import OverfittingScores, overfitting_scores
from jaxnoisy.influence.per_class import per_class


def frames_overfitting(
    *, normalise: str = "examples", block_size: int = 256
) -> Callable[[HeadFactor, FrameData, FrameData], tuple[OverfittingScores, OverfittingInfo]]:
    """OSM and OSD of clips under softmax cross entropy, exactly.

    Park et al., "Influential Rank", appendix D: the loss of a clip is the mean over its frames, and so are its gradient
    and its influences. See :mod:`jaxnoisy.influence.head_frames` for how they are computed.

    Args:
        normalise: the reading of equation 4, see :func:`~jaxnoisy.influence.overfitting_scores`.
        block_size: clips whose gradients are held, and solved for, at once.

    Returns:
        ``scores(factor, train, validation)``, which returns :class:`~jaxnoisy.influence.OverfittingScores` and an
        :class:`~jaxnoisy.influence.OverfittingInfo`. ``factor`` is from
        :func:`jaxnoisy.influence.head_frames.factorise`. ``train`` and ``validation`` are triples of features
        (n, m, d), logits (n, m, c) and labels (n,), one for each clip; those of the training set are all NumPy arrays,
        which are read by blocks (memory-mapped ones too), or all on devices, and so are the scores. Clips for
        validation may have another number of frames. Time: 6 n (c - 1)^2 D^2 + 2 n k c D operations for k validation
        clips.

    Raises:
        ValueError: another normalisation, a block size below 1; from ``scores``: no validation clips, arrays that do
            not belong to the head, labels out of range, values that are not finite.
        TypeError: from ``scores``: features or logits that are not floating point, labels that are not integers.

    Example:
        >>> import numpy as np
        >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.9, 0.0], [0.0, 1.2], [0.1, 0.8]], np.float32)
        >>> frames = np.stack([x, 0.9 * x], axis=1)
        >>> data = frames, 3 * frames, np.array([0, 1, 1, 0, 1, 1])
        >>> train, validation = tuple(a[:3] for a in data), tuple(a[3:] for a in data)
        >>> factor = head_frames.factorise(*train[:2], damping=0.01, bias=False)
        >>> found, info = frames_overfitting()(factor, train, validation)
        >>> int(found.osm.argmax()), bool(info.train.converged.all())
        (2, True)
    """
    combine = overfitting_scores(normalise=normalise)
    size = check.positive_int(block_size, name="block_size")

    def scores(
        factor: HeadFactor, train: FrameData, validation: FrameData
    ) -> tuple[OverfittingScores, OverfittingInfo]:
        features, logits, labels = validation
        if len(features) == 0:
            raise ValueError(
                "there are no validation clips: OSD needs some with clean labels, at least two of each class that is "
                "to have a say"
            )
        if features.ndim == 3 and train[0].ndim == 3 and features.shape[2] != train[0].shape[2]:
            raise ValueError(
                f"validation features have {features.shape[2]} columns, but training features have "
                f"{train[0].shape[2]}: take both from what the head is applied to"
            )
        bias = train[0].shape[-1] < factor.like.shape[0]
        asked = head_frames.gradients(features, logits, labels, bias=bias)
        solved, info = last_layer.solve(factor, asked)
        own, train_info = head_frames.self_influence(factor, *train, block_size=size)
        rows = head_frames.pairwise(solved, *train, block_size=size)
        spread = per_class(num_classes=factor.like.shape[1])(rows, labels)
        return combine(own.norms, spread), OverfittingInfo(train_info, info)

    return scores
