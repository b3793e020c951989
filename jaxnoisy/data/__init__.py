"""Data sets on the host: from arrays, files, folders and TFDS."""

from jaxnoisy.data.dataset import Dataset, make
from jaxnoisy.data.spec import load

__all__ = ["Dataset", "load", "make"]
