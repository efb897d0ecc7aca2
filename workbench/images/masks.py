"""Decode PaliGemma's mask codes with the decoder of its VQ-VAE, and outline masks.

Sixteen codes select vectors of a codebook (128, 512) for a 4 x 4 grid. Convolutions and four
doublings turn it into 64 x 64 values, above 0 inside the region, which fill the region's box. The
weights are public (big_vision, `vae-oid.npz`, the method of arXiv 2301.02229) and read from the
user's copy; this package contains none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import contourpy
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from PIL import Image

from workbench.errors import ImageError, PresetError, SettingError, shown
from workbench.images.answers import CODES_OF_A_MASK, MASK_CODES
from workbench.images.decoding import check_size
from workbench.images.npz import read_npz

SIDE = 64
CODEBOOK = "_vq_vae._embedding"
_EMBEDDING = 512
_WIDTH = 128
_BLOCKS = ("decoder.2.net", "decoder.3.net")
_DOUBLINGS = {"decoder.4": (128, 128), "decoder.6": (128, 64), "decoder.8": (64, 32)} | {
    "decoder.10": (32, 16)
}
_LAYOUT = ("NHWC", "OIHW", "NHWC")
_MIRRORED = ("NHWC", "IOHW", "NHWC")  # PyTorch stores transposed convolutions inputs first


def _convolutions() -> dict[str, tuple[int, ...]]:
    """Return the kernels' shapes by name, as PyTorch stores them."""
    block = {"0": 3, "2": 3, "4": 1}
    return {
        "decoder.0": (_WIDTH, _EMBEDDING, 1, 1),
        **{f"{net}.{i}": (_WIDTH, _WIDTH, k, k) for net in _BLOCKS for i, k in block.items()},
        **{name: (*channels, 4, 4) for name, channels in _DOUBLINGS.items()},
        "decoder.12": (1, 16, 1, 1),
    }


def mask_decoder_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of a mask decoder's arrays, by their names in `vae-oid.npz`."""
    shapes: dict[str, tuple[int, ...]] = {CODEBOOK: (MASK_CODES, _EMBEDDING)}
    for name, shape in _convolutions().items():
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = (shape[1] if name in _DOUBLINGS else shape[0],)
    return shapes


