"""Data sets that TensorFlow Datasets has prepared on disk, read without TensorFlow."""

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxnoisy.data.dataset import Dataset, make
from jaxnoisy.data.images import read_images

_AT_ONCE = 1024


def read_tfds(
    name: str, *, data_dir: str | os.PathLike[str] | None = None, split: str = "train", skip_broken: bool = False
) -> Dataset:
    """Read one split of a data set that TFDS has prepared in the array_record format.

    Inputs and labels are the pair that the data set declares for supervised learning; where it declares none, its
    feature ``image`` (or only image, or only array) and ``label`` (or only class label). Images are decoded by Pillow.
    Ids are the feature ``id`` where there is one and it is unique (CIFAR: "train_00042", the position in the python
    batches), else the row numbers. The order of the examples is that of the files, which TFDS shuffled once when it
    prepared them.

    Args:
        name: the data set as ``tfds.builder`` takes it: "mnist", "cifar10:3.0.2", "name/config".
        data_dir: the folder it was prepared in; by default the one TFDS uses.
        split: a split or slice of one: "train", "test", "train[:10%]".
        skip_broken: leave out images that cannot be decoded, and list them in ``Dataset.skipped``.

    Returns:
        The data set, with the class names TFDS has for it; named after data set and split.

    Raises:
        ValueError: the data set is not prepared in ``data_dir``, is not in the array_record format (other formats need
            TensorFlow), has no such split, no inputs or labels of a kind read here, or images of different sizes. The
            message says what to run.

    Example:
        >>> data = read_tfds("mnist", data_dir="data", split="test")  # doctest: +SKIP

    Cost: one pass over the split, decoded in threads; the whole split is held in memory.
    """
    builder = _builder(name, data_dir)
    inputs, label, has_id = _features(builder)
    source = _source(builder, split)
    labels: list[int] = []
    ids: list[str] = []

    def examples() -> Iterator[Any]:
        for start in range(0, len(source), _AT_ONCE):
            for example in source.__getitems__(range(start, min(start + _AT_ONCE, len(source)))):
                labels.append(int(example[label]))
                if has_id:
                    ids.append(_text(example["id"]))
                yield example[inputs]

    import tensorflow_datasets as tfds

    if isinstance(builder.info.features[inputs], tfds.features.Image):
        rows = [f"example {i} of {name}" for i in range(len(source))]
        values, kept, skipped = read_images(examples(), rows, skip_broken=skip_broken)
    else:
        values, kept, skipped = np.stack(list(examples())), list(range(len(source))), []
    unique = has_id and len(set(ids)) == len(ids)
    return make(
        values,
        np.array(labels, np.int64)[kept],
        class_names=builder.info.features[label].names,
        ids=np.array([ids[i] if unique else str(i) for i in kept]),
        name=f"{builder.info.name}@{split}",
        skipped=skipped,
    )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _builder(name: str, data_dir: str | os.PathLike[str] | None) -> Any:
    import tensorflow_datasets as tfds

    where = tfds.core.constants.DATA_DIR if data_dir is None else os.fspath(data_dir)
    if not os.path.isdir(where):
        raise ValueError(f"data_dir {where!r} is not a folder: give the one that the data set was prepared in")
    try:
        builder = tfds.builder(name, data_dir=where)
    except tfds.core.DatasetNotFoundError as error:
        there = ", ".join(sorted(x for x in os.listdir(where) if not x.startswith(".") and x != "downloads"))
        raise ValueError(
            f"TFDS knows no data set {name!r}, and none of that name is prepared in {where!r} "
            f"(there is: {there or 'nothing'})"
        ) from error
    except (AssertionError, ValueError) as error:  # A version or configuration that does not exist.
        raise ValueError(f"TFDS cannot open {name!r} in {where!r}: {error}") from error
    if not builder.info.splits:
        raise ValueError(
            f'{name!r} is not prepared in {where!r}. Nothing is downloaded here; run: python -c "import '
            f"tensorflow_datasets as tfds; tfds.builder('{name}', data_dir='{where}', file_format='array_record')"
            '.download_and_prepare()"'
        )
    return builder


def _features(builder: Any) -> tuple[str, str, bool]:
    """The names of the inputs and the labels, and whether there are ids."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features.items())
    text_id = isinstance(features.get("id"), tfds.features.Text)
    declared = builder.info.supervised_keys
    if declared is not None and len(declared) == 2 and all(isinstance(key, str) for key in declared):
        inputs, label = declared
    else:
        inputs = _only(features, "image", tfds.features.Image) or _only(features, "features", tfds.features.Tensor)
        label = _only(features, "label", tfds.features.ClassLabel)
    if not (_is_input(features.get(inputs)) and isinstance(features.get(label), tfds.features.ClassLabel)):
        listed = ", ".join(f"{key} ({type(value).__name__})" for key, value in features.items())
        raise ValueError(
            f"{builder.info.name!r} has no pair of inputs (an image, or an array of numbers of one shape) and a class "
            f"label, only {listed}: save what you need as .npz instead"
        )
    return inputs, label, text_id


def _is_input(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Image):
        return np.dtype(feature.np_dtype).kind == "u"  # Float images are stored as the bytes of another picture.
    fixed = type(feature) is tfds.features.Tensor and None not in feature.shape
    return fixed and np.dtype(feature.np_dtype).kind in "biuf"


def _only(features: dict[str, Any], preferred: str, kind: type) -> str | None:
    fitting = [key for key, value in features.items() if type(value) is kind]
    if preferred in fitting:
        return preferred
    return fitting[0] if len(fitting) == 1 else None


def _source(builder: Any, split: str) -> Any:
    import tensorflow_datasets as tfds

    # Encoded images are taken as they are: Pillow decodes them in threads, and images not asked for cost nothing.
    decoders = {
        key: tfds.decode.SkipDecoding()
        for key, value in builder.info.features.items()
        if isinstance(value, tfds.features.Image)
    }
    if re.split(r"[\[+]", split)[0] not in builder.info.splits:
        raise ValueError(
            f"{builder.info.name!r} has no split {split!r}, only {', '.join(builder.info.splits)}: "
            f"write tfds:{builder.info.name}@SPLIT"
        )
    try:
        if builder.info.splits[split].num_examples == 0:
            raise ValueError("it is empty")
        return builder.as_data_source(split, decoders=decoders)
    except ValueError as error:
        raise ValueError(f"split {split!r} of {builder.info.name!r} cannot be read: {error}") from error
    except NotImplementedError as error:
        kind = builder.info.file_format.value
        raise ValueError(
            f"{builder.info.name!r} is prepared in {str(builder.data_dir)!r} as {kind}, which needs TensorFlow to be "
            "read. Prepare it again in another folder with "
            f"tfds.builder('{builder.info.name}', data_dir=..., file_format='array_record').download_and_prepare()"
        ) from error
