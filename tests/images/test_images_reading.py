"""Pictures from anywhere come out as upright 8-bit RGB, or are refused by name and at once."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
import tracemalloc
import zlib

import jax.numpy as jnp
import numpy as np
import pytest
from patience import SLOW
from PIL import Image, ImageFile

from workbench.errors import ImageError
from workbench.images import open_image, pixels

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
REFUSED = ("TIFF", "EPS", "PDF", "ICO", "PPM", "JPEG2000")


def noise(height=12, width=18):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def encoded(image, file_format="PNG", **settings):
    stream = io.BytesIO()
    image.save(stream, file_format, **settings)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_size(width, height, bits=8, colour=2):
    """A valid PNG header over next to no data."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


# Where pictures come from.


@pytest.mark.parametrize("file_format", FORMATS)
def test_files_paths_and_bytes_agree(file_format, tmp_path):
    data = encoded(Image.fromarray(noise()), file_format)
    path = tmp_path / "picture"
    path.write_bytes(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    with path.open("rb") as stream:
        sources = [path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data)]
        for source in [*sources, stream, Image.open(io.BytesIO(data))]:
            assert np.array_equal(pixels(source), expected)
    if file_format in ("PNG", "BMP"):
        assert np.array_equal(expected, noise())


def test_open_image_is_rgb():
    image = open_image(noise())
    assert (image.mode, image.size) == ("RGB", (18, 12))


@pytest.mark.parametrize(
    ("array", "level"),
    [
        (np.full((2, 3), 7, np.uint8), 7),
        (np.full((2, 3, 1), 7, np.int64), 7),
        (np.full((2, 3, 3), 7, np.int8), 7),
        (np.full((2, 3), 1.0), 255),
        (np.full((2, 3), 0.5, np.float16), 128),
        (np.full((2, 3), 1.5, np.float32), 2),
        (np.full((2, 3), 200.0), 200),
        (jnp.full((2, 3, 3), 0.25, jnp.bfloat16), 64),
        (np.full((2, 3), 0.5)[::-1, ::-1], 128),
    ],
)
def test_arrays(array, level):
    found = pixels(array)
    assert (found.dtype, found.shape) == (np.uint8, (2, 3, 3))
    assert (found == level).all()


def test_a_given_array_is_left_alone():
    given = noise()
    found = pixels(given)
    found[:] = 0
    assert np.array_equal(given, noise())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 2)), r"\(2, 3, 2\)"),
        (np.zeros(5), r"\(5,\)"),
        (np.zeros((1, 2, 3, 3)), r"\(1, 2, 3, 3\)"),
        (np.zeros((0, 3)), "3 x 0"),
        (np.zeros((70_000, 1)), "1 x 70000"),
        (np.array([[0.5, np.nan]]), "nan"),
        (np.array([[0.5, np.inf]]), "inf"),
        (np.array([[-1e-3, 0.5]]), "-0.00"),
        (np.array([[0, 255.5]]), "255.5"),
        (np.array([[0, 256]]), "256"),
        (np.array([[0, -1]]), "-1"),
        (np.array([[0, 40_000]], np.uint16), "40000"),
        (np.ones((2, 2), bool), "bool"),
        (np.ones((2, 2), complex), "complex"),
        (np.array([["a"]]), "U1"),
        (np.array([[None]]), "object"),
    ],
)
def test_impossible_arrays_are_named(array, message):
    with pytest.raises(ImageError, match=message):
        pixels(array, "picture")


def test_a_huge_array_is_refused_before_it_is_copied():
    huge = np.broadcast_to(np.float32(0.5), (30_000, 30_000, 3))
    with pytest.raises(ImageError, match="50 megapixels"):
        pixels(huge)


@pytest.mark.parametrize("source", [None, 3, [1, 2], {}, object(), io.StringIO("text")])
def test_other_objects_are_named(source):
    with pytest.raises(ImageError, match="photo: expected"):
        pixels(source, "photo")


