"""KerasHub's figures for a mixture of experts, on JAX."""

from __future__ import annotations

import keras_hub
from moe_shape import SHAPE, measure

backbone = keras_hub.models.Qwen3MoeBackbone(**SHAPE)
lm = keras_hub.models.Qwen3MoeCausalLM(backbone, preprocessor=None)
lm.compile(sampler="greedy")
measure(lambda inputs: lm.generate(inputs, stop_token_ids=None))
