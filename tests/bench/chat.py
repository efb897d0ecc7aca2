"""The second turn of a conversation, with and without what the first left in the cache.

    python tests/bench/chat.py [--history 500] [--rounds 5]

A Llama of 134.5 M random parameters, as in `generation.py`, reads a history and 20 new tokens, and
writes one. Both ways run in turn in one process; the figures are medians of what prefill took.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from generation import make_model

import workbench as wb
from workbench.generation.clock import WorkClock
from workbench.generation.loop import drive
from workbench.generation.prefix import Prefix
from workbench.generation.programs import Output
from workbench.generation.request import make_request

NEW = 20


def seconds(lm: wb.models.CausalLM, ids: np.ndarray, prefix: Prefix | None) -> float:
    """From the request to its first token on the host."""
    request = make_request(
        [ids],
        sampler=wb.samplers.GreedySampler(),
        vocabulary_size=lm.backbone.config.vocabulary_size,
        context=None,
        max_length=1024,
        max_new_tokens=8,
        stop_ids=(),
        seed=0,
        alternatives=5,
    )
    start = time.perf_counter()
    run = drive(lm.programs, request, WorkClock(), prefix)
    next(item for item in run if isinstance(item, Output))
    spent = time.perf_counter() - start
    run.close()
    return spent


def measure(lm: wb.models.CausalLM, history: int, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of the second turn without and with the first turn's cache."""
    draw = np.random.default_rng(0)
    fresh, reused = [], []
    for _ in range(rounds + 1):
        ids = draw.integers(0, 49152, history + NEW).astype(np.int32)
        prefix = Prefix()
        seconds(lm, ids[:history], prefix)
        reused.append(seconds(lm, ids, prefix))
        fresh.append(seconds(lm, ids, None))
    return fresh[1:], reused[1:]  # the first round compiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--history", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder))
        lm = wb.models.CausalLM.from_preset(folder)
        fresh, reused = map(statistics.median, measure(lm, options.history, options.rounds))
    print(f"second turn, {options.history} tokens of history and {NEW} new, to its first token")
    print(f"read anew {fresh:.3f} s, from the cache {reused:.3f} s: {fresh / reused:.1f} times")


if __name__ == "__main__":
    main()
