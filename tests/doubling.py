"""Whether work grows in proportion to what it is done on."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

TIMES = 8
MOST = 24  # times the work, of eight times as much: in proportion it is 8, quadratic 64
LEAST_SECONDS = 0.002


def grows_in_proportion(work: Callable[[int], object], size: int) -> bool:
    """Whether `work(8 * size)` takes less than 24 times as long as `work(size)`, in seconds of this
    process alone; the quickest of several tries counts."""
    gc.disable()  # its rounds take longer the more there is, whoever made it
    try:
        few, many = (min(_seconds(work, count) for _ in range(3)) for count in (size, TIMES * size))
    finally:
        gc.enable()
    return many < MOST * max(few, LEAST_SECONDS)


def _seconds(work: Callable[[int], object], size: int) -> float:
    began = time.process_time()
    work(size)
    return time.process_time() - began