def test_paths_that_are_no_picture(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    cases = {
        tmp_path / "none.png": "no such file",
        tmp_path: "a directory",
        pipe: "a device, pipe or socket",
        "/dev/zero": "a device, pipe or socket",
        "a\0b": "cannot be opened",
        "x" * 5000: "cannot be opened",
        "\ud800": "cannot be opened|no such file",
        "https://example.org/a.png": "web address",
        "~no_such_user_here/a.png": "home folder",
    }
    for source, message in cases.items():
        with pytest.raises(ImageError, match=message):
            pixels(source)


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as stream:
        stream.truncate(101 * 10**6)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"100 MB, got 101\.0 MB"):
            pixels(path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_an_endless_file_is_not_read_to_its_end():
    class Endless(io.RawIOBase):
        def read(self, size=-1):
            assert size > 0
            return bytes(size)

    with pytest.raises(ImageError, match="100 MB"):
        pixels(Endless())


# Kinds of pictures.


def test_16_bit_grey_keeps_its_range():
    values = np.array([[0, 257, 128 * 257, 65535, 300]], np.uint16)
    for data in (encoded(Image.fromarray(values)), Image.fromarray(values)):
        assert pixels(data)[0, :, 0].tolist() == [0, 1, 128, 255, 1]
    wide = Image.fromarray(values.astype(np.int32))
    assert pixels(wide)[0, :, 0].tolist() == [0, 1, 128, 255, 1]
    with pytest.raises(ImageError, match="16-bit"):
        pixels(Image.fromarray(np.array([[-5]], np.int32)))


def test_16_bit_grey_with_a_transparent_value():
    values = np.array([[0, 65535, 300]], np.uint16)
    assert pixels(encoded(Image.fromarray(values), transparency=300))[0, 2, 0] == 255


def test_pictures_of_floats_are_read_as_arrays_of_floats():
    assert pixels(Image.fromarray(np.array([[0, 1]], np.float32)))[0, :, 0].tolist() == [0, 255]


MODES = ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "RGBX")
MODES += ("RGBa", "La", "I;16", "I;16L", "I;16B", "I;16N")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow(mode):
    assert pixels(Image.new(mode, (3, 2))).shape == (2, 3, 3)


def test_grey_with_premultiplied_transparency():
    assert pixels(Image.new("LA", (1, 1), (200, 128)).convert("La"))[0, 0, 0] == 227


@pytest.mark.parametrize("kind", ["O", "c16", "?", "U3", "S3", "M8[s]", "m8[s]", "V4"])
def test_arrays_of_other_types_are_named(kind):
    with pytest.raises(ImageError, match="expected integers 0"):
        pixels(np.zeros((2, 2), kind))


def test_numbers_beyond_floats_are_named():
    with pytest.raises(ImageError, match="got inf"):
        pixels(np.full((2, 2), 1e300))


@pytest.mark.parametrize("path", ["a\0.png", "a\ud800.png", "x" * 5000])
def test_paths_that_cannot_be(path):
    with pytest.raises(ImageError) as caught:
        pixels(path)
    assert str(caught.value).isascii() and len(str(caught.value)) < 400


def test_cmyk():
    image = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    assert pixels(image)[0, 0].tolist() == [255, 0, 0]
    red, green, blue = pixels(encoded(image, "JPEG"))[0, 0].tolist()
    assert red > 240 and max(green, blue) < 15


def test_transparent_parts_stand_on_white():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 0, 51, 255
    expected = [[255, 255, 255], [204, 204, 204], [0, 0, 0]]
    image = Image.fromarray(rgba)
    for source in (image, encoded(image), encoded(image, "WEBP", lossless=True), rgba):
        assert pixels(source)[0].tolist() == expected
    assert pixels(rgba / 255.0)[0].tolist() == expected
    grey = Image.fromarray(rgba[..., 2:])
    assert grey.mode == "LA"
    assert pixels(encoded(grey))[0].tolist() == expected


def test_a_palette_with_transparent_entries():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    assert pixels(encoded(image))[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    one = encoded(image, transparency=1)
    assert pixels(one)[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]
    several = encoded(image, transparency=bytes([255, 0, 0]))
    assert pixels(several)[0].tolist() == [[255, 0, 0], [255, 255, 255], [255, 255, 255]]


def test_one_bit_and_transparent_colours():
    assert pixels(encoded(Image.new("1", (2, 2), 1)))[0, 0].tolist() == [255, 255, 255]
    image = Image.fromarray(noise(2, 2))
    key = tuple(noise(2, 2)[0, 0].tolist())
    assert pixels(encoded(image, transparency=key))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame(file_format):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime", "blue")]
    settings = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **settings)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert (pixels(data) == [255, 0, 0]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "JPEG"])
def test_orientations(orientation, file_format):
    """The stored picture is moved away from upright by numpy, by what the tag says of its rows
    and columns (CIPA DC-008: where the 0th row and column are seen)."""
    upright = np.kron(noise(2, 3), np.ones((16, 16, 1), np.uint8))
    rows_and_columns = upright.swapaxes(0, 1) if orientation > 4 else upright
    stored = {
        1: rows_and_columns,
        2: rows_and_columns[:, ::-1],
        3: rows_and_columns[::-1, ::-1],
        4: rows_and_columns[::-1],
        5: rows_and_columns,
        6: rows_and_columns[::-1],
        7: rows_and_columns[::-1, ::-1],
        8: rows_and_columns[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    data = encoded(
        Image.fromarray(np.ascontiguousarray(stored)),
        file_format,
        exif=exif,
        **settings.get(file_format, {}),
    )
    found = pixels(data).astype(int)
    assert found.shape == upright.shape
    assert np.abs(found - upright).max() <= (4 if file_format == "JPEG" else 0)


@pytest.mark.parametrize("value", [0, 9, 6.5, "6", (6, 6)])
def test_odd_orientations_say_nothing(value):
    image = Image.fromarray(noise())
    image.getexif()[0x0112] = value
    assert np.array_equal(pixels(image), noise())


def test_broken_exif_says_nothing():
    for junk in (b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"):
        assert np.array_equal(pixels(encoded(Image.fromarray(noise()), exif=junk)), noise())


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1)])
def test_extreme_shapes(size):
    given = np.full((*size, 3), 200, np.uint8)
    assert np.array_equal(pixels(encoded(Image.fromarray(given))), given)


