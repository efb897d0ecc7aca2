"""Pictures come out of the image converter as KerasHub's and Transformers' prepare them."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from patience import SLOW
from PIL import Image

from workbench.errors import ImageError, PresetError, SettingError
from workbench.images import (
    ImageConverter,
    converter_from_transformers,
    transformers_from_converter,
)

DATA = Path(__file__).parent.parent / "data" / "images"
with np.load(DATA / "converters.npz") as saved:
    STORED = {name: saved[name] for name in saved.files}
with np.load(DATA / "goldens.npz") as saved:
    GOLDENS = {name: saved[name] for name in saved.files}
CASES = json.loads(str(STORED["cases"]))
FAMILIES = ("pali_gemma", "pali_gemma2", "gemma3_vision", "parseq")
PICTURES = ("wide", "tall", "small")


def picture(name):
    return STORED[f"picture_{name}"]


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("family", FAMILIES)
def test_goldens_of_families(family):
    saved = json.loads(str(GOLDENS[f"{family}/config"]))
    converter = ImageConverter.from_config(saved["config"])
    found = converter(GOLDENS[f"{family}/raw"])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, GOLDENS[f"{family}/in"], atol=1e-5)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_as_keras_hub(case):
    arguments = dict(CASES[case])
    given = picture(arguments.pop("picture")).astype(arguments.pop("dtype"))
    found, expected = ImageConverter(**arguments)(given), STORED[f"case_{case}"].astype(np.float32)
    stretched = not (arguments["crop_to_aspect_ratio"] or arguments["pad_to_aspect_ratio"])
    if given.dtype == np.float32:
        np.testing.assert_allclose(found, expected, atol=2e-3)  # of 255
    elif arguments["antialias"] and stretched and arguments["interpolation"] != "nearest":
        assert np.abs(found - expected).mean() < 1  # Pillow's rounding: see the test below
    else:
        # 8-bit levels: equal but where a sum in float32 falls on either side of a half.
        assert np.abs(found - expected).max() <= 1
        assert (found != expected).mean() < 0.05


def test_scale_and_offset_per_channel():
    converter = ImageConverter((6, 9), [1 / 128, 1 / 100, 1 / 64], [-1.0, -0.5, 0.25])
    found = converter(picture("wide").astype("float32"))
    np.testing.assert_allclose(found, STORED["channels"], atol=1e-5)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("kind", ["siglip", "gemma3"])
def test_as_transformers(kind, name):
    config = json.loads(str(STORED[f"{kind}_config"]))
    found = ImageConverter(**converter_from_transformers(config))(picture(name))
    np.testing.assert_allclose(found, STORED[f"{kind}_{name}"], atol=1e-6)


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos3"])
def test_antialiased_and_stretched_is_pillow(name):
    filters = {"bilinear": "BILINEAR", "bicubic": "BICUBIC", "lanczos3": "LANCZOS"}
    given = noise(31, 47)
    by_pillow = Image.fromarray(given).resize((12, 10), Image.Resampling[filters[name]])
    converter = ImageConverter(
        (10, 12), interpolation=name, antialias=True, crop_to_aspect_ratio=False
    )
    assert np.array_equal(converter(given), np.asarray(by_pillow, np.float32))


def test_an_enlarged_ramp_by_hand():
    ramp = np.repeat(np.array([[0.0, 100.0]], np.float32)[..., None], 3, axis=2)
    converter = ImageConverter((1, 4), crop_to_aspect_ratio=False)
    assert converter(ramp)[0, :, 0].tolist() == [0, 25, 75, 100]


def test_a_batch_of_unequal_pictures_is_each_alone():
    converter = ImageConverter((8, 8), 1 / 127.5, -1)
    pictures = [noise(20, 30, 1), Image.fromarray(noise(9, 5, 2)), noise(1, 40, 3)]
    together = converter(pictures)
    assert together.shape == (3, 8, 8, 3)
    for alone, row in zip(pictures, together, strict=True):
        assert np.array_equal(converter(alone), row)


def test_an_array_of_pictures_decides_once_what_floats_mean():
    dark, bright = np.full((4, 4, 3), 1.0), np.full((4, 4, 3), 200.0)
    converter = ImageConverter((2, 2))
    assert converter(np.stack([dark, bright]))[:, 0, 0, 0].tolist() == [1, 200]
    assert converter([dark, bright])[:, 0, 0, 0].tolist() == [255, 200]
    assert converter(np.stack([dark, dark / 2]))[:, 0, 0, 0].tolist() == [255, 127.5]


def test_grey_and_transparent_arrays_of_pictures():
    converter = ImageConverter(None)
    assert converter(np.full((2, 3, 4, 1), 7, np.uint8)).shape == (2, 3, 4, 3)
    clear = np.zeros((1, 2, 2, 4), np.uint8)
    assert converter(clear).tolist() == np.full((1, 2, 2, 3), 255.0).tolist()


def test_without_a_size_pictures_keep_theirs():
    converter = ImageConverter(scale=2.0)
    given = noise(3, 5)
    assert np.array_equal(converter(given), given * np.float32(2))
    with pytest.raises(ImageError, match=r"one size.*\(3, 5\), \(4, 5\)"):
        converter([given, noise(4, 5)])


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (2, 3)])
@pytest.mark.parametrize("shape", ["crop", "pad", "stretch"])
def test_extreme_pictures(size, shape):
    crop, pad = shape == "crop", shape == "pad"
    for name in ("nearest", "bilinear", "bicubic", "lanczos5"):
        for antialias in (False, True):
            converter = ImageConverter((7, 5), None, None, crop, pad, name, antialias)
            found = converter(np.full((*size, 3), 90, np.uint8))
            assert found.shape == (7, 5, 3)
            assert pad or (found.min() == found.max() == 90)


def test_padding_a_strip_takes_no_memory():
    strip = np.full((1, 10_000, 3), 90, np.uint8)
    tracemalloc.start()
    found = ImageConverter((9, 9), None, None, False, True, antialias=True)(strip)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # its square would be 300 MB
    assert found.sum() == 0  # a row of one in ten thousand is no level


def test_the_window_is_what_the_model_sees():
    whole = (0.0, 0.0, 1.0, 1.0)
    assert ImageConverter((8, 8)).window(10, 30) == (0, 1 / 3, 1, 2 / 3)
    assert ImageConverter((8, 8), crop_to_aspect_ratio=False).window(10, 30) == whole
    assert ImageConverter().window(10, 30) == whole
    padded = ImageConverter((8, 8), crop_to_aspect_ratio=False, pad_to_aspect_ratio=True)
    assert padded.window(10, 30) == (-1, 0, 2, 1)


def test_config_round_trip():
    converter = ImageConverter((4, 6), [1.0, 2.0, 3.0], -1, False, True, "bicubic", True, "xywh")
    again = ImageConverter.from_config(json.loads(json.dumps(converter.get_config())))
    assert again.get_config() == converter.get_config()
    assert repr(again) == repr(converter)


def test_config_of_keras_hubs_first_presets():
    old = {"height": 4, "width": 6, "scale": 1 / 255, "mean": [0.5] * 3, "variance": [0.25] * 3}
    converter = ImageConverter.from_config(old)
    assert converter.image_size == (4, 6)
    np.testing.assert_allclose(converter(np.full((4, 6, 3), 255, np.uint8)), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", 224),
        ("image_size", (0, 4)),
        ("image_size", (4, 4, 3)),
        ("image_size", (4.0, 4)),
        ("image_size", (True, 4)),
        ("image_size", (2**40, 4)),
        ("scale", "1"),
        ("scale", float("nan")),
        ("scale", [1, 2]),
        ("offset", [1, 2, float("inf")]),
        ("crop_to_aspect_ratio", 1),
        ("pad_to_aspect_ratio", True),
        ("interpolation", "area"),
        ("interpolation", ["bilinear"]),
        ("antialias", None),
        ("bounding_box_format", "boxes"),
        ("data_format", "channels_first"),
    ],
)
def test_impossible_settings_are_named(key, value):
    with pytest.raises(SettingError, match=key):
        ImageConverter(**{"image_size": (4, 4), key: value})


def test_unknown_keys_of_a_config_are_named():
    with pytest.raises(SettingError, match="fill_mode"):
        ImageConverter.from_config({"image_size": [4, 4], "fill_mode": "wrap"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("height", None),
        ("width", "4"),
        ("mean", 0.5),
        ("mean", None),
        ("variance", [1, 0, 1]),
        ("variance", ["1", 1, 1]),
        ("scale", None),
    ],
)
def test_impossible_values_of_first_presets_are_named(key, value):
    old = {"height": 4, "width": 6, "scale": 1 / 255, "mean": [0.5] * 3, "variance": [0.25] * 3}
    name = "image_size" if key in ("height", "width") else key
    with pytest.raises(SettingError, match=name):
        ImageConverter(**(old | {key: value}))


def test_the_converter_of_a_preset():
    folder = DATA.parent / "goldens" / "keras_hub"
    converter = ImageConverter.from_preset(folder / "pali_gemma")
    assert type(converter).__name__ == "PaliGemmaImageConverter"
    assert converter.image_size == (16, 16)
    with pytest.raises(PresetError, match=r"image_converter: expected ImageConverter, got none"):
        ImageConverter.from_preset(folder / "gpt2")


@pytest.mark.parametrize("images", [[], (), np.zeros((0, 4, 4, 3), np.uint8)])
def test_no_pictures_is_an_error(images):
    with pytest.raises(ImageError, match="at least one"):
        ImageConverter((2, 2))(images)


def test_the_broken_picture_of_a_list_is_named():
    with pytest.raises(ImageError, match="image 1"):
        ImageConverter((2, 2))([noise(3, 3), b"no picture"])
    with pytest.raises(ImageError, match="shape"):
        ImageConverter((2, 2))(np.zeros((1, 4, 4, 2), np.uint8))


def test_a_photograph_is_quick_and_every_size_is():
    converter = ImageConverter((224, 224), 1 / 127.5, -1)
    photograph = noise(1500, 2000)
    took = []
    for cut in range(4):
        start = time.process_time()
        converter(photograph[cut * 7 :, cut * 5 :])
        took.append(time.process_time() - start)
    assert min(took[1:]) < 0.1 * SLOW


PALIGEMMA = {  # google/paligemma-3b-pt-224
    "do_convert_rgb": None,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "SiglipImageProcessor",
    "image_seq_length": 256,
    "image_std": [0.5, 0.5, 0.5],
    "processor_class": "PaliGemmaProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 224, "width": 224},
}
GEMMA3 = PALIGEMMA | {
    "do_pan_and_scan": None,
    "pan_and_scan_max_num_crops": None,
    "image_processor_type": "Gemma3ImageProcessorFast",
    "resample": 2,
    "size": {"height": 896, "width": 896},
}


def test_arguments_from_transformers():
    found = converter_from_transformers(PALIGEMMA)
    assert found == {
        "image_size": (224, 224),
        "scale": pytest.approx(1 / 127.5),
        "offset": -1.0,
        "crop_to_aspect_ratio": False,
        "pad_to_aspect_ratio": False,
        "interpolation": "bicubic",
        "antialias": True,
    }
    found = converter_from_transformers(GEMMA3)
    assert (found["interpolation"], found["image_size"]) == ("bilinear", (896, 896))


@pytest.mark.parametrize("config", [PALIGEMMA, GEMMA3])
def test_transformers_config_round_trip(config):
    arguments = converter_from_transformers(config)
    exported = transformers_from_converter(ImageConverter(**arguments))
    for key, value in exported.items():
        if key not in ("do_convert_rgb", "image_processor_type"):
            assert value == (pytest.approx(config[key]) if "image" in key else config[key])
    assert converter_from_transformers(exported)["scale"] == pytest.approx(arguments["scale"])


def test_steps_that_transformers_leaves_out():
    off = {"do_resize": False, "do_rescale": False, "do_normalize": False}
    found = converter_from_transformers(off)
    assert (found["image_size"], found["scale"], found["offset"]) == (None, 1.0, 0.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("do_center_crop", True),
        ("do_pan_and_scan", True),
        ("auto_map", {"AutoImageProcessor": "code.Processor"}),
        ("size", {"shortest_edge": 224}),
        ("size", 224),
        ("size", {"height": -1, "width": 2}),
        ("resample", 4),
        ("resample", [3]),
        ("rescale_factor", "1/255"),
        ("image_std", [0.5, 0, 0.5]),
        ("image_mean", [0.5, None]),
        ("do_resize", "yes"),
        ("image_processor_type", "CLIPImageProcessor"),
        ("image_processor_type", []),
    ],
)
def test_what_transformers_does_otherwise_is_refused_by_name(key, value):
    if value == []:
        value = ["SiglipImageProcessor"]
    with pytest.raises(PresetError, match=key):
        converter_from_transformers(PALIGEMMA | {key: value})


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, "image_size"),
        ({"image_size": (2, 2), "interpolation": "lanczos5"}, "interpolation"),
        ({"image_size": (2, 2), "scale": 0.0}, "scale"),
    ],
)
def test_what_transformers_cannot_do_is_not_exported(arguments, name):
    with pytest.raises(SettingError, match=name):
        transformers_from_converter(ImageConverter(**arguments))
