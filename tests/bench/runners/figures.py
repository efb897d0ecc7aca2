"""What all runners measure, given a library's `load`, `prefill` and `decode`."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PROMPT = [1, 530, 1290, 3031, 7, 42]
NEW_TOKENS = 64


def seconds_since_process_start() -> float:
    """Wall clock since this process was started, imports included."""
    started = float(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - started / 100


def best(action: Callable[[], float], repeats: int = 3) -> float:
    """The highest rate of several runs."""
    return max(action() for _ in range(repeats))


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def long_prompt() -> list[int]:
    return np.random.default_rng(0).integers(3, 49152, 512).tolist()


def report(folder: str, figures: dict[str, float]) -> None:
    """Print the figures with the process's peak memory, as the last line."""
    weights = Path(folder, "model.safetensors").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures |= {"peak": peak / weights, "peak_over": (peak - 1.15 * weights) / 1e9}
    print(json.dumps(figures))
