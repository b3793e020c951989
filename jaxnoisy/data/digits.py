"""The handwritten digits that come with scikit-learn: 1,797 images of 8 x 8 pixels, no download."""

import numpy as np

from jaxnoisy.data.dataset import Dataset, make


def read_digits() -> Dataset:
    """Load scikit-learn's handwritten digits as gray images.

    The published values 0..16 become 0..255 by ``round(255 value / 16)``, so that the images are on the scale of
    every other image here.

    Returns:
        A data set of 1,797 images, (1797, 8, 8, 1) uint8, and ten classes "0" to "9". Its labels are given labels
        like any others: ``clean_labels`` is None.

    Example:
        >>> read_digits().inputs.shape
        (1797, 8, 8, 1)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return make(
        np.rint(bunch.images * (255 / 16)).astype(np.uint8),
        bunch.target,
        class_names=[str(k) for k in range(10)],
        name="digits",
    )
