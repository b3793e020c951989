"""The two streams of a clip, each trained as a network of its own."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxnoisy import files
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.models import FrameConsensus, fused
from jaxnoisy.training.config import TrainConfig
from jaxnoisy.training.loop import EpochReport
from jaxnoisy.training.outputs import outputs
from jaxnoisy.training.recipes import default_model, recipe
from jaxnoisy.training.trained import Trained, pure, train


def streams(data: Dataset) -> dict[str, Dataset]:
    """The clips by stream: "rgb", the frames, and "flow", where the data holds it.

    Raises:
        ValueError: data that are no clips.

    Example:
        >>> from jaxnoisy.data import make
        >>> x, flow = np.zeros((2, 3, 8, 8, 1), np.uint8), np.zeros((2, 3, 8, 8, 10), np.uint8)
        >>> {name: stream.inputs.shape for name, stream in streams(make(x, [0, 1], clips=True, flow=flow)).items()}
        {'rgb': (2, 3, 8, 8, 1), 'flow': (2, 3, 8, 8, 10)}
    """
    if not data.is_clips:
        raise ValueError(f"streams are of clips (n, frames, h, w, channels), but inputs have shape {data.inputs.shape}")
    return {"rgb": data} if data.flow is None else {"rgb": data, "flow": data.of_flow()}


def for_stream(name: str, config: TrainConfig) -> TrainConfig:
    """The settings of one stream. Flow is not mirrored: what moves to the right would then move to the left."""
    return dataclasses.replace(config, flip=False) if name == "flow" else config


def train_streams(
    data: Dataset,
    *,
    model: str = "auto",
    config: TrainConfig | None = None,
    penultimate: int | None = None,
    seed: int = 0,
    mesh: Mesh | None = None,
    checkpoints: files.PathLike | None = None,
    resume: bool = False,
    on_epoch: Callable[[str, EpochReport, int], None] | None = None,
) -> dict[str, Trained]:
    """Train a network on each stream, on the mean over frames of cross entropy.

    Wang et al. 2016 sample 3 parts of a clip anew at every step (``segments=3``); Park et al., "Influential Rank",
    train for 300 epochs from 0.001, times 0.1 after epochs 30 and 200, with a hidden layer of 100 units before the head
    (``penultimate=100``).

    Args:
        data: n clips.
        model: as for :func:`jaxnoisy.training.trained.train`: of single frames, the same for both streams.
        config: how to train, by default :func:`jaxnoisy.training.recipes.recipe`.
        penultimate: units of a further hidden layer before the head.
        seed: of the initial parameters and, where ``config`` is not given, of the training.
        mesh: to train on several devices.
        checkpoints: folder for checkpoints of both.
        resume: go on from them.
        on_epoch: called after each epoch with the stream's name, the report, and the number of epochs.

    Raises:
        ValueError: data that are no clips, or as from :func:`jaxnoisy.training.trained.train`.
        FloatingPointError: the loss stopped being finite.
    """
    found = {}
    for name, stream in streams(data).items():
        network = default_model(stream) if model == "auto" else model
        chosen = for_stream(name, config or recipe(network, stream, seed=seed, record="none"))

        def report(one: EpochReport, name: str = name, epochs: int = chosen.epochs) -> None:
            if on_epoch is not None:
                on_epoch(name, one, epochs)

        found[name] = train(
            stream,
            model=network,
            config=chosen,
            penultimate=penultimate,
            seed=seed,
            mesh=mesh,
            checkpoints=None if checkpoints is None else Path(checkpoints) / name,
            resume=resume,
            on_epoch=report,
        )
    return found


def frame_outputs(trained: Trained, stream: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """What the head of a stream's network is applied to, (n, m, d), and what it returns, (n, m, c), for every frame.

    Raises:
        ValueError: a model that is no :class:`~jaxnoisy.models.FrameConsensus`.
        FloatingPointError: values that are not finite.
    """
    if not isinstance(trained.model, FrameConsensus):
        raise ValueError(f"the model of a stream is a FrameConsensus, but this one is {type(trained.model).__name__}")
    one = pure(Trained(trained.model.frames, trained.scale))
    assert one.outputs is not None
    n, m = stream.inputs.shape[:2]
    seen = outputs(one.outputs, one.params, one.rest, stream.inputs.reshape(n * m, *stream.inputs.shape[2:]))
    by_clip = seen.reshape(n, m, -1)
    return by_clip[..., : -stream.num_classes], by_clip[..., -stream.num_classes :]


def predict_clips(
    trained: Mapping[str, Trained], data: Dataset, *, weights: Mapping[str, float] | None = None
) -> np.ndarray:
    """Class probabilities of clips: the weighted mean of the streams' scores, before the softmax.

    Args:
        trained: by stream, from :func:`train_streams`.
        data: n clips.
        weights: by stream, by default 1 for frames and 1.5 for flow as in Wang et al. 2016, section 4.1.

    Returns:
        (n, c) float32.

    Raises:
        ValueError: streams that the data does not hold, or weights that are not positive.
    """
    held = streams(data)
    if set(held) != set(trained):
        raise ValueError(f"the models are of {sorted(trained)}, but the data holds {sorted(held)}")
    given = weights or {"rgb": 1.0, "flow": 1.5}
    scores = [jax.nn.log_softmax(jnp.asarray(frame_outputs(trained[k], held[k])[1])).mean(axis=1) for k in held]
    return np.asarray(fused(*scores, weights=tuple(given[name] for name in held)))
