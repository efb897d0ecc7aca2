"""Load a folder, generate or train as asked, and print the peak beside the estimate."""

from __future__ import annotations

import json
import resource
import sys

import numpy as np


def main(folder: str, dtype: str, work: dict[str, int]) -> None:
    from workbench.estimates.estimate import estimate_config
    from workbench.models import CausalLM

    lm = CausalLM.from_preset(folder, dtype=dtype)
    config = lm.backbone.config
    length, batch = work.get("length", 64), work.get("batch", 1)
    estimate = estimate_config(config, dtype, **work)
    if work.get("training"):
        train(lm, length, batch, work.get("lora_rank"))
    elif length:
        generate(lm, length, batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    parts = ("weights", "cache", "activations", "optimizer", "process", "total")
    print(json.dumps({"peak": peak} | {part: getattr(estimate, part) for part in parts}))


def generate(lm, length: int, batch: int) -> None:
    """Prompts that leave room for four tokens."""
    ids = np.full((batch, length), 7, np.int32)
    mask = np.arange(length)[None] < np.full((batch, 1), length - 4)
    lm.generate({"token_ids": ids, "padding_mask": mask}, max_length=length, stop_token_ids=None)


def train(lm, length: int, batch: int, rank: int | None) -> None:
    """Three steps of Adam."""
    if rank:
        lm.backbone.enable_lora(rank)
        lm.compile()
    ids = np.random.default_rng(0).integers(0, 1000, (3 * batch, length)).astype("int32")
    mask = np.ones_like(ids)
    inputs = {"token_ids": ids, "padding_mask": mask}
    lm.fit(inputs, np.roll(ids, -1, 1), sample_weight=mask, batch_size=batch, verbose=0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
