"""Load a folder, train an adapter for three steps, and print the peak beside the estimate."""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

import numpy as np


def main(folder: str, dtype: str, work: dict[str, Any]) -> None:
    from workbench.data import batches
    from workbench.models import CausalLM
    from workbench.tuning.feed import Feed
    from workbench.tuning.job import TrainingJob

    rows, length = work["batch_size"], work["length"]

    class Random:
        """Rows of random ids, all of the full length."""

        per_epoch = 3

        def batch(self, step: int) -> batches.Batch:
            ids = np.random.default_rng(step).integers(0, 1000, (rows, length)).astype("int32")
            inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
            weights = np.ones(ids.shape, np.float32)
            return batches.Batch(inputs, np.roll(ids, -1, 1), weights, tuple(range(rows)))

    lm = CausalLM.from_preset(folder, dtype=dtype)
    job = TrainingJob(lm, Feed(Random(), longest=length), steps=3, **work)
    estimate = job.estimate
    job.start()
    job.wait()
    if job.error is not None:
        raise job.error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    parts = ("weights", "cache", "activations", "optimizer", "process", "total")
    print(json.dumps({"peak": peak} | {part: getattr(estimate, part) for part in parts}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
