"""Voices: all differences between two speakers of the same word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HELD_OUT = 1_000_000  # training never uses numbers from here on


@dataclass(frozen=True)
class Voice:
    """A speaker.

    Attributes:
        pitch: hertz, in the middle of a sentence.
        tract: factor of the formants relative to a man's: about 1.17 for a woman.
        tempo: durations are divided by it.
        breath: level of noise in the voice, relative to the voice.
        tilt: hertz above which the voice loses another 6 dB per octave.
        bandwidth: factor of the formants' usual width.
        liveliness: how far the pitch moves within a word, as a share.
        accent: shares by which the three formants of all phones differ.
        clarity: milliseconds in which the formants move from one phone to the next.
    """

    pitch: float
    tract: float
    tempo: float
    breath: float
    tilt: float
    bandwidth: float
    liveliness: float
    accent: tuple[float, float, float]
    clarity: float


def _accent(rng: np.random.Generator) -> tuple[float, float, float]:
    first, second, third = rng.normal(1, (0.04, 0.035, 0.025))
    return float(first), float(second), float(third)


def voice(number: int) -> Voice:
    """Return the voice with this number, always the same. Pitch and tract correlate loosely."""
    rng = np.random.default_rng([number, 7])
    size = rng.uniform(0, 1)  # from a low voice to a child's
    return Voice(
        pitch=float(85 * 3.2**size * np.exp(rng.normal(0, 0.08))),
        tract=float(0.94 + 0.32 * size + rng.normal(0, 0.03)),
        tempo=float(rng.uniform(0.8, 1.35)),
        breath=float(rng.uniform(0.01, 0.12)),
        tilt=float(rng.uniform(1500, 5000)),
        bandwidth=float(rng.uniform(0.85, 1.5)),
        liveliness=float(rng.uniform(0.04, 0.16)),
        accent=_accent(rng),
        clarity=float(rng.uniform(45, 85)),
    )
