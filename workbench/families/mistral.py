"""Mistral: Llama with a sliding window and, in some releases, heads of a width of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.families import llama
from workbench.families.registry import Family
from workbench.formats import gguf_configs
from workbench.formats.settings import Settings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import SentencePieceTokenizer


class MistralBackbone(Decoder):
    """A Mistral decoder (Jiang et al. 2023), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_query_heads: attention heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        rope_max_wavelength: base of the rotary frequencies.
        rope_scaling_factor: positions are divided by it.
        layer_norm_epsilon: epsilon of every norm.
        sliding_window: keys a query sees, itself included; None for all.
        head_dim: width of a head; None for hidden_dim / num_query_heads.
        dropout: rate after each branch in training.
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
        hidden_dim: int,
        intermediate_dim: int,
        num_key_value_heads: int,
        rope_max_wavelength: float = 10_000,
        rope_scaling_factor: float = 1.0,
        layer_norm_epsilon: float = 1e-6,
        sliding_window: int | None = 512,
        head_dim: int | None = None,
        dropout: float = 0,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        if head_dim is None:
            head_dim = config.head_width("MistralBackbone", hidden_dim, num_query_heads)
        config.check_size("MistralBackbone", "head_dim", head_dim)
        layer = config.LayerSpec(window=sliding_window)
        super().__init__(
            config.DecoderConfig(
                vocabulary_size=vocabulary_size,
                width=hidden_dim,
                layers=(layer,) * config.layer_count("MistralBackbone", num_layers),
                position=config.Rope(rope_max_wavelength, rope_scaling_factor),
                norm=config.RMSNorm(layer_norm_epsilon),
                attention=config.Attention(
                    num_query_heads, num_key_value_heads, head_dim, scale=head_dim**-0.5
                ),
                mlp=config.Gated(intermediate_dim, "silu"),
                tied=False,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class MistralTokenizer(SentencePieceTokenizer):
    """Mistral's SentencePiece tokenizer."""

    start_token = "<s>"
    end_token = "</s>"


class MistralCausalLMPreprocessor(CausalLMPreprocessor):
    """Strings to Mistral's ids and back."""

    tokenizer_cls = MistralTokenizer


class MistralCausalLM(CausalLM):
    """Mistral as a causal language model."""

    backbone_cls = MistralBackbone
    preprocessor_cls = MistralCausalLMPreprocessor


KERAS_HUB_RULES = (
    *llama.hub_outer_rules("mistral_layer_normalization"),
    *llama.hub_block_rules("mistral_transformer_decoder"),
)


def _read(settings: Settings, arguments: dict[str, Any]) -> dict[str, Any]:
    found = llama.linear_rope(settings.rope(), "rope_scaling_factor")
    return found | {
        "num_key_value_heads": settings.take("num_key_value_heads", 8),
        "head_dim": settings.take("head_dim", None),
        "sliding_window": settings.take("sliding_window", None),
    }


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    names = ("num_key_value_heads", "head_dim", "sliding_window")
    found = {name: arguments[name] for name in names}
    if found["head_dim"] is None:
        found["head_dim"] = arguments["hidden_dim"] // arguments["num_query_heads"]
    return found | llama.linear_rope_config(arguments, "rope_scaling_factor")


FAMILIES = (
    Family(
        name="mistral",
        backbone=MistralBackbone,
        tokenizer=MistralTokenizer,
        preprocessor=MistralCausalLMPreprocessor,
        causal_lm=MistralCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=gguf_configs.MISTRAL,
        transformers=Transformers(
            model_type="mistral",
            architecture="MistralForCausalLM",
            rules=llama.TRANSFORMERS_RULES,
            keys=llama.KEYS,
            defaults={"rms_norm_eps": 1e-6},
            fixed={"hidden_act": ("silu",), "tie_word_embeddings": (False,)},
            read=_read,
            write=_write,
            harmless=("max_position_embeddings",),
        ),
    ),
)
