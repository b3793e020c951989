"""Many encoded images as one uint8 array, decoded by Pillow in threads."""

import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from jaxnoisy.data.errors import UnreadableError

_AT_ONCE = 1024


def read_images(
    sources: Iterable[Path | bytes],
    names: Sequence[str],
    *,
    size: tuple[int, int] | None = None,
    skip_broken: bool = False,
) -> tuple[np.ndarray, list[int], list[str]]:
    """Decode images to one array, gray if all of them are gray, else RGB.

    Sixteen-bit gray is scaled to 0..255, transparency is dropped, the first frame of an animation is read, and the
    orientation that a camera noted is applied.

    Args:
        sources: n paths, or the bytes of n image files; read once, some at a time.
        names: what messages call them.
        size: (height, width) to which every image is brought by bilinear interpolation; by default all must have one.
        skip_broken: leave out images that cannot be read. Those of another size are an error all the same: leaving
            them out would choose examples by their size.

    Returns:
        The images, (k, height, width, 1 or 3) uint8; their k positions among the n; and a line for each one left out.

    Raises:
        ValueError: an image that cannot be read (:class:`~jaxnoisy.data.errors.UnreadableError`), none that can, or
            images of different sizes.
    """
    out = np.empty((0, 0, 0, 1), np.uint8)
    kept: list[int] = []
    broken: list[str] = []
    for i, image in enumerate(_decoded(sources, size)):
        if isinstance(image, str):
            if not skip_broken:
                raise UnreadableError(
                    f"{names[i]!r} cannot be read as an image ({image}): repair or remove it, or leave such images out "
                    "with skip_broken=True (--skip-broken)"
                )
            broken.append(f"{names[i]}: {image}")
            continue
        if not kept:
            out = np.empty((len(names), *image.shape), np.uint8)
        if image.shape[:2] != out.shape[1:3]:
            first, other = (f"{shape[1]} x {shape[0]}" for shape in (out.shape[1:3], image.shape[:2]))
            raise ValueError(
                f"{names[i]!r} is {other} pixels (width x height), but {names[kept[0]]!r} is {first}: bring all images "
                "to one size first, or in Python pass size=(height, width)"
            )
        if image.shape[2] > out.shape[3]:
            out = np.repeat(out, image.shape[2], axis=3)
        out[len(kept)] = image
        kept.append(i)
    if not kept:
        raise ValueError(f"none of the {len(names)} images can be read{f'; the first: {broken[0]}' if broken else ''}")
    return out[: len(kept)], kept, broken


def _decoded(sources: Iterable[Path | bytes], size: tuple[int, int] | None) -> Iterator[np.ndarray | str]:
    remaining = iter(sources)
    with ThreadPoolExecutor() as pool:
        # One map over everything would decode ahead without bound.
        while some := list(islice(remaining, _AT_ONCE)):
            yield from pool.map(lambda source: _decode(source, size), some)


def _decode(source: Path | bytes, size: tuple[int, int] | None) -> np.ndarray | str:
    """One image, (height, width, 1 or 3) uint8, or why it cannot be read."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            image: Image.Image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):
                image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
            elif image.mode in ("I", "F"):
                return f"its pixels have 32 bits (mode {image.mode}) and no known scale: save it with 8 or 16"
            image = image.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")
            if size is not None:
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders answer damaged files with whatever they run into.
        return _reason(error, source)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _reason(error: Exception, source: Path | bytes) -> str:
    if isinstance(source, Path):
        return f"{type(error).__name__}: {error}".replace(str(source), source.name)
    return type(error).__name__  # Pillow would name the address of a buffer here.
