"""The audio converter of a preset: turns recordings into an encoder's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.audio.reading import (
    SAMPLING_RATE,
    SHORTEST_SECONDS,
    USUAL_RATE,
    AudioSource,
    open_audio,
)
from workbench.errors import AudioError
from workbench.kinds import checks_types

LONGEST_INPUT = 64.0  # seconds


class AudioConverter:
    """Converts recordings to one channel at `sampling_rate`, padded to one length.

    The arguments are those of KerasHub's `MoonshineAudioConverter`. Other sampling rates, which
    KerasHub refuses, are resampled, and the mask of padding comes from lengths, not values.

    Args:
        sampling_rate: of the model's input, in Hz.
        padding_value: fills up the shorter recordings of a batch.
        do_normalize: whether to scale each recording to mean 0 and deviation 1.

    Raises:
        SettingError: a value is out of range.

    Example, half a second of silence:

        AudioConverter()(np.zeros(8000, "float32")).shape  # (8000,)
    """

    @checks_types
    def __init__(
        self,
        sampling_rate: int = USUAL_RATE,
        padding_value: float = 0.0,
        do_normalize: bool = False,
    ) -> None:
        SAMPLING_RATE.check("sampling_rate: samples a second", sampling_rate)
        self.sampling_rate = sampling_rate
        self.padding_value = float(padding_value)
        self.do_normalize = do_normalize

    def __call__(self, audio: AudioSource, rate: int | None = None) -> np.ndarray:
        """Convert one recording to float32 (samples,); see `open_audio` for what it can be.

        Args:
            audio: the recording.
            rate: the sampling rate of an array, in Hz.

        Raises:
            AudioError: it cannot be read, or is not from 0.1 to 64 seconds long.
            SettingError: the rate is out of range.
        """
        samples = open_audio(audio, rate, self.sampling_rate)
        seconds = len(samples) / self.sampling_rate
        if seconds > LONGEST_INPUT:
            raise AudioError(
                f"audio: expected {SHORTEST_SECONDS} to {LONGEST_INPUT:.0f} seconds, got "
                f"{seconds:.1f} seconds: transcribe() cuts longer recordings into pieces"
            )
        return self.normalized(samples)

    def normalized(self, samples: np.ndarray) -> np.ndarray:
        """Normalise samples (samples,), if `do_normalize`."""
        if not self.do_normalize:
            return samples
        return (samples - samples.mean()) / np.sqrt(samples.var() + np.float32(1e-7))

    def batch(
        self, recordings: Sequence[np.ndarray], length: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pad recordings (samples,) to float32 (B, length, 1), and return a mask bool (B, length)
        that is true at their samples; `length` is by default that of the longest."""
        sizes = np.array([len(samples) for samples in recordings])
        length = int(sizes.max()) if length is None else length
        values = np.full((len(recordings), length, 1), self.padding_value, np.float32)
        for row, samples in enumerate(recordings):
            values[row, : len(samples), 0] = samples
        return values, np.arange(length) < sizes[:, None]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as KerasHub writes them to `audio_converter.json`."""
        return {
            "sampling_rate": self.sampling_rate,
            "padding_value": self.padding_value,
            "do_normalize": self.do_normalize,
        }

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({values})"
