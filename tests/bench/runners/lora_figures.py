"""What the runners of `lora.py` share: the data, and what is measured of a library's step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from figures import report

RANK, RATE = 8, 1e-3
TARGETS = ["q_proj", "v_proj"]
WARM_STEPS, STEPS = 3, 7


def tokens() -> np.ndarray:
    """int32 (4, 129): each token's label is the one after it."""
    return np.random.default_rng(0).integers(0, 49152, (4, 129)).astype(np.int32)


def measure(folder: str, step: Callable[[], float]) -> None:
    """Print the figures of `step()`, which returns the loss before it."""
    seconds, losses = [], []
    for _ in range(WARM_STEPS + STEPS):
        start = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - start)
    usual = statistics.median(seconds[WARM_STEPS:])
    figures = {"first": seconds[0], "step": usual, "rate": 1 / usual, "loss": losses[-1]}
    report(folder, figures)
