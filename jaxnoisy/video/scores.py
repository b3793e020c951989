"""OSM and OSD of clips by one stream's network."""

import jax

from jaxnoisy.curvature.head_room import lacking_room
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.influence import OverfittingInfo, OverfittingScores, frames_overfitting, head_frames
from jaxnoisy.timing import timed
from jaxnoisy.training.trained import Trained
from jaxnoisy.video.streams import frame_outputs


def clip_scores(
    trained: Trained,
    stream: Dataset,
    clean: Dataset,
    *,
    damping: float = 0.01,
    timings: dict[str, float] | None = None,
) -> tuple[OverfittingScores, OverfittingInfo]:
    """Score how far clips bend a stream's last layer, and how unevenly that moves clean ones.

    Args:
        trained: the stream's network.
        stream: n clips under their given labels, frames or flow.
        clean: k clips under clean labels, in the same classes and of the same stream.
        damping: > 0, added to the diagonal of the curvature, that of the mean over clips of their frames' mean loss.
        timings: seconds by stage, to be added to.

    Returns:
        As :func:`jaxnoisy.influence.frames_overfitting`, on the host. Cost: a forward pass over all frames, and the
        head's algebra.

    Raises:
        ValueError: damping not above 0, clips that do not fit together, or a head too wide for its Hessian.
        FloatingPointError: a model whose outputs are not finite.
    """
    seconds = {} if timings is None else timings
    with timed(seconds, "features"):
        train, asked = ((*frame_outputs(trained, clips), clips.labels) for clips in (stream, clean))
    if lack := lacking_room(train[0].shape[2] + 1, stream.num_classes):
        raise ValueError(
            f"{lack}. Take a hidden layer before the head (penultimate=100), or a model with fewer features"
        )
    with timed(seconds, "factorise"):
        factor = jax.block_until_ready(head_frames.factorise(*train[:2], damping=damping))
    with timed(seconds, "score"):
        return frames_overfitting()(factor, train, asked)
