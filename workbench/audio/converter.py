"""The audio converter of a preset: recordings as the arrays an encoder reads."""

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

LONGEST_SECONDS = 64.0


class AudioConverter:
    """Recordings of one channel at `sampling_rate`, padded to one length.

    Arguments as KerasHub's `MoonshineAudioConverter`. Another rate is converted, which KerasHub
    refuses, and padding is told apart by length and not by value.

    Args:
        sampling_rate: samples a second that the model hears.
        padding_value: what stands after the shorter recordings of a batch.
        do_normalize: less the mean, over the deviation, of each recording.

    Raises:
        SettingError: an impossible value.

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
        """One recording as float32 (samples,); what it can be says `open_audio`.

        Raises:
            AudioError: it cannot be read, or is not from 0.1 to 64 seconds long.
        """
        samples = open_audio(audio, rate, self.sampling_rate)
        seconds = len(samples) / self.sampling_rate
        if seconds > LONGEST_SECONDS:
            raise AudioError(
                f"audio: expected {SHORTEST_SECONDS} to {LONGEST_SECONDS:.0f} seconds, got "
                f"{seconds:.1f} seconds: transcribe() takes longer recordings, in pieces"
            )
        return self.normalized(samples)

    def normalized(self, samples: np.ndarray) -> np.ndarray:
        """Samples (samples,) as the model hears them."""
        if not self.do_normalize:
            return samples
        return (samples - samples.mean()) / np.sqrt(samples.var() + np.float32(1e-7))

    def batch(
        self, recordings: Sequence[np.ndarray], length: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Recordings (samples,) as float32 (B, length, 1) and a mask bool (B, length), true at
        their samples; `length` is by default that of the longest."""
        sizes = np.array([len(samples) for samples in recordings])
        length = int(sizes.max()) if length is None else length
        values = np.full((len(recordings), length, 1), self.padding_value, np.float32)
        for row, samples in enumerate(recordings):
            values[row, : len(samples), 0] = samples
        return values, np.arange(length) < sizes[:, None]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as KerasHub writes them to `audio_converter.json`."""
        return {
            "sampling_rate": self.sampling_rate,
            "padding_value": self.padding_value,
            "do_normalize": self.do_normalize,
        }

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({values})"
