"""A data set from folders of image files, one folder per class."""

import os
from pathlib import Path

import numpy as np

from jaxnoisy.data.dataset import Dataset, make
from jaxnoisy.data.errors import about
from jaxnoisy.data.images import read_images

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""File names that are taken for images, in lower or upper case."""


def read_folder(
    path: str | os.PathLike[str], *, skip_broken: bool = False, size: tuple[int, int] | None = None
) -> Dataset:
    """Read every image below ``path/CLASS/``, the folder's name being the class name, kept verbatim.

    Classes are numbered, and images ordered, by their names. Images may lie in folders within a class folder. They
    become gray (one channel) if all of them are, else RGB; see :func:`jaxnoisy.data.images.read_images`. Hidden files
    and folders are passed over in silence; files with other extensions, and files outside the class folders, are
    listed in ``Dataset.skipped``.

    Args:
        path: the folder that holds the class folders.
        skip_broken: leave out files that cannot be read as images, and list them in ``Dataset.skipped``. Images of
            another size are an error all the same: to leave them out would choose examples by their size.
        size: (height, width) to which every image is brought by bilinear interpolation; without it, all images must
            have one size.

    Returns:
        The data set with (n, height, width, channels) uint8 inputs; ids are paths relative to ``path``, with "/".

    Raises:
        ValueError: no such folder, no class folders, a class without images, a file that cannot be read, or images of
            different sizes. The message names the file and says what to do.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (root / name).mkdir()
        ...     Image.new("L", (4, 3)).save(root / name / "1.png")
        >>> read_folder(root).inputs.shape
        (2, 3, 4, 1)
    """
    root = Path(path)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise ValueError(f"image folder: {str(root)!r} {what}: give the folder that holds one folder per class")
    with about(root):
        names, found, skipped = _find(root)
        paths = [file for file, _ in found]
        inputs, kept, broken = read_images([root / p for p in paths], paths, size=size, skip_broken=skip_broken)
        labels = np.array([found[i][1] for i in kept], dtype=np.int64)
        empty = [name for k, name in enumerate(names) if not np.any(labels == k)]
        if empty:
            raise ValueError(
                f"class folder {empty[0]!r} holds no image that can be read: repair its files or remove it"
            )
        return make(
            inputs,
            labels,
            class_names=names,
            ids=np.array([paths[i] for i in kept]),
            name=root.resolve().name,
            skipped=skipped + broken,
        )


def _find(root: Path) -> tuple[list[str], list[tuple[str, int]], list[str]]:
    """Class names, (relative path, class) of the images, and the files passed over."""
    entries = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    names = [name for name in entries if (root / name).is_dir()]
    skipped = [f"{name}: lies outside the class folders" for name in entries if name not in set(names)]
    if not names:
        raise ValueError(
            f"holds no class folders{f', but {len(skipped)} files' if skipped else ''}: put the images of each class "
            "into a folder named after the class"
        )
    images: list[tuple[str, int]] = []
    for label, name in enumerate(names):
        count = len(images)
        for relative in _files(root, name):
            if relative.lower().endswith(EXTENSIONS):
                images.append((relative, label))
            else:
                skipped.append(f"{relative}: not an image by its extension")
        if len(images) == count:
            raise ValueError(f"class folder {name!r} holds no images ({', '.join(EXTENSIONS)}): add some or remove it")
    return names, images, skipped


def _files(root: Path, name: str) -> list[str]:
    found = []
    for folder, inner, files in os.walk(root / name):
        inner[:] = [x for x in inner if not x.startswith(".")]
        found += [(Path(folder) / x).relative_to(root).as_posix() for x in files if not x.startswith(".")]
    return sorted(found)
