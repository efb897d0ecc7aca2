"""Transformers' `preprocessor_config.json` and the image converter's arguments, both ways.

Transformers stretches a picture to its size, antialiased and in 8 bits, then computes
`(level * rescale_factor - image_mean) / image_std`. The facts are those of `SiglipImageProcessor`
(PaliGemma) and `Gemma3ImageProcessor`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from workbench.errors import PresetError, SettingError
from workbench.images.converter import ImageConverter
from workbench.kinds import FLAG, NOTHING, NUMBER, one_of
from workbench.storage.json_files import first, shown

FILE = "preprocessor_config.json"
_RESCALE = 1 / 255
_RESAMPLE = {0: "nearest", 1: "lanczos3", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_DEFAULT_RESAMPLE = {"SiglipImageProcessor": 3, "Gemma3ImageProcessor": 2}
_READ = frozenset(
    (
        "do_resize",
        "size",
        "resample",
        "do_rescale",
        "rescale_factor",
        "do_normalize",
        "image_mean",
        "image_std",
        "image_processor_type",
    )
)
# What says nothing about the values of the pixels that the model reads.
_WITHOUT_EFFECT = frozenset(
    (
        "processor_class",
        "image_seq_length",
        "do_convert_rgb",
        "data_format",
        "input_data_format",
        "return_tensors",
        "device",
        "disable_grouping",
        "default_to_square",
        "model_input_names",
        "transformers_version",
        "_valid_processor_keys",
        "pan_and_scan_max_num_crops",
        "pan_and_scan_min_crop_size",
        "pan_and_scan_min_ratio_to_activate",
    )
)


def converter_from_transformers(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `ImageConverter` that prepare pictures as this `preprocessor_config.json`
    has Transformers do.

    Raises:
        PresetError: a key that is not known and neither null nor false, or an impossible value.

    >>> converter_from_transformers({"size": {"height": 224, "width": 224}})["image_size"]
    (224, 224)
    """
    _refuse_unknown(config)
    factor = _number(config, "rescale_factor", _RESCALE) if _does(config, "do_rescale") else 1.0
    mean, deviation = (0.0,) * 3, (1.0,) * 3
    if _does(config, "do_normalize"):
        mean, deviation = _channels(config, "image_mean"), _channels(config, "image_std")
    if not all(deviation):
        raise PresetError.at(FILE, "image_std", "numbers other than 0", shown(deviation))
    return {
        "image_size": _size(config) if _does(config, "do_resize") else None,
        "scale": _joined([factor / d for d in deviation]),
        "offset": _joined([-m / d for m, d in zip(mean, deviation, strict=True)]),
        "crop_to_aspect_ratio": False,
        "pad_to_aspect_ratio": False,
        "interpolation": _interpolation(config),
        "antialias": True,
    }


def transformers_from_converter(
    converter: ImageConverter, image_processor_type: str = "SiglipImageProcessor"
) -> dict[str, Any]:
    """The `preprocessor_config.json` nearest to a converter: the same size, filter and levels.

    Transformers always stretches and always antialiases: a converter that does not prepares
    pictures a little differently, and those of another shape quite differently.

    Raises:
        SettingError: the converter has no `image_size`, a scale of 0, or a filter that
            Transformers lacks.
    """
    if converter.image_size is None:
        raise SettingError("image_size: expected a size to export, got None")
    resample = {name: number for number, name in _RESAMPLE.items()}.get(converter.interpolation)
    if resample is None:
        names = ", ".join(_RESAMPLE.values())
        raise SettingError(f"interpolation: expected {names}, got {converter.interpolation}")
    scale, offset = _three(converter.scale, 1.0), _three(converter.offset, 0.0)
    if not all(scale):
        raise SettingError(f"scale: expected numbers other than 0 to export, got {scale}")
    height, width = converter.image_size
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [-o * _RESCALE / s for o, s in zip(offset, scale, strict=True)],
        "image_processor_type": image_processor_type,
        "image_std": [_RESCALE / s for s in scale],
        "resample": resample,
        "rescale_factor": _RESCALE,
        "size": {"height": height, "width": width},
    }


def _refuse_unknown(config: Mapping[str, Any]) -> None:
    unknown = config.keys() - _READ - _WITHOUT_EFFECT
    problems = [f"{key}: {shown(config[key])}" for key in sorted(unknown) if config[key]]
    if problems:
        raise PresetError(f"{FILE}: keys whose effect is not known:\n{first(problems)}")


def _does(config: Mapping[str, Any], key: str) -> bool:
    """Whether a step is taken; all three are unless the file says otherwise."""
    value = config.get(key)
    (FLAG | NOTHING).check(f"{FILE}: {key}", value, PresetError)
    return value is not False


def _interpolation(config: Mapping[str, Any]) -> str:
    kind = config.get("image_processor_type") or "SiglipImageProcessor"
    kind = kind.removesuffix("Fast").removesuffix("Pil") if isinstance(kind, str) else kind
    if kind not in tuple(_DEFAULT_RESAMPLE):
        expected = " or ".join(_DEFAULT_RESAMPLE)
        raise PresetError.at(FILE, "image_processor_type", expected, shown(kind))
    resample = config.get("resample")
    resample = _DEFAULT_RESAMPLE[kind] if resample is None else resample
    one_of(*_RESAMPLE).check(f"{FILE}: resample", resample, PresetError)
    return _RESAMPLE[resample]


def _size(config: Mapping[str, Any]) -> tuple[int, int]:
    size = config.get("size")
    if not isinstance(size, dict) or size.keys() != {"height", "width"}:
        raise PresetError.at(FILE, "size", "height and width", shown(size))
    try:
        return ImageConverter((size["height"], size["width"])).image_size
    except SettingError as error:
        raise PresetError(f"{FILE}: size: {error}") from None


def _number(config: Mapping[str, Any], key: str, default: float) -> float:
    value = config.get(key)
    value = default if value is None else value
    NUMBER.check(f"{FILE}: {key}", value, PresetError)
    return float(value)


def _channels(config: Mapping[str, Any], key: str) -> tuple[float, float, float]:
    """One number per channel; a half is the default of both processors."""
    value = config.get(key)
    if not isinstance(value, list | tuple):
        return (_number(config, key, 0.5),) * 3
    if len(value) != 3:
        raise PresetError.at(FILE, key, "three numbers", shown(value))
    return tuple(_number({key: item}, key, math.nan) for item in value)


def _joined(values: list[float]) -> float | list[float]:
    return values[0] if len(set(values)) == 1 else values


def _three(value: float | tuple[float, ...] | None, default: float) -> tuple[float, ...]:
    value = default if value is None else value
    return value if isinstance(value, tuple) else (value,) * 3
