"""The training examples behind predictions, by every method."""

import jax
import numpy as np
import pytest
from flax import nnx

from jaxnoisy import influence
from jaxnoisy.curvature import head_room
from jaxnoisy.data import make
from jaxnoisy.explain import METHODS, explain, last_layer
from jaxnoisy.models import MLP
from jaxnoisy.training import TrainConfig, outputs, predict
from jaxnoisy.training.network import functional
from jaxnoisy.training.normalize import moments
from jaxnoisy.training.trained import Trained, pure, train

N, C, D, PLANTED = 80, 3, 4, 17
LABELS = (np.arange(N) % C).astype(np.int32)
INPUTS = (np.random.default_rng(3).normal(size=(N, D)) + 2 * np.eye(C, D)[LABELS]).astype(np.float32)
QUERY = make(INPUTS[PLANTED : PLANTED + 1] + 0.01, LABELS[PLANTED : PLANTED + 1], class_names=["0", "1", "2"])


@pytest.fixture(scope="module")
def examples():
    """Example 17 is all but the query, under another label."""
    given = LABELS.copy()
    given[PLANTED] = (LABELS[PLANTED] + 1) % C
    return make(INPUTS, given)


@pytest.fixture(scope="module")
def trained(examples):
    return train(examples, model="linear", config=TrainConfig(epochs=10, batch_size=16, record="none"))


