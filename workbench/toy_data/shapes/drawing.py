"""Draws scenes with Pillow, crisp at any size: draws every shape larger, then reduces it."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from workbench.toy_data.shapes.scene import Scene, Thing

SIDE = 224  # for people
OVERSAMPLING = 4
_LINE = (45, 45, 50)
_LINE_WIDTH = 0.012


def draw(
    scene: Scene, side: int = SIDE, resampling: Image.Resampling = Image.Resampling.BOX
) -> Image.Image:
    """Draw the scene as an RGB picture of side x side pixels; box resampling keeps it crisp."""
    large = side * OVERSAMPLING
    picture = _ground(scene, side).resize((large, large), Image.Resampling.NEAREST)
    for thing in sorted(scene.things, key=lambda thing: -thing.radius):
        _draw_thing(picture, thing, large)
    picture = picture.resize((side, side), resampling)
    return _noisy(picture, scene) if scene.noise else picture


def _ground(scene: Scene, side: int) -> Image.Image:
    first, last = (np.array(colour, np.float32) for colour in scene.ground)
    angle = math.radians(scene.ground_turn)
    line = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    along = line * math.cos(angle) + line[:, None] * math.sin(angle)
    share = along[..., None] / math.sqrt(2) + 0.5
    return Image.fromarray(np.round(first + (last - first) * share).astype(np.uint8))


def _draw_thing(picture: Image.Image, thing: Thing, large: int) -> None:
    points = [(x * large, y * large) for x, y in thing.outline]
    pen = ImageDraw.Draw(picture)
    if thing.texture == "plain":
        pen.polygon(points, fill=thing.paint)
    else:
        _draw_textured(picture, thing, points, large)
    if thing.outlined:
        width = max(1, round(_LINE_WIDTH * large))
        pen.line([*points, *points[:2]], fill=_LINE, width=width, joint="curve")


def _draw_textured(
    picture: Image.Image, thing: Thing, points: list[tuple[float, float]], large: int
) -> None:
    left, top = (int(min(axis)) for axis in zip(*points, strict=True))
    right, bottom = (int(max(axis)) + 1 for axis in zip(*points, strict=True))
    size = right - left, bottom - top
    face, mask = Image.new("RGB", size, thing.paint), Image.new("L", size, 0)
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in points], fill=255)
    middle = thing.x * large - left, thing.y * large - top
    (_stripe if thing.texture == "striped" else _dot)(face, thing, middle, thing.pitch * large)
    picture.paste(face, (left, top), mask)


def _stripe(face: Image.Image, thing: Thing, middle: tuple[float, float], pitch: float) -> None:
    pen, reach = ImageDraw.Draw(face), max(face.size)
    angle = math.radians(thing.slant)
    cos, sin = math.cos(angle), math.sin(angle)
    count = math.ceil(reach / pitch)
    for i in range(-count, count + 1):
        x, y = middle[0] - (i + 0.5) * pitch * sin, middle[1] + (i + 0.5) * pitch * cos
        ends = (x - reach * cos, y - reach * sin), (x + reach * cos, y + reach * sin)
        pen.line(ends, fill=thing.ink, width=max(1, round(0.42 * pitch)))


def _dot(face: Image.Image, thing: Thing, middle: tuple[float, float], pitch: float) -> None:
    pen, reach = ImageDraw.Draw(face), max(face.size)
    angle = math.radians(thing.slant)
    cos, sin = math.cos(angle), math.sin(angle)
    radius, count = 0.3 * pitch, math.ceil(reach / pitch)
    for i in range(-count, count + 1):
        for j in range(-count, count + 1):
            x = middle[0] + pitch * (i * cos - j * sin)
            y = middle[1] + pitch * (i * sin + j * cos)
            if -radius < x < face.width + radius and -radius < y < face.height + radius:
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=thing.ink)


def _noisy(picture: Image.Image, scene: Scene) -> Image.Image:
    pixels = np.asarray(picture, np.float32)
    noise = np.random.default_rng(scene.seed).normal(0, scene.noise, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).round().astype(np.uint8))
