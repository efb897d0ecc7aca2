"""Tiny models that converse, over one byte vocabulary."""

from __future__ import annotations

import numpy as np
from tiny import byte_tokenizer, tiny_backbone

import workbench as wb
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM

TEMPLATE = """\
{{ bos_token }}
{%- for message in messages -%}
<{{ message.role }}>{{ message.content }}{{ eos_token }}
{%- endfor -%}
<assistant>"""


def chat_lm(family):
    """A random model whose tokenizer has a chat template."""
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = TEMPLATE
    backbone = _learned_positions() if family == "gpt2" else tiny_backbone(family)
    return CausalLM(backbone, CausalLMPreprocessor(tokenizer, sequence_length=512))


def _learned_positions():
    """A context of 200 tokens, less than the bucket a long prompt is padded to."""
    backbone = wb.models.GPT2Backbone(
        vocabulary_size=257,
        num_layers=2,
        num_heads=4,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=200,
    )
    noise = np.random.default_rng(0)
    for variable in backbone.trainable_variables:
        spread = noise.normal(scale=0.3, size=variable.shape)
        variable.assign(np.asarray(variable) + spread.astype("float32"))
    return backbone


def said(*contents):
    """Messages of user and assistant in turn."""
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]
