"""The image converter of a preset: turns images of any size into an image encoder's input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

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
Choice = TypeVar("Choice", str, str | None)


class ImageConverter:
    """Resizes images to `image_size` and maps levels 0..255 to `level * scale + offset`.

    The arguments are those of KerasHub's `ImageConverter`. The result is float32, channels last.

    Args:
        image_size: (height, width) in pixels, or None to keep each image's size.
        scale: a number, one per channel, or None for 1.
        offset: a number, one per channel, or None for 0.
        crop_to_aspect_ratio: crop an image to the aspect ratio of `image_size`. Without this and
            `pad_to_aspect_ratio`, the image is stretched.
        pad_to_aspect_ratio: pad the image with black bars instead.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: low-pass filter an image when it shrinks. With `crop_to_aspect_ratio=False`
            Pillow then resizes 8-bit images, exactly as in Transformers.
        bounding_box_format: kept for the preset's file; the converter takes no boxes.
        data_format: "channels_last" or None.
        old_names: `height` and `width`, `mean` and `variance` (with `scale`): the names in
            KerasHub's first presets for the size and the statistics of the channels.

    Raises:
        SettingError: a value is out of range, or an argument is unknown.

    Example, an image of 30 x 40 for an encoder that reads 16 x 16:

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
        **old_names: Any,
    ) -> None:
        if old_names:
            image_size, scale, offset = _from_old_names(old_names, image_size, scale, offset)
        self.image_size = None if image_size is None else check_image_size(image_size)
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
        """Convert one image to float32 (height, width, 3); a list of images, or an array (batch,
        height, width, channels), to (batch, height, width, 3).

        See `open_image` for what an image can be. An array of several images is taken as fractions
        or levels as a whole.

        Raises:
            ImageError: an image cannot be read, there is none, or they differ in size and there is
                no `image_size`.
        """
        if isinstance(images, list | tuple):
            return self._batch([levels(image, f"image {i}") for i, image in enumerate(images)])
        if isinstance(images, np.ndarray | jax.Array) and images.ndim == 4:
            return self._batch(list(batch_levels(images)))
        return self._convert(levels(images))

    def window(self, height: int, width: int) -> tuple[float, float, float, float]:
        """Return the part of an image of `height` x `width` pixels that the model sees: (y0, x0,
        y1, x1) as fractions of the image; within 0..1 if cropped, beyond if padded.

        Boxes in a model's answer are fractions of this part; `Answer.within` converts them.

        Raises:
            ImageError: the size is out of range.
        """
        check_size((width, height), "window")
        top, left, rows, columns = self._box(height, width)
        return top / height, left / width, (top + rows) / height, (left + columns) / width

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as KerasHub writes them to `image_converter.json`."""
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
        """Make a converter from `get_config()` or KerasHub's config.

        Raises:
            SettingError: as the constructor.
        """
        return cls(**{key: item for key, item in config.items() if key not in _IGNORED})

    @classmethod
    def from_preset(cls, preset: str | Path) -> Self:
        """Load the image converter of a preset, named as for a task's `from_preset`.

        Raises:
            PresetError: there is no such preset, or it has no image converter of this class.
        """
        return ports.store().load_image_converter(preset, cls)

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({values})"

    def _batch(self, pictures: list[np.ndarray]) -> np.ndarray:
        if not pictures:
            raise ImageError("images: expected at least one image, got none")
        sizes = sorted({picture.shape[:2] for picture in pictures})
        if self.image_size is None and len(sizes) > 1:
            raise ImageError(
                f"images: expected images of one size without an image_size, got {sizes[:20]}"
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
        """Return the part that fills the output: top, left, height, width; beyond the image if
        padded."""
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


def check_image_size(value: object) -> tuple[int, int]:
    """Return a (height, width) in pixels.

    Raises:
        SettingError: it is not two integers from 1 to `MAX_SIDE`.
    """
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
        red, green, blue = (_number(name, item) for item in value)
        return red, green, blue
    return _number(name, value)


def _number(name: str, value: Any) -> float:
    if not NUMBER.fits(value):
        raise SettingError(f"{name}: expected a number, three, or None, got {shown(value)}")
    return float(value)


def _switch(name: str, value: object) -> bool:
    FLAG.check(name, value)
    return bool(value)


def _choice(name: str, value: Any, choices: tuple[Choice, ...]) -> Choice:
    for choice in choices:
        if isinstance(value, str | None) and value == choice:
            return choice
    raise SettingError(f"{name}: expected one of {choices}, got {shown(value)}")


def _plain(value: float | tuple[float, ...] | None) -> float | list[float] | None:
    return list(value) if isinstance(value, tuple) else value


def _from_old_names(
    names: dict[str, Any], image_size: object, scale: object, offset: object
) -> tuple[Any, Any, Any]:
    """Return size, scale and offset, taken from KerasHub's old names if they are given."""
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
