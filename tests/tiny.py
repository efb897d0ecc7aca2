"""Tiny models for tests: a few unlike families over one byte vocabulary."""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import keras
import numpy as np
import tokenizers

import workbench as wb

GOLDENS = Path(__file__).parent / "data" / "goldens"
END = "<|endoftext|>"


def byte_tokenizer(cls=None):
    """A GPT-2 tokenizer without merges: one token per byte, and one that ends text."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    return (cls or wb.models.GPT2Tokenizer)({**vocabulary, END: 256}, [])


def tiny_backbone(family: str, seed: int = 0):
    """A random backbone of two layers in which every weight matters."""
    keras.utils.set_random_seed(seed)
    makers = {
        "llama": lambda: wb.models.LlamaBackbone(
            vocabulary_size=257,
            num_layers=2,
            num_query_heads=4,
            hidden_dim=32,
            intermediate_dim=48,
            num_key_value_heads=2,
        ),
        "gpt2": lambda: wb.models.GPT2Backbone(
            vocabulary_size=257,
            num_layers=2,
            num_heads=4,
            hidden_dim=32,
            intermediate_dim=64,
            max_sequence_length=64,
        ),
        "gemma2": lambda: wb.models.GemmaBackbone(
            vocabulary_size=257,
            num_layers=2,
            num_query_heads=4,
            num_key_value_heads=2,
            hidden_dim=32,
            intermediate_dim=64,
            head_dim=12,
            query_head_dim_normalize=False,
            use_post_ffw_norm=True,
            use_post_attention_norm=True,
            attention_logit_soft_cap=5.0,
            final_logit_soft_cap=8.0,
            use_sliding_window_attention=True,
            sliding_window_size=5,
        ),
        "gpt_neo_x": lambda: wb.models.GPTNeoXBackbone(
            vocabulary_size=257,
            num_layers=2,
            num_heads=4,
            hidden_dim=32,
            intermediate_dim=64,
            rotary_percentage=0.5,
            activation="gelu",
            tie_word_embeddings=False,
        ),
        "olmo2": lambda: wb.models.Olmo2Backbone(
            vocabulary_size=257,
            num_layers=2,
            num_query_heads=4,
            num_key_value_heads=2,
            hidden_dim=32,
            intermediate_dim=48,
        ),
        "smollm3": lambda: wb.models.SmolLM3Backbone(
            vocabulary_size=257,
            hidden_dim=32,
            intermediate_dim=48,
            num_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            attention_bias=False,
            attention_dropout=0.0,
            rope_layer_enabled_list=[True, False],
            layer_types=["full_attention"] * 2,
            mlp_bias=False,
            layer_norm_epsilon=1e-6,
            max_position_embeddings=64,
            rope_theta=10_000.0,
            partial_rotary_factor=1.0,
        ),
    }
    backbone = makers[family]()
    noise = np.random.default_rng(seed)
    for variable in backbone.trainable_variables:
        # Initial scales are too even to tell a wrong norm or a missing bias from a right one.
        spread = noise.normal(scale=0.3, size=variable.shape)
        variable.assign(np.asarray(variable) + spread.astype("float32"))
    return backbone


FAMILIES = ("llama", "gpt2", "gemma2")
UNLIKE = (*FAMILIES, "gpt_neo_x", "olmo2", "smollm3")
"""With those whose blocks, norms or positions are of a kind of their own."""


def one_layer():
    """A random Llama backbone of one layer, for what is the same in every family."""
    return wb.models.LlamaBackbone(
        vocabulary_size=257,
        num_layers=1,
        num_query_heads=2,
        hidden_dim=16,
        intermediate_dim=16,
        num_key_value_heads=1,
    )


@functools.cache
def whole(model):
    """The model's full forward pass as one compiled function of padded ids (B, 64) and lengths
    (B,). Run op by op, every new length would compile every op anew."""

    def forward(ids, lengths):
        mask = jnp.arange(ids.shape[1]) < lengths[:, None]
        return model({"token_ids": ids, "padding_mask": mask})

    return jax.jit(forward)


def whole_logits(backbone, rows):
    """Logits of rows of ids of one length, (B, T, V), by the full forward pass."""
    ids = np.asarray(rows)
    padded = np.pad(ids, ((0, 0), (0, 64 - ids.shape[1]))).astype("int32")
    hidden = whole(backbone)(padded, np.full(len(ids), ids.shape[1]))[:, : ids.shape[1]]
    return np.asarray(backbone.logits(hidden))
