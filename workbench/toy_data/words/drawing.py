"""Draws a text as a crop of a scene: a font, colours, a turn, a slant, blur and noise.

Every installation has the fonts: Pillow's own (Aileron) and those in Matplotlib.
"""

from __future__ import annotations

import functools
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HEIGHT, WIDTH = 32, 128
FONTS = (
    "Aileron",
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic")),
)
UNSEEN_FONTS = ("STIXGeneral", "STIXGeneralBol", "cmss10")
"""Fonts that training never uses, to measure accuracy on other designs of letters."""
_SIZES = (18, 22, 26, 30, 36)
_CONTRAST = 70  # least difference in luminance between letters and ground, in levels
_LUMINANCE = np.array([0.299, 0.587, 0.114])


@functools.cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font by name, at a size in pixels."""
    if name == "Aileron":
        aileron = ImageFont.load_default(size)
        if not isinstance(aileron, ImageFont.FreeTypeFont):
            raise RuntimeError("drawing words: expected Pillow with FreeType, got one without")
        return aileron
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")), size
    )


def draw(
    rng: Random, shown: str, strength: float = 1.0, fonts: tuple[str, ...] = FONTS
) -> Image.Image:
    """Return an RGB picture of a text, cropped roughly as a text detector would.

    Args:
        rng: the source of all random choices.
        shown: the text to draw.
        strength: 0 for straight letters without noise, 1 for the hardest training pictures.
        fonts: names to choose from.
    """
    return draw_with_places(rng, shown, strength, fonts)[0]


def draw_with_places(
    rng: Random, shown: str, strength: float = 1.0, fonts: tuple[str, ...] = FONTS
) -> tuple[Image.Image, Image.Image]:
    """Return the picture and a map of its characters: levels 1, 2, ... from the first to the last,
    0 elsewhere."""
    letters = _letters(shown, font(rng.choice(fonts), rng.choice(_SIZES)))
    mask, places = _turned(rng, *letters, strength)
    picture = _coloured(rng, np.asarray(mask, np.float32) / 255, strength)
    blur = rng.uniform(0, 1.1 * strength) * mask.height / 40
    picture = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    picture = picture.filter(ImageFilter.GaussianBlur(blur)) if blur > 0.3 else picture
    levels = np.asarray(picture, np.float32)
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(levels.shape, np.float32)
    noisy = levels + noise * np.float32(rng.uniform(0, 16) * strength)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)), places


def fitted(picture: Image.Image) -> np.ndarray:
    """Fit the picture into `HEIGHT` x `WIDTH` as the preset's converter does, uint8, with black
    bars at the two short sides."""
    exact = picture.mode == "L"  # places, which must not be mixed
    scale = min(HEIGHT / picture.height, WIDTH / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    canvas = Image.new(picture.mode, (WIDTH, HEIGHT))
    left, top = (WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2
    how = Image.Resampling.NEAREST if exact else Image.Resampling.BICUBIC
    canvas.paste(picture.resize(size, how), (left, top))
    return np.asarray(canvas)


def _letters(shown: str, face: ImageFont.FreeTypeFont) -> tuple[Image.Image, Image.Image]:
    """Return white letters on black with a margin of half a line, and the map of characters."""
    left, _, right, _ = face.getbbox(shown)
    ascent, descent = face.getmetrics()
    room = (ascent + descent) // 2
    size = int(right - left) + 2 * room, ascent + descent + 2 * room
    mask, places = Image.new("L", size), Image.new("L", size)
    ImageDraw.Draw(mask).text((room - left, room), shown, fill=255, font=face)
    ends = [room - left + face.getlength(shown[:count]) for count in range(len(shown) + 1)]
    boxes = ImageDraw.Draw(places)
    for number, (start, stop) in enumerate(pairwise(ends), start=1):
        boxes.rectangle((start, 0, stop - 1, size[1]), fill=number)
    return mask, places


def _turned(
    rng: Random, mask: Image.Image, places: Image.Image, strength: float
) -> tuple[Image.Image, Image.Image]:
    """Turn the letters, view them slightly from the side, and crop near them."""
    angle, (width, height) = rng.gauss(0, 2.5) * strength, mask.size
    lean = min(width, height) * 0.12 * strength

    def near(x: float, y: float) -> tuple[float, float]:
        return x + rng.uniform(-lean, lean), y + rng.uniform(-lean, lean)

    corners = sum((near(0, 0), near(0, height), near(width, height), near(width, 0)), ())

    def seen(image: Image.Image, turning: Any, bending: Any) -> Image.Image:
        turned = image.rotate(angle, turning)
        return turned.transform(image.size, Image.Transform.QUAD, corners, bending)

    mask = seen(mask, Image.Resampling.BICUBIC, Image.Resampling.BILINEAR)
    places = seen(places, Image.Resampling.NEAREST, Image.Resampling.NEAREST)
    box = mask.getbbox() or (0, 0, width, height)
    margin = (box[3] - box[1]) * 0.22
    sides = [margin * rng.uniform(0.1, 1) for _ in range(4)]
    crop = (
        int(max(0, box[0] - sides[0])),
        int(max(0, box[1] - sides[1])),
        int(min(width, box[2] + sides[2] + 1)),
        int(min(height, box[3] + sides[3] + 1)),
    )
    return mask.crop(crop), places.crop(crop)


def _coloured(rng: Random, mask: np.ndarray, strength: float) -> np.ndarray:
    """Colour letters and ground with different luminance; the ground may grow lighter."""
    while True:
        ink, ground = (np.array([rng.uniform(0, 255) for _ in range(3)]) for _ in range(2))
        if abs((ink - ground) @ _LUMINANCE) >= _CONTRAST:
            break
    height, width = mask.shape
    across = np.linspace(-1, 1, width)[None, :] * rng.uniform(-30, 30) * strength
    down = np.linspace(-1, 1, height)[:, None] * rng.uniform(-30, 30) * strength
    shade = (across + down)[..., None]
    return (ground + (ink - ground) * mask[..., None] + shade).astype(np.float32)
