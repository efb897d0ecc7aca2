"""Cut long recordings at quiet places into pieces short enough for a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LONGEST_PIECE = 30.0  # seconds
EARLIEST_CUT = 20.0  # seconds
_WINDOW_SECONDS = 0.2
_STEP_SECONDS = 0.02


@dataclass(frozen=True)
class SampleRange:
    """Samples `start` to `stop` of a recording."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def cut_at_pauses(
    samples: np.ndarray,
    rate: int,
    longest: float = LONGEST_PIECE,
    earliest: float = EARLIEST_CUT,
) -> list[SampleRange]:
    """Cut a recording into pieces of at most `longest` seconds.

    Each piece but the last ends in the middle of the quietest 0.2 s between `earliest` and
    `longest` seconds after its start (the last of equally quiet ones), and at least 1 s before the
    end of the recording. A rest of at most `longest` seconds is not cut.

    Args:
        samples: float32 (samples,).
        rate: samples a second.
        longest, earliest: seconds.

    Returns:
        The pieces, which together are the whole recording.
    """
    pieces, start = [], 0
    while (left := len(samples) - start) > longest * rate:
        last = min(int(longest * rate), left - rate)
        stop = start + _quietest(samples[start:], round(earliest * rate), last, rate)
        pieces.append(SampleRange(start, stop))
        start = stop
    return [*pieces, SampleRange(start, len(samples))]


def _quietest(samples: np.ndarray, first: int, last: int, rate: int) -> int:
    """Return the sample from `first` to `last` around which there is the least energy."""
    half, step = int(_WINDOW_SECONDS * rate / 2), max(int(_STEP_SECONDS * rate), 1)
    near = samples[first - half : last + half].astype(np.float64)
    energy = np.concatenate([[0.0], np.cumsum(near**2)])
    places = np.arange(half, last - first + half, step)
    ends = np.minimum(places + half, len(near))
    loudness = (energy[ends] - energy[places - half]) / (ends - places + half)
    best = len(loudness) - 1 - int(np.argmin(loudness[::-1]))
    return first + int(places[best]) - half
