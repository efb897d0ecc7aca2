"""The workbench's figures."""

from __future__ import annotations

import sys
import time

from figures import (
    NEW_TOKENS,
    PROMPT,
    best,
    long_prompt,
    report,
    seconds_since_process_start,
)

import workbench as wb
from workbench.generation.clock import WorkClock
from workbench.generation.loop import drive
from workbench.generation.programs import Output
from workbench.generation.request import make_request

folder = sys.argv[1]
start = time.perf_counter()
lm = wb.models.CausalLM.from_preset(folder)
figures = {"load": time.perf_counter() - start}


def outputs(prompt, max_length):
    """The tokens of one run, one after the other, as the stream makes them."""
    request = make_request(
        [prompt],
        sampler=wb.samplers.GreedySampler(),
        vocabulary_size=49152,
        context=None,
        max_length=max_length,
        max_new_tokens=NEW_TOKENS,
        stop_ids=(),
        seed=0,
        alternatives=5,
    )
    clock = WorkClock()
    for item in drive(lm.programs, request, clock):
        if isinstance(item, Output):
            yield item


next(outputs(PROMPT, 72))
figures["first"] = seconds_since_process_start()


def decode(max_length):
    run = outputs(PROMPT, max_length)
    next(run)
    start = time.perf_counter()
    made = sum(1 for _ in run)
    return made / (time.perf_counter() - start)


def prefill():
    start = time.perf_counter()
    next(outputs(long_prompt(), 600))
    return 512 / (time.perf_counter() - start)


for length in (72, 1024):
    decode(length)
    figures[f"decode_{length}"] = best(lambda length=length: decode(length))
prefill()
figures["prefill"] = best(prefill)
report(folder, figures)
