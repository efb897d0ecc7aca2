"""Scenes of one to three flat shapes, from which pictures and texts are made.

Lengths are shares of the picture's side; x grows to the right and y downwards.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from random import Random

SHAPES = ("circle", "square", "triangle", "star", "heart")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "black")
SIZES = ("small", "large")
TEXTURES = ("plain", "striped", "dotted")
MOST_THINGS = 3

# Ranges of hue (degrees), saturation and value that clearly have the colour's name.
_PAINT = {
    "red": ((-8, 8), (0.75, 1), (0.75, 1)),
    "orange": ((24, 36), (0.8, 1), (0.92, 1)),
    "yellow": ((48, 60), (0.65, 1), (0.92, 1)),
    "green": ((100, 150), (0.5, 1), (0.45, 0.9)),
    "blue": ((203, 240), (0.6, 1), (0.6, 1)),
    "purple": ((270, 300), (0.45, 1), (0.5, 0.85)),
    "black": ((0, 360), (0, 0.4), (0, 0.16)),
}
_RADII = {"small": (0.12, 0.14), "large": (0.185, 0.215)}
_MARGIN = 0.015
_APART = 0.96  # least distance, as a share of the sum of two radii
COUNTS = (3, 5, 5)  # weights of one, two and three things
_TRIES = 40

Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One shape of a scene.

    Attributes:
        shape, colour, size, texture: words of `SHAPES`, `COLOURS`, `SIZES`, `TEXTURES`.
        paint, ink: RGB of its face and of its stripes or dots.
        x, y: its middle.
        radius: half its height, about.
        turn: degrees it is turned by.
        pitch, slant: distance and direction (degrees) of its stripes or dots.
        outlined: a thin dark line around it.
    """

    shape: str
    colour: str
    size: str
    texture: str
    paint: Colour
    ink: Colour
    x: float
    y: float
    radius: float
    turn: float = 0.0
    pitch: float = 0.07
    slant: float = 0.0
    outlined: bool = False

    @property
    def outline(self) -> list[tuple[float, float]]:
        """Its corners (x, y); a circle and a heart have many."""
        angle = math.radians(self.turn)
        cos, sin = self.radius * math.cos(angle), self.radius * math.sin(angle)
        return [
            (self.x + a * cos - b * sin, self.y + a * sin + b * cos)
            for a, b in _OUTLINES[self.shape]
        ]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The box around its outline: y0, x0, y1, x1."""
        xs, ys = zip(*self.outline, strict=True)
        return min(ys), min(xs), max(ys), max(xs)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The content of a picture.

    Attributes:
        things: from left to right, by their middles.
        ground: RGB of the background at the two ends of a gradient.
        ground_turn: direction of that gradient in degrees.
        noise: standard deviation of the noise of a drawn picture, of 255.
        seed: of that noise.
    """

    things: tuple[Thing, ...]
    ground: tuple[Colour, Colour] = ((255, 255, 255), (255, 255, 255))
    ground_turn: float = 0.0
    noise: float = 0.0
    seed: int = 0


def _regular(corners: int, radius: float, first: float) -> list[tuple[float, float]]:
    angles = (math.radians(first + 360 * i / corners) for i in range(corners))
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def _star() -> list[tuple[float, float]]:
    outer, inner = _regular(5, 1.12, -90), _regular(5, 0.47, -54)
    return [point for pair in zip(outer, inner, strict=True) for point in pair]


def _heart(corners: int = 40) -> list[tuple[float, float]]:
    turns = [2 * math.pi * i / corners for i in range(corners)]
    cos = math.cos
    heights = (13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t) for t in turns)
    return [(math.sin(t) ** 3, -(y + 2.5) / 14.5) for t, y in zip(turns, heights, strict=True)]