@pytest.fixture(scope="module")
def found(examples, trained):
    return {name: explain(examples, QUERY, trained, method=name, count=5) for name in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_a_twin_of_the_query_with_another_label_is_the_most_harmful(found, method):
    answer = found[method].answer(0)
    assert answer.harmful[0] == PLANTED
    assert answer.harms[0] > 1.5 * answer.harms[1] > 0
    assert (answer.helps < 0).all()
    assert LABELS[answer.helpful[0]] == LABELS[PLANTED]
    assert found[method].by_self_influence()[0] == PLANTED


def test_a_linear_model_has_no_other_parameters_than_its_last_layer(found):
    """Its Gauss-Newton matrix is its Hessian, so that two methods that share no code must agree."""
    exact, iterated = found["last-layer"], found["gauss-newton"]
    np.testing.assert_allclose(
        influence.matrix(iterated.rows), influence.matrix(exact.rows), rtol=0.02, atol=5e-3 * exact.answer(0).harms[0]
    )
    np.testing.assert_array_equal(iterated.answer(0).harmful[:2], exact.answer(0).harmful[:2])
    assert iterated.convergence.startswith("1 of 1 right-hand sides converged in ")
    assert exact.solution.residual[0] < 1e-3
    assert iterated.settings["parameters"] == exact.settings["parameters"] == (D + 1) * C
    assert iterated.settings["self_influence"] == "under EK-FAC"


@pytest.mark.parametrize("method", METHODS)
def test_losses_and_predictions_are_the_model_s(found, trained, examples, method):
    network, params, rest = functional(trained.model)
    logits = predict(network, params, rest, trained.scale, QUERY.inputs)
    label = LABELS[PLANTED]
    loss = np.log(np.exp(logits[0]).sum()) - logits[0, label]
    assert found[method].answer(0).loss == pytest.approx(loss, rel=1e-5)
    assert found[method].answer(0).prediction == logits[0].argmax()
    every = predict(network, params, rest, trained.scale, examples.inputs).argmax(axis=1)
    np.testing.assert_array_equal(found[method].train_predictions, every)


def test_batch_norm_is_in_evaluation_mode():
    """What one example gives does not depend on the others of its block, and running statistics are used."""
    model = MLP(in_features=D, num_classes=C, hidden=(6,), batch_norm=True, rngs=nnx.Rngs(0))
    model.norms[0].mean[...] = model.norms[0].mean[...] + 0.3
    apart = pure(Trained(model, moments(INPUTS)))
    together = apart.outputs(apart.params, apart.rest, INPUTS)
    alone = apart.outputs(apart.params, apart.rest, INPUTS[5:6])
    np.testing.assert_allclose(alone[0], together[5], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(apart.logits(apart.params, apart.rest, INPUTS), together[:, -C:], rtol=1e-5)
    shown = (INPUTS - INPUTS.mean(axis=0)) / INPUTS.std(axis=0) @ np.asarray(model.layers[0].kernel[...])
    norm = model.norms[0]
    hidden = (shown - np.asarray(norm.mean[...])) / np.sqrt(np.asarray(norm.var[...]) + 1e-5)
    np.testing.assert_allclose(together[:, :-C], np.maximum(hidden, 0), rtol=1e-4, atol=1e-5)


def test_bytes_are_normalised_as_in_training():
    stored = np.random.default_rng(0).integers(0, 255, (N, 2, 2, 1)).astype(np.uint8)
    model = MLP(in_features=4, num_classes=C, hidden=(6,), rngs=nnx.Rngs(0))
    apart = pure(Trained(model, moments(stored)))
    wide = stored.astype(np.float64)
    expected = model(((wide - wide.mean()) / wide.std()).astype(np.float32))
    np.testing.assert_allclose(apart.logits(apart.params, apart.rest, stored), expected, rtol=1e-4, atol=1e-5)


def test_outputs_that_do_not_fit_in_memory_lie_in_a_file(examples, trained, found, monkeypatch):
    monkeypatch.setattr(outputs, "IN_MEMORY", 100)
    monkeypatch.setattr(outputs, "BLOCK", 32)
    rooms, room = [], outputs._room
    monkeypatch.setattr(outputs, "_room", lambda n, width: rooms.append(room(n, width)) or rooms[-1])
    again = explain(examples, QUERY, trained, count=5)
    assert isinstance(rooms[0], np.memmap)
    np.testing.assert_allclose(again.self_influence, found["last-layer"].self_influence, rtol=1e-4)
    np.testing.assert_array_equal(again.answer(0).harmful, found["last-layer"].answer(0).harmful)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "lissa"}, "method must be one of last-layer, .* 'lissa'"),
        ({"damping": 0.0}, "damping must be a positive number, but is 0.0"),
        ({"damping": float("nan")}, "damping must be a positive number, but is nan"),
        ({"count": 0}, "count must be a whole number >= 1"),
        ({"count": N + 1}, "81 examples were asked for, but there are only 80"),
        ({"query_rows": np.arange(2)}, "one entry for each of 1 queries"),
        ({"queries": make(np.ones((2, D + 1)), [0, 1])}, r"shape \(5,\), but the training data has shape \(4,\)"),
    ],
)
def test_arguments_are_refused_before_any_pass(examples, trained, monkeypatch, options, says):
    monkeypatch.setattr(last_layer, "outputs", lambda *_: pytest.fail("it began"))
    with pytest.raises(ValueError, match=says):
        explain(examples, options.pop("queries", QUERY), trained, **options)


def test_a_model_without_features_is_for_the_other_methods(examples):
    class Bare(nnx.Module):
        def __init__(self):
            self.layer = nnx.Linear(D, C, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.layer(x)

    bare = Trained(Bare(), moments(INPUTS))
    with pytest.raises(ValueError, match=r"needs a model with features and a head.*gauss-newton or ekfac"):
        explain(examples, QUERY, bare)
    assert explain(examples, QUERY, bare, method="ekfac", count=1).answer(0).prediction in range(C)


def test_a_model_that_has_diverged_is_said_to(examples, trained):
    broken = jax.tree.map(lambda a: a * np.nan, nnx.state(trained.model))
    model = nnx.clone(trained.model)
    nnx.update(model, broken)
    with pytest.raises(FloatingPointError, match="not finite: its training has diverged"):
        explain(examples, QUERY, Trained(model, trained.scale))


def test_a_head_too_wide_for_the_machine_is_refused(examples, trained, monkeypatch):
    monkeypatch.setattr(head_room.os, "sysconf", lambda name: 1)
    with pytest.raises(
        ValueError, match=r"10 parameters .* takes 0 GiB where the machine has 0\. Choose the method ek"
    ):
        explain(examples, QUERY, trained)
