"""A data set from one line of text, as the command line takes it."""

import os

from jaxnoisy import check, files
from jaxnoisy.data import arrays, clips, digits, folders, human, tables, tfds
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.data.errors import about
from jaxnoisy.data.flow import LENGTH

DATA_EXAMPLES = {
    "digits": "digits",
    "npz": "npz:train.npz",
    "folder": "folder:photos",
    "clips": "clips:videos",
    "csv": "csv:table.csv",
    "tfds": "tfds:mnist@train",
}
SKIPPING = ("folder", "clips", "tfds")
"""Kinds of data that can leave out what cannot be read."""

LABEL_EXAMPLES = {
    "npy": "npy:labels.npy",
    "cifar10n": "cifar10n:CIFAR-10_human.pt:worst",
    "cifar100n": "cifar100n:CIFAR-100_human.pt:noisy",
}


def load(
    spec: str,
    *,
    labels: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    skip_broken: bool = False,
    flow: bool = False,
) -> Dataset:
    """Load the data set that ``spec`` names, under other labels where ``labels`` names some.

    Data sets:
        * ``digits``: scikit-learn's handwritten digits, nothing to download.
        * ``npz:FILE``: arrays ``inputs`` and ``labels``, optionally ``clean_labels``, ``class_names``, ``ids``.
        * ``folder:DIR``: image files in one folder per class.
        * ``clips:DIR`` or ``clips:FILE``: video clips, as folders of frames or in an ``.npz``, of which eight frames
          each are taken; see :func:`jaxnoisy.data.read_clips`.
        * ``csv:FILE``: numeric columns and a column ``label``, optionally ``clean_label`` and ``id``.
        * ``tfds:NAME`` or ``tfds:NAME@SPLIT``: prepared by TFDS as array_record in ``data_dir``; SPLIT is "train"
          unless it is given, and may be a slice such as ``train[:10%]``.

    Labels, one for each example and in the same order:
        * ``npy:FILE``: integers (n,), in an ``.npy`` or as ``labels`` of an ``.npz``. They become the given labels.
          The labels that the data set came with are then not used, for nothing says that they are true; its
          ``clean_labels`` stay if it has any.
        * ``cifar10n:FILE:NAME``, ``cifar100n:FILE:NAME``: human labels of CIFAR, see
          :func:`jaxnoisy.data.human.human_labels`. The order is checked; the labels that the data set came with,
          CIFAR's own, become ``clean_labels``.

    Args:
        spec: one of the lines above. Whatever follows the first colon is the name, colons included.
        labels: one of the lines above; the part behind its last colon is NAME.
        data_dir: the folder of prepared data, for ``tfds:`` only.
        skip_broken: leave out images, or clips, that cannot be read and list them in ``Dataset.skipped``; for
            ``folder:``, ``clips:`` and ``tfds:`` only.
        flow: also read the flow of clips, or compute it.

    Returns:
        The data set, checked.

    Raises:
        ValueError, TypeError: an unknown kind of data, an option that this kind does not have, or data that cannot
            be used. The message names the file and says what to do.

    Example:
        >>> data = load("digits")
        >>> len(data), data.num_classes
        (1797, 10)
    """
    dataset = read(spec, data_dir=data_dir, skip_broken=skip_broken, flow=flow)
    if labels is not None:
        dataset = _relabel(dataset, labels)
    with about((labels or spec).partition(":")[2] or spec):
        check.at_least_two_classes(dataset.labels)
    return dataset


def read(
    spec: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    skip_broken: bool = False,
    flow: bool = False,
    what: str = "data",
) -> Dataset:
    """Read the examples that ``spec`` names, be it a single one: what :func:`load` does before it asks for two classes.

    Args:
        spec: as for :func:`load`.
        data_dir: as for :func:`load`.
        skip_broken: as for :func:`load`.
        flow: as for :func:`load`.
        what: what messages call the examples.
    """
    scheme, rest = _split(spec, DATA_EXAMPLES, what=what)
    if data_dir is not None and scheme != "tfds":
        raise ValueError(
            f"data_dir is the folder of data that TFDS prepared, and has no meaning for {spec!r}: leave it out"
        )
    if skip_broken and scheme not in SKIPPING:
        raise ValueError(f"skip_broken leaves out broken images, and has no meaning for {spec!r}: leave it out")
    if flow and scheme != "clips":
        raise ValueError(f"only clips have flow, and {spec!r} are none: leave it out")
    match scheme:
        case "digits":
            return digits.read_digits()
        case "npz":
            return arrays.read_arrays(rest)
        case "folder":
            return folders.read_folder(rest, skip_broken=skip_broken)
        case "clips":
            return clips.read_clips(rest, flow_length=LENGTH if flow else 0, skip_broken=skip_broken)
        case "csv":
            return tables.read_table(rest)
        case _:
            name, _, split = rest.partition("@")
            return tfds.read_tfds(name, data_dir=data_dir, split=split or "train", skip_broken=skip_broken)


def _relabel(dataset: Dataset, labels: str) -> Dataset:
    scheme, rest = _split(labels, LABEL_EXAMPLES, what="labels")
    if scheme == "npy":
        with about(rest):
            try:
                return dataset.with_labels(files.read_named(rest, "labels"))
            except ValueError as error:
                if dataset.skipped and "entries for" in str(error):
                    raise ValueError(f"{error}; {len(dataset.skipped)} files were left out of the data") from error
                raise
    path, _, name = rest.rpartition(":")
    if not path or not name:
        raise ValueError(f"labels {labels!r} must be written {scheme}:FILE:NAME, for example {LABEL_EXAMPLES[scheme]}")
    return human.with_human_labels(dataset, path, name, scheme=scheme)


def _split(spec: str, examples: dict[str, str], *, what: str) -> tuple[str, str]:
    """The kind of data and what follows it."""
    scheme, colon, rest = spec.partition(":")
    if scheme not in examples:
        raise ValueError(f"{what} {spec!r} is of no known kind: write for example {', '.join(examples.values())}")
    name = rest.partition("@")[0] if scheme == "tfds" else rest
    if (":" in examples[scheme]) != bool(name) or (colon and not rest):
        raise ValueError(f"{what} {spec!r} is incomplete or too long: write for example {examples[scheme]}")
    return scheme, rest
