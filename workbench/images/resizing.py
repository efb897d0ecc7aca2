"""Resize images with separable filters in NumPy, so that a new image size needs no compilation.

Along each axis an output pixel is a weighted sum of the input pixels around its centre. The filters
are those of `jax.image.resize`, so the results equal KerasHub's converter (its `Resizing` layer on
JAX): pixel centres at halves; weights beyond an edge are dropped and the others scaled to sum 1.
With `antialias` a filter is stretched by the factor by which the image shrinks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - x)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Cubic convolution with a = -1/2 (Keys, 1981), which Pillow uses too."""
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x >= 2, 0, np.where(x >= 1, far, near))


def _lanczos(radius: int) -> Callable[[np.ndarray], np.ndarray]:
    def weigh(x: np.ndarray) -> np.ndarray:
        return np.where(x > radius, 0, np.sinc(x) * np.sinc(x / radius))

    return weigh


FILTERS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
    "bilinear": (1, _triangle),
    "bicubic": (2, _cubic),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
}
INTERPOLATIONS = ("nearest", *FILTERS)
_PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}


class Taps(NamedTuple):
    """The filter along one axis: the inputs of each output, and their weights."""

    first: np.ndarray  # (outputs,) the first input, negative if the filter begins before the edge
    weights: np.ndarray  # (outputs, taps) for the inputs from `first` on


def resize(
    picture: np.ndarray,
    size: tuple[int, int],
    interpolation: str,
    antialias: bool,
    margins: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Resize an image (height, width, 3), uint8 or float32, to float32 (*size, 3). The result for
    uint8 is rounded to whole levels within 0..255.

    `margins` are the rows above and below, and the columns on each side, that count as black. They
    take no memory: an image of one row may have thousands of them.
    """
    if picture.shape[:2] == size and not any(margins):
        return picture.astype(np.float32)
    rows, columns = (
        taps(length, wanted, interpolation, antialias, margin)
        for length, wanted, margin in zip(picture.shape, size, margins, strict=False)
    )
    # Rows first: they are contiguous in memory, and then the columns have fewer of them.
    across = _weighted(picture, rows).swapaxes(0, 1)
    found = np.ascontiguousarray(_weighted(across, columns).swapaxes(0, 1))
    return np.clip(np.rint(found), 0, 255) if picture.dtype == np.uint8 else found


def resize_as_pillow(picture: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Resize with antialiasing, 8-bit images with Pillow as Transformers does.

    Pillow rounds to 8 bits after each axis, so it differs from `resize` by a level, and by more if
    a filter overshoots beyond black or white.
    """
    if picture.dtype != np.uint8 or interpolation not in _PILLOW:
        return resize(picture, size, interpolation, antialias=True)
    image = Image.fromarray(picture).resize((size[1], size[0]), _PILLOW[interpolation])
    return np.asarray(image, np.float32)


def crop_box(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the largest part with the aspect ratio of `size`: top, left, height, width."""
    inside_height = max(min(height, int(float(width * size[0]) / size[1])), 1)
    inside_width = max(min(width, int(float(height * size[1]) / size[0])), 1)
    top, left = int((height - inside_height) / 2), int((width - inside_width) / 2)
    return top, left, inside_height, inside_width


def pad_margins(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the rows above and below, and the columns on each side, that pad an image to the
    aspect ratio of `size`. As in KerasHub, both sides are equal and only one axis is padded."""
    around_height = max(height, int(float(width * size[0]) / size[1]))
    around_width = max(width, int(float(height * size[1]) / size[0]))
    above = int((around_height - height) / 2)
    return above, 0 if above else int((around_width - width) / 2)


@functools.lru_cache(maxsize=64)
def taps(inputs: int, outputs: int, interpolation: str, antialias: bool, margin: int) -> Taps:
    """Compute the filter that resizes an axis of `inputs` pixels, with `margin` black pixels at
    both ends, to `outputs` pixels."""
    length = inputs + 2 * margin
    step = length / outputs
    centres = (np.arange(outputs) + 0.5) * step - 0.5
    if interpolation == "nearest":
        return Taps(np.floor(centres + 0.5).astype(int) - margin, np.ones((outputs, 1), np.float32))
    radius, weigh = FILTERS[interpolation]
    stretch = max(step, 1) if antialias else 1
    first = np.ceil(centres - radius * stretch).astype(int)
    indices = first[:, None] + np.arange(int(2 * radius * stretch) + 1)
    weights = weigh(np.abs(centres[:, None] - indices) / stretch)
    weights[(indices < 0) | (indices >= length)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return Taps(first - margin, weights.astype(np.float32))


def _weighted(values: np.ndarray, axis: Taps) -> np.ndarray:
    """Filter the first axis of `values` (inputs, other, 3): float32 (outputs, other, 3)."""
    inputs = values.reshape(len(values), -1)
    outputs = np.empty((len(axis.first), inputs.shape[1]), np.float32)
    for output, first, weights in zip(outputs, axis.first.tolist(), axis.weights, strict=True):
        start, stop = (min(max(i, 0), len(inputs)) for i in (first, first + len(weights)))
        seen = inputs[start:stop].astype(np.float32)
        output[:] = weights[start - first : stop - first] @ seen
    return outputs.reshape(-1, *values.shape[1:])