class MaskDecoder:
    """Decodes mask codes with given weights: float arrays named as in `mask_decoder_shapes`.

    Raises:
        PresetError: an array is missing, has another shape, or holds NaN or infinity.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        for name, shape in mask_decoder_shapes().items():
            _check(name, weights.get(name), shape)
        self._weights = {n: jnp.asarray(weights[n], jnp.float32) for n in mask_decoder_shapes()}

    def values(self, codes: Sequence[int]) -> np.ndarray:
        """Decode 16 codes, 0..127, to float32 (64, 64): about -1 outside, about 1 inside.

        Raises:
            SettingError: the codes are not 16 integers 0..127.
        """
        given = list(codes)
        whole = all(isinstance(c, int | np.integer) and 0 <= c < MASK_CODES for c in given)
        if len(given) != CODES_OF_A_MASK or not whole:
            raise SettingError(f"codes: expected 16 integers 0..127, got {shown(given)}")
        return np.asarray(_decode(self._weights, jnp.asarray(given, jnp.int32)))

    def mask(
        self, codes: Sequence[int], box: tuple[int, int, int, int], height: int, width: int
    ) -> np.ndarray:
        """Return the mask of `codes` within a box of an image: bool (height, width). Parts of the
        box beyond the image are cut off.

        Args:
            codes: 16 integers 0..127.
            box: top, left, bottom, right in pixels; the last two exclusive.
            height, width: of the image, in pixels.

        Raises:
            ImageError: the image is too large.
            SettingError: the codes are not 16 integers 0..127.
        """
        check_size((width, height), "mask")
        values = self.values(codes)
        top, left, bottom, right = box
        found = np.zeros((height, width), bool)
        seen = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
        if seen[0] >= seen[2] or seen[1] >= seen[3]:
            return found
        # The part of the 64 x 64 values within the image, enlarged with smooth edges.
        rows, columns = SIDE / (bottom - top), SIDE / (right - left)
        part = (
            (seen[0] - left) * columns,
            (seen[1] - top) * rows,
            (seen[2] - left) * columns,
            (seen[3] - top) * rows,
        )
        size = (seen[2] - seen[0], seen[3] - seen[1])
        image = Image.fromarray(values).resize(size, Image.Resampling.BILINEAR, box=part)
        found[seen[1] : seen[3], seen[0] : seen[2]] = np.asarray(image) > 0
        return found


def load_mask_decoder(path: str | Path) -> MaskDecoder:
    """Load a decoder from an `.npz` file such as `vae-oid.npz`.

    Only the decoder's arrays are read, after their shapes have been checked. No code in the file is
    run.

    Raises:
        PresetError: the file is missing or no `.npz` file, or arrays are missing or do not fit.
    """
    return MaskDecoder(read_npz(Path(os.path.expanduser(path)), mask_decoder_shapes()))


def polygons(mask: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of a mask (height, width): closed lines, each float (points, 2) of x, y.

    Pixel (row, column) covers x from `column` to `column + 1` and y from `row` to `row + 1`. Holes
    have separate outlines: fill by the even-odd rule.

    Raises:
        ImageError: the mask is not an array of two axes.

    >>> len(polygons(np.eye(2, dtype=bool)[:1]))
    1
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ImageError(f"mask: expected the shape (height, width), got {mask.shape}")
    check_size((mask.shape[1], mask.shape[0]), "mask")
    framed = np.pad(mask.astype(bool), 1).astype(np.float32)
    # Values are at the centres of pixels; the frame moves them by one.
    separate = contourpy.LineType.Separate  # points without codes
    lines = contourpy.contour_generator(z=framed, line_type=separate).lines(0.5)
    return [np.asarray(line) - 0.5 for line in lines]


def _check(name: str, values: np.ndarray | None, shape: tuple[int, ...]) -> None:
    where = "mask decoder"
    if values is None:
        raise PresetError.at(where, name, f"an array of the shape {shape}", "none")
    if values.shape != shape or values.dtype.kind != "f":
        got = f"{values.dtype} {values.shape}"
        raise PresetError.at(where, name, f"floats of the shape {shape}", got)
    if not np.isfinite(values).all():
        raise PresetError.at(where, name, "finite numbers", "NaN or infinity")


@jax.jit
def _decode(weights: dict[str, Any], codes: jax.Array) -> jax.Array:
    """Decode codes int32 (16,) to values float32 (64, 64)."""
    x = weights[CODEBOOK][codes].reshape(1, 4, 4, -1)
    x = jax.nn.relu(_convolved(weights, "decoder.0", x))
    for net in _BLOCKS:
        x = x + _residual(weights, net, x)
    for name in _DOUBLINGS:
        x = jax.nn.relu(_doubled(weights, name, x))
    return _convolved(weights, "decoder.12", x)[0, :, :, 0]


def _residual(weights: dict[str, Any], net: str, x: jax.Array) -> jax.Array:
    x = jax.nn.relu(_convolved(weights, f"{net}.0", x))
    x = jax.nn.relu(_convolved(weights, f"{net}.2", x))
    return _convolved(weights, f"{net}.4", x)


def _convolved(weights: dict[str, Any], name: str, x: jax.Array) -> jax.Array:
    kernel = weights[f"{name}.weight"]
    y = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT)
    return y + weights[f"{name}.bias"]


def _doubled(weights: dict[str, Any], name: str, x: jax.Array) -> jax.Array:
    """Apply a transposed convolution (kernel 4, stride 2, padding 1), which doubles both sides: a
    convolution with the mirrored kernel over the input with zeros between its values."""
    kernel = jnp.flip(weights[f"{name}.weight"], (2, 3))
    margins = ((2, 2), (2, 2))
    y = lax.conv_general_dilated(
        x, kernel, (1, 1), margins, lhs_dilation=(2, 2), dimension_numbers=_MIRRORED
    )
    return y + weights[f"{name}.bias"]
