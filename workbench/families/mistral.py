"""Mistral: Llama with a sliding window and, in some releases, a separate head width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.families import decoders, llama
from workbench.families.registry import Family
from workbench.formats import gguf_decoder
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
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
        rope_scaling_factor: divisor of the positions.
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
        super().__init__(
            decoders.llama_like(
                "MistralBackbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_query_heads,
                num_key_value_heads=num_key_value_heads,
                head_dim=head_dim,
                mlp=config.Gated(intermediate_dim),
                position=config.Rope(rope_max_wavelength, rope_scaling_factor),
                layer=config.LayerSpec(sliding_window),
                layer_norm_epsilon=layer_norm_epsilon,
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
    """Preprocessor: strings to Mistral's ids and back."""

    tokenizer_cls = MistralTokenizer


class MistralCausalLM(CausalLM):
    """Mistral as a causal language model."""

    backbone_cls = MistralBackbone
    preprocessor_cls = MistralCausalLMPreprocessor


KERAS_HUB_RULES = (
    *llama.hub_outer_rules("mistral_layer_normalization"),
    *llama.hub_block_rules("mistral_transformer_decoder"),
)


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
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


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments; such files have no sliding window."""
    arguments = gguf_decoder.rms_decoder(settings)
    gguf_decoder.expect_dense(settings)
    return {
        **arguments,
        **gguf_decoder.linear_rope(settings),
        "head_dim": gguf_decoder.own_heads(settings, arguments),
        "sliding_window": None,
    }


FAMILIES = (
    Family(
        name="mistral",
        backbone=MistralBackbone,
        tokenizer=MistralTokenizer,
        preprocessor=MistralCausalLMPreprocessor,
        causal_lm=MistralCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=Gguf("llama", llama.GGUF_RULES, _read_gguf, match=gguf_decoder.is_dense),
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
