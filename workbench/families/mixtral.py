"""Mixtral: Mistral with experts in every layer; the weights of a token's two sum to 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Rule
from workbench.families import decoders, llama, mixtures
from workbench.families.mistral import MistralTokenizer
from workbench.families.registry import Family
from workbench.families.shared_rules import OURS
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM


class MixtralBackbone(Decoder):
    """A Mixtral decoder (Jiang et al. 2024), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_query_heads: attention heads; the head width is hidden_dim / num_query_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of an expert.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        num_experts: experts in a layer.
        top_k: experts that a token uses.
        router_jitter_noise: 0; noise on the router's input is not supported.
        rope_max_wavelength: base of the rotary frequencies.
        rope_scaling_factor: divisor of the positions.
        layer_norm_epsilon: epsilon of every norm.
        router_aux_loss_coef: weight of the load-balancing loss in training.
        sliding_window: keys a query sees, itself included; None for all.
        dropout: rate after each branch in training.
        dtype: Keras dtype policy.
        output_router_logits: False; the backbone returns only hidden states.

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
        num_experts: int,
        top_k: int = 2,
        router_jitter_noise: float = 0.0,
        rope_max_wavelength: float = 10_000,
        rope_scaling_factor: float = 1.0,
        layer_norm_epsilon: float = 1e-6,
        router_aux_loss_coef: float = 0.02,
        sliding_window: int | None = 512,
        dropout: float = 0,
        dtype: Any = None,
        output_router_logits: bool = False,
        **kwargs: Any,
    ) -> None:
        owner = "MixtralBackbone"
        decoders.expect_default(owner, "router_jitter_noise", router_jitter_noise, 0)
        decoders.expect_default(owner, "output_router_logits", output_router_logits, False)
        super().__init__(
            decoders.llama_like(
                owner,
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_query_heads,
                num_key_value_heads=num_key_value_heads,
                mlp=config.MoE(
                    num_experts, top_k, intermediate_dim, balance_loss=router_aux_loss_coef
                ),
                position=config.Rope(rope_max_wavelength, rope_scaling_factor),
                layer=config.LayerSpec(sliding_window),
                layer_norm_epsilon=layer_norm_epsilon,
                tied=False,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class MixtralTokenizer(MistralTokenizer):
    """Mixtral's SentencePiece tokenizer, which is Mistral's."""


class MixtralCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Mixtral's ids and back."""

    tokenizer_cls = MixtralTokenizer


class MixtralCausalLM(CausalLM):
    """Mixtral as a causal language model."""

    backbone_cls = MixtralBackbone
    preprocessor_cls = MixtralCausalLMPreprocessor


_MIXTURE = "layers/mixtral_transformer_decoder{_i}/_sparse_moe_block"
_BANK = _MIXTURE + "/expert_bank/vars/"
_EXPERTS = OURS + "mlp/experts/"

KERAS_HUB_RULES = (
    *llama.hub_outer_rules("mixtral_layer_normalization"),
    *mixtures.hub_attention("mixtral_transformer_decoder", "{}_dense", "output_dense"),
    mixtures.hub_router(_MIXTURE),
    Rule(_EXPERTS + "gate", _BANK + "0", "efd -> edf"),
    Rule(_EXPERTS + "up", _BANK + "1", "efd -> edf"),
    Rule(_EXPERTS + "down", _BANK + "2", "edf -> efd"),
)


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    heads, width = arguments["num_query_heads"], arguments["hidden_dim"]
    settings.expect("head_dim", config.head_width("config.json", width, heads))
    rope = llama.linear_rope(settings.rope(theta=1_000_000.0), "rope_scaling_factor")
    return {**rope, "sliding_window": settings.take("sliding_window", None)}


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    rope = llama.linear_rope_config(arguments, "rope_scaling_factor")
    return {**rope, "sliding_window": arguments["sliding_window"]}


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments; such files have no sliding window."""
    arguments = gguf_decoder.rms_decoder(settings)
    gguf_decoder.equal_heads(settings, arguments)
    return {
        **arguments,
        **gguf_decoder.linear_rope(settings),
        "num_experts": settings.take("expert_count"),
        "top_k": settings.take("expert_used_count"),
        "sliding_window": None,
    }


_GGUF = Gguf(
    "llama",
    gguf_rules.llama_like(interleaved=True, mlp=gguf_rules.EXPERTS),
    _read_gguf,
    match=lambda settings: not gguf_decoder.is_dense(settings),
)

FAMILIES = (
    Family(
        name="mixtral",
        backbone=MixtralBackbone,
        tokenizer=MixtralTokenizer,
        preprocessor=MixtralCausalLMPreprocessor,
        causal_lm=MixtralCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=_GGUF,
        transformers=Transformers(
            model_type="mixtral",
            architecture="MixtralForCausalLM",
            rules=(
                *llama.TRANSFORMERS_RULES,
                *mixtures.experts("block_sparse_moe", "w1", "w3", "w2"),
            ),
            keys={
                **llama.KEYS,
                "num_key_value_heads": "num_key_value_heads",
                "num_local_experts": "num_experts",
                "num_experts_per_tok": "top_k",
                "router_aux_loss_coef": "router_aux_loss_coef",
            },
            defaults={
                "rms_norm_eps": 1e-5,
                "num_key_value_heads": 8,
                "num_local_experts": 8,
                "num_experts_per_tok": 2,
                "router_aux_loss_coef": 0.001,
            },
            fixed={
                "hidden_act": ("silu",),
                "tie_word_embeddings": (False,),
                "router_jitter_noise": (0.0, 0),
            },
            read=_read,
            write=_write,
            harmless=("max_position_embeddings", "output_router_logits"),
        ),
    ),
)
