"""The workbench's figures for a mixture of experts."""

from __future__ import annotations

from moe_shape import SHAPE, measure

import workbench as wb

lm = wb.models.Qwen3MoeCausalLM(wb.models.Qwen3MoeBackbone(**SHAPE))
measure(lambda inputs: lm.generate(inputs, stop_token_ids=None, sampler="greedy"))
