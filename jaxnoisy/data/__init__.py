"""Data sets on the host: from arrays, files, folders and TFDS."""

from jaxnoisy.data.dataset import Dataset, make

__all__ = ["Dataset", "make"]
