"""The workbench's figures."""

from __future__ import annotations

import sys

import numpy as np
from lora_figures import RANK, RATE, TARGETS, measure, tokens

from workbench.data.batches import Batch
from workbench.models import CausalLM
from workbench.tuning.settings import TuneSettings
from workbench.tuning.trainer import Trainer

folder, ids = sys.argv[1], tokens()
lm = CausalLM.from_preset(folder, dtype="float32")
lm.adapters.add("bench", RANK, targets=TARGETS)
settings = TuneSettings(steps=1000, warmup_steps=0, schedule="constant", learning_rate=RATE)
trainer = Trainer(lm, settings.planned(1))
mask = np.ones((4, 128), np.int32)
batch = Batch(
    {"token_ids": ids[:, :-1], "padding_mask": mask}, ids[:, 1:], mask.astype("float32"), ()
)
measure(folder, lambda: trainer.step([batch]).loss)
