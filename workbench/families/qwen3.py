"""Qwen3: Qwen2 without biases, with a norm on every head of queries and keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Rule
from workbench.families import decoders, llama, qwen
from workbench.families.registry import Family
from workbench.families.shared_rules import OURS
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import BytePairTokenizer
from workbench.tokenizers.patterns import QWEN_PATTERN


class Qwen3Backbone(Decoder):
    """A dense Qwen3 decoder (Qwen Team 2025), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_query_heads: attention heads.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        head_dim: width of a head.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        rope_max_wavelength: base of the rotary frequencies.
        rope_scaling_factor: divisor of the positions.
        layer_norm_epsilon: epsilon of every norm.
        dropout: rate after each branch in training.
        tie_word_embeddings: project to logits with the token table itself.
        sliding_window_size: keys a query sees, itself included; None for all.
        dtype: Keras dtype policy.

    Raises:
        SettingError: an argument is impossible.
    """

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_query_heads: int,
        num_key_value_heads: int,
        head_dim: int,
        hidden_dim: int,
        intermediate_dim: int,
        rope_max_wavelength: float = 10_000,
        rope_scaling_factor: float = 1.0,
        layer_norm_epsilon: float = 1e-6,
        dropout: float = 0.0,
        tie_word_embeddings: bool = True,
        sliding_window_size: int | None = 32_768,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            decoders.llama_like(
                "Qwen3Backbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_query_heads,
                num_key_value_heads=num_key_value_heads,
                head_dim=head_dim,
                mlp=config.Gated(intermediate_dim),
                position=config.Rope(rope_max_wavelength, rope_scaling_factor),
                layer=config.LayerSpec(sliding_window_size),
                query_key_norm=True,
                layer_norm_epsilon=layer_norm_epsilon,
                tied=tie_word_embeddings,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class Qwen3Tokenizer(BytePairTokenizer):
    """Qwen3's byte-level BPE tokenizer; `<|im_end|>` ends a text and a chat's turn."""

    split_pattern = QWEN_PATTERN
    composes = True
    end_token = "<|im_end|>"
    pad_token = "<|endoftext|>"
    extra_stop_tokens = ("<|endoftext|>",)


class Qwen3CausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Qwen3's ids and back."""

    tokenizer_cls = Qwen3Tokenizer


class Qwen3CausalLM(CausalLM):
    """Qwen3 as a causal language model."""

    backbone_cls = Qwen3Backbone
    preprocessor_cls = Qwen3CausalLMPreprocessor


def hub_head_norms(decoder: str) -> tuple[Rule, ...]:
    """Return rules for the norms of queries and keys in KerasHub's files."""
    attention = f"layers/{decoder}{{_i}}/_self_attention_layer/"
    return tuple(
        Rule(f"{OURS}attention/{kind}_norm/scale", f"{attention}_{kind}_dense_layer_norm/vars/0")
        for kind in ("query", "key")
    )


HEAD_NORMS = tuple(
    Rule(
        f"{OURS}attention/{kind}_norm/scale",
        llama.theirs(f"{llama.LAYER}self_attn.{kind[0]}_norm.weight"),
    )
    for kind in ("query", "key")
)

KERAS_HUB_RULES = (
    *llama.hub_outer_rules("qwen3_layer_norm"),
    *llama.hub_block_rules("qwen3_transformer_decoder"),
    *hub_head_norms("qwen3_transformer_decoder"),
)


def read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    """Read the rotary settings and the window from a Transformers config."""
    rope = llama.linear_rope(settings.rope(), "rope_scaling_factor")
    return {**rope, "sliding_window_size": qwen.read_window(settings, arguments)}


def write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Invert `read`."""
    rope = llama.linear_rope_config(arguments, "rope_scaling_factor")
    return rope | qwen.write_window(arguments, arguments["sliding_window_size"])


KEYS = {**qwen.KEYS, "head_dim": "head_dim"}
DEFAULTS = {**qwen.DEFAULTS, "head_dim": 128}


def read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments; such files have no sliding window."""
    arguments = gguf_decoder.rms_decoder(settings)
    return {
        **arguments,
        **gguf_decoder.linear_rope(settings),
        "head_dim": gguf_decoder.own_heads(settings, arguments),
        "sliding_window_size": None,
        "tie_word_embeddings": gguf_decoder.is_tied(settings),
    }


GGUF_NORMS = {**gguf_rules.NORMS, **gguf_rules.HEAD_NORMS}

FAMILIES = (
    Family(
        name="qwen3",
        backbone=Qwen3Backbone,
        tokenizer=Qwen3Tokenizer,
        preprocessor=Qwen3CausalLMPreprocessor,
        causal_lm=Qwen3CausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=Gguf("qwen3", gguf_rules.llama_like(norms=GGUF_NORMS), read_gguf),
        transformers=Transformers(
            model_type="qwen3",
            architecture="Qwen3ForCausalLM",
            rules=(*llama.TRANSFORMERS_RULES, *HEAD_NORMS),
            keys=KEYS,
            defaults=DEFAULTS,
            fixed={"hidden_act": ("silu",), "attention_bias": (False,)},
            read=read,
            write=write,
            harmless=("max_position_embeddings",),
        ),
    ),
)
