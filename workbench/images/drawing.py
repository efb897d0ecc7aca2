"""Draw an answer over its image: boxes, masks and labels, one colour for each label.

The colours are Okabe and Ito's ("Color Universal Design", 2008), which are distinct for every kind
of colour vision. A label is black or white on its colour, whichever contrasts more. Lines have a
dark and a light edge, so that they are visible on any image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from workbench.errors import ImageError
from workbench.images.answers import Answer, Region
from workbench.images.masks import polygons
from workbench.images.reading import ImageSource, open_image

if TYPE_CHECKING:
    from workbench.images.masks import MaskDecoder

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
_DARK, _LIGHT = "#111111", "#FFFFFF"
_FILL = 0.4  # opacity of a mask
_SMALL = 384
_LONGEST_NAME = 48

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


def label_colours(answer: Answer) -> dict[str, str]:
    """Return a colour "#rrggbb" for each label, in the order of first mention. Colours repeat after
    the seventh label."""
    names = dict.fromkeys(region.label for region in answer.regions)
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def draw_answer(
    image: ImageSource,
    answer: Answer,
    decoder: MaskDecoder | None = None,
    masks: Sequence[np.ndarray | None] | None = None,
) -> Image.Image:
    """Draw an answer's regions over an image, and return it as RGB.

    Args:
        image: as `open_image` reads it. An image whose long side is under 384 pixels is enlarged
            by a whole factor, so that labels are legible.
        answer: as `read_answer` returns it; call `Answer.within` first if the model saw only a
            part of the image.
        decoder: decodes mask codes; without one only boxes are drawn.
        masks: instead of `decoder`, a mask (height, width) for each region, or None for its box
            alone.

    Raises:
        ImageError: the image cannot be read, or the masks do not fit it.
    """
    picture = open_image(image)
    found = _masks(answer, decoder, masks, picture.height, picture.width)
    factor = -(-_SMALL // max(picture.size))
    picture = picture.resize((picture.width * factor, picture.height * factor), 0)
    table = label_colours(answer)
    for region, mask in zip(answer.regions, found, strict=True):
        if mask is not None:
            picture = _draw_mask(picture, mask, table[region.label], factor)
    draw, taken = ImageDraw.Draw(picture), []
    for region in answer.regions:
        _draw_box(draw, _rectangle(region, picture.size), table[region.label])
    for region in answer.regions:
        if region.label:
            _draw_name(draw, region, picture.size, table[region.label], taken)
    return picture


def _masks(
    answer: Answer,
    decoder: MaskDecoder | None,
    masks: Sequence[np.ndarray | None] | None,
    height: int,
    width: int,
) -> list[np.ndarray | None]:
    regions = answer.regions
    if masks is None:
        return [
            None if decoder is None or not region.codes else region.mask(decoder, height, width)
            for region in regions
        ]
    if len(masks) != len(regions):
        raise ImageError(f"masks: expected one per region, {len(regions)}, got {len(masks)}")
    for mask in masks:
        if mask is not None and np.shape(mask) != (height, width):
            raise ImageError(f"masks: expected the shape {(height, width)}, got {np.shape(mask)}")
    return list(masks)


def _draw_mask(picture: Image.Image, mask: np.ndarray, colour: str, factor: int) -> Image.Image:
    """Colour and outline a mask's pixels."""
    cover = Image.fromarray(np.asarray(mask, bool).astype(np.uint8) * round(255 * _FILL))
    covered = Image.composite(
        Image.new("RGB", picture.size, colour), picture, cover.resize(picture.size, 0)
    )
    draw = ImageDraw.Draw(covered)
    width = _line(picture.size)
    for outline in polygons(mask):
        points = [tuple(point) for point in (outline * factor).tolist()]
        draw.line(points, _DARK, width + 2, "curve")
        draw.line(points, colour, width, "curve")
    return covered


def _draw_box(draw: ImageDraw.ImageDraw, box: Rectangle, colour: str) -> None:
    width = _line(draw.im.size)
    for grow, line, ink in ((width, 1, _LIGHT), (width - 1, width, colour), (-1, 1, _DARK)):
        left, top, right, bottom = (box[0] - grow, box[1] - grow, box[2] + grow, box[3] + grow)
        if left <= right and top <= bottom:
            draw.rectangle((left, top, right, bottom), outline=ink, width=line)


def _draw_name(
    draw: ImageDraw.ImageDraw,
    region: Region,
    size: tuple[int, int],
    colour: str,
    taken: list[Rectangle],
) -> None:
    """Write a label above its box, or where there is room."""
    font = ImageFont.load_default(_letters(size))
    name = _printable(region.label)
    left, top, right, bottom = draw.textbbox((0, 0), name, font)
    edge = max(2, _letters(size) // 5)
    width, height = right - left + 2 * edge, bottom - top + 2 * edge
    plate = _free(_places(_rectangle(region, size), width, height, size), taken)
    taken.append(plate)
    draw.rectangle(plate, fill=colour, outline=_DARK)
    draw.text((plate[0] + edge - left, plate[1] + edge - top), name, _ink(colour), font)


def _places(box: Rectangle, width: float, height: float, size: tuple[int, int]) -> list[Rectangle]:
    """List places for a label within the image, best first: above the box, below it, inside at the
    top, and then further down."""
    left, top, _, bottom = box
    line = _line(size)
    tops = [top - height - line, bottom + line, top + line]
    tops += [top + line + row * height for row in range(1, 12)]
    inside = [t for t in tops if 0 <= t <= size[1] - height - 1]
    x = max(min(left - line, size[0] - width - 1), 0)
    return [(x, y, x + width, y + height) for y in inside or [0]]


def _free(places: list[Rectangle], taken: list[Rectangle]) -> Rectangle:
    free = (place for place in places if not any(_meet(place, other) for other in taken))
    return next(free, places[0])


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _rectangle(region: Region, size: tuple[int, int]) -> Rectangle:
    """Return a region's box in pixels, clipped to the image and at least one pixel large."""
    top, left, bottom, right = region.pixels(size[1], size[0])
    left, right = (min(max(x, 0), size[0] - 1) for x in (left, right - 1))
    top, bottom = (min(max(y, 0), size[1] - 1) for y in (top, bottom - 1))
    return left, top, max(left, right), max(top, bottom)


def _line(size: tuple[int, int]) -> int:
    return max(2, round(max(size) / 250))


def _letters(size: tuple[int, int]) -> int:
    return min(max(14, round(max(size) / 32)), 64)


def _printable(name: str) -> str:
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _ink(colour: str) -> str:
    """Return black or white, whichever contrasts more with a colour (WCAG 2, luminance)."""
    levels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    light = float(linear @ [0.2126, 0.7152, 0.0722])
    return _DARK if (light + 0.05) ** 2 > 1.05 * 0.05 else _LIGHT
