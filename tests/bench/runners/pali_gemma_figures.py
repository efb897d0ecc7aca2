"""What all runners of PaliGemma measure, given a library's `encode` and `answer`."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PROMPT = [2, 1043, 530, 1290, 3031, 7, 42, 108]
ANSWER = 32
SIDE, PATCHES = 224, 256


def picture() -> np.ndarray:
    """float32 (1, 224, 224, 3) in [-1, 1]."""
    draw = np.random.default_rng(0)
    return draw.uniform(-1, 1, (1, SIDE, SIDE, 3)).astype(np.float32)


def quickest(action: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of the quickest of several runs, after one that compiles."""
    action()
    return min(_timed(action) for _ in range(repeats))


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def report(folder: str, encode: Callable[[], object], answer: Callable[[int], object]) -> None:
    """Print the figures with the process's peak memory, as the last line. `encode` encodes the
    picture and waits for it; `answer` writes so many tokens to the picture and the prompt."""
    figures = {"encode": quickest(encode), "first": quickest(lambda: answer(1))}
    rest = quickest(lambda: answer(ANSWER), repeats=3) - figures["first"]
    files = [*Path(folder).glob("*.safetensors"), *Path(folder).glob("*.weights.h5")]
    weights = sum(file.stat().st_size for file in files)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures |= {"decode": (ANSWER - 1) / rest, "peak": peak / weights}
    print(json.dumps(figures))
