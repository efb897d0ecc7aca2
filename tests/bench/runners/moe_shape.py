"""The model, prompts and measure of the runners for mixtures of experts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np

SHAPE = {
    "vocabulary_size": 8192,
    "num_layers": 8,
    "num_query_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "hidden_dim": 512,
    "intermediate_dim": 1536,
    "moe_intermediate_dim": 768,
    "num_experts": 24,
    "top_k": 4,
    "norm_top_k_prob": True,
    "dtype": "float32",
}
SHORT, LONG, NEW_TOKENS = 6, 256, 9


def arrays(length: int, new: int) -> dict[str, np.ndarray]:
    """A prompt of `length` tokens and room for `new` more."""
    ids = np.zeros((1, length + new), "int32")
    ids[0, :length] = np.random.default_rng(0).integers(3, 8192, length)
    return {"token_ids": ids, "padding_mask": np.arange(length + new)[None] < length}


def measure(generate: Callable[[dict[str, np.ndarray]], object]) -> None:
    """Print decode and prefill in tokens per second: the quickest of three calls each.

    One token comes from the prompt, so the calls for one and for `NEW_TOKENS` differ by the steps
    alone.
    """

    def quickest(length: int, new: int) -> float:
        generate(arrays(length, new))
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            generate(arrays(length, new))
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    steps = quickest(SHORT, NEW_TOKENS) - quickest(SHORT, 1)
    print(json.dumps({"decode": (NEW_TOKENS - 1) / steps, "prefill": LONG / quickest(LONG, 1)}))
