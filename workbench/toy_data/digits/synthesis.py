"""Turns tracks into sound: pulses and noise through resonators, in the manner of Klatt (1980).

Each frame of the source is filtered in the frequency domain and the responses are overlap-added, so
a second of speech takes a few milliseconds to compute.
"""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.signal import lfilter

from workbench.toy_data.digits.tracks import FRAME_MS, Tracks
from workbench.toy_data.digits.voices import Voice

RATE = 16_000
HOP = round(RATE * FRAME_MS / 1000)
_WINDOW = 2 * HOP
_BINS = 512
_Z = np.exp(-2j * np.pi * np.arange(_BINS // 2 + 1) / _BINS).astype(np.complex64)
_Z2 = _Z**2
_HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)).astype(np.float32)
_BANDWIDTHS = (70.0, 95.0, 140.0)
# The formants above the third hardly differ between phones.
_HIGHER = ((3450.0, 250.0), (4500.0, 350.0))
_NOSE_POLE, _NOSE_ZERO = 270.0, 950.0
_VOICE, _BREATH, _HISS = 0.55, 0.05, 0.11
_STEADY = 0.98  # removes everything below 50 Hz


def synthesise(rng: np.random.Generator, speaker: Voice, tracks: Tracks) -> np.ndarray:
    """Return samples, float32 (frames * HOP,), with vowels at a level of about 0.1."""
    voice, breath, hiss = (_by_sample(tracks.levels[:, i]) for i in range(3))
    pulses, is_open = _pulses(rng, _by_sample(tracks.pitch))
    noise = rng.standard_normal(len(pulses))
    tone = _VOICE * voice * _glottis(pulses, speaker)
    flow = voice * speaker.breath + breath
    through = tone + _BREATH * flow * noise * (0.5 + 0.5 * is_open)
    beside = _HISS * hiss * noise * np.where(voice > 0.2, 0.35 + 0.65 * is_open, 1.0)
    spectrum = _spectra(through) * _tract(tracks, speaker) + _spectra(beside) * _teeth(tracks)
    return _overlapped(np.asarray(fft.irfft(spectrum, _BINS)))[: len(pulses)].astype(np.float32)


def _by_sample(track: np.ndarray) -> np.ndarray:
    """Interpolate a track of frames (frames,) to samples (frames * HOP,)."""
    places = np.arange(len(track) * HOP) / HOP
    return np.interp(places, np.arange(len(track)), track)


def _pulses(rng: np.random.Generator, pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a pulse each time the glottis closes, and 1 while it is open, both (samples,)."""
    shaky = pitch * (1 + 0.006 * np.repeat(rng.standard_normal(len(pitch) // HOP), HOP))
    phase = np.cumsum(shaky / RATE) + rng.uniform()
    turns = np.floor(phase)
    at = np.flatnonzero(np.diff(turns, prepend=turns[0]))
    late = np.clip((phase[at] - turns[at]) / (shaky[at] / RATE), 0, 1)
    pulses = np.zeros(len(pitch))
    # A pulse between two samples is split between them; its energy is the same at any pitch.
    height = np.sqrt(RATE / shaky[at]) * (1 + 0.04 * rng.standard_normal(len(at)))
    np.add.at(pulses, at, height * (1 - late))
    np.add.at(pulses, np.maximum(at - 1, 0), height * late)
    return pulses, (phase - turns < 0.6).astype(float)


def _glottis(pulses: np.ndarray, speaker: Voice) -> np.ndarray:
    """Filter the pulses to glottal sound: no steady flow, 6 dB less per octave, and still less
    above the voice's tilt."""
    pulses = np.asarray(lfilter([1, -1], [1, -_STEADY], pulses))
    for corner in (250.0, speaker.tilt):
        keep = np.exp(-2 * np.pi * corner / RATE)
        pulses = np.asarray(lfilter([1 - keep], [1, -keep], pulses))
    return pulses


def _spectra(source: np.ndarray) -> np.ndarray:
    """Return the spectra (frames + 1, bins) of the source in windows that add up to one."""
    padded = np.pad(source.astype(np.float32), (HOP, HOP))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::HOP]
    return np.asarray(fft.rfft(windows * _HANN, _BINS))


def _overlapped(answers: np.ndarray) -> np.ndarray:
    """Overlap-add responses (frames + 1, bins), one hop apart, without the first hop."""
    chunks = _BINS // HOP + 1
    padded = np.pad(answers, ((0, 0), (0, chunks * HOP - _BINS)))
    total = np.zeros((len(answers) + chunks, HOP))
    for i in range(chunks):
        total[i : i + len(answers)] += padded[:, i * HOP : (i + 1) * HOP]
    return total.reshape(-1)[HOP:]


def _tract(tracks: Tracks, speaker: Voice) -> np.ndarray:
    """Return the frequency response of mouth and nose, (frames + 1, bins)."""
    frames = np.append(np.arange(len(tracks.formants)), -1)
    formants, nose = tracks.formants[frames], tracks.levels[frames, 3]
    answer = np.ones((len(frames), len(_Z)), np.complex64)
    for i, width in enumerate(_BANDWIDTHS):
        wide = width * speaker.bandwidth * (1 + 1.2 * nose)
        answer = answer / _poles(formants[:, i], wide)
    for frequency, width in _HIGHER:
        one = np.array([frequency * speaker.tract])
        answer = answer / _poles(one, np.array([width * speaker.bandwidth]))
    zero = _NOSE_POLE + nose * (_NOSE_ZERO - _NOSE_POLE)
    wide = 100.0 + 100 * nose
    pole = _poles(np.full(len(nose), _NOSE_POLE), np.full(len(nose), 100.0))
    return answer * _poles(zero, wide) / pole


def _poles(frequency: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Return the denominator of resonators (frames, bins); it is one at 0 Hz."""
    radius = np.exp(-np.pi * width / RATE)[:, None]
    turn = 2 * radius * np.cos(2 * np.pi * frequency / RATE)[:, None]
    low, high = turn.astype(np.float32), (radius**2).astype(np.float32)
    return (1 - low * _Z + high * _Z2) / (1 - low + high)


def _teeth(tracks: Tracks) -> np.ndarray:
    """Return the frequency response at the place of the hiss, (frames + 1, bins), with constant
    power."""
    frames = np.append(np.arange(len(tracks.hiss)), -1)
    centre, width = np.minimum(tracks.hiss[frames].T, [[7000.0], [8000.0]])
    answer = (1 - 0.9 * _Z) / _poles(centre, width)
    return answer / np.sqrt(np.mean(np.abs(answer) ** 2, axis=1, keepdims=True))