# Refused.


@pytest.mark.parametrize("file_format", REFUSED)
def test_other_formats_are_refused_by_name(file_format):
    name = {"JPEG2000": "JPEG 2000"}.get(file_format, file_format)
    with pytest.raises(ImageError, match=f"expected PNG, JPEG, WebP, GIF or BMP, got {name}"):
        pixels(encoded(Image.fromarray(noise()), file_format))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'  <svg onload="alert(1)"></svg>', "SVG"),
        (b"SIMPLE  =                    T" + bytes(2880), "FITS"),
        (b"\0\0\0\x1cftypheic" + bytes(100), "HEIC"),
        (b"\0\0\0\x1cftypavif" + bytes(100), "AVIF"),
        (b"hello", "no image"),
        (bytes(1000), "no image"),
    ],
)
def test_other_files_are_refused_by_name(data, name):
    with pytest.raises(ImageError, match=f"got {name}"):
        pixels(data)


def test_an_opened_picture_of_another_format_is_refused_undecoded():
    image = Image.open(io.BytesIO(encoded(Image.fromarray(noise()), "TIFF")))
    with pytest.raises(ImageError, match=r"TIFF.*convert"):
        pixels(image)
    assert np.array_equal(pixels(image.convert("RGB")), noise())


BOMBS = [
    (10_000, 5_001),
    (20_000, 10_000),
    (9_500, 9_500),
    (60_000, 60_000),
    (2**31 - 1, 2**31 - 1),
]


@pytest.mark.parametrize("size", BOMBS)
def test_bombs_are_refused_from_the_header(size):
    data = png_of_size(*size)
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ImageError, match="megapixels"):
        pixels(data)
    took, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 0.2 * SLOW
    assert peak < 10e6


def test_a_bomb_of_plain_headers_in_every_format():
    gif = b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + b"\x80\0\0" + bytes(6) + b"," + bytes(20)
    bmp = bytearray(encoded(Image.fromarray(noise()), "BMP"))
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    jpeg = bytearray(encoded(Image.fromarray(noise()), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    webp = bytearray(
        encoded(
            Image.fromarray(noise()),
            "WEBP",
            save_all=True,
            append_images=[Image.new("RGB", (18, 12))],
        )
    )
    at = webp.index(b"VP8X")
    webp[at + 12 : at + 18] = (15_999).to_bytes(3, "little") * 2
    for data in (gif, bytes(bmp), bytes(jpeg), bytes(webp)):
        with pytest.raises(ImageError):
            pixels(data)


def test_the_largest_side_is_checked():
    with pytest.raises(ImageError, match="65536 x 2"):
        pixels(png_of_size(65_536, 2))
    with pytest.raises(ImageError):
        pixels(png_of_size(0, 5))


@pytest.mark.parametrize("file_format", FORMATS)
def test_files_that_end_too_early(file_format):
    """Every length: refused, or nothing but a closing mark was missing and all pixels are there."""
    image = Image.fromarray(noise())
    data = encoded(image.quantize(64) if file_format == "GIF" else image, file_format)
    whole, read = pixels(data), 0
    for length in range(len(data)):
        try:
            found = pixels(data[:length])
        except ImageError:
            continue
        assert np.array_equal(found, whole)
        read += 1
    assert read <= 20


def test_a_switch_of_pillow_does_not_let_half_a_picture_pass(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(Image.fromarray(noise(60, 60)), "JPEG")
    with pytest.raises(ImageError, match="broken or ends too early"):
        pixels(data[: len(data) // 2])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize("file_format", FORMATS)
def test_flipped_bytes_end_in_a_picture_or_in_a_named_error(file_format):
    data = encoded(Image.fromarray(noise()), file_format)
    random = np.random.default_rng(3)
    for _ in range(150):
        broken = bytearray(data)
        for place in random.integers(0, len(data), 3):
            broken[place] = random.integers(0, 256)
        try:
            found = pixels(bytes(broken))
        except ImageError as error:
            assert len(str(error)) <= 2000
        else:
            assert found.dtype == np.uint8


def test_threads_read_at_the_same_time():
    data, expected, wrong = encoded(Image.fromarray(noise()), "PNG"), noise(), []

    def read():
        for _ in range(20):
            if not np.array_equal(pixels(data), expected):
                wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
