"""What a repair refuses, each by one clear error, before anything is trained or written."""

import dataclasses

import jax
import numpy as np
import pytest
from blobs import DATA, NAMES, VALIDATION, D, normed, short
from flax import nnx

from jaxnoisy.curvature import head_room
from jaxnoisy.data import make
from jaxnoisy.mesh import data_mesh
from jaxnoisy.models import MLP
from jaxnoisy.refine import anew, longer, loop, refine
from jaxnoisy.training.normalize import moments
from jaxnoisy.training.trained import Trained, start

SCALE = moments(DATA.inputs)
LINEAR = Trained(start("linear", DATA), SCALE, {"model": "linear"})
FEW = VALIDATION.take(np.flatnonzero((VALIDATION.labels < 2) | (np.arange(45) == 2)))  # one of the class 2


def broken():
    model = start("linear", DATA)
    model.head.bias[...] = model.head.bias[...].at[1].set(np.nan)
    return Trained(model, SCALE, {"model": "linear"})


def other_shape(classes):
    model = start("linear", DATA)
    model.head = nnx.Linear(D, classes, rngs=nnx.Rngs(0))
    return Trained(model, SCALE, {"model": "linear"})


def narrow():
    return Trained(MLP(in_features=D, num_classes=3, hidden=(5,), rngs=nnx.Rngs(0)), SCALE, {"model": "mlp"})


def of_class(names, labels):
    return make(VALIDATION.inputs[: len(labels)], labels, class_names=names)


@pytest.fixture
def nothing(monkeypatch, tmp_path):
    """A folder that stays empty, while nothing is trained."""
    for module in (loop, anew):
        monkeypatch.setattr(module, "fit", lambda *_, **__: pytest.fail("it trained"))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"validation": None}, "there is no validation set: give examples with clean labels"),
        ({"validation": of_class(("x", "y"), [0, 1])}, "the validation set has a class 'x' that the training data"),
        ({"validation": make(VALIDATION.inputs, np.arange(45) % 5)}, r"labels of the validation set\[4\] is 4"),
        ({"validation": make(np.ones((9, D + 1)), np.arange(9) % 3)}, r"examples of shape \(5,\), but the training"),
        ({"test": of_class(("a", "z"), [0, 1])}, "the test set has a class 'z'"),
        ({"data": DATA.with_labels(np.ones(90, np.int32))}, "holds one class only"),
        ({"trained": other_shape(4)}, r"head has shape \(4, 4\) and .* but the data has 3 classes"),
        ({"trained": broken()}, "parameters or statistics that are not finite"),
        ({"trained": narrow()}, "an untrained mlp has parameters of other shapes than the trained one: give fresh"),
        ({"trained": Trained(normed(), SCALE)}, "name no model of jaxnoisy's, but None: give config and anew"),
        ({"trained": Trained(nnx.Linear(D, 3, rngs=nnx.Rngs(0)), SCALE)}, "needs a jaxnoisy.models.Classifier"),
        ({"gamma": 4}, "gamma asks for the votes of 4 classes, but of 3 classes only 3"),
        ({"gamma": 3, "validation": FEW}, "gamma asks for the votes of 3 classes, but of 3 classes only 2 have the"),
        ({"gamma": 4, "method": "small-loss"}, "gamma asks for the votes of 4 classes"),
        ({"gamma": 1.5}, "gamma must be a fraction of the classes"),
        ({"rounds": 0}, "rounds must be a whole number >= 1"),
        ({"relabel_above": 1.0}, r"relabel_above must lie in \[0, 1\)"),
        ({"relabel_above": -0.1}, r"relabel_above must lie in \[0, 1\)"),
        ({"class_floor": 0}, "class_floor must be a whole number >= 1"),
        ({"min_gain": -1.0}, "min_gain must be a number >= 0"),
        ({"damping": 0.0}, "damping must be a positive number"),
        ({"hessian_examples": 0}, "hessian_examples must be a whole number >= 1"),
        ({"method": "aum"}, "method must be one of influential-rank, small-loss"),
        ({"solver": "lu"}, "solver must be one of exact, ekfac, cg"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
    ],
)
def test_bad_input(nothing, options, says):
    given = {"data": DATA, "validation": VALIDATION, "trained": LINEAR, **options}
    with pytest.raises(ValueError, match=says):
        refine(**given, checkpoints=nothing / "checkpoints")


@pytest.mark.parametrize("method", ["influential-rank", "small-loss"])
def test_a_head_that_the_machine_cannot_hold(nothing, monkeypatch, method):
    """Small loss itself has no use for the head's Hessian, but its evidence has."""
    monkeypatch.setattr(head_room.os, "sysconf", lambda name: 1)
    with pytest.raises(ValueError, match=r'GiB where the machine has 0\. Choose solver="ekfac"'):
        refine(DATA, VALIDATION, LINEAR, method=method, checkpoints=nothing / "checkpoints")


def test_batches_that_do_not_split_over_the_devices(nothing):
    with pytest.raises(ValueError, match="batch_size 30 does not split over 4 devices"):
        refine(DATA, VALIDATION, LINEAR, anew=short(), mesh=data_mesh(4), checkpoints=nothing / "checkpoints")


def test_a_model_whose_outputs_overflow(nothing):
    model = start("linear", DATA)
    model.head.kernel[...] = jax.numpy.full_like(model.head.kernel[...], 3e38)
    with pytest.raises(FloatingPointError, match="its training has diverged"):
        refine(DATA, VALIDATION, Trained(model, SCALE, LINEAR.settings), checkpoints=nothing / "checkpoints")


def test_the_checkpoints_of_another_command(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "fit", lambda *_, **__: pytest.fail("it trained"))
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "run.json").write_text('{"model": "linear"}')
    for resume in (False, True):
        with pytest.raises(ValueError, match="holds the checkpoints of a run: choose another folder"):
            refine(DATA, VALIDATION, LINEAR, checkpoints=tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["main"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rounds": 0}, "rounds must be a whole number >= 1"),
        ({"validation": None}, "there is no validation set"),
        ({"trained": broken()}, "not finite"),
        ({"trained": Trained(normed(), SCALE)}, "name no model of jaxnoisy's"),
    ],
)
def test_longer_training_refuses_the_same(nothing, options, says):
    with pytest.raises(ValueError, match=says):
        longer(**{"data": DATA, "validation": VALIDATION, "trained": LINEAR, **options})


def test_names_and_numbers_of_classes_are_told_apart():
    """Validation classes are found by name, whatever their numbers."""
    turned = dataclasses.replace(VALIDATION, labels=(2 - VALIDATION.labels).astype(np.int32), class_names=NAMES[::-1])
    done = longer(DATA, VALIDATION, LINEAR, rounds=1, config=short(1), test=turned)
    for measured in done.accuracies.values():
        assert measured["test"] == measured["validation"]
