import pytest
from blobs import DATA

from jaxnoisy.refine import post_recipe
from jaxnoisy.training import TrainConfig


@pytest.mark.parametrize(
    ("epochs", "drops"), [(20, (5, 15)), (40, (10, 30)), (10, (2, 8)), (3, (1, 2)), (2, (1,)), (1, ())]
)
def test_the_learning_rate_goes_back_up_and_drops_as_in_the_paper(epochs, drops):
    base = TrainConfig(epochs=120, learning_rate=0.1, batch_size=64, schedule="step", step_epochs=(40, 80))
    config = post_recipe("linear", DATA, base=base, epochs=epochs)
    assert (config.epochs, config.learning_rate, config.step_epochs) == (epochs, 0.1, drops)
    assert config.schedule == ("step" if drops else "constant")
    assert (config.step_factor, config.batch_size, config.record) == (0.1, 64, "none")
    assert post_recipe("linear", DATA, base=base, learning_rate=0.3).learning_rate == 0.3
