"""Convolutions over time against XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnoisy import temporal
from jaxnoisy.temporal import ConvLayer


@pytest.mark.parametrize("window", [1, 3, 5])
def test_it_is_the_cross_correlation_that_xla_computes(window):
    rng = np.random.default_rng(window)
    layer = ConvLayer(rng.normal(size=(window, 2, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32))
    inputs = rng.normal(size=(6, 7, 2)).astype(np.float32)
    expected = jax.lax.conv_general_dilated(
        inputs, layer.kernel, (1,), "SAME", dimension_numbers=("NHC", "HIO", "NHC"), precision="highest"
    )
    np.testing.assert_allclose(temporal.convolved(layer, jnp.asarray(inputs)), expected + layer.bias, atol=1e-5)


def test_layers_are_drawn_for_rectifiers_and_rectified():
    layers = temporal.init(jax.random.key(0), features=8, widths=(256, 4))
    assert [layer.kernel.shape for layer in layers] == [(3, 8, 256), (3, 256, 4)]
    assert np.std(layers[0].kernel) == pytest.approx(np.sqrt(2 / 24), rel=0.05)
    assert not np.any(layers[0].bias)
    inputs = jax.random.normal(jax.random.key(1), (5, 9, 8))
    found = temporal.rectified(layers, inputs)
    first = np.maximum(temporal.convolved(layers[0], inputs), 0)
    np.testing.assert_allclose(found, np.maximum(temporal.convolved(layers[1], first), 0), atol=1e-5)
    assert (np.asarray(found) == 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 0, "widths": (4,)}, "features must be a whole number >= 1, but is 0"),
        ({"features": 1, "widths": ()}, "there must be a layer and an odd window"),
        ({"features": 1, "widths": (4,), "window": 2}, "window is 2"),
        ({"features": 1, "widths": (0,)}, "a width or window must be a whole number >= 1, but is 0"),
    ],
)
def test_sizes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        temporal.init(jax.random.key(0), **options)
