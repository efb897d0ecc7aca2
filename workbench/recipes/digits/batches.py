"""Training batches: recordings, their ids, and the word that sounds in each frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import sentencepiece

from workbench.recipes.digits.tokens import END, START
from workbench.toy_data.digits.generator import HOP, Recording, random_recording
from workbench.toy_data.digits.phones import WORDS
from workbench.toy_data.digits.voices import HELD_OUT, voice

LENGTHS = (2**15, 2**16)  # samples: two seconds and four
MOST = 5
SILENT_WORD, SILENT_PLACE = len(WORDS), MOST
# Where the frames of Moonshine's three convolutions are, in samples.
_STRIDE, _REACH = 384, 895


class Batch(NamedTuple):
    """Recordings and their training targets.

    Attributes:
        samples: float32 (B, S, 1).
        mask: bool (B, S), true at samples.
        ids: int32 (B, MOST + 2): start, words, end, and ends as padding.
        counted: bool (B, MOST + 1): true for ids after the first that are not padding.
        words: int32 (B, F): the digit that sounds in each frame, `SILENT_WORD` for none.
        places: int32 (B, F): its number in the recording, `SILENT_PLACE` for none.
    """

    samples: np.ndarray
    mask: np.ndarray
    ids: np.ndarray
    counted: np.ndarray
    words: np.ndarray
    places: np.ndarray


def batches(
    model: sentencepiece.SentencePieceProcessor, seed: int, rows: int, step: int, easy_steps: int
) -> Iterator[Batch]:
    """Yield endless batches of recordings of about the same length.

    Args:
        model: the tokenizer.
        seed: the seed of the voices and their texts.
        rows: recordings per batch.
        step: the number of the first batch.
        easy_steps: the number of first batches with few words and little noise.
    """
    rng = np.random.default_rng([seed, step])
    waiting: dict[int, list[Recording]] = {length: [] for length in LENGTHS}
    while True:
        hard = min(1.0, step / easy_steps)
        most = 1 + round((MOST - 1) * hard)
        made = random_recording(rng, voice(int(rng.integers(HELD_OUT))), most, hard)
        length = next(length for length in LENGTHS if len(made.samples) <= length)
        waiting[length].append(made)
        if len(waiting[length]) == rows:
            yield _batch(model, waiting[length], length)
            waiting[length] = []
            step += 1


def _batch(
    model: sentencepiece.SentencePieceProcessor, rows: list[Recording], length: int
) -> Batch:
    samples = np.stack([np.pad(r.samples, (0, length - len(r.samples))) for r in rows])
    sizes = np.array([len(r.samples) for r in rows])
    ids = [[START, *model.encode(r.text), END] for r in rows]
    longest = MOST + 2
    padded = np.array([row + [END] * (longest - len(row)) for row in ids], np.int32)
    counted = np.arange(longest - 1) < np.array([len(row) - 1 for row in ids])[:, None]
    words, places = zip(*(_sounding(r, length) for r in rows), strict=True)
    return Batch(
        samples[..., None],
        np.arange(length) < sizes[:, None],
        padded,
        counted,
        np.stack(words),
        np.stack(places),
    )


def _sounding(recording: Recording, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the digit and its place, int32 (F,), for the middle of each frame."""
    middles = (_STRIDE * np.arange((length - _REACH) // _STRIDE + 1) + _REACH // 2) // HOP
    known = np.append(recording.word, -1)
    place = known[np.minimum(middles, len(known) - 1)]
    digits = np.array([WORDS.index(word) for word in recording.text.split()] + [SILENT_WORD])
    return digits[place].astype(np.int32), np.where(place < 0, SILENT_PLACE, place).astype(np.int32)
