"""Signals at random moments of every call that changes a model.

    python tests/bench/interruptions.py [moments] [call ...]

Prints a line for each call: how often the model was the old one, the new one, or neither.
"""

from __future__ import annotations

import collections
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from interruptions import Call, Trial, broken_off_by_a_signal, calls

WRITES_EVERY = 10  # a text takes longer than most calls


def outcomes(call: Call, moments: int) -> collections.Counter[str]:
    """How often which model was left."""
    trial, random, counted = Trial(call), np.random.default_rng(0), collections.Counter()
    seconds = trial.seconds()
    for moment in range(moments):
        break_off = partial(broken_off_by_a_signal, seconds=random.uniform(0, seconds))
        try:
            counted[trial.run(break_off, writes=moment % WRITES_EVERY == 0)] += 1
        except Exception as error:  # of a model that is broken, or of a scope that is open
            print(f"    {type(error).__name__}: {str(error).splitlines()[:1]}", flush=True)
            counted["broken"] += 1
            trial.start_again()
    return counted


def main() -> None:
    moments, chosen = int((sys.argv[1:] or ["200"])[0]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        made = calls(Path(folder))
        for name in chosen or made:
            began = time.perf_counter()
            counted = outcomes(made[name], moments)
            told = ", ".join(f"{kind} {counted[kind]}" for kind in ("old", "new", "neither"))
            more = f", broken {counted['broken']}" if counted["broken"] else ""
            print(f"{name:20} {told}{more} ({time.perf_counter() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
