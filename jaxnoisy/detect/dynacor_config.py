"""How DynaCor reads dynamics and learns to part them."""

import dataclasses
import math
from typing import Literal

from jaxnoisy import check
from jaxnoisy.dynamics.inputs import chosen_signals


@dataclasses.dataclass(frozen=True, kw_only=True)
class DynaCorConfig:
    """The choices of one search for two clusters, checked when they are made.

    The defaults are those of the paper (Kim et al. 2024, section 5.1 and appendix A.2), but for what keeps the cost
    from growing with the number of examples, where the paper passes over all of them in batches of 1,024, and but for
    the learning rate, by ``benchmarks/dynacor.py``.

    Attributes:
        signal: what is read of each epoch, a name of :data:`jaxnoisy.dynamics.inputs.READ`. The paper's is the sign of
            the margin.
        cluster_weight: of the clustering loss, a mean. The paper's equation 6 is a sum, and its batches hold as many;
            at 1 it hardly counts beside the alignment loss.
        alphas: weights of the alignment loss that are tried (equation 8). The paper takes 0.05 or 0.5 and gives no
            rule; here the validation metric decides.
        seeds: how many untrained encoders each of them starts from.
        epochs: e, after each of which the validation metric is taken; 0 leaves the encoders untrained, which is the
            baseline to beat.
        steps: of each epoch. Batches of small data sets are smaller, so that one pass over them still takes so many,
            down to 32 dynamics; still smaller sets take fewer steps.
        batch_size: dynamics per step, at most, drawn without replacement within an epoch.
        learning_rate: of Adam. The paper's is 1e-5: it flags as well and ranks better where the network has memorised
            most labels, but hardly moves the encoder where it was trained gently, as by default.
        weight_decay: L2 coefficient, added to the gradient.
        validation: the metric is taken over at most so many originals and as many corrupted copies, always the same.
        widths: of the convolutions.
        dimension: of representations.
        pooling: "flatten" hands on every step's features, as the paper does; "mean" their mean over time, whose cost
            and number of parameters do not depend on the number of epochs.
        choose: the epoch kept is the one of the highest validation "metric", the untrained encoder included, or the
            "last" one.
    """

    signal: str = "quantised-margin"
    cluster_weight: float = 1024.0
    alphas: tuple[float, ...] = (0.05, 0.5)
    seeds: int = 2
    epochs: int = 15
    steps: int = 50
    batch_size: int = 256
    learning_rate: float = 3e-5
    weight_decay: float = 1e-4
    validation: int = 4096
    widths: tuple[int, ...] = (16, 32, 32)
    dimension: int = 512
    pooling: Literal["flatten", "mean"] = "flatten"
    choose: Literal["metric", "last"] = "metric"

    def __post_init__(self) -> None:
        chosen_signals((self.signal,))
        for name in ("seeds", "steps", "batch_size", "validation", "dimension"):
            check.positive_int(getattr(self, name), name=name)
        check.positive_int(self.epochs, name="epochs", minimum=0)
        if not self.widths:
            raise ValueError("widths is empty: the encoder needs at least one convolution")
        for width in self.widths:
            check.positive_int(width, name="a width")
        if not self.alphas or not all(0 <= alpha < math.inf for alpha in self.alphas):
            raise ValueError(f"alphas must be finite numbers >= 0, and at least one, but are {self.alphas}")
        for name in ("learning_rate", "cluster_weight"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, but is {getattr(self, name)}")
        check.fraction(self.weight_decay, name="weight_decay")
        check.one_of(self.pooling, ("flatten", "mean"), name="pooling")
        check.one_of(self.choose, ("metric", "last"), name="choose")
