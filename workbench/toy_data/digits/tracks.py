"""Turns words into tracks: the synthesiser's settings for each 5 milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.toy_data.digits.phones import Phone, phones_of
from workbench.toy_data.digits.voices import Voice

FRAME_MS = 5.0
_LEVEL_MS = 18.0
_REST = (480.0, 1480.0, 2480.0)


@dataclass(frozen=True)
class Tracks:
    """Frames of an utterance.

    Attributes:
        formants: hertz (frames, 3).
        levels: (frames, 4): voice, breath, hiss, nose.
        hiss: hertz (frames, 2): its centre and width.
        pitch: hertz (frames,).
        word: int (frames,): the number of the spoken word, -1 between words.
    """

    formants: np.ndarray
    levels: np.ndarray
    hiss: np.ndarray
    pitch: np.ndarray
    word: np.ndarray


def make_tracks(
    rng: np.random.Generator, speaker: Voice, words: list[str], gaps: list[float]
) -> Tracks:
    """Return the tracks of words with silences of `gaps` seconds before, between and after them."""
    parts, numbers = [_silence(gaps[0])], [-1]
    for number, (word, gap) in enumerate(zip(words, gaps[1:], strict=True)):
        stretch = rng.uniform(0.85, 1.2) / speaker.tempo
        for phone in phones_of(word):
            parts.append(_frames(phone, stretch * rng.uniform(0.88, 1.14)))
            numbers.append(number)
        parts.append(_silence(gap))
        numbers.append(-1)
    word = np.repeat(numbers, [len(part) for part in parts])
    targets = np.concatenate(parts)
    formants, levels, hiss = np.split(targets, [3, 7], axis=1)
    _hold(formants, word)
    formants = formants * (np.array(speaker.accent) * speaker.tract)
    hiss = hiss * speaker.tract**0.5
    return Tracks(
        formants=_smooth(formants, speaker.clarity),
        levels=_smooth(levels, _LEVEL_MS),
        hiss=_smooth(hiss, _LEVEL_MS),
        pitch=_melody(rng, speaker, word),
        word=word,
    )


def _frames(phone: Phone, stretch: float) -> np.ndarray:
    """Return a phone's targets (frames, 9): formants, levels, hiss."""
    count = max(2, round(phone.ms * stretch / FRAME_MS))
    way = np.linspace(0, 1, count)[:, None]
    start = np.array(phone.start, float)
    formants = start + way * (np.array(phone.end or phone.start, float) - start)
    rest = (phone.voice, phone.breath, phone.hiss, phone.nose, phone.centre, phone.width)
    return np.concatenate([formants, np.tile(rest, (count, 1))], axis=1)


def _silence(seconds: float) -> np.ndarray:
    count = max(1, round(1000 * seconds / FRAME_MS))
    return np.tile((*_REST, 0.0, 0.0, 0.0, 0.0, 4000.0, 2000.0), (count, 1))


def _hold(formants: np.ndarray, word: np.ndarray) -> None:
    """Fill the formants of silences in place: the first half keeps the last sound's, the second
    half has the next one's."""
    spoken = np.flatnonzero(word >= 0)
    silent = np.flatnonzero(word < 0)
    after = np.clip(np.searchsorted(spoken, silent), 0, len(spoken) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(spoken[after] - silent) < np.abs(spoken[before] - silent)
    formants[silent] = formants[np.where(nearer, spoken[after], spoken[before])]


def _smooth(track: np.ndarray, ms: float) -> np.ndarray:
    """Smooth a track (frames, C) with a raised cosine that is `ms` wide at half its height."""
    count = 2 * max(1, round(ms / FRAME_MS)) + 1
    window = np.hanning(count + 2)[1:-1]
    window /= window.sum()
    padded = np.pad(track, ((count // 2, count // 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window, "valid") for column in padded.T], axis=1)


def _melody(rng: np.random.Generator, speaker: Voice, word: np.ndarray) -> np.ndarray:
    """Return the pitch in hertz (frames,): falls over the utterance, rises in words, ends low."""
    count = len(word)
    shape = np.linspace(1.07, 0.93, count)
    last = word.max()
    for number in range(last + 1):
        frames = np.flatnonzero(word == number)
        way = np.linspace(0, 1, len(frames))
        lift = speaker.liveliness * rng.uniform(0.5, 1.3)
        shape[frames] *= 1 + lift * np.sin(np.pi * way**0.7) - 0.12 * way**2 * (number == last)
    wander = np.cumsum(rng.normal(0, 0.004, count))
    wander -= np.linspace(0, wander[-1], count)
    return speaker.pitch * _smooth((shape * (1 + wander))[:, None], 30)[:, 0]
