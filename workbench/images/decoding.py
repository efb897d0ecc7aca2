"""Picture files, treated as hostile: five kinds are read, their size before any pixel.

The header alone decides whether a file is decoded at all. A file that ends too early is refused,
never half decoded. Of an animation the first frame is the picture. Pillow warns about odd files in
many ways; a picture is either read or refused with an `ImageError`, so that its warnings stay in.
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
MAX_SIDE = 65_535  # the most that JPEG and GIF can say
MAX_BYTES = 100 * 10**6

_READ = "PNG, JPEG, WebP, GIF or BMP"
# A photograph with a preview behind it is a JPEG to everybody but Pillow.
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
# How files of kinds that are not read begin: where the mark stands, the mark, the name.
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
    """The picture in a regular file of at most 100 MB, upright, in whatever mode it is stored.

    Raises:
        ImageError: no such file, not a regular file, too large, of another kind, or broken.
    """
    where = f"{what}: {ascii(str(path))[:300]}"
    try:
        facts = path.stat()
        if not S_ISREG(facts.st_mode):
            kind = "a directory" if S_ISDIR(facts.st_mode) else "a device, pipe or socket"
            raise ImageError(f"{where}: expected a picture file, got {kind}")
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
    """The picture in the bytes of a file. Raises as `decode_file` does."""
    check_bytes(len(data), what)
    return decode_stream(BytesIO(data), what)


def decode_stream(stream: BinaryIO, what: str) -> Image.Image:
    """The picture in an open file whose size is known to be small enough."""
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
        except Exception as error:  # Pillow's readers fail in a dozen ways on a broken file
            reason = shown(str(error) or type(error).__name__)
            raise ImageError(f"{what}: the file is broken or ends too early: {reason}") from None


def decode_opened(image: Image.Image, what: str) -> Image.Image:
    """A picture that Pillow has opened already: checked in the same way, decoded, upright."""
    if image.format is not None and image.format not in _ALLOWED:
        raise ImageError(
            f'{what}: expected {_READ}, got {image.format}; `image.convert("RGB")` passes it on'
        )
    check_size(image.size, what)
    with _pillow_at_work():
        try:
            return _upright(_decoded(image, what))
        except ImageError:
            raise
        except Exception as error:
            reason = shown(str(error) or type(error).__name__)
            raise ImageError(f"{what}: the picture cannot be decoded: {reason}") from None


def check_bytes(size: int, what: str) -> None:
    """Raises `ImageError` for an empty file and for one over 100 MB."""
    if not 0 < size <= MAX_BYTES:
        got = "an empty one" if size == 0 else f"{size / 1e6:.1f} MB"
        raise ImageError(f"{what}: expected a file of up to {MAX_BYTES // 10**6} MB, got {got}")


def check_size(size: tuple[int, int], what: str) -> None:
    """Raises `ImageError` unless width and height are 1..65535 and make at most 50 megapixels."""
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
    """Pillow without its warnings and without its switch that lets broken files pass.

    Both are settings of the whole process: one thread at a time holds them.
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
    """The picture as its EXIF orientation wants it seen. Unreadable EXIF says nothing."""
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:
        return image
    move = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if move is None else image.transpose(move)


def _kind(stream: BinaryIO) -> str:
    """What a file that is not read looks like."""
    stream.seek(0)
    start = stream.read(1024)
    for offset, mark, name in _OTHERS:
        if start[offset:].startswith(mark):
            return name
    if b"<svg" in start or start.lstrip().startswith(b"<?xml"):
        return "SVG"
    return "no picture"
