"""Qwen3-MoE: Qwen3 with experts; the weights of a token's experts sum to 1 if the preset says
so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.families import decoders, llama, mixtures, qwen3, qwen_moe
from workbench.families.registry import Family
from workbench.families.shared_rules import OURS
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM


class Qwen3MoeBackbone(Decoder):
    """A Qwen3-MoE decoder (Qwen Team 2025), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_query_heads: attention heads.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the network in layers without experts.
        moe_intermediate_dim: inner width of an expert.
        num_experts: experts in a layer.
        head_dim: width of a head; None for hidden_dim / num_query_heads.
        top_k: experts that a token uses.
        norm_top_k_prob: weight a token's experts to sum to 1.
        decoder_sparse_step: one layer in this many has experts.
        rope_max_wavelength: base of the rotary frequencies.
        rope_scaling_factor: divisor of the positions.
        layer_norm_epsilon: epsilon of every norm.
        dropout: rate after each branch in training.
        dtype: Keras dtype policy.
        tie_word_embeddings: project to logits with the token table itself.
        sliding_window_size: keys a query sees, itself included; None for all.
        router_aux_loss_coefficient: weight of the load-balancing loss in training.
        mlp_only_layers: indices of layers without experts; None for none.

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
        hidden_dim: int,
        intermediate_dim: int,
        moe_intermediate_dim: int,
        num_experts: int,
        head_dim: int | None = None,
        top_k: int = 4,
        norm_top_k_prob: bool = False,
        decoder_sparse_step: int = 1,
        rope_max_wavelength: float = 10_000,
        rope_scaling_factor: float = 1.0,
        layer_norm_epsilon: float = 1e-6,
        dropout: float = 0,
        dtype: Any = None,
        tie_word_embeddings: bool = False,
        sliding_window_size: int | None = 32_768,
        router_aux_loss_coefficient: float = 0.001,
        mlp_only_layers: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        owner = "Qwen3MoeBackbone"
        layers = mixtures.sparse_layers(
            owner,
            num_layers,
            sliding_window_size,
            config.Gated(intermediate_dim),
            decoder_sparse_step,
            mlp_only_layers or (),
        )
        super().__init__(
            decoders.llama_like(
                owner,
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_query_heads,
                num_key_value_heads=num_key_value_heads,
                head_dim=head_dim,
                mlp=config.MoE(
                    num_experts,
                    top_k,
                    moe_intermediate_dim,
                    normalize=norm_top_k_prob,
                    balance_loss=router_aux_loss_coefficient,
                ),
                position=config.Rope(rope_max_wavelength, rope_scaling_factor),
                layers=layers,
                query_key_norm=True,
                layer_norm_epsilon=layer_norm_epsilon,
                tied=tie_word_embeddings,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class Qwen3MoeTokenizer(qwen3.Qwen3Tokenizer):
    """Qwen3-MoE's byte-level BPE tokenizer, which is Qwen3's."""


class Qwen3MoeCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Qwen3-MoE's ids and back."""

    tokenizer_cls = Qwen3MoeTokenizer


class Qwen3MoeCausalLM(CausalLM):
    """Qwen3-MoE as a causal language model."""

    backbone_cls = Qwen3MoeBackbone
    preprocessor_cls = Qwen3MoeCausalLMPreprocessor


_DECODER = "qwen3_moe_transformer_decoder"
_MIXTURE = f"layers/{_DECODER}{{_i}}/mlp"

KERAS_HUB_RULES = (
    *llama.hub_outer_rules("qwen3_moe_layer_norm"),
    *mixtures.hub_attention(_DECODER, "_{}_dense", "_output_dense"),
    *qwen3.hub_head_norms(_DECODER),
    *mixtures.hub_gated(OURS + "mlp", _MIXTURE),
    *mixtures.hub_experts(_MIXTURE),
)

TRANSFORMERS_RULES = (
    *llama.TRANSFORMERS_RULES,
    *qwen3.HEAD_NORMS,
    *mixtures.experts("mlp", *mixtures.PROJECTIONS),
)


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    used = settings.take("use_sliding_window", False)
    window = settings.take("sliding_window", 4096)
    older = settings.take("num_experts", 128)
    return {
        **llama.linear_rope(settings.rope(), "rope_scaling_factor"),
        "sliding_window_size": window if used else None,
        "num_experts": settings.take("num_local_experts", older),
        "head_dim": settings.take("head_dim", None),
    }


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    head_dim, window = arguments["head_dim"], arguments["sliding_window_size"]
    if head_dim is None:
        head_dim = arguments["hidden_dim"] // arguments["num_query_heads"]
    windowed = {} if window is None else {"sliding_window": window}
    return {
        **llama.linear_rope_config(arguments, "rope_scaling_factor"),
        **windowed,
        "use_sliding_window": window is not None,
        "num_experts": arguments["num_experts"],
        "head_dim": head_dim,
        "mlp_only_layers": list(arguments["mlp_only_layers"] or ()),
    }


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments: every layer has experts, whose weights sum to 1."""
    return {
        **qwen3.read_gguf(settings),
        **gguf_decoder.experts(settings),
        "norm_top_k_prob": True,
    }


_GGUF_RULES = gguf_rules.llama_like(norms=qwen3.GGUF_NORMS, mlp=gguf_rules.EXPERTS)

FAMILIES = (
    Family(
        name="qwen3_moe",
        backbone=Qwen3MoeBackbone,
        tokenizer=Qwen3MoeTokenizer,
        preprocessor=Qwen3MoeCausalLMPreprocessor,
        causal_lm=Qwen3MoeCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=Gguf("qwen3moe", _GGUF_RULES, _read_gguf),
        transformers=Transformers(
            model_type="qwen3_moe",
            architecture="Qwen3MoeForCausalLM",
            rules=TRANSFORMERS_RULES,
            keys=qwen_moe.KEYS,
            defaults=qwen_moe.DEFAULTS,
            fixed={"hidden_act": ("silu",), "attention_bias": (False,)},
            read=_read,
            write=_write,
            harmless=qwen_moe.HARMLESS,
        ),
    ),
)
