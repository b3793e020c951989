"""SimiFeat: the data's own features, or those of the trained model, and the labels of nearest neighbours in them."""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxnoisy import check
from jaxnoisy.audit.beyond import Beyond, Found, Prepared, Runs, Task
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.detect import FeatureDetector, SimiFeatInfo, simifeat_rank, simifeat_vote
from jaxnoisy.models import Classifier, FrameConsensus
from jaxnoisy.stats.hoc import MOST_CLASSES
from jaxnoisy.timing import timed
from jaxnoisy.training import Fit
from jaxnoisy.training.augment import augment
from jaxnoisy.training.normalize import moments, normalize
from jaxnoisy.training.outputs import outputs
from jaxnoisy.types import Array, Key, PyTree

PASSES = 21
"""Of the paper, over images."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimiFeatVote(Beyond):
    """SimiFeat by votes: :func:`jaxnoisy.detect.simifeat_vote`.

    Data that come as features are compared as the network sees them, standardised by columns. Of images, pixels say too
    little about what they show: they are compared by the inputs of the last layer of the main run's model, which has
    learned from the given labels, wrong ones among them. A network trained on other data is better: hand on its
    features as data. Images are mirrored, where they are in colour, and cropped anew at each pass but the first; there
    is no such thing for features, which have one pass. Of clips it is the mean over their frames.

    Attributes:
        neighbours: how many vote.
        passes: over the data, 21 of images by default.
    """

    name: ClassVar[str] = "simifeat-vote"
    by_default: ClassVar[bool] = False

    neighbours: int = 10
    passes: int | None = None

    def prepare(self, task: Task) -> Prepared:
        """Check what the method is asked for.

        Raises:
            ValueError: options out of range, more passes than one over features, or too few examples.
        """
        data = task.data
        check.positive_int(self.neighbours, name="neighbours", minimum=2 if self.name == SimiFeatRank.name else 1)
        if len(data) <= self.neighbours:
            raise ValueError(
                f"{self.neighbours} neighbours of each example need at least {self.neighbours + 1} examples, but there "
                f"are {len(data)}: choose fewer --neighbours"
            )
        if self.passes is not None:
            check.positive_int(self.passes, name="passes")
            if self.passes > 1 and not data.is_images:
                raise ValueError(
                    f"{self.passes} passes over features would all be the same, as only images are augmented: leave "
                    "passes out"
                )
        self.refuse(data)

        def find(runs: Runs) -> Found:
            with timed(runs.timings, f"detect {self.name}"):
                found = self.detector(data.num_classes)(self.features(runs.main, task), data.labels)
            return Found(found, {"neighbours": self.neighbours, "passes": found.info.passes, **self.said(found.info)})

        return find

    def detector(self, num_classes: int) -> FeatureDetector:
        """The detector itself."""
        return simifeat_vote(num_classes=num_classes, neighbours=self.neighbours)

    def refuse(self, data: Dataset) -> None:
        """Refuse data that this kind of SimiFeat has no use for."""

    def said(self, info: SimiFeatInfo) -> dict[str, Any]:
        """What to note."""
        return {}

    def features(self, main: Fit, task: Task) -> Iterator[np.ndarray]:
        """The features of each pass."""
        data = task.data
        if not data.is_images:
            yield np.asarray(normalize(jnp.asarray(data.inputs), moments(data.inputs)))
            return
        height, _, channels = data.inputs.shape[-3:]

        def of_images(params: PyTree, rest: PyTree, images: Array) -> Array:
            model = main.network.merge(params, rest)
            if isinstance(model, FrameConsensus):
                n, frames = images.shape[:2]
                each = model.frames.features(images.reshape(n * frames, *images.shape[2:]))
                return each.reshape(n, frames, -1).mean(axis=1)
            assert isinstance(model, Classifier)
            return model.features(images)

        def plain(params: PyTree, rest: PyTree, images: Array) -> Array:
            return of_images(params, rest, normalize(images, main.scale))

        def augmented(params: PyTree, rest: tuple[PyTree, Key], images: Array) -> Array:
            scaled = normalize(images, main.scale)
            changed = augment(rest[1], scaled, flip=channels == 3, crop=max(1, height // 8))
            return of_images(params, rest[0], changed)

        key = jax.random.fold_in(jax.random.key(task.seed), 3)
        params, rest = main.state.params, main.state.rest
        yield outputs(plain, params, rest, data.inputs)
        for number in range(1, PASSES if self.passes is None else self.passes):
            yield outputs(augmented, params, (rest, jax.random.fold_in(key, number)), data.inputs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimiFeatRank(SimiFeatVote):
    """SimiFeat by rank: :func:`jaxnoisy.detect.simifeat_rank`, on the features that :class:`SimiFeatVote` tells of."""

    name: ClassVar[str] = "simifeat-rank"

    def detector(self, num_classes: int) -> FeatureDetector:
        """The detector itself."""
        return simifeat_rank(num_classes=num_classes, neighbours=self.neighbours)

    def refuse(self, data: Dataset) -> None:
        """Refuse more classes than statistics of third order are taken of."""
        if data.num_classes > MOST_CLASSES:
            raise ValueError(
                f"{self.name} estimates noise rates of at most {MOST_CLASSES} classes, but the data have "
                f"{data.num_classes}: use {SimiFeatVote.name}"
            )

    def said(self, info: SimiFeatInfo) -> dict[str, Any]:
        """The noise that the neighbours' labels speak of."""
        assert info.estimate is not None
        return {"estimated_noise_rate": float(info.estimate.noise_rate), "divergence": float(info.estimate.divergence)}
