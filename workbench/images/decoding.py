"""Decode untrusted image files of five formats; the size is checked before any pixel is read.

A truncated file is refused, never half decoded. Of an animation the first frame is used. An image
is either read or refused with an `ImageError`, so Pillow's warnings are suppressed.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

from workbench.errors import ImageError
from workbench.storage.json_files import shown

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 50_000_000
MAX_SIDE = 65_535  # the largest in JPEG and GIF
MAX_BYTES = 100 * 10**6

_READ = "PNG, JPEG, WebP, GIF or BMP"
# Pillow calls a JPEG with an appended preview MPO.
_ALLOWED = frozenset((*FORMATS, "MPO"))
_ORIENTATION = 0x0112  # the tag of EXIF (CIPA DC-008, 4.6.4)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# How files of other formats begin: offset, signature, name.
_OTHERS = (
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"%!PS", "EPS"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"%PDF", "PDF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (0, b"P5", "PPM"),
    (0, b"P6", "PPM"),
)
_one_at_a_time = threading.Lock()


def decode_file(path: Path, what: str) -> Image.Image:
    """Decode an image file of at most 100 MB, upright, in the mode it is stored in.

    Raises:
        ImageError: the file is missing, not a regular file, too large, of another format or broken.
    """
    where = f"{what}: {ascii(str(path))[:300]}"
    try:
        facts = path.stat()
        if not S_ISREG(facts.st_mode):
            kind = "a directory" if S_ISDIR(facts.st_mode) else "a device, pipe or socket"
            raise ImageError(f"{where}: expected an image file, got {kind}")
        check_bytes(facts.st_size, where)
        with path.open("rb") as stream:
            return decode_stream(stream, where)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{where}: there is no such file") from None
    except (OSError, ValueError) as error:  # a name with a NUL in it is a ValueError
        raise ImageError(f"{where}: cannot be opened ({type(error).__name__})") from None


def decode_bytes(data: bytes, what: str) -> Image.Image:
    """Decode the bytes of an image file. Raises as `decode_file`."""
    check_bytes(len(data), what)
    return decode_stream(BytesIO(data), what)


def decode_stream(stream: BinaryIO, what: str) -> Image.Image:
    """Decode an open image file whose size has been checked. Raises as `decode_file`."""
    with _pillow_at_work():
        try:
            image = Image.open(stream, formats=FORMATS)
            check_size(image.size, what)
            return _upright(_decoded(image, what))
        except ImageError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise ImageError(f"{what}: expected at most 50 megapixels, got more") from None
        except UnidentifiedImageError:
            raise ImageError(f"{what}: expected {_READ}, got {_kind(stream)}") from None
        except Exception as error:  # Pillow's readers raise many kinds of errors on a broken file
            reason = shown(str(error) or type(error).__name__)
            raise ImageError(f"{what}: the file is broken or ends too early: {reason}") from None


def decode_opened(image: Image.Image, what: str) -> Image.Image:
    """Check and decode an image that Pillow has opened, and turn it upright. Raises as
    `decode_file`."""
    if image.format is not None and image.format not in _ALLOWED:
        raise ImageError(
            f'{what}: expected {_READ}, got {image.format}; pass `image.convert("RGB")`'
        )
    check_size(image.size, what)
    with _pillow_at_work():
        try:
            return _upright(_decoded(image, what))
        except ImageError:
            raise
        except Exception as error:
            reason = shown(str(error) or type(error).__name__)
            raise ImageError(f"{what}: the image cannot be decoded: {reason}") from None


def check_bytes(size: int, what: str) -> None:
    """Raise `ImageError` for an empty file and for one over 100 MB."""
    if not 0 < size <= MAX_BYTES:
        got = "an empty file" if size == 0 else f"{size / 1e6:.1f} MB"
        raise ImageError(f"{what}: expected a file of up to {MAX_BYTES // 10**6} MB, got {got}")


def check_size(size: tuple[int, int], what: str) -> None:
    """Raise `ImageError` unless (width, height) are 1..65535 and at most 50 megapixels."""
    width, height = size
    if min(size) < 1 or max(size) > MAX_SIDE:
        expected = f"sides of 1 to {MAX_SIDE} pixels"
        raise ImageError(f"{what}: expected {expected}, got {width} x {height}")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{what}: expected at most {MAX_PIXELS // 10**6} megapixels, got {width} x {height}"
        )


@contextlib.contextmanager
def _pillow_at_work() -> Iterator[None]:
    """Silence Pillow's warnings, and make it refuse truncated files.

    Both are settings of the whole process, so only one thread at a time may hold them.
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        lenient = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _decoded(image: Image.Image, what: str) -> Image.Image:
    image.load()
    check_size(image.size, what)  # a frame may be larger than the header said
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; unreadable EXIF is ignored."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:
        return image
    move = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if move is None else image.transpose(move)


def _kind(stream: BinaryIO) -> str:
    """Name the format of a file that is not read."""
    stream.seek(0)
    start = stream.read(1024)
    for offset, mark, name in _OTHERS:
        if start[offset:].startswith(mark):
            return name
    if b"<svg" in start or start.lstrip().startswith(b"<?xml"):
        return "SVG"
    return "no image"
