"""The choices of one training run, checked when they are made."""

import dataclasses
import math
from typing import Literal

from jaxnoisy import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained and recorded.

    Attributes:
        epochs: t, passes over the kept examples.
        batch_size: examples a step; the last batch of an epoch is filled up with examples of weight 0.
        optimizer: "sgd" (momentum, coupled weight decay) or "adamw" (decoupled weight decay).
        learning_rate: at the start of the schedule.
        momentum, nesterov: of SGD.
        weight_decay: L2 coefficient, on every parameter as the papers do.
        schedule: "constant", "step" (times ``step_factor`` after each epoch in ``step_epochs``) or "cosine" (to 0).
        flip, crop: augmentation of images: mirror with probability 1/2; pad by ``crop`` pixels and crop at random. All
            frames of a clip alike.
        segments: of clips, train each time on one random frame of each of so many equal parts; 0 for all frames.
        record: "train" takes the dynamics from the training step's own logits, at no extra pass; "eval" adds a pass in
            evaluation mode over all examples after each epoch; "none" takes none.
        trace_dtype: storage of the trace, "float32" or "float16".
        seed: of everything random: the same seed gives the same run, on any number of devices up to rounding.
        on_device: keep the inputs on the device and run an epoch as one compiled scan; False streams batches from the
            host, in the same order; None decides by size (``device_budget`` bytes), and streams convolutional networks
            on CPUs, where XLA runs convolutions inside a scan many times slower.
        device_budget: bytes of inputs that may stay on the device when ``on_device`` is None.
        checkpoint_every: epochs between checkpoints, where a checkpoint folder is given.
    """

    epochs: int = 20
    batch_size: int = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    schedule: Literal["constant", "step", "cosine"] = "cosine"
    step_epochs: tuple[int, ...] = ()
    step_factor: float = 0.1
    flip: bool = False
    crop: int = 0
    segments: int = 0
    record: Literal["train", "eval", "none"] = "train"
    trace_dtype: Literal["float32", "float16"] = "float32"
    seed: int = 0
    on_device: bool | None = None
    device_budget: int = 4 << 30
    checkpoint_every: int = 1

    def __post_init__(self) -> None:
        check.positive_int(self.epochs, name="epochs")
        check.positive_int(self.batch_size, name="batch_size")
        check.positive_int(self.checkpoint_every, name="checkpoint_every")
        check.positive_int(self.crop, name="crop", minimum=0)
        check.positive_int(self.segments, name="segments", minimum=0)
        check.positive_int(self.seed, name="seed", minimum=0)
        check.one_of(self.optimizer, ("sgd", "adamw"), name="optimizer")
        check.one_of(self.schedule, ("constant", "step", "cosine"), name="schedule")
        check.one_of(self.record, ("train", "eval", "none"), name="record")
        check.one_of(self.trace_dtype, ("float32", "float16"), name="trace_dtype")
        for name in ("learning_rate", "step_factor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, but is {getattr(self, name)}")
        check.fraction(self.momentum, name="momentum")
        check.fraction(self.weight_decay, name="weight_decay")
        if self.schedule == "step" and not self.step_epochs:
            raise ValueError("the step schedule needs step_epochs, the epochs after which the learning rate drops")
        if any(not 0 < e < self.epochs for e in self.step_epochs):
            raise ValueError(f"step_epochs must lie in 1..{self.epochs - 1}, but are {self.step_epochs}")
