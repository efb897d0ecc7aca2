"""KerasHub's figures, on JAX."""

from __future__ import annotations

import sys

import keras
import keras_hub
import numpy as np
from lora_figures import RANK, RATE, measure, tokens

folder, ids = sys.argv[1], tokens()
# The class KerasHub's converter knows: the same decoder as Llama's.
backbone = keras_hub.models.Llama3Backbone.from_preset(folder)
backbone.enable_lora(RANK)
lm = keras_hub.models.Llama3CausalLM(backbone, preprocessor=None)
lm.compile(
    optimizer=keras.optimizers.AdamW(RATE, weight_decay=0.0, global_clipnorm=1.0),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    weighted_metrics=[],
)
inputs = {"token_ids": ids[:, :-1], "padding_mask": np.ones((4, 128), "int32")}
measure(folder, lambda: float(np.ravel(lm.train_on_batch(inputs, ids[:, 1:]))[0]))
