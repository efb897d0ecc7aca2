"""What PaliGemma says about a picture: text, boxes and masks, read out of one string.

An answer to "detect" or "segment" is a list of regions, separated by semicolons:

    <loc0256><loc0128><loc0768><loc0512> cat ; <loc0000><loc0000><loc1023><loc1023> sofa

Four location codes are the box, top, left, bottom and right in 1/1024 of the picture's sides. In an
answer to "segment" sixteen mask codes `<seg000>` to `<seg127>` follow. The words behind the codes
name the region. (big_vision, `pp/proj/paligemma/segmentation.py` and its README.)
"""

from __future__ import annotations

import dataclasses
import re
from functools import cached_property
from typing import Protocol

import numpy as np

from workbench.errors import ImageError, SettingError

Box = tuple[float, float, float, float]

LOCATIONS = 1024
MASK_CODES = 128
CODES_OF_A_MASK = 16
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

_CODES = re.compile(r"(?:<(?:loc[0-9]{4}|seg[0-9]{3})>)+")
_CODE = re.compile(r"<(loc|seg)([0-9]+)>")
_PHRASE = re.compile(r"[^;<\n]*")


class DecodesMasks(Protocol):
    """What a region asks of a `MaskDecoder`."""

    def mask(
        self, codes: tuple[int, ...], box: tuple[int, int, int, int], height: int, width: int
    ) -> np.ndarray:
        """The pixels that the codes stand for: bool (height, width)."""


@dataclasses.dataclass(frozen=True)
class Plain:
    """Text that names no region: `text[start:stop]` of the answer."""

    text: str
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of the picture that the answer names.

    `label` is the phrase, `text[start:stop]` of the answer (empty when the box stands alone).
    `box` is (y0, x0, y1, x1) as fractions of the picture, y0 <= y1 and x0 <= x1. `codes` are the
    16 mask codes, 0..127, or ().
    """

    label: str
    box: Box
    codes: tuple[int, ...]
    start: int
    stop: int

    @property
    def area(self) -> float:
        """The box's share of the picture; 0 for a line or a point."""
        y0, x0, y1, x1 = self.box
        return (y1 - y0) * (x1 - x0)

    def pixels(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The box in a picture of that size, rounded to whole pixels: top, left, bottom, right,
        the last two exclusive. It may reach beyond the picture when the box does."""
        y0, x0, y1, x1 = self.box
        return round(y0 * height), round(x0 * width), round(y1 * height), round(x1 * width)

    def mask(self, decoder: DecodesMasks, height: int, width: int) -> np.ndarray:
        """Which pixels belong to the region: bool (height, width), False outside its box.

        Raises:
            ImageError: the region has no mask codes, or the size is impossible.
        """
        if not self.codes:
            raise ImageError(f"region {self.label!r:.80}: it has a box but no mask codes")
        return decoder.mask(self.codes, self.pixels(height, width), height, width)


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer in the order of its text. The parts hold all of it but the codes."""

    text: str
    parts: tuple[Plain | Region, ...]

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The parts that name a region."""
        return tuple(part for part in self.parts if isinstance(part, Region))

    @cached_property
    def caption(self) -> str:
        """The answer as a person reads it: without the codes of its regions."""
        texts = (p.label if isinstance(p, Region) else p.text for p in self.parts)
        return "".join(texts)

    def within(self, window: Box) -> Answer:
        """The same answer for a picture of which the model saw only the part `window`, as
        `ImageConverter.window` says: its boxes become fractions of the whole picture.

        >>> answer = read_answer("<loc0000><loc0000><loc0512><loc0512> cat")
        >>> answer.within((0.0, 0.25, 1.0, 0.75)).regions[0].box
        (0.0, 0.25, 0.5, 0.5)
        """
        return Answer(self.text, tuple(_placed(part, window) for part in self.parts))


def read_answer(text: str) -> Answer:
    """The regions that `text` names, and the text between them.

    Codes that make no region (too few, too many, out of range) are plain text, so that an answer
    can be read while it is being written.

    Raises:
        SettingError: `text` is no string.

    >>> read_answer("<loc0256><loc0128><loc0768><loc0512> cat").regions[0].box
    (0.25, 0.125, 0.75, 0.5)
    """
    if not isinstance(text, str):
        raise SettingError(f"text: expected a string, got {type(text).__name__}")
    parts: list[Plain | Region] = []
    done = 0
    for run in _CODES.finditer(text):
        region = _region(text, run)
        if region is not None:
            # The spaces between codes and phrase belong to neither.
            parts += [_plain(text, done, run.start()), region]
            done = region.stop
    parts.append(_plain(text, done, len(text)))
    return Answer(text, tuple(p for p in parts if isinstance(p, Region) or p.text))


def _region(text: str, run: re.Match[str]) -> Region | None:
    found = [(kind, int(number)) for kind, number in _CODE.findall(run.group())]
    kinds = [kind for kind, _ in found]
    locations, codes = [n for _, n in found[:4]], [n for _, n in found[4:]]
    if kinds not in (["loc"] * 4, ["loc"] * 4 + ["seg"] * CODES_OF_A_MASK):
        return None
    if max(locations) >= LOCATIONS or max(codes, default=0) >= MASK_CODES:
        return None
    (y0, y1), (x0, x1) = sorted(locations[::2]), sorted(locations[1::2])
    box = (y0 / LOCATIONS, x0 / LOCATIONS, y1 / LOCATIONS, x1 / LOCATIONS)
    start, stop = _phrase(text, run.end())
    return Region(text[start:stop], box, tuple(codes), start, stop)


def _phrase(text: str, start: int) -> tuple[int, int]:
    """The words from `start` on, without the space around them."""
    words = _PHRASE.match(text, start).group()
    lead = len(words) - len(words.lstrip())
    length = len(words.strip())
    return (start + lead, start + lead + length) if length else (start, start)


def _plain(text: str, start: int, stop: int) -> Plain:
    return Plain(text[start:stop], start, stop)


def _placed(part: Plain | Region, window: Box) -> Plain | Region:
    if isinstance(part, Plain):
        return part
    top, left, bottom, right = window
    height, width = bottom - top, right - left
    y0, x0, y1, x1 = part.box
    box = (top + y0 * height, left + x0 * width, top + y1 * height, left + x1 * width)
    return dataclasses.replace(part, box=box)
