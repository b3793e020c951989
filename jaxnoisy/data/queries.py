"""Examples that are asked about: of a data set of their own, or some of the training data."""

import os
from typing import NamedTuple

import numpy as np

from jaxnoisy import check
from jaxnoisy.data import spec as specs
from jaxnoisy.data.dataset import Dataset

QUERY_EXAMPLES = {"ids": "ids:7,12,31", "take": "take:20"}


class Queries(NamedTuple):
    """Examples that are asked about.

    Attributes:
        dataset: k examples in the classes of the training data.
        rows: (k,) which training examples they are, or None where they are not taken from there.
    """

    dataset: Dataset
    rows: np.ndarray | None = None


def load_queries(
    spec: str, train: Dataset, *, data_dir: str | os.PathLike[str] | None = None, skip_broken: bool = False
) -> Queries:
    """Load the examples that ``spec`` names.

    Args:
        spec: ``ids:a,b,c``, training examples by their ids; ``take:K``, the first K of them; or whatever
            :func:`jaxnoisy.data.load` reads, where one class, and a single example, are enough.
        train: the training data. Classes of queries are found there by their names; classes that have no names, only
            numbers, by these.
        data_dir: as for :func:`jaxnoisy.data.load`.
        skip_broken: as for :func:`jaxnoisy.data.load`.

    Raises:
        ValueError: an id that no training example has, more examples than there are, a class that the training data
            does not have, examples of another shape, or whatever :func:`jaxnoisy.data.load` refuses.
        TypeError: as from :func:`jaxnoisy.data.load`.

    Example:
        >>> from jaxnoisy.data import load
        >>> load_queries("ids:3,1", load("digits")).dataset.labels.tolist()
        [3, 1]
    """
    scheme, _, rest = spec.partition(":")
    if scheme == "ids":
        rows = _by_id(rest, train)
    elif scheme == "take":
        rows = np.arange(_count(rest, len(train)))
    else:
        if scheme not in specs.DATA_EXAMPLES:
            examples = (*QUERY_EXAMPLES.values(), *specs.DATA_EXAMPLES.values())
            raise ValueError(f"queries {spec!r} are of no known kind: write for example {', '.join(examples)}")
        found = specs.read(spec, data_dir=data_dir, skip_broken=skip_broken, what="queries")
        return Queries(fitted(found, train, name=spec))
    return Queries(train.take(rows), rows)


def fitted(queries: Dataset, train: Dataset, *, name: str = "the queries") -> Dataset:
    """The queries with their labels numbered as in the training data; refuses what does not fit it."""
    if queries.inputs.shape[1:] != train.inputs.shape[1:]:
        raise ValueError(
            f"{name} has examples of shape {queries.inputs.shape[1:]}, but the training data has shape "
            f"{train.inputs.shape[1:]}: bring them to one shape"
        )
    if (queries.inputs.dtype == np.uint8) != (train.inputs.dtype == np.uint8):
        raise ValueError(
            f"{name} has inputs of {queries.inputs.dtype}, but the training data of {train.inputs.dtype}: bring them "
            "to one scale, either both in 0..255 as uint8 or both as floats"
        )
    known = {text: k for k, text in enumerate(train.class_names)}
    used = np.unique(queries.labels)
    if all(queries.class_names[k] in known for k in used):
        number = np.array([known.get(text, -1) for text in queries.class_names], np.int32)
        labels = number[queries.labels]
    elif queries.class_names == tuple(str(k) for k in range(queries.num_classes)):
        labels = check.labels(queries.labels, num_classes=train.num_classes, name=f"labels of {name}")
    else:
        strange = next(queries.class_names[k] for k in used if queries.class_names[k] not in known)
        raise ValueError(
            f"{name} has a class {strange!r} that the training data does not have; its classes are "
            f"{', '.join(map(repr, train.class_names[:10]))}{', ...' if train.num_classes > 10 else ''}"
        )
    return Dataset(
        queries.inputs,
        labels,
        train.class_names,
        queries.ids,
        name=queries.name,
        skipped=queries.skipped,
        flow=queries.flow,
    )


def _by_id(text: str, train: Dataset) -> np.ndarray:
    asked = [part.strip() for part in text.split(",")]
    if asked == [""]:
        raise ValueError(f"queries 'ids:' name no example: write for example {QUERY_EXAMPLES['ids']}")
    place = {name: row for row, name in enumerate(train.ids.tolist())}
    for name in asked:
        if name not in place:
            some = ", ".join(map(repr, train.ids[:3].tolist()))
            raise ValueError(f"no training example has the id {name!r}: ids here are like {some}")
        if asked.count(name) > 1:
            raise ValueError(f"the id {name!r} is asked for twice: name each example once")
    return np.array([place[name] for name in asked])


def _count(text: str, n: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise ValueError(f"queries 'take:{text}' must be written take:K with a whole number K >= 1")
    if int(text) > n:
        raise ValueError(f"queries 'take:{text}' ask for {int(text)} examples, but the training data has {n}")
    return int(text)
