"""Examples whose labels are known to be right: a data set of their own, or some set aside from the training data."""

import dataclasses
import os
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnoisy import check
from jaxnoisy.data import spec as specs
from jaxnoisy.data.dataset import Dataset
from jaxnoisy.data.queries import fitted

TAKE_EXAMPLE = "take:5"

_COLUMNS = 64  # values of an example that are compared before all of them are


class Clean(NamedTuple):
    """Training data, and examples with clean labels apart from it.

    Attributes:
        train: the n examples to train on, under their given labels.
        clean: m examples under their clean labels, in the classes of the training data.
        rows: (m,) rows of the loaded data that were set aside, rising; None where the clean examples come from
            elsewhere, and ``train`` is the loaded data itself.
    """

    train: Dataset
    clean: Dataset
    rows: np.ndarray | None = None


def load_clean(
    spec: str,
    data: Dataset,
    *,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    skip_broken: bool = False,
) -> Clean:
    """Load the examples with clean labels that ``spec`` names.

    Args:
        spec: whatever :func:`jaxnoisy.data.load` reads, in the classes of the data; its labels count as clean, or its
            ``clean_labels`` where it has some. Or ``take:K``: of every class K examples drawn at random from the data
            itself, whose clean labels must be known. A class is here that of the clean labels; the examples drawn get
            these and leave the training data.
        data: n examples under their given labels.
        seed: whole number >= 0, of the draw.
        data_dir: as for :func:`jaxnoisy.data.load`.
        skip_broken: as for :func:`jaxnoisy.data.load`.

    Returns:
        :class:`Clean`. Not every class need have an example in a data set of its own: :func:`clean_notes` names those
        that have none. ``take:K`` copies the inputs that stay, memory-mapped ones too.

    Raises:
        ValueError: ``take:K`` where the true labels are not known, with K < 1, or where a class has fewer than K + 1
            examples; a class that the data does not have, examples of another shape, or whatever
            :func:`jaxnoisy.data.load` refuses.
        TypeError: as from :func:`jaxnoisy.data.load`.

    Example:
        >>> from jaxnoisy.data import load
        >>> digits = load("digits")
        >>> found = load_clean("take:5", digits.with_labels(digits.labels, clean_labels=digits.labels))
        >>> len(found.train), len(found.clean), found.clean.labels.tolist().count(3)
        (1747, 50, 5)
    """
    scheme, _, rest = spec.partition(":")
    if scheme == "take":
        return _set_aside(data, _count(rest), check.positive_int(seed, name="seed", minimum=0))
    if scheme not in specs.DATA_EXAMPLES:
        examples = (TAKE_EXAMPLE, *specs.DATA_EXAMPLES.values())
        raise ValueError(f"clean examples {spec!r} are of no known kind: write for example {', '.join(examples)}")
    flow = scheme == "clips" and data.flow is not None
    found = specs.read(spec, data_dir=data_dir, skip_broken=skip_broken, flow=flow, what="clean examples")
    if found.clean_labels is not None:
        found = found.with_labels(found.clean_labels)
    return Clean(data, fitted(found, data, name=spec))


def clean_notes(clean: Dataset, train: Dataset, *, kind: str = "clean") -> tuple[str, ...]:
    """What a reader must know about clean examples beside these training data, a sentence each; often nothing.

    Args:
        clean: m examples, in the classes of the training data.
        train: n examples.
        kind: what the sentences call the clean examples.

    Returns:
        Sentences on classes without clean examples, and on clean examples that are trained on as well. Cost: 64 values
        of each of the n examples are read, and all of those that agree in them with a clean one.

    Example:
        >>> from jaxnoisy.data import load
        >>> digits = load("digits")
        >>> clean_notes(digits.take(range(9)), digits)
        ('no clean example is of the class 9', '9 of 9 clean examples stand in the training data too')
    """
    notes = []
    counts = np.bincount(clean.labels, minlength=train.num_classes)
    missing = [train.class_names[k] for k in np.flatnonzero(counts == 0)]
    if missing:
        some = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        notes.append(f"no {kind} example is of the class{'es' if len(missing) > 1 else ''} {some}")
    both = int(also_in(clean.inputs, train.inputs).sum())
    if both:
        stand = "stands" if both == 1 else "stand"
        notes.append(f"{both} of {len(clean)} {kind} examples {stand} in the training data too")
    return tuple(notes)


def describe_clean(clean: Dataset, train: Dataset) -> dict[str, Any]:
    """Plain values for a summary: the name of the clean examples, how many of each class, and :func:`clean_notes`."""
    return {
        "clean_examples": clean.name,
        "clean_per_class": np.bincount(clean.labels, minlength=train.num_classes).tolist(),
        "clean_notes": list(clean_notes(clean, train)),
    }


def also_in(inputs: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(m,) bool: which of m inputs are among the n others, value for value.

    Example:
        >>> also_in(np.array([[1, 2], [3, 4]]), np.array([[3, 4], [1, 5]])).tolist()
        [False, True]
    """
    ours = np.asarray(inputs, others.dtype).reshape(len(inputs), -1)
    columns = np.unique(np.linspace(0, ours.shape[1] - 1, _COLUMNS).astype(int))
    theirs = others.reshape(len(others), -1)
    known: dict[bytes, list[int]] = {}
    for row, values in enumerate(np.ascontiguousarray(ours[:, columns])):
        known.setdefault(values.tobytes(), []).append(row)
    found = np.zeros(len(ours), bool)
    whole = [row.tobytes() for row in np.ascontiguousarray(ours)]
    for start in range(0, len(theirs), 4096):
        for place, values in enumerate(np.ascontiguousarray(theirs[start : start + 4096, columns])):
            if candidates := known.get(values.tobytes()):
                seen = theirs[start + place].tobytes()
                for row in candidates:
                    found[row] |= whole[row] == seen
    return found


def _set_aside(data: Dataset, count: int, seed: int) -> Clean:
    spec = f"take:{count}"
    if data.clean_labels is None:
        raise ValueError(
            f"{spec!r} takes examples whose clean labels are known, but those of {data.name!r} are not: give clean "
            "examples as a data set of their own"
        )
    per_class = np.bincount(data.clean_labels, minlength=data.num_classes)
    if per_class.min() <= count:
        few = int(per_class.argmin())
        raise ValueError(
            f"{spec!r} needs {count + 1} examples of every class, so that one is left to train on, but the class "
            f"{data.class_names[few]!r} has {per_class[few]}: take fewer"
        )
    drawn = np.asarray(jax.random.uniform(jax.random.fold_in(jax.random.key(seed), 3), (len(data),)))
    # By class, and at random within each: the first of every class are the ones to take.
    order = np.lexsort((drawn, data.clean_labels))
    first = np.cumsum(per_class) - per_class
    rows = np.sort(order[(first[:, None] + np.arange(count)).ravel()])
    kept = np.ones(len(data), bool)
    kept[rows] = False
    taken = data.take(rows)
    assert taken.clean_labels is not None
    name = f"{data.name}: {count} clean examples of each class"
    return Clean(data.take(kept), dataclasses.replace(taken.with_labels(taken.clean_labels), name=name), rows)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise ValueError(f"clean examples 'take:{text}' must be written take:K with a whole number K >= 1")
    return int(text)
