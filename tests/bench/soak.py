"""Line W7 of the fault matrix: a day's cycle over and over, and what it leaves behind.

    python tests/bench/soak.py [minutes]

A cycle loads a model, generates, cancels a run, trains 20 steps, saves the model, and closes its
panel. The table has a row a minute. At the end, over the second half: the slope of the resident
size by least squares, which may be 1 MB per 100 cycles, and what grew of threads, open files and
entries of the compilation cache, which may be nothing.
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import numpy as np
import psutil

import workbench as wb

PRESET = "stories_tiny_en"
PROMPT = "Once upon a time"
STORIES = ["A tale of the sea and of a small ship.", "The moon slept behind a cloud."] * 4
ALLOWED = 1.0  # MB per 100 cycles


@dataclass(frozen=True)
class Census:
    """What is there between two cycles."""

    cycle: int
    megabytes: float
    threads: int
    files: int
    compiled: int

    @classmethod
    def take(cls, cycle: int, cache: Path) -> Census:
        gc.collect()
        process = psutil.Process()
        return cls(
            cycle,
            process.memory_info().rss / 1e6,
            threading.active_count(),
            process.num_fds(),
            sum(1 for _ in cache.rglob("*")),
        )


def cycle(folder: Path) -> None:
    """One day with one model."""
    lm = wb.models.CausalLM.from_preset(PRESET)
    lm.generate(PROMPT, max_new_tokens=16, seed=1)
    panel = wb.generate(lm, prompt=PROMPT)
    panel.start()
    panel.cancel()
    panel.wait()
    job = wb.TrainingJob(lm, STORIES, validation=None, steps=20, batch_size=2, length=32, seed=1)
    job.start()
    job.wait()
    lm.save_to_preset(folder)
    panel.close()


def soak(minutes: float, folder: Path, cache: Path) -> Iterator[Census]:
    """A census after each cycle."""
    end = time.monotonic() + 60 * minutes
    for number in itertools.count(1):
        cycle(folder)
        yield Census.take(number, cache)
        if time.monotonic() > end:
            return


def verdict(half: list[Census]) -> str:
    """What the second half says."""
    cycles = [census.cycle for census in half]
    slope = 100 * np.polyfit(cycles, [census.megabytes for census in half], 1)[0]
    grown = {
        name: getattr(half[-1], name) - getattr(half[0], name)
        for name in ("threads", "files", "compiled")
    }
    held = slope <= ALLOWED and not any(more > 0 for more in grown.values())
    said = ", ".join(f"{name} {more:+d}" for name, more in grown.items())
    return f"{'held' if held else 'NOT HELD'}: {slope:+.2f} MB per 100 cycles, {said}"


def main(minutes: float) -> None:
    """Print a row a minute, then the verdict."""
    print(f"{'minute':>6} {'cycles':>6} {'MB':>7} {'threads':>7} {'files':>6} {'compiled':>8}")
    cache = Path(os.environ["WORKBENCH_CACHE_DIR"])
    start, told, taken = time.monotonic(), 0, []
    with tempfile.TemporaryDirectory() as folder:
        for census in soak(minutes, Path(folder) / "saved", cache):
            taken.append(census)
            minute = int((time.monotonic() - start) // 60)
            if minute > told:
                told = minute
                row = f"{census.threads:7} {census.files:6} {census.compiled:8}"
                print(f"{minute:6} {census.cycle:6} {census.megabytes:7.0f} {row}", flush=True)
    print(verdict(taken[len(taken) // 2 :]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as compiled:
        os.environ.setdefault("WORKBENCH_CACHE_DIR", compiled)
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 20)
