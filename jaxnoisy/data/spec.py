"""A data set from one line of text, as the command line takes it."""

from jaxnoisy.data import arrays, digits
from jaxnoisy.data.dataset import Dataset


def load(spec: str, *, labels: str | None = None, data_dir: str | None = None, skip_broken: bool = False) -> Dataset:
    """Load the data set that ``spec`` names."""
    scheme, _, rest = spec.partition(":")
    if scheme == "digits":
        return digits.digits()
    if scheme == "npz":
        return arrays.read_arrays(rest)
    raise ValueError(f"unknown data set {spec!r}")
