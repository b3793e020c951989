"""Data sets on the host: from arrays, files, folders and TFDS, and labels that people gave."""

from jaxnoisy.data.arrays import read_arrays
from jaxnoisy.data.clean import Clean, clean_notes, load_clean
from jaxnoisy.data.clips import read_clips
from jaxnoisy.data.dataset import Dataset, make
from jaxnoisy.data.digits import read_digits
from jaxnoisy.data.folders import read_folder
from jaxnoisy.data.human import human_labels, with_human_labels
from jaxnoisy.data.queries import Queries, load_queries
from jaxnoisy.data.spec import SKIPPING, load
from jaxnoisy.data.tables import read_table
from jaxnoisy.data.tfds import read_tfds

__all__ = [
    "SKIPPING",
    "Clean",
    "Dataset",
    "Queries",
    "clean_notes",
    "human_labels",
    "load",
    "load_clean",
    "load_queries",
    "make",
    "read_arrays",
    "read_clips",
    "read_digits",
    "read_folder",
    "read_table",
    "read_tfds",
    "with_human_labels",
]
