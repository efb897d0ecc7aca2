"""Read recordings from untrusted files, bytes and arrays.

libsndfile decodes files (WAV, FLAC, OGG, MP3 and its other formats) block by block, after their
header has been checked.
"""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from scipy.signal import resample_poly

from workbench.errors import AudioError
from workbench.kinds import integer

AudioSource = str | Path | bytes | BinaryIO | np.ndarray | list

USUAL_RATE = 16_000
SHORTEST_SECONDS = 0.1
LONGEST_SECONDS = 3600.0
LOWEST_RATE, HIGHEST_RATE = 1_000, 384_000  # Hz
SAMPLING_RATE = integer(LOWEST_RATE, HIGHEST_RATE)
MOST_CHANNELS = 64
MOST_SAMPLES = 2**28  # per channel: an hour at 72 kHz
MOST_BYTES = 2**31
_BLOCK = 2**16


def open_audio(
    source: AudioSource, rate: int | None = None, sampling_rate: int = USUAL_RATE
) -> np.ndarray:
    """Read a recording as one channel at `sampling_rate`.

    Channels are averaged, and integers divided by their largest value. Another rate is resampled
    with SciPy's polyphase filter, which removes frequencies too high for the new rate.

    Args:
        source: the path of a file, its bytes or an open binary file; or samples (samples,),
            (samples, channels) or (channels, samples), the longer axis being time: floats,
            usually from -1 to 1, or integers.
        rate: the sampling rate of an array, in Hz, by default `sampling_rate`; files state theirs.
        sampling_rate: of the result, in Hz.

    Returns:
        float32 (samples,).

    Raises:
        AudioError: the file is missing, no recording or damaged; the recording is empty, shorter
            than 0.1 seconds, longer than an hour, or holds NaN or infinite samples.
        SettingError: a rate is out of range.
    """
    SAMPLING_RATE.check("sampling_rate: samples a second", sampling_rate)
    if rate is not None:
        SAMPLING_RATE.check("rate: samples a second", rate)
    if isinstance(source, str | Path | bytes | bytearray | memoryview | io.IOBase):
        mono, found = _from_file(source, rate)
    else:
        found = rate or sampling_rate
        mono = _from_array(source, found)
    if not np.isfinite(mono).all():
        raise AudioError("audio: expected finite samples, got NaN or infinite ones")
    return _resampled(mono, found, sampling_rate)


def check_seconds(seconds: float, what: str = "audio") -> None:
    """Refuse a recording that is too short or too long.

    Raises:
        AudioError: it is not from 0.1 to 3,600 seconds long.
    """
    if seconds < SHORTEST_SECONDS:
        raise AudioError(
            f"{what}: expected at least {SHORTEST_SECONDS} seconds, got {seconds:.4f} seconds"
        )
    if seconds > LONGEST_SECONDS:
        raise AudioError(
            f"{what}: expected at most {LONGEST_SECONDS:.0f} seconds, got {seconds:.0f} seconds"
        )


def _from_file(source: Any, rate: int | None) -> tuple[np.ndarray, int]:
    """Read a file: samples float32 (samples,), and its sampling rate."""
    what = ascii(str(source))[:200] if isinstance(source, str | Path) else "audio"
    if isinstance(source, bytes | bytearray | memoryview):
        source = io.BytesIO(bytes(source))
    elif isinstance(source, str | Path):
        source = _checked_path(Path(os.path.expanduser(source)), what)
    try:
        with soundfile.SoundFile(source) as file:
            if rate is not None and rate != file.samplerate:
                raise AudioError(
                    f"{what}: rate: expected {file.samplerate}, as the file says, got {rate}"
                )
            _check_header(file, what)
            return _decoded(file, what), file.samplerate
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError(
            f"{what}: expected a recording (WAV, FLAC, OGG or MP3), got a file that cannot be "
            f"read: {str(error)[-200:]}"
        ) from error


def _checked_path(path: Path, what: str) -> Path:
    try:
        found = path.is_file()
    except OSError:  # the name is too long
        found = False
    if not found:
        raise AudioError(f"{what}: expected a file, found none")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise AudioError(f"{what}: expected at most {MOST_BYTES} bytes, got {size}")
    return path


def _check_header(file: soundfile.SoundFile, what: str) -> None:
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        raise AudioError(
            f"{what}: expected {LOWEST_RATE} to {HIGHEST_RATE} samples a second, got "
            f"{file.samplerate}"
        )
    if not 1 <= file.channels <= MOST_CHANNELS:
        raise AudioError(f"{what}: expected 1 to {MOST_CHANNELS} channels, got {file.channels}")
    check_seconds(file.frames / file.samplerate, what)
    if file.frames > MOST_SAMPLES:
        raise AudioError(f"{what}: expected at most {MOST_SAMPLES} samples, got {file.frames}")


def _decoded(file: soundfile.SoundFile, what: str) -> np.ndarray:
    """Read all samples, at most as many as the header states, and average the channels."""
    mono, count = np.empty(file.frames, np.float32), 0
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        part = block.mean(axis=1, dtype=np.float32)[: len(mono) - count]
        mono[count : count + len(part)] = part
        count += len(part)
    check_seconds(count / file.samplerate, what)
    return mono[:count]


def _from_array(source: Any, rate: int) -> np.ndarray:
    """Convert an array to samples float32 (samples,)."""
    try:
        array = np.asarray(source)
    except (ValueError, TypeError) as error:
        raise AudioError(
            f"audio: expected a file or an array of samples, got {type(source).__name__}"
        ) from error
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise AudioError(
            "audio: expected a file, or samples of shape (samples,), (samples, channels) or "
            f"(channels, samples), got {type(source).__name__} of {array.dtype} {array.shape}"
        )
    if array.ndim == 1:
        samples = array[:, None]
    else:
        samples = array if array.shape[0] >= array.shape[1] else array.T
    if not 1 <= samples.shape[1] <= MOST_CHANNELS:
        raise AudioError(f"audio: expected 1 to {MOST_CHANNELS} channels, got {samples.shape[1]}")
    check_seconds(len(samples) / rate)
    return _scaled(samples).mean(axis=1, dtype=np.float32)


def _scaled(samples: np.ndarray) -> np.ndarray:
    """Scale integers to -1..1; unsigned 8-bit samples are silent at 128."""
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # overflow becomes infinity, which is refused
            return samples.astype(np.float32)
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    silence = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - silence) / half).astype(np.float32)


def _resampled(mono: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Resample to `wanted` Hz."""
    if rate == wanted:
        return np.ascontiguousarray(mono, np.float32)
    common = math.gcd(int(rate), int(wanted))
    made = resample_poly(mono, wanted // common, rate // common)
    # The filter may add a sample at the end.
    length = math.ceil(len(mono) * wanted / rate)
    return np.ascontiguousarray(made[:length], np.float32)
