"""Transformers' figures, PyTorch on the CPU."""

from __future__ import annotations

import sys
import time

import torch
from figures import (
    NEW_TOKENS,
    PROMPT,
    best,
    long_prompt,
    report,
    seconds_since_process_start,
    timed,
)
from transformers import AutoModelForCausalLM

folder = sys.argv[1]
start = time.perf_counter()
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
figures = {"load": time.perf_counter() - start}
settings = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}


@torch.no_grad()
def generate(prompt, count):
    return model.generate(torch.tensor([prompt]), max_new_tokens=count, **settings)


generate(PROMPT, 1)
figures["first"] = seconds_since_process_start()


def quickest(count):
    return min(timed(lambda: generate(PROMPT, count)) for _ in range(3))


decode = (NEW_TOKENS - 1) / (quickest(NEW_TOKENS) - quickest(1))
figures["decode_72"] = figures["decode_1024"] = decode
figures["prefill"] = best(lambda: 512 / timed(lambda: generate(long_prompt(), 1)))
report(folder, figures)
