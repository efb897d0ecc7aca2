"""Read images from a path, bytes, an open file, a Pillow image or an array.

The result is always upright, 8-bit RGB. Transparent parts become white, grey is repeated over the
three channels, 16-bit grey is scaled (65535 becomes 255), CMYK is converted without its colour
profile. An array of floats within [0, 1] is read as fractions of white, any other as levels 0..255.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import jax
import numpy as np
from PIL import Image

from workbench.errors import ImageError
from workbench.images.decoding import (
    MAX_BYTES,
    check_size,
    decode_bytes,
    decode_file,
    decode_opened,
)

Array = np.ndarray | jax.Array
ImageSource = str | Path | bytes | bytearray | memoryview | BinaryIO | Image.Image | Array

_KINDS = "a path, bytes, a binary file, a Pillow image or an array"
_LEVELS_16 = 257  # 65535 = 255 * 257


@runtime_checkable
class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def open_image(source: ImageSource, what: str = "image") -> Image.Image:
    """Read an image, upright, as 8-bit RGB.

    Args:
        source: a path, the bytes of a file, a file open for reading bytes, a Pillow image, or an
            array (height, width) or (height, width, 1 | 3 | 4) of integers 0..255 or floats. Files
            are PNG, JPEG, WebP, GIF or BMP, of at most 100 MB and 50 megapixels; of an animation
            the first frame is read.
        what: names the image in errors.

    Raises:
        ImageError: the source is none of these, too large, or cannot be read to its end.

    >>> open_image(np.zeros((2, 3), "uint8")).size
    (3, 2)
    """
    return Image.fromarray(pixels(source, what))


def pixels(source: ImageSource, what: str = "image") -> np.ndarray:
    """Read an image as uint8 (height, width, 3). Arguments and errors are those of `open_image`.

    >>> pixels(np.ones((1, 1)))[0, 0].tolist()
    [255, 255, 255]
    """
    found = levels(source, what)
    return found if found.dtype == np.uint8 else np.rint(found).astype(np.uint8)


def levels(source: object, what: str = "image") -> np.ndarray:
    """Read an image as levels 0..255 (height, width, 3): uint8, or float32 for an array of floats,
    which are not rounded. Arguments and errors are those of `open_image`."""
    if isinstance(source, np.ndarray | jax.Array):
        return _rgb_of_array(np.asarray(source), what)
    return _rgb_of_image(_image(source, what), what)


def batch_levels(array: Array, what: str = "images") -> np.ndarray:
    """Read an array of images (batch, height, width, 1 | 3 | 4) as levels 0..255 (batch, height,
    width, 3), uint8 or float32. Errors are those of `open_image`."""
    array = np.asarray(array)
    if array.ndim != 4 or array.shape[3] not in (1, 3, 4):
        expected = "the shape (batch, height, width, 1 | 3 | 4)"
        raise ImageError(f"{what}: expected {expected}, got {array.shape}")
    check_size((array.shape[2], array.shape[1]), what)
    return _three_channels(_array_levels(array, what))


def _array_levels(array: np.ndarray, what: str) -> np.ndarray:
    """Convert an array of any shape to levels: integers to uint8, floats to float32 0..255."""
    if array.dtype.kind in "iu":
        _expect_range(array, what)
        return array.astype(np.uint8)
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        raise ImageError(f"{what}: expected integers 0..255 or floats, got {array.dtype}")
    with np.errstate(over="ignore"):  # overflow becomes infinity, which is refused
        values = array.astype(np.float32)
    _expect_range(values, what)
    return values * np.float32(255) if values.size and values.max() <= 1 else values


def _expect_range(array: np.ndarray, what: str) -> None:
    lowest, highest = (array.min(), array.max()) if array.size else (0, 0)
    if not (lowest >= 0 and highest <= 255):  # false for NaN
        raise ImageError(f"{what}: expected values 0..255, got {lowest}..{highest}")


def _image(source: object, what: str) -> Image.Image:
    match source:
        case Image.Image():
            return decode_opened(source, what)
        case str() | Path():
            return decode_file(_path(source, what), what)
        case bytes() | bytearray() | memoryview():
            return decode_bytes(bytes(source), what)
        case _Readable():
            return decode_bytes(_content(source, what), what)
    raise ImageError(f"{what}: expected {_KINDS}, got {type(source).__name__}")


def _path(source: str | Path, what: str) -> Path:
    if str(source).startswith(("http://", "https://", "data:")):
        raise ImageError(f"{what}: expected {_KINDS}, got a web address; download it first")
    try:
        return Path(source).expanduser()
    except RuntimeError:
        raise ImageError(f"{what}: the home folder ~ is not known") from None


def _content(source: _Readable, what: str) -> bytes:
    try:
        content = source.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ImageError(f"{what}: cannot be read ({type(error).__name__})") from None
    if not isinstance(content, bytes):
        raise ImageError(f"{what}: expected a file open for bytes, got {type(content).__name__}")
    return content


def _rgb_of_array(array: np.ndarray, what: str) -> np.ndarray:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(
            f"{what}: expected the shape (height, width) or (height, width, 1 | 3 | 4), "
            f"got {array.shape}"
        )
    check_size((array.shape[1], array.shape[0]), what)
    return _three_channels(_array_levels(array, what).reshape(*array.shape[:2], -1))


def _three_channels(values: np.ndarray) -> np.ndarray:
    """Convert levels (..., 1 | 3 | 4) to (..., 3): repeat grey, put transparent parts on white."""
    if values.shape[-1] != 4:
        return values if values.shape[-1] == 3 else np.repeat(values, 3, axis=-1)
    alpha = values[..., 3:] / np.float32(255)
    mixed = values[..., :3] * alpha + np.float32(255) * (1 - alpha)
    return np.rint(mixed).astype(np.uint8) if values.dtype == np.uint8 else mixed


def _rgb_of_image(image: Image.Image, what: str) -> np.ndarray:
    if image.mode == "La":
        image = image.convert("LA")  # Pillow converts it to no other mode
    if image.mode == "F":
        return _rgb_of_array(np.asarray(image), what)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _rgb_of_16_bits(image, what)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    return np.array(image.convert("RGB"))


def _rgb_of_16_bits(image: Image.Image, what: str) -> np.ndarray:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(f"{what}: expected 16-bit grey, got {values.min()}..{values.max()}")
    grey = (values.astype(np.uint32) + _LEVELS_16 // 2) // _LEVELS_16
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
