import jax.numpy as jnp
import numpy as np
import pytest
from tiny import MLP, features, linear

from jaxnoisy.mesh import data_mesh
from jaxnoisy.training import TrainConfig, fit

CONFIG = TrainConfig(epochs=3, batch_size=16, learning_rate=0.05)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"weights": np.ones(44)}, r"weights must have shape \(45,\)"),
        ({"weights": np.full(45, np.nan)}, "weights has 45 values that are not finite"),
        ({"weights": -np.ones(45)}, "non-negative"),
        ({"weights": np.zeros(45)}, "not all zero"),
        ({"weights": np.eye(45)[0], "keep": np.arange(45) > 0}, "not all zero among the examples that are kept"),
        ({"keep": np.ones(44, bool)}, r"keep must be bool of shape \(45,\)"),
        ({"keep": np.ones(45, int)}, "keep must be bool"),
        ({"keep": np.zeros(45, bool)}, "no example"),
        ({"loss": lambda z, y: jnp.zeros(())}, "one number per example"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_arguments_that_do_not_fit_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        fit(linear(6, 3), features(), CONFIG, **options)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_model_for_other_classes_is_refused_before_any_file_is_written(tmp_path, classes):
    with pytest.raises(ValueError, match=rf"to \(1, {classes}\), but logits of 3 classes"):
        fit(linear(6, classes), features(), CONFIG, checkpoints=tmp_path / "run", spill=tmp_path / "trace")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"flip": True}, {"crop": 2}])
def test_features_cannot_be_augmented_and_no_file_is_written(tmp_path, options):
    config = TrainConfig(epochs=2, **options)
    with pytest.raises(ValueError, match="need images"):
        fit(linear(6, 3), features(), config, checkpoints=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_batches_that_do_not_split_over_the_devices_are_refused():
    with pytest.raises(ValueError, match="batch_size 18 does not split over 8 devices"):
        fit(linear(6, 3), features(), TrainConfig(epochs=2, batch_size=18), mesh=data_mesh(8))


def test_a_run_that_diverges_says_so():
    config = TrainConfig(epochs=20, batch_size=16, learning_rate=1e20)
    with pytest.raises(FloatingPointError, match=r"diverged in epoch \d+.*learning rate \(now 1e\+20\)"):
        fit(MLP(6, 3), features(), config)


def test_what_a_callback_raises_ends_the_run_and_leaves_a_folder_to_resume(tmp_path):
    class EnoughError(Exception):
        pass

    def stop(report):
        raise EnoughError

    data, options = features(), {"checkpoints": tmp_path / "run"}
    with pytest.raises(EnoughError):
        fit(MLP(6, 3), data, CONFIG, on_epoch=stop, **options)
    with pytest.raises(ValueError, match="resume it, or choose another folder"):
        fit(MLP(6, 3), data, CONFIG, **options)
    assert [report.epoch for report in fit(MLP(6, 3), data, CONFIG, resume=True, **options).history] == [2, 3]
