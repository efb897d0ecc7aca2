"""The recording of the listen panel, with the waveform and sound for the page."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from workbench.audio import AudioSource, open_audio
from workbench.errors import AudioError

MAX_NAME = 120  # characters
MAX_UPLOAD_SECONDS = 600
HIGHEST_PAGE_RATE = 48_000
PEAKS = 1_000
PLAYED_BYTES = 20_000_000  # the most bytes of a sound sent to the page
_USUAL_RATE = 16_000


@dataclass(frozen=True, eq=False, slots=True)
class Recording:
    """Samples float32 (samples,) at `rate` per second. `number` counts a panel's recordings; `path`
    is its source file."""

    number: int
    samples: np.ndarray
    rate: int
    name: str
    path: str | None = None

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        return len(self.samples) / self.rate

    @property
    def playable(self) -> bool:
        """Whether its sound is sent to the page."""
        return 2 * len(self.samples) <= PLAYED_BYTES

    def shown(self) -> dict[str, Any]:
        """Return what the page draws."""
        return {
            "number": self.number,
            "name": self.name,
            "seconds": round(self.seconds, 3),
            "rate": self.rate,
            "playable": self.playable,
            "peaks": peaks(self.samples).tobytes(),
        }

    def sound(self) -> bytes:
        """Return a 16-bit WAV file for the page to play."""
        file = io.BytesIO()
        soundfile.write(file, np.clip(self.samples, -1, 1), self.rate, "PCM_16", format="WAV")
        return file.getvalue()


def read_recording(number: int, source: AudioSource, rate: int | None = None) -> Recording:
    """Read a recording from anything `open_audio` takes; arrays keep their rate, files become
    16 kHz.

    Raises:
        AudioError: It cannot be read.
        SettingError: The rate is impossible.
    """
    kept = rate or _USUAL_RATE
    if isinstance(source, str | Path):
        samples = open_audio(source, sampling_rate=kept)
        return Recording(number, samples, kept, Path(source).name[:MAX_NAME], str(source))
    return Recording(number, open_audio(source, rate, kept), kept, "recording")


def from_page(number: int, name: str, samples: np.ndarray, rate: int) -> Recording:
    """Return a recording that the page has decoded or recorded.

    Raises:
        AudioError: It is too short or too long, or is not sound.
    """
    if len(samples) > MAX_UPLOAD_SECONDS * rate:
        raise AudioError(
            f"{name}: a recording from the page may last {MAX_UPLOAD_SECONDS // 60} minutes; "
            "set panel.audio to its path"
        )
    return Recording(number, open_audio(samples, rate, rate), rate, name)


def peaks(samples: np.ndarray, count: int = PEAKS) -> np.ndarray:
    """Return the lowest and highest sample of at most `count` stretches, int8 (stretches, 2),
    relative to the largest."""
    count = min(count, len(samples))
    starts = np.linspace(0, len(samples), count, endpoint=False).astype(int)
    ends = np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
    largest = max(float(np.abs(samples).max()), 1e-6)
    return np.rint(np.stack(ends, axis=1) * (127 / largest)).astype(np.int8)


def check_name(value: object) -> str:
    """Return a file's name for display: without control characters, and shortened."""
    text = value[:10_000] if isinstance(value, str) else ""
    name = "".join(character for character in text if character.isprintable()).strip()
    return name[:MAX_NAME] or "recording"


def clock_text(seconds: float) -> str:
    """Return a time as minutes and seconds: 0:07.4."""
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
