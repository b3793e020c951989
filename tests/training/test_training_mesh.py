"""Training on eight devices against training on one."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import MLP, ConvNet, assert_same_run, features, images

from jaxnoisy.losses import cross_entropy
from jaxnoisy.mesh import data_mesh, place
from jaxnoisy.training import TrainConfig, fit, functional
from jaxnoisy.training.normalize import Moments
from jaxnoisy.training.optimizer import optimizer
from jaxnoisy.training.state import initial
from jaxnoisy.training.step import scanned_epoch, train_step

CONFIG = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05}


@pytest.mark.parametrize(
    ("network", "data", "options", "spill"),
    [
        # 45 examples split over 8 devices only with padding.
        (functools.partial(MLP, 6, 3, dropout=0.3), features, {"record": "train"}, False),
        (functools.partial(MLP, 6, 3), features, {"record": "eval", "on_device": False}, True),
        (functools.partial(ConvNet, 1, 3), images, {"record": "eval", "on_device": True}, False),
        (
            functools.partial(ConvNet, 1, 3),
            images,
            {"record": "train", "flip": True, "crop": 1, "on_device": False},
            False,
        ),
    ],
    ids=["mlp-train", "mlp-eval-streamed-spilled", "cnn-eval", "cnn-train-augmented"],
)
def test_eight_devices_give_the_run_of_one(tmp_path, network, data, options, spill):
    runs = [
        fit(
            network(),
            data(),
            TrainConfig(**{**CONFIG, **options}),
            probabilities=True,
            mesh=mesh,
            spill=tmp_path / str(mesh is None) if spill else None,
        )
        for mesh in (None, data_mesh(8))
    ]
    assert_same_run(*runs, rtol=1e-4, atol=1e-5)
    assert runs[1].trace.recorded.all()
    np.testing.assert_allclose([h.loss for h in runs[0].history], [h.loss for h in runs[1].history], rtol=1e-5)
    buffers = runs[1].state.recorder.seen
    assert {s.data.shape for s in buffers.argmax.addressable_shards} == {(6, 1 if spill else 3)}


def epoch_text(n, t, *, donate=True, mesh=None):
    """The optimised program of one epoch, and its memory."""
    config = TrainConfig(epochs=t, batch_size=16)
    network, params, rest = functional(MLP(5, 3))
    tx = optimizer(config, steps_per_epoch=-(-n // 16))
    state = initial(params, rest, tx, config, n=n, num_classes=3, probabilities=True, columns=t, mesh=mesh)
    scale = Moments(np.zeros(5, np.float32), np.ones(5, np.float32))
    epoch = scanned_epoch(train_step(network, cross_entropy, tx, config, scale, mesh), config, n)
    arrays = [place(np.zeros(s, d), mesh) for s, d in [((n, 5), np.float32), (n, np.int32), (n, np.float32)]]
    compiled = jax.jit(epoch, donate_argnums=(0,) if donate else ()).lower(state, *arrays, jnp.arange(n)).compile()
    return compiled.as_text(), compiled.memory_analysis(), sum(x.nbytes for x in jax.tree.leaves(state.recorder))


def copies(text, n, t):
    return re.findall(rf"\[{n},{t}\]\S* copy\(", text)


def test_an_epoch_writes_into_the_donated_buffers_and_never_copies_them():
    text, memory, buffers = epoch_text(1003, 7)
    assert copies(text, 1003, 7) == []
    assert memory.alias_size_in_bytes >= buffers
    # Without donation there must be copies, or the search above looks for the wrong thing.
    text, memory, _ = epoch_text(1003, 7, donate=False)
    assert len(copies(text, 1003, 7)) >= 5
    assert memory.alias_size_in_bytes == 0


def test_on_a_mesh_no_device_holds_the_whole_buffers():
    text, memory, buffers = epoch_text(1000, 7, mesh=data_mesh(8))
    assert "[125,7]" in text
    assert "[1000,7]" not in text
    assert copies(text, 125, 7) == []
    assert memory.alias_size_in_bytes >= buffers / 8
