"""PaliGemma's mask codes through the decoder, against a slow decoder written for this test."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from workbench.errors import ImageError, PresetError, SettingError
from workbench.images import MaskDecoder, load_mask_decoder, polygons, read_answer
from workbench.images.masks import mask_decoder_shapes
from workbench.images.npz import read_npz

CODES = tuple(range(0, 128, 8))
TEXT = "<loc0256><loc0128><loc0768><loc0512>" + "".join(f"<seg{c:03d}>" for c in CODES) + " cat"


@pytest.fixture(scope="module")
def weights():
    """Random weights of the real shapes, scaled so that values keep their size from layer to layer;
    of the last ones half are above 0."""
    random = np.random.default_rng(0)

    def make(shape):
        fan_in = max(int(np.prod(shape)) / max(shape[0], shape[1]), 1) if len(shape) > 1 else 25
        return (random.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)

    made = {name: make(shape) for name, shape in mask_decoder_shapes().items()}
    made["decoder.12.bias"] -= np.float32(np.median(slow_decoder(made, CODES)))
    return made


@pytest.fixture(scope="module")
def decoder(weights):
    return MaskDecoder(weights)


@pytest.fixture(scope="module")
def saved(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("masks") / "vae-oid.npz"
    np.savez(path, **weights, unused=np.zeros(3))
    return path


def convolve(x, kernel, bias):
    """x (rows, columns, inputs), kernel (outputs, inputs, k, k): the same rows and columns."""
    reach = kernel.shape[2] // 2
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
    y = np.zeros((*x.shape[:2], kernel.shape[0])) + bias
    for row in range(kernel.shape[2]):
        for column in range(kernel.shape[3]):
            part = padded[row : row + x.shape[0], column : column + x.shape[1]]
            y += part @ kernel[:, :, row, column].T
    return y


def double(x, kernel, bias):
    """Each input is written 4 x 4 times into the output, two apart, and a margin of one is cut
    off: kernel (inputs, outputs, 4, 4)."""
    rows, columns = x.shape[:2]
    y = np.zeros((2 * rows + 2, 2 * columns + 2, kernel.shape[1]))
    for row in range(rows):
        for column in range(columns):
            stamp = np.einsum("i,iokl->klo", x[row, column], kernel)
            y[2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += stamp
    return y[1:-1, 1:-1] + bias


def slow_decoder(weights, codes):
    def arrays(name):
        return weights[f"{name}.weight"].astype(float), weights[f"{name}.bias"].astype(float)

    def relu(x):
        return np.maximum(x, 0)

    x = weights["_vq_vae._embedding"][list(codes)].astype(float).reshape(4, 4, 512)
    x = relu(convolve(x, *arrays("decoder.0")))
    for block in ("decoder.2.net", "decoder.3.net"):
        y = relu(convolve(x, *arrays(f"{block}.0")))
        y = relu(convolve(y, *arrays(f"{block}.2")))
        x = x + convolve(y, *arrays(f"{block}.4"))
    for layer in (4, 6, 8, 10):
        x = relu(double(x, *arrays(f"decoder.{layer}")))
    return convolve(x, *arrays("decoder.12"))[..., 0]


@pytest.mark.parametrize("codes", [CODES, (127,) * 16, tuple(reversed(range(16)))])
def test_decoder_against_the_slow_one(decoder, weights, codes):
    expected = slow_decoder(weights, codes)
    found = decoder.values(codes)
    assert found.shape == (64, 64) and found.dtype == np.float32
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_weights_from_a_file(decoder, saved):
    assert np.array_equal(load_mask_decoder(saved).values(CODES), decoder.values(CODES))
    assert np.array_equal(load_mask_decoder(str(saved)).values(CODES), decoder.values(CODES))


def test_other_layouts_of_the_same_numbers(weights, decoder, tmp_path):
    path = tmp_path / "other.npz"
    other = {name: np.asfortranarray(values.astype(">f8")) for name, values in weights.items()}
    np.savez(path, **other)
    assert np.array_equal(load_mask_decoder(path).values(CODES), decoder.values(CODES))


def test_a_mask_fills_its_box_and_nothing_else(decoder):
    region = read_answer(TEXT).regions[0]
    mask = region.mask(decoder, 200, 300)
    assert (mask.shape, mask.dtype) == ((200, 300), bool)
    top, left, bottom, right = region.pixels(200, 300)
    values = Image.fromarray(decoder.values(CODES))
    enlarged = values.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    inside = mask[top:bottom, left:right]
    assert np.array_equal(inside, np.asarray(enlarged) > 0)
    assert inside.any() and not inside.all()
    assert mask.sum() == inside.sum()


def test_a_box_of_64_pixels_is_the_decoders_values(decoder):
    mask = decoder.mask(CODES, (3, 5, 67, 69), 80, 90)
    assert np.array_equal(mask[3:67, 5:69], decoder.values(CODES) > 0)


@pytest.mark.parametrize("box", [(-32, 0, 32, 64), (0, -10, 64, 54), (16, 40, 80, 104)])
def test_a_box_beyond_the_picture_is_cut_off(decoder, box):
    whole = np.zeros((200, 200), bool)
    whole[box[0] + 100 : box[2] + 100, box[1] + 50 : box[3] + 50] = decoder.values(CODES) > 0
    assert np.array_equal(decoder.mask(CODES, box, 50, 60), whole[100:150, 50:110])


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 5, 9, 5), (70, 0, 90, 20), (0, -9, 9, 0)])
def test_a_box_without_area_or_outside_has_no_pixels(decoder, box):
    assert not decoder.mask(CODES, box, 50, 60).any()


def test_a_region_without_codes_has_no_mask(decoder):
    region = read_answer("<loc0256><loc0128><loc0768><loc0512> cat").regions[0]
    with pytest.raises(ImageError, match=r"'cat'.*no mask codes"):
        region.mask(decoder, 10, 10)


@pytest.mark.parametrize(
    "codes", [(), (1,) * 15, (1,) * 17, (128,) * 16, (-1,) * 16, (1.0,) * 16, ("1",) * 16]
)
def test_impossible_codes_are_named(decoder, codes):
    with pytest.raises(SettingError, match="16 integers"):
        decoder.values(codes)


def test_a_mask_for_a_huge_picture_is_refused(decoder):
    with pytest.raises(ImageError, match="megapixels"):
        decoder.mask(CODES, (0, 0, 9, 9), 60_000, 60_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.4.weight": np.zeros((128, 64, 4, 4), np.float32)}, r"128, 64, 4, 4"),
        ({"decoder.0.bias": np.zeros(128, np.int32)}, "int32"),
        ({"decoder.12.bias": None}, "missing|none"),
        ({"_vq_vae._embedding": np.full((128, 512), np.nan, np.float32)}, "NaN"),
    ],
)
def test_weights_that_do_not_fit_are_named(weights, change, message, tmp_path):
    changed = {name: v for name, v in (weights | change).items() if v is not None}
    pattern = rf"{re.escape(next(iter(change)))}.*({message})"
    with pytest.raises(PresetError, match=pattern):
        MaskDecoder(changed)
    np.savez(tmp_path / "weights.npz", **changed)
    with pytest.raises(PresetError, match=pattern):
        load_mask_decoder(tmp_path / "weights.npz")


def test_pickles_are_never_read(weights, tmp_path):
    path = tmp_path / "pickle.npz"
    objects = np.array([print] * 128, object)
    np.savez(path, **(weights | {"decoder.0.bias": objects}))
    with pytest.raises(PresetError, match=r"decoder\.0\.bias.*object"):
        load_mask_decoder(path)


def test_a_huge_shape_is_refused_before_it_is_read(tmp_path):
    header = io.BytesIO()
    facts = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**20)}
    np.lib.format.write_array_header_1_0(header, facts)
    path = tmp_path / "huge.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("bias.npy", header.getvalue())
    with pytest.raises(PresetError, match=r"bias: expected .*1099511627776"):
        read_npz(path, {"bias": (3,)})


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bias.npy", bytes(50 * 10**6))
    tracemalloc.start()
    with pytest.raises(PresetError, match="bomb"):
        read_npz(path, {"bias": (3,)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_broken_archives_are_named(tmp_path):
    path = tmp_path / "broken.npz"
    np.savez(path, bias=np.arange(3, dtype=np.float32))
    whole = path.read_bytes()
    cases = [whole[:length] for length in range(len(whole))]
    for place in range(len(whole)):
        for bit in (0x01, 0x80):
            broken = bytearray(whole)
            broken[place] ^= bit
            cases.append(bytes(broken))
    read = 0
    for data in cases:
        path.write_bytes(data)
        try:
            found = read_npz(path, {"bias": (3,)})["bias"]
        except PresetError:
            continue
        # What is read in spite of the damage is what was written: the archive has checksums.
        assert found.tolist() == [0, 1, 2]
        read += 1
    assert read < len(cases) / 4


def test_files_that_are_no_archive_are_named(tmp_path):
    with pytest.raises(PresetError, match="no such file"):
        load_mask_decoder(tmp_path / "none.npz")
    with pytest.raises(PresetError, match="regular file"):
        load_mask_decoder(tmp_path)
    large = tmp_path / "large.npz"
    with large.open("wb") as file:
        file.truncate(201 * 10**6)
    with pytest.raises(PresetError, match="file size"):
        load_mask_decoder(large)
    many = tmp_path / "many.npz"
    many.write_bytes(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 5000, 5000, 0, 0, 0))
    with pytest.raises(PresetError, match="members"):
        load_mask_decoder(many)


# Outlines.


def area(line):
    x, y = line[:-1].T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_the_outline_of_a_rectangle():
    mask = np.zeros((20, 30), bool)
    mask[5:10, 8:20] = True
    (line,) = polygons(mask)
    assert line[0].tolist() == line[-1].tolist()
    assert (line.min(axis=0).tolist(), line.max(axis=0).tolist()) == ([8, 5], [20, 10])
    assert area(line) == pytest.approx(60, abs=0.5)  # its corners are cut by an eighth of a pixel


def test_outlines_of_islands_holes_and_edges():
    mask = np.ones((9, 9), bool)
    mask[3:6, 3:6] = False
    outer, hole = sorted(polygons(mask), key=area, reverse=True)
    assert area(outer) == pytest.approx(81, abs=0.5)
    assert area(hole) == pytest.approx(9, abs=0.5)
    assert len(polygons(np.array([[1, 0, 1]]))) == 2
    assert polygons(np.zeros((4, 4), bool)) == []


@pytest.mark.parametrize("shape", [(3,), (2, 2, 1), (0, 3), (60_000, 60_000)])
def test_impossible_masks_are_named(shape):
    mask = np.broadcast_to(np.zeros((), bool), shape)
    with pytest.raises(ImageError, match="mask"):
        polygons(mask)
