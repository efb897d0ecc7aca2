"""KerasHub's figures, on JAX."""

from __future__ import annotations

import sys
import time

import keras_hub
import numpy as np
from figures import (
    NEW_TOKENS,
    PROMPT,
    best,
    long_prompt,
    report,
    seconds_since_process_start,
    timed,
)

folder = sys.argv[1]
start = time.perf_counter()
# The class KerasHub's converter knows: the same decoder as Llama's.
backbone = keras_hub.models.Llama3Backbone.from_preset(folder)
lm = keras_hub.models.Llama3CausalLM(backbone, preprocessor=None)
lm.compile(sampler="greedy")
figures = {"load": time.perf_counter() - start}


def generate(prompt, length):
    ids = np.zeros((1, length), "int32")
    ids[0, : len(prompt)] = prompt
    mask = np.arange(length)[None] < len(prompt)
    return lm.generate({"token_ids": ids, "padding_mask": mask}, stop_token_ids=None)


def decode(length, repeats=3):
    """Tokens per second of a whole call, in which reading the prompt has a share of a few percent:
    one compiled program does both."""
    seconds = min(timed(lambda: generate(PROMPT, length)) for _ in range(repeats))
    return (length - len(PROMPT)) / seconds


generate(PROMPT, len(PROMPT) + NEW_TOKENS + 2)
figures["first"] = seconds_since_process_start()
figures["decode_72"] = decode(72)
generate(PROMPT, 1024)
figures["decode_1024"] = decode(1024, repeats=1)
generate(long_prompt(), 513)
figures["prefill"] = best(lambda: 512 / timed(lambda: generate(long_prompt(), 513)))
report(folder, figures)
