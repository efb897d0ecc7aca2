"""The image converter of a preset: pictures of any size as the arrays an image tower reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from workbench import ports
from workbench.errors import ImageError, SettingError, shown
from workbench.images.decoding import check_size
from workbench.images.reading import ImageSource, batch_levels, levels
from workbench.images.resizing import (
    INTERPOLATIONS,
    crop_box,
    pad_margins,
    resize,
    resize_as_pillow,
)
from workbench.kinds import FLAG, NUMBER, integer

BOX_FORMATS = ("xyxy", "rel_xyxy", "xywh", "center_xywh", "yxyx", "rel_yxyx")
MAX_SIDE = 8192
_IGNORED = ("name", "trainable", "dtype")  # of a Keras layer; a converter has no weights

Channels = float | Sequence[float] | None


class ImageConverter:
    """Resizes pictures to `image_size` and maps levels 0..255 to `level * scale + offset`.

    Arguments as KerasHub's `ImageConverter`; pictures become float32, channels last.

    Args:
        image_size: (height, width) in pixels, or None to keep each picture's size.
        scale: a number, one per channel, or None for 1.
        offset: a number, one per channel, or None for 0.
        crop_to_aspect_ratio: cut what does not fit the shape of `image_size` off the two long
            sides; else, and without `pad_to_aspect_ratio`, the picture is stretched.
        pad_to_aspect_ratio: put black bars at the two long sides instead.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: average over the pixels that fall together when a picture shrinks. With
            `crop_to_aspect_ratio=False` 8-bit pictures are then resized by Pillow, exactly as
            Transformers prepares them.
        bounding_box_format: kept for the preset's file; the converter takes no boxes.
        data_format: "channels_last" or None.
        first_names: `height` and `width`, `mean` and `variance` (with `scale`), as KerasHub's
            first presets name the size and the statistics of the channels.

    Raises:
        SettingError: an impossible value, or an argument of another name.

    Example, a picture of 30 x 40 for a tower that reads 16 x 16:

        converter = ImageConverter((16, 16), scale=1 / 127.5, offset=-1)
        converter(np.zeros((30, 40, 3), "uint8")).shape  # (16, 16, 3)
    """

    def __init__(
        self,
        image_size: Sequence[int] | None = None,
        scale: Channels = None,
        offset: Channels = None,
        crop_to_aspect_ratio: bool = True,
        pad_to_aspect_ratio: bool = False,
        interpolation: str = "bilinear",
        antialias: bool = False,
        bounding_box_format: str = "yxyx",
        data_format: str | None = None,
        **first_names: Any,
    ) -> None:
        if first_names:
            image_size, scale, offset = _from_first_presets(first_names, image_size, scale, offset)
        self.image_size = _size(image_size)
        self.scale = _channels("scale", scale)
        self.offset = _channels("offset", offset)
        self.crop_to_aspect_ratio = _switch("crop_to_aspect_ratio", crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = _switch("pad_to_aspect_ratio", pad_to_aspect_ratio)
        self.interpolation = _choice("interpolation", interpolation, INTERPOLATIONS)
        self.antialias = _switch("antialias", antialias)
        self.bounding_box_format = _choice("bounding_box_format", bounding_box_format, BOX_FORMATS)
        self.data_format = _choice("data_format", data_format, ("channels_last", None))
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise SettingError(
                "crop_to_aspect_ratio, pad_to_aspect_ratio: expected at most one, got both"
            )

    def __call__(self, images: ImageSource | Sequence[ImageSource]) -> np.ndarray:
        """One picture as float32 (height, width, 3); a list of them, or an array of the shape
        (batch, height, width, channels), as (batch, height, width, 3).

        What a picture can be says `open_image`. Whether floats are fractions or levels is decided
        once for an array of several pictures.

        Raises:
            ImageError: a picture cannot be read, there is none, or without an `image_size` they
                differ in size.
        """
        if isinstance(images, list | tuple):
            return self._batch([levels(image, f"image {i}") for i, image in enumerate(images)])
        if isinstance(images, np.ndarray | jax.Array) and images.ndim == 4:
            return self._batch(list(batch_levels(images)))
        return self._convert(levels(images))

    def window(self, height: int, width: int) -> tuple[float, float, float, float]:
        """The part of a picture of `height` x `width` pixels that the model sees: (y0, x0, y1, x1)
        as fractions of the picture. Within 0..1 when cropped; beyond it when padded.

        Boxes in a model's answer are fractions of this part: `Answer.within` places them.
        """
        check_size((width, height), "window")
        top, left, rows, columns = self._box(height, width)
        return top / height, left / width, (top + rows) / height, (left + columns) / width

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as KerasHub writes them to `image_converter.json`."""
        return {
            "image_size": None if self.image_size is None else list(self.image_size),
            "scale": _plain(self.scale),
            "offset": _plain(self.offset),
            "interpolation": self.interpolation,
            "antialias": self.antialias,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "bounding_box_format": self.bounding_box_format,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A converter of `get_config()`, or of what KerasHub wrote. Raises as the constructor."""
        return cls(**{key: item for key, item in config.items() if key not in _IGNORED})

    @classmethod
    def from_preset(cls, preset: str | Path) -> Self:
        """The image converter of a preset, named as for a task's `from_preset`.

        Raises:
            PresetError: there is no such preset, or it has no image converter of this class.
        """
        return ports.store().load_image_converter(preset, cls)

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({values})"

    def _batch(self, pictures: list[np.ndarray]) -> np.ndarray:
        if not pictures:
            raise ImageError("images: expected at least one picture, got none")
        sizes = sorted({picture.shape[:2] for picture in pictures})
        if self.image_size is None and len(sizes) > 1:
            raise ImageError(
                f"images: without an image_size, expected pictures of one size, got {sizes[:20]}"
            )
        return np.stack([self._convert(picture) for picture in pictures])

    def _stretches(self) -> bool:
        return not (self.crop_to_aspect_ratio or self.pad_to_aspect_ratio)

    def _resized(self, picture: np.ndarray) -> np.ndarray:
        size = self.image_size or picture.shape[:2]
        if self.antialias and self._stretches():
            return resize_as_pillow(picture, size, self.interpolation)
        top, left, height, width = self._box(*picture.shape[:2])
        inside = picture[max(top, 0) : top + height, max(left, 0) : left + width]
        margins = max(-top, 0), max(-left, 0)
        return resize(inside, size, self.interpolation, self.antialias, margins)

    def _box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """What becomes the whole output: top, left, height, width, beyond the picture if padded."""
        if self.image_size is None or self._stretches():
            return 0, 0, height, width
        if self.crop_to_aspect_ratio:
            return crop_box(height, width, self.image_size)
        above, beside = pad_margins(height, width, self.image_size)
        return -above, -beside, height + 2 * above, width + 2 * beside

    def _convert(self, picture: np.ndarray) -> np.ndarray:
        values = self._resized(picture)
        if self.scale is not None:
            values = values * np.asarray(self.scale, np.float32)
        if self.offset is not None:
            values = values + np.asarray(self.offset, np.float32)
        return values


def _size(value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = tuple(value) if isinstance(value, list | tuple) else ()
    if len(sides) != 2 or not all(map(integer(1, MAX_SIDE).fits, sides)):
        expected = f"(height, width), each an integer 1..{MAX_SIDE}, or None"
        raise SettingError(f"image_size: expected {expected}, got {shown(value)}")
    return int(sides[0]), int(sides[1])


def _channels(name: str, value: object) -> float | tuple[float, float, float] | None:
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple) and len(value) == 3:
        return tuple(_number(name, item) for item in value)
    return _number(name, value)


def _number(name: str, value: object) -> float:
    if not NUMBER.fits(value):
        raise SettingError(f"{name}: expected a number, three, or None, got {shown(value)}")
    return float(value)


def _switch(name: str, value: object) -> bool:
    FLAG.check(name, value)
    return bool(value)


def _choice(name: str, value: object, choices: tuple[str | None, ...]) -> str | None:
    if (value is not None and not isinstance(value, str)) or value not in choices:
        raise SettingError(f"{name}: expected one of {choices}, got {shown(value)}")
    return value


def _plain(value: float | tuple[float, ...] | None) -> float | list[float] | None:
    return list(value) if isinstance(value, tuple) else value


def _from_first_presets(
    names: dict[str, Any], image_size: object, scale: object, offset: object
) -> tuple[Any, Any, Any]:
    """Size, scale and offset where KerasHub's first names of them are given too."""
    if not names.keys() <= {"height", "width", "mean", "variance"}:
        raise SettingError(f"ImageConverter: unknown arguments {sorted(names)!r:.200}")
    if "height" in names or "width" in names:
        image_size = (names.get("height"), names.get("width"))
    if "mean" in names or "variance" in names:
        means = _three_numbers("mean", names.get("mean"))
        deviations = [math.sqrt(v) for v in _three_numbers("variance", names.get("variance"), True)]
        scale = [_number("scale", scale) / deviation for deviation in deviations]
        offset = [-m / d for m, d in zip(means, deviations, strict=True)]
    return image_size, scale, offset


def _three_numbers(name: str, values: object, positive: bool = False) -> list[float]:
    found = _channels(name, values)
    if not isinstance(found, tuple) or (positive and min(found) <= 0):
        expected = "three numbers above 0" if positive else "three numbers"
        raise SettingError(f"{name}: expected {expected}, got {shown(values)}")
    return list(found)
