"""Simulates the way of speech to a recording: a room, a microphone, noise."""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve, lfilter

from workbench.toy_data.digits.synthesis import RATE


def recorded(rng: np.random.Generator, samples: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Return speech (samples,) as a real recording may have it, float32, peaks below one.

    Args:
        rng: the source of all random choices.
        samples: float32 (samples,).
        strength: 0 for a quiet studio, 1 for the hardest training recordings.
    """
    made = samples
    if rng.uniform() < 0.35 * strength:
        made = _in_a_room(rng, made)
    made = _microphone(rng, made, strength)
    level = np.sqrt(np.mean(made**2)) + 1e-9
    below = rng.uniform(8, 40) if strength else 45.0
    below = 45.0 + (below - 45.0) * strength
    made = made + _noise(rng, len(made)) * level * 10 ** (-below / 20)
    peak = rng.uniform(0.15, 0.9) if strength else 0.6
    return (made * (peak / np.abs(made).max())).astype(np.float32)


def _in_a_room(rng: np.random.Generator, samples: np.ndarray) -> np.ndarray:
    """Add an echo of noise that dies away within 80 to 350 milliseconds."""
    count = round(rng.uniform(0.08, 0.35) * RATE)
    echo = rng.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    echo *= rng.uniform(0.2, 0.6) / np.sqrt(np.sum(echo**2))
    echo[0] += 1
    return np.asarray(fftconvolve(samples, echo))[: len(samples)]


def _microphone(rng: np.random.Generator, samples: np.ndarray, strength: float) -> np.ndarray:
    """Change bass and treble a little."""
    bass, treble = rng.uniform(-0.5, 0.5, 2) * strength
    samples = np.asarray(lfilter([1, -max(bass, 0)], [1, min(bass, 0) * 0.6], samples))
    return np.asarray(lfilter([1, max(treble, 0)], [1, -min(treble, 0) * 0.6], samples))


def _noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return steady noise of level one: white to brown, sometimes with a hum."""
    keep = rng.uniform(0, 0.97)
    noise = np.asarray(lfilter([1], [1, -keep], rng.standard_normal(count)))
    noise /= np.sqrt(np.mean(noise**2)) + 1e-9
    if rng.uniform() < 0.25:
        times = np.arange(count) / RATE
        hum = sum(np.sin(2 * np.pi * rng.uniform(49, 61) * k * times) / k for k in (1, 2, 3))
        noise = noise + rng.uniform(0.3, 1) * hum
        noise /= np.sqrt(np.mean(noise**2))
    return noise
