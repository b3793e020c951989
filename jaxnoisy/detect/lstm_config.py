"""How a learned detector is made and trained."""

import dataclasses
import math
from typing import Literal

from jaxnoisy import check
from jaxnoisy.dynamics.inputs import chosen_signals


@dataclasses.dataclass(frozen=True, kw_only=True)
class LSTMConfig:
    """The choices of one training of a detector, checked when they are made.

    The defaults are the paper's (Jia et al. 2023, section 4.1 and appendix B.1) but for the step size: the paper's
    constant 0.1 is high for AdamW, and :data:`PAPER` has it. ``benchmarks/lstm_settings.py`` compares rates.

    Attributes:
        signals: what the detector reads of each epoch, names of
            :data:`jaxnoisy.dynamics.inputs.SIGNALS`.
        hidden: the width of the layers.
        layers: how many.
        epochs: passes over the training sequences.
        batch_size: sequences a step.
        learning_rate: of AdamW, at the start.
        schedule: "constant", or "cosine" to 0.
        weight_decay: of AdamW, decoupled, on every parameter; the default is PyTorch's.
        clip_norm: the largest norm of a gradient, longer ones are shortened to it; None for no limit.
        validation: the share of examples held out to choose the epoch, of the mislabeled and of the others alike.
        choose: the epoch kept is the one of the lowest validation "loss" or of the highest validation "auc". The loss
            also judges the probabilities, on which a threshold of 0.5 relies, and still tells epochs apart where all
            rank perfectly.
    """

    signals: tuple[str, ...] = ("probability",)
    hidden: int = 64
    layers: int = 2
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.003
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    validation: float = 0.1
    choose: Literal["loss", "auc"] = "loss"

    def __post_init__(self) -> None:
        object.__setattr__(self, "signals", chosen_signals(self.signals))
        for name in ("hidden", "layers", "epochs", "batch_size"):
            check.positive_int(getattr(self, name), name=name)
        check.one_of(self.schedule, ("constant", "cosine"), name="schedule")
        check.one_of(self.choose, ("loss", "auc"), name="choose")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, but is {value}")
        check.fraction(self.weight_decay, name="weight_decay")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must lie in (0, 1), but is {self.validation}")


PAPER = LSTMConfig(learning_rate=0.1, schedule="constant", clip_norm=None)
"""The paper's training: AdamW at a constant 0.1, in batches of 64, for 10 epochs."""

FINE_TUNING = LSTMConfig(learning_rate=0.001)
"""For a detector that was trained before: a third of the rate that it began with, about as in the paper."""

PAPER_FINE_TUNING = dataclasses.replace(PAPER, learning_rate=0.03)
"""The paper's fine-tuning (appendix B.1)."""