# Unit outlines around (0, 0), of about equal weight for the eye.
_OUTLINES = {
    "circle": _regular(48, 1.0, 0),
    "square": [(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
    "triangle": [(0.0, -1.02), (1.06, 0.82), (-1.06, 0.82)],
    "star": _star(),
    "heart": _heart(),
}


def scenes(seed: int, counts: tuple[int, ...] = COUNTS) -> Iterator[Scene]:
    """Yield endless scenes of a seed; `counts` are the weights of one, two and three things."""
    rng = Random(seed)
    while True:
        scene = random_scene(rng, rng.choices(range(1, MOST_THINGS + 1), counts)[0])
        if scene is not None:
            yield scene


def random_scene(rng: Random, count: int) -> Scene | None:
    """Return a scene of `count` things; None if they do not find room."""
    things: list[Thing] = []
    for _ in range(_TRIES):
        thing = _random_thing(rng, things)
        if _fits(thing, things):
            things.append(thing)
        if len(things) == count:
            ground, turn = _random_ground(rng), rng.uniform(0, 360)
            noise = rng.choice((0.0, 0.0, rng.uniform(1, 6)))
            ordered = tuple(sorted(things, key=lambda thing: thing.x))
            return Scene(
                things=ordered,
                ground=ground,
                ground_turn=turn,
                noise=noise,
                seed=rng.getrandbits(31),
            )
    return None


def _random_thing(rng: Random, others: list[Thing]) -> Thing:
    """Return a thing anywhere in the picture. It often shares a word with another thing, because
    such scenes allow more questions."""
    other = rng.choice(others) if others else None
    shape = other.shape if other and rng.random() < 0.25 else rng.choice(SHAPES)
    colour = other.colour if other and rng.random() < 0.2 else rng.choice(COLOURS)
    size = rng.choice(SIZES)
    radius, paint = rng.uniform(*_RADII[size]), random_paint(rng, colour)
    room = radius * 1.1 + _MARGIN
    return Thing(
        shape=shape,
        colour=colour,
        size=size,
        texture=rng.choices(TEXTURES, (3, 1, 1))[0],
        paint=paint,
        ink=_tint(paint, rng.uniform(0.65, 0.85)),
        x=rng.uniform(room, 1 - room),
        y=rng.uniform(room, 1 - room),
        radius=radius,
        turn=rng.choice((0.0, rng.uniform(-12, 12))),
        pitch=rng.uniform(0.062, 0.082),
        slant=rng.choice((0.0, 45.0, 90.0, 135.0)),
        outlined=rng.random() < 0.2,
    )


def random_paint(rng: Random, colour: str) -> Colour:
    """Return an RGB value that the colour's name fits."""
    hue, saturation, value = (rng.uniform(*limits) for limits in _PAINT[colour])
    return _rgb(hue, saturation, value)


def _tint(paint: Colour, white: float) -> Colour:
    red, green, blue = (round(part + (255 - part) * white) for part in paint)
    return red, green, blue


def _random_ground(rng: Random) -> tuple[Colour, Colour]:
    if rng.random() < 0.25:
        return (255, 255, 255), (255, 255, 255)
    first = _rgb(rng.uniform(0, 360), rng.uniform(0, 0.12), rng.uniform(0.88, 1))
    if rng.random() < 0.5:
        return first, first
    return first, _rgb(rng.uniform(0, 360), rng.uniform(0, 0.12), rng.uniform(0.88, 1))


def _rgb(hue: float, saturation: float, value: float) -> Colour:
    parts = colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)
    red, green, blue = (round(255 * part) for part in parts)
    return red, green, blue


def _fits(thing: Thing, others: list[Thing]) -> bool:
    """Return whether it is clear of the others, and its direction from each is unambiguous."""
    for other in others:
        dx, dy = abs(thing.x - other.x), abs(thing.y - other.y)
        if math.hypot(dx, dy) < _APART * (thing.radius + other.radius):
            return False
        if dx < 0.05 or abs(dx - dy) < 0.06:
            return False
    return True


def overlapping(scene: Scene) -> bool:
    """Return whether two boxes of the scene overlap."""
    return any(_share(a.box, b.box) for a, b in combinations(scene.things, 2))


def _share(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
