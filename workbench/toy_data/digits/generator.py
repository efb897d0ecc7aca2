"""Endless recordings of one to five digits, or one that says what you ask for.

python -m workbench.toy_data.digits.generator "three one four" three_one_four.wav
"""

from __future__ import annotations

import argparse
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.toy_data.digits.phones import WORDS
from workbench.toy_data.digits.rooms import recorded
from workbench.toy_data.digits.synthesis import HOP, RATE, synthesise
from workbench.toy_data.digits.tracks import make_tracks
from workbench.toy_data.digits.voices import Voice, voice

LONGEST_SECONDS = 4.0


@dataclass(frozen=True)
class Recording:
    """A recording: its text and its sound.

    Attributes:
        text: digits as words.
        samples: float32 (samples,) at 16 kHz.
        word: int (samples / HOP,): the word spoken in each 5 milliseconds, -1 for none.
    """

    text: str
    samples: np.ndarray
    word: np.ndarray


def say(text: str, speaker: int | Voice = 0, seed: int = 0, strength: float = 0.0) -> Recording:
    """Return a recording of a text of digits, such as "three one four".

    Args:
        text: words of `WORDS`, at least one.
        speaker: a voice or its number.
        seed: the seed of everything that differs when the speaker repeats the text.
        strength: 0 for a quiet studio, up to 1 for a noisy room.

    Raises:
        ValueError: a word is not a digit.
    """
    words = text.split()
    if not words or not set(words) <= set(WORDS):
        raise ValueError(f"text: expected words of {', '.join(WORDS)}, got {text!r}")
    rng = np.random.default_rng([seed, 11])
    who = voice(speaker) if isinstance(speaker, int) else speaker
    return _said(rng, who, words, strength)


def random_recording(
    rng: np.random.Generator, speaker: Voice, most: int = 5, strength: float = 1.0
) -> Recording:
    """Return a recording of one to `most` digits, at most `LONGEST_SECONDS` long."""
    while True:
        words = [WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(1, most + 1))]
        made = _said(rng, speaker, words, strength)
        if len(made.samples) <= LONGEST_SECONDS * RATE:
            return made


def _said(rng: np.random.Generator, speaker: Voice, words: list[str], strength: float) -> Recording:
    pause = rng.uniform(0.02, 0.2) / speaker.tempo
    gaps = pause * rng.uniform(0.5, 1.8, len(words) + 1)
    gaps[[0, -1]] = rng.uniform(0.06, 0.3, 2)
    tracks = make_tracks(rng, speaker, words, list(gaps))
    samples = recorded(rng, synthesise(rng, speaker, tracks), strength)
    return Recording(" ".join(words), samples, tracks.word)


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> None:
    """Write samples (samples,) from -1 to 1 as a 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def main() -> None:
    """Read the command line and write a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("text")
    parser.add_argument("file", type=Path)
    parser.add_argument("--voice", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise", type=float, default=0.0, help="0 to 1")
    arguments = parser.parse_args()
    made = say(arguments.text, arguments.voice, arguments.seed, arguments.noise)
    write_wav(arguments.file, made.samples)


if __name__ == "__main__":
    main()


__all__ = ["HOP", "RATE", "Recording", "random_recording", "say", "write_wav"]
