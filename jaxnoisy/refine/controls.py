"""What a repair is to be compared with."""

from typing import NamedTuple

from jax.sharding import Mesh

from jaxnoisy import check
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.refine.loop import train_on
from jaxnoisy.refine.post_recipe import post_recipe
from jaxnoisy.refine.setting import OnEpoch, fitting, known_name, measured_on
from jaxnoisy.refine.subject import accuracy
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.trained import Trained


class Longer(NamedTuple):
    """What longer training came to.

    Attributes:
        trained: the model at its end.
        accuracies: by model ("original", "longer 1", ...), then by data ("validation", "test").
    """

    trained: Trained
    accuracies: dict[str, dict[str, float]]


def longer(
    data: Dataset,
    validation: Dataset,
    trained: Trained,
    *,
    rounds: int = 2,
    config: TrainConfig | None = None,
    test: Dataset | None = None,
    mesh: Mesh | None = None,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> Longer:
    """Train a model on for as many epochs as a repair post-trains it, with nothing removed and nothing restored.

    Park et al., "Influential Rank", Table 7: it tells what removing examples brings from what more epochs, with the
    learning rate raised again in each round, would have brought alone.

    Args:
        data: as for :func:`~jaxnoisy.refine.refine`.
        validation: measured, and no more.
        trained: as for :func:`~jaxnoisy.refine.refine`.
        rounds: how often.
        config: how a round trains; by default :func:`~jaxnoisy.refine.post_recipe`.
        test: measured as well.
        mesh: to train on several devices.
        seed: of training where no settings are given.
        on_epoch: called after each epoch with "round 1", ...

    Raises:
        ValueError: whatever :func:`~jaxnoisy.refine.refine` refuses of these.
        FloatingPointError: training diverged.

    Example:
        >>> from jaxnoisy.data import load
        >>> from jaxnoisy.training.trained import train
        >>> digits, short = load("digits"), TrainConfig(epochs=1, record="none")
        >>> done = longer(digits, digits, train(digits, model="linear", config=short), rounds=1, config=short)
        >>> list(done.accuracies)
        ['original', 'longer 1']
    """
    check.positive_int(rounds, name="rounds")
    check.at_least_two_classes(data.labels)
    measured = measured_on(data, validation, test)
    subject, weights = fitting(data, trained)
    config = config or post_recipe(known_name(trained), data, seed=seed)
    accuracies = {"original": {name: accuracy(subject, weights, of) for name, of in measured.items()}}
    for number in range(1, rounds + 1):
        weights = train_on(subject, weights, data, config, number, mesh=mesh, on_epoch=on_epoch)
        accuracies[f"longer {number}"] = {name: accuracy(subject, weights, of) for name, of in measured.items()}
    settings = {**trained.settings, "longer": rounds * config.epochs}
    return Longer(Trained(subject.merge(*weights), trained.scale, settings), accuracies)
