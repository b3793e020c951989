"""DynaCor as the main job runs it: copies, one more run, the search, and what is said of it."""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from cli_runs import FEATURES, GIVEN, LABELS, N, done

from jaxnoisy.audit import DynaCor, allowed, audit, run
from jaxnoisy.data import make
from jaxnoisy.detect import DynaCorConfig, dynacor
from jaxnoisy.files import read_json
from jaxnoisy.training import TrainConfig
from jaxnoisy.training.corrupted import weights_of_copies, with_corrupted_copies

CONFIG = TrainConfig(epochs=4, batch_size=16, learning_rate=0.05)
SEARCH = DynaCorConfig(epochs=2, seeds=1, widths=(4, 4), dimension=8)
METHOD = DynaCor(corruption_rate=0.2, weighting="balanced", search=SEARCH)


@pytest.fixture(scope="module")
def examples():
    return make(FEATURES, GIVEN, clean_labels=LABELS)


def test_copies_are_learned_beside_the_examples_in_one_more_run(examples, monkeypatch):
    runs, fit = [], run.fit

    def noted(network, data, config, **options):
        result = fit(network, data, config, **options)
        runs.append((data, options["weights"], result.trace))
        return result

    monkeypatch.setattr(run, "fit", noted)
    found = audit(examples, methods=["aum", METHOD], model="linear", config=CONFIG, seed=5)
    (main, even, _), (both, weights, trace) = runs
    assert main is examples
    assert even is None
    expected = with_corrupted_copies(jax.random.fold_in(jax.random.key(5), 3), examples, rate=0.2)
    np.testing.assert_array_equal(both.inputs, expected.data.inputs)
    np.testing.assert_array_equal(both.labels, expected.data.labels)
    np.testing.assert_array_equal(weights, weights_of_copies(expected.corrupted, weighting="balanced"))
    again = dynacor(SEARCH)(jax.random.fold_in(jax.random.key(5), 4), trace, expected.corrupted)
    np.testing.assert_array_equal(found.detections["dynacor"].scores, again.scores)
    np.testing.assert_array_equal(found.detections["dynacor"].flagged, again.flagged)
    assert len(found) == N
    notes = found.settings["dynacor"]
    assert notes["corruption_rate"] == 0.2
    assert notes["copies"] == 12
    assert notes["kept_epoch"] == again.info.epoch
    assert notes["kept_alpha"] in (0.05, 0.5)
    assert set(found.timings) >= {"copy and corrupt", "train dynacor", "detect dynacor"}


@pytest.mark.parametrize(("alpha", "tried"), [(0.3, (0.3,)), (2, (2.0,)), ("auto", (0.05, 0.5))])
def test_a_given_alpha_is_the_only_one_tried(examples, monkeypatch, alpha, tried):
    def begins(config):
        assert config == dataclasses.replace(SEARCH, alphas=tried)
        raise ValueError("as asked for")

    monkeypatch.setattr(sys.modules[DynaCor.__module__], "dynacor", begins)
    with pytest.raises(ValueError, match="as asked for"):
        audit(examples, methods=[dataclasses.replace(METHOD, alpha=alpha)], model="linear", config=CONFIG)


def test_it_is_asked_for_like_any_method_that_needs_runs():
    assert "dynacor" in allowed(3)
    assert "dynacor" not in allowed(2)
    assert "dynacor" not in allowed(3, more_runs=False)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (DynaCor(corruption_rate=0.0), r"corruption_rate must lie in \(0, 1\], but is 0"),
        (DynaCor(corruption_rate=1.1), r"corruption_rate must lie in \(0, 1\], but is 1.1"),
        (DynaCor(alpha=-0.5), 'alpha must be a number >= 0, such as 0.05, or "auto", but is -0.5'),
        (DynaCor(alpha="some"), "but is 'some'"),
        (DynaCor(weighting="equal"), "weighting must be one of pooled, balanced"),
    ],
)
def test_options_are_refused_before_training(examples, monkeypatch, method, message):
    monkeypatch.setattr(run, "fit", lambda *_arguments, **_options: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=message):
        audit(examples, methods=[method], model="linear", config=CONFIG)


def test_the_command(here):
    printed = done(
        "detect --data npz:ok.npz --model linear --devices 1 --epochs 3 --batch-size 16 --method dynacor "
        "--corruption-rate 0.1 --alpha auto --out out"
    )
    assert "labels flagged by dynacor" in printed
    notes = read_json("out/summary.json")["settings"]["dynacor"]
    assert (notes["corruption_rate"], notes["alpha"], notes["copies"]) == (0.1, "auto", 6)
    page = Path("out/report.html").read_text()
    assert "DynaCor: two clusters of dynamics" in page
    assert "which epoch was kept" in page
