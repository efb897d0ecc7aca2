"""Training batches: pictures, and rows of ids of several turns about each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import NamedTuple

import numpy as np
import sentencepiece
from PIL import Image

from workbench.recipes.shapes import tokens
from workbench.recipes.shapes.patches import Patches, lessons
from workbench.toy_data.shapes import language
from workbench.toy_data.shapes.drawing import draw
from workbench.toy_data.shapes.language import Turn
from workbench.toy_data.shapes.scene import Scene, scenes

IMAGE_SIDE, PATCH = 64, 8  # pixels of the picture the network sees, and of its patches
# A caption and a detection are long, an answer is short: two lengths waste less padding.
LONG, SHORT = 28, 14
BILINEAR, SHRUNK = Image.Resampling.BILINEAR, 0.7


class Rows(NamedTuple):
    """Turns, each about the picture of the same number modulo the pictures of the batch.

    int32 (B, T) each: ids, the next ids (-1 outside the response), and the mask of the response
    among the ids.
    """

    ids: np.ndarray
    targets: np.ndarray
    response: np.ndarray


class Batch(NamedTuple):
    """Pictures, float32 (N, side, side, 3) in [-1, 1]; the lessons of their patches; captions and
    detections; answers."""

    pictures: np.ndarray
    patches: Patches
    long: Rows
    short: Rows


def pixels(scene: Scene, rng: Random) -> np.ndarray:
    """Return a picture for the network, float32 (side, side, 3) in [-1, 1]: mostly as if drawn
    large and shrunk by the preset's converter, sometimes crisper."""
    resampling = BILINEAR if rng.random() < SHRUNK else Image.Resampling.BOX
    return np.asarray(draw(scene, IMAGE_SIDE, resampling), np.float32) / 127.5 - 1


def batches(
    model: sentencepiece.SentencePieceProcessor,
    seed: int,
    size: int,
    answers: int = 1,
) -> Iterator[Batch]:
    """Yield endless batches of a seed: `size` pictures, and for each a caption, a detection and
    `answers` answers."""
    source, rng = scenes(seed), Random(seed)
    while True:
        shown = list(islice(source, size))
        asked = [language.question_turn(scene, rng) for _ in range(answers) for scene in shown]
        yield Batch(
            np.stack([pixels(scene, rng) for scene in shown]),
            lessons(shown, IMAGE_SIDE, PATCH),
            _rows(model, _long_turns(shown, rng), LONG),
            _rows(model, asked, SHORT),
        )


def picture_batches(seed: int, size: int) -> Iterator[tuple[np.ndarray, Patches]]:
    """Yield endless batches of pictures and the lessons of their patches."""
    source, rng = scenes(seed), Random(seed)
    while True:
        shown = list(islice(source, size))
        yield np.stack([pixels(s, rng) for s in shown]), lessons(shown, IMAGE_SIDE, PATCH)


def _long_turns(shown: list[Scene], rng: Random) -> list[Turn]:
    captions = [language.caption_turn(scene) for scene in shown]
    return captions + [language.detect_turn(scene, rng) for scene in shown]


def _rows(model: sentencepiece.SentencePieceProcessor, turns: list[Turn], length: int) -> Rows:
    parts = zip(*(tokens.row(model, turn, length) for turn in turns), strict=True)
    return Rows(*map(np.stack, parts))
