"""Training by negative learning, then selective negative, then selective positive learning (NLNL)."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from flax import nnx

from jaxnoisy import check
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.robust import negative_learning, selective_negative, selective_positive
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.loop import Fit, fit
from jaxnoisy.types import Array

STAGES = ("negative", "selective negative", "selective positive")

Loss: TypeAlias = Callable[[Array, Array], Array]


def in_stages(train: Callable[[str, Loss, Fit | None], Fit], *, keep_above: float = 0.5) -> Fit:
    """Train in the three stages of NLNL, each from where the one before ended.

    Kim, Yim, Yun and Kim (2019), "NLNL: Negative learning for noisy labels" (ICCV), section 3, up to the pseudo labels
    that a further network would learn from. The paper trains 720 epochs a stage, SGD with learning rate 0.02, 0.02 and
    0.1. The loss of the negative stages is here c - 1 times the paper's in expectation (see
    :func:`jaxnoisy.robust.negative_learning`), so that the learning rate of cross entropy suits all three. Which
    examples take part is decided by the probabilities of the training step itself, where the authors' code averages
    those of the last ten epochs.

    Args:
        train: ``train(stage, loss, before) -> Fit``: a run under that loss, one of :data:`STAGES`, from the model and
            the normalisation of the run before it, or from the start where that is None.
        keep_above: in [0, 1), the probability of its label above which an example takes part in the last stage.

    Returns:
        The :class:`~jaxnoisy.training.Fit` of the last stage, whose trace :func:`jaxnoisy.detect.nlnl` reads.

    Raises:
        ValueError: a threshold out of range.
    """
    check.fraction(keep_above, name="keep_above")
    done: Fit | None = None
    for stage, loss in zip(STAGES, (negative_learning, selective_negative, None)):
        done = train(stage, loss or partial(selective_positive, above=keep_above), done)
    assert done is not None
    return done


def fit_nlnl(model: nnx.Module, data: Dataset, config: TrainConfig, *, keep_above: float = 0.5) -> Fit:
    """Train a model as :func:`in_stages` says, with ``config``, its epochs and its schedule, for every stage.

    Args:
        model: any NNX module that maps normalised inputs (b, ...) to logits (b, c). It is left as it is.
        data: n examples under their given labels.
        config: the choices of a stage.
        keep_above: see :func:`in_stages`.

    Raises:
        ValueError: a threshold out of range, and whatever :func:`jaxnoisy.training.fit` refuses.
        FloatingPointError: training diverged.
    """

    def train(stage: str, loss: Loss, before: Fit | None) -> Fit:
        if before is None:
            return fit(model, data, config, loss=loss)
        return fit(before.model, data, config, loss=loss, scale=before.scale)

    return in_stages(train, keep_above=keep_above)
