"""Resizing by separable filters, in numpy: nothing is compiled for a new picture size.

Along each axis an output pixel is a weighted sum of a few input pixels around its centre, by the
filters of `jax.image.resize`, so that pictures come out as KerasHub's converter makes them (its
`Resizing` layer on JAX): pixel centres at halves, weights beyond an edge dropped and the others
scaled to sum 1. With `antialias` a filter is stretched by the shrinking factor.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]  # top, left, height, width


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
    """Which inputs make each output of one axis, and with what weight: both (outputs, taps)."""

    indices: np.ndarray
    weights: np.ndarray


def resize(
    picture: np.ndarray, size: tuple[int, int], interpolation: str, antialias: bool
) -> np.ndarray:
    """`picture` (height, width, 3), uint8 or float32, as float32 (*size, 3). 8-bit pictures come
    out as whole levels within 0..255."""
    if picture.shape[:2] == size:
        return picture.astype(np.float32)
    if interpolation == "nearest":
        rows, columns = (_nearest(*lengths) for lengths in zip(picture.shape, size, strict=False))
        return picture[rows[:, None], columns].astype(np.float32)
    found = _filtered(picture, size, interpolation, antialias)
    return np.clip(np.rint(found), 0, 255) if picture.dtype == np.uint8 else found


def resize_as_pillow(picture: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """The same with antialiasing, 8-bit pictures by Pillow, as Transformers prepares them.

    Pillow rounds to 8 bits after each axis: it differs from `resize` by a level, and by more where
    a filter overshoots beyond black or white."""
    if picture.dtype != np.uint8 or interpolation not in _PILLOW:
        return resize(picture, size, interpolation, antialias=True)
    image = Image.fromarray(picture).resize(size[::-1], _PILLOW[interpolation])
    return np.asarray(image, np.float32)


def window(height: int, width: int, size: tuple[int, int], pad: bool) -> Box:
    """The part of a picture that has the shape of `size`: the largest one inside it, centred, or
    with `pad` the smallest one around it (its top and left are then negative or 0)."""
    wanted_height = int(float(width * size[0]) / size[1])
    wanted_width = int(float(height * size[1]) / size[0])
    if pad:
        top = int((max(height, wanted_height) - height) / 2)
        # As KerasHub pads: the same on both sides, and along one axis only.
        left = 0 if top else int((max(width, wanted_width) - width) / 2)
        return -top, -left, height + 2 * top, width + 2 * left
    inside_height = max(min(height, wanted_height), 1)
    inside_width = max(min(width, wanted_width), 1)
    top, left = int((height - inside_height) / 2), int((width - inside_width) / 2)
    return top, left, inside_height, inside_width


def cut(picture: np.ndarray, box: Box) -> np.ndarray:
    """The part `box` of a picture (height, width, 3); black where it reaches beyond the picture."""
    top, left, height, width = box
    inside = picture[max(top, 0) : top + height, max(left, 0) : left + width]
    margins = (max(-top, 0), max(-left, 0))
    if not any(margins):
        return inside
    return np.pad(inside, (*((margin, margin) for margin in margins), (0, 0)))


@functools.lru_cache(maxsize=64)
def taps(inputs: int, outputs: int, interpolation: str, antialias: bool) -> Taps:
    """The filter along an axis of `inputs` pixels that becomes one of `outputs`."""
    radius, weigh = FILTERS[interpolation]
    step = inputs / outputs
    stretch = max(step, 1) if antialias else 1
    centres = (np.arange(outputs) + 0.5) * step - 0.5
    first = np.ceil(centres - radius * stretch).astype(int)
    indices = first[:, None] + np.arange(int(np.ceil(2 * radius * stretch)) + 1)
    weights = weigh(np.abs(centres[:, None] - indices) / stretch)
    weights[(indices < 0) | (indices >= inputs)] = 0
    used = weights.any(axis=0)
    weights = (weights / weights.sum(axis=1, keepdims=True))[:, used]
    return Taps(np.clip(indices, 0, inputs - 1)[:, used], weights.astype(np.float32))


def _filtered(
    picture: np.ndarray, size: tuple[int, int], interpolation: str, antialias: bool
) -> np.ndarray:
    rows = taps(picture.shape[0], size[0], interpolation, antialias)
    columns = taps(picture.shape[1], size[1], interpolation, antialias)
    # The rows first: they lie together in memory, and fewer of them are left for the columns.
    across = _weighted(picture, rows).swapaxes(0, 1)
    return np.ascontiguousarray(_weighted(across, columns).swapaxes(0, 1))


def _weighted(values: np.ndarray, axis: Taps) -> np.ndarray:
    """Filters the first axis of `values` (inputs, other, 3): float32 (outputs, other, 3)."""
    total = np.zeros((len(axis.indices), *values.shape[1:]), np.float32)
    for indices, weights in zip(axis.indices.T, axis.weights.T, strict=True):
        total += values[indices] * weights[:, None, None]
    return total


def _nearest(inputs: int, outputs: int) -> np.ndarray:
    """For each output pixel the input pixel under its centre."""
    return np.floor((np.arange(outputs) + 0.5) * (inputs / outputs)).astype(int)
