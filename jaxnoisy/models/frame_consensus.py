"""A classifier of images applied to every frame of a clip, and what the frames agree on."""

import jax
import jax.numpy as jnp
from flax import nnx

from jaxnoisy.models.classifier import Classifier
from jaxnoisy.types import Array, ArrayLike


class FrameConsensus(nnx.Module):
    """One stream of a temporal segment network (Wang et al. 2016), with the average over frames for its consensus.

    ``model(x)`` is the mean over frames of their log-probabilities. That is the mean of the frames' logits less one
    number per clip, so its softmax is the softmax of the average consensus. Minus the entry of the label is the mean of
    the frames' cross entropies, the loss of a clip in Park et al., "Influential Rank", appendix D
    (:func:`jaxnoisy.losses.negative_log_likelihood`); :func:`jaxnoisy.losses.cross_entropy` of the whole is that of the
    consensus, which temporal segment networks are trained with. Batch norm takes the frames of a batch together.

    Args:
        frames: a classifier of single frames, of any number of channels.

    Example:
        >>> import jax
        >>> from jaxnoisy.models import FrameConsensus, build
        >>> model = FrameConsensus(build("cnn", input_shape=(8, 8, 3), num_classes=5, key=jax.random.key(0)))
        >>> model(jnp.zeros((2, 4, 8, 8, 3))).shape
        (2, 5)
    """

    def __init__(self, frames: Classifier):
        if not isinstance(frames, Classifier):
            raise TypeError(f"frames must be a jaxnoisy.models.Classifier, but is {type(frames).__name__}")
        self.frames = frames

    def __call__(self, x: ArrayLike) -> Array:
        """Return the mean log-probabilities of clips, float32 of shape (n, c).

        Args:
            x: floats of shape (n, m, h, w, channels), already normalised.

        Raises:
            ValueError: ``x`` is of no such shape, or the classifier of frames takes none of this size.
            TypeError: ``x`` is not floating point.
        """
        if x.ndim != 5 or x.shape[1] == 0:
            raise ValueError(f"clips have shape (n, m, h, w, channels) with m >= 1 frames, but this is {x.shape}")
        n, m = x.shape[:2]
        logits = self.frames(x.reshape(n * m, *x.shape[2:])).reshape(n, m, -1)
        return jax.nn.log_softmax(logits).mean(axis=1)


def fused(*scores: ArrayLike, weights: tuple[float, ...] | None = None) -> Array:
    """Class probabilities of clips from the scores of several streams, averaged before the softmax.

    Args:
        scores: for each stream (n, c), logits or log-probabilities.
        weights: one positive number per stream, by default equal ones; the paper gives frames 1 and flow 1.5.

    Returns:
        (n, c), rows summing to 1.

    Raises:
        ValueError: no scores, scores of different shapes, or weights that are not one positive number each.

    Example:
        >>> fused(jnp.array([[0.0, 4.0]]), jnp.array([[0.0, -2.0]]), weights=(1.0, 2.0)).tolist()
        [[0.5, 0.5]]
    """
    if not scores or any(s.ndim != 2 or s.shape != scores[0].shape for s in scores):
        raise ValueError(f"scores must be one or more arrays of one shape (n, c), but have {[s.shape for s in scores]}")
    w = jnp.asarray(weights or (1.0,) * len(scores))
    if w.shape != (len(scores),) or not bool((w > 0).all()):
        raise ValueError(f"weights must be one positive number for each of {len(scores)} streams, but are {weights}")
    return jax.nn.softmax(sum(share * s for share, s in zip(w / w.sum(), scores)))
