"""Images of the data set as small PNG files inside the page."""

import base64
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxnoisy.data.dataset import Dataset
from jaxnoisy.report.canvas import sample

_SIDE = 128
_LOOKED_AT = 256


class Thumbnail(NamedTuple):
    """An image for the page.

    Attributes:
        uri: a ``data:`` address with the PNG in it.
        crisp: whether it has fewer pixels than it is shown with, so that each should stay a sharp square.
    """

    uri: str
    crisp: bool


def thumbnails(dataset: Dataset, rows: np.ndarray, *, like: Dataset | None = None) -> list[Thumbnail]:
    """Draw the images at ``rows``; of clips, the middle frames.

    One channel is gray and three are colours; of any other number, the first three (or the first of two) are shown.
    Float images are brought to 0..255 by one scale for the whole data set, see :func:`display_range`. Images larger
    than 128 pixels are made smaller, keeping their shape.

    Args:
        dataset: of (n, height, width, channels) images, or clips of them.
        rows: (k,) indices.
        like: the data set whose scale is taken, by default the same.

    Cost: reads k images, and up to 256 more to find the scale of floats.
    """
    low, high = (0.0, 255.0) if dataset.inputs.dtype == np.uint8 else display_range((like or dataset).inputs)
    return [_thumbnail(_bytes(np.asarray(dataset.inputs[row]), low, high)) for row in rows]


def display_range(inputs: np.ndarray) -> tuple[float, float]:
    """The values that stand for black and white in float images.

    (0, 1), (-1, 1) or (0, 255) where the values lie within and reach beyond the next smaller of these; otherwise, as
    for standardised images, the 1st and 99th percentile. Judged on 256 images, always the same ones.
    """
    seen = np.asarray(inputs[sample(np.arange(len(inputs)), _LOOKED_AT)], np.float32)
    low, high = float(seen.min()), float(seen.max())
    if low >= 0:
        if high <= 1:
            return 0.0, 1.0
        if 2 < high <= 255:
            return 0.0, 255.0
    elif low >= -1 and high <= 1:
        return -1.0, 1.0
    low, high = (float(q) for q in np.quantile(seen, [0.01, 0.99]))
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _bytes(image: np.ndarray, low: float, high: float) -> np.ndarray:
    if image.ndim == 4:
        image = image[len(image) // 2]
    shown = image[..., :3] if image.shape[-1] >= 3 else image[..., 0]
    if shown.dtype == np.uint8:
        return shown
    scaled = (shown.astype(np.float32) - low) * (255 / (high - low))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _thumbnail(pixels: np.ndarray) -> Thumbnail:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    crisp = max(picture.size) < _SIDE
    if not crisp:
        picture.thumbnail((_SIDE, _SIDE))
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return Thumbnail("data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii"), crisp)
