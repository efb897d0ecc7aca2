"""Qwen1.5-MoE: Qwen2 with experts whose weights need not sum to 1, and one that every token
uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Rule
from workbench.families import decoders, llama, mixtures, qwen
from workbench.families.registry import Family
from workbench.families.shared_rules import OURS
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM


class QwenMoeBackbone(Decoder):
    """A Qwen1.5-MoE decoder (Qwen Team 2024), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_query_heads: attention heads; the head width is hidden_dim / num_query_heads.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the network in layers without experts.
        moe_intermediate_dim: inner width of an expert.
        shared_expert_intermediate_dim: inner width of the expert that every token uses.
        num_experts: experts in a layer.
        top_k: experts that a token uses in addition to the shared one.
        norm_top_k_prob: weight a token's experts to sum to 1.
        decoder_sparse_step: one layer in this many has experts.
        rope_max_wavelength: base of the rotary frequencies.
        rope_scaling_factor: divisor of the positions.
        layer_norm_epsilon: epsilon of every norm.
        dropout: rate after each branch in training.
        dtype: Keras dtype policy.
        tie_word_embeddings: project to logits with the token table itself.
        use_sliding_window_attention: every layer sees only the last sliding_window_size keys.
        sliding_window_size: keys a query sees there, itself included.
        output_router_logits: False; the backbone returns only hidden states.
        router_aux_loss_coefficient: weight of the load-balancing loss in training.
        mlp_only_layers: indices of layers without experts.

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
        shared_expert_intermediate_dim: int,
        num_experts: int,
        top_k: int = 4,
        norm_top_k_prob: bool = False,
        decoder_sparse_step: int = 1,
        rope_max_wavelength: float = 10_000,
        rope_scaling_factor: float = 1.0,
        layer_norm_epsilon: float = 1e-6,
        dropout: float = 0,
        dtype: Any = None,
        tie_word_embeddings: bool = False,
        use_sliding_window_attention: bool = False,
        sliding_window_size: int = 32_768,
        output_router_logits: bool = False,
        router_aux_loss_coefficient: float = 0.001,
        mlp_only_layers: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        owner = "QwenMoeBackbone"
        decoders.expect_default(owner, "output_router_logits", output_router_logits, False)
        layers = mixtures.sparse_layers(
            owner,
            num_layers,
            sliding_window_size if use_sliding_window_attention else None,
            config.Gated(intermediate_dim),
            decoder_sparse_step,
            mlp_only_layers,
        )
        super().__init__(
            decoders.llama_like(
                owner,
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_query_heads,
                num_key_value_heads=num_key_value_heads,
                mlp=config.MoE(
                    num_experts,
                    top_k,
                    moe_intermediate_dim,
                    normalize=norm_top_k_prob,
                    shared_width=shared_expert_intermediate_dim,
                    balance_loss=router_aux_loss_coefficient,
                ),
                position=config.Rope(rope_max_wavelength, rope_scaling_factor),
                layers=layers,
                bias=True,
                layer_norm_epsilon=layer_norm_epsilon,
                tied=tie_word_embeddings,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class QwenMoeTokenizer(qwen.QwenTokenizer):
    """Qwen1.5-MoE's byte-level BPE tokenizer, which is Qwen2's."""


class QwenMoeCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Qwen1.5-MoE's ids and back."""

    tokenizer_cls = QwenMoeTokenizer


class QwenMoeCausalLM(CausalLM):
    """Qwen1.5-MoE as a causal language model."""

    backbone_cls = QwenMoeBackbone
    preprocessor_cls = QwenMoeCausalLMPreprocessor


_DECODER = "qwen_moe_transformer_decoder"
_MIXTURE = f"layers/{_DECODER}{{_i}}/mlp"
_SHARED_GATE = OURS + "mlp/shared_gate/kernel"

KERAS_HUB_RULES = (
    *llama.hub_outer_rules("qwen_layer_norm"),
    *mixtures.hub_attention(_DECODER, "{}_dense", "_output_dense"),
    *qwen.hub_biases(_DECODER, "{}_dense"),
    *mixtures.hub_gated(OURS + "mlp", _MIXTURE),
    *mixtures.hub_experts(_MIXTURE),
    *mixtures.hub_gated(OURS + "mlp/shared", _MIXTURE + "/shared_expert_dense"),
    Rule(_SHARED_GATE, _MIXTURE + "/shared_expert_gate_dense/vars/0", "od -> do"),
)

TRANSFORMERS_RULES = (
    *llama.TRANSFORMERS_RULES,
    *qwen.BIASES,
    *mixtures.experts("mlp", *mixtures.PROJECTIONS),
    *(
        Rule(
            f"{OURS}mlp/shared/{kind}/kernel",
            llama.theirs(f"{llama.LAYER}mlp.shared_expert.{kind}_proj.weight"),
        )
        for kind in ("gate", "up", "down")
    ),
    Rule(_SHARED_GATE, llama.theirs(llama.LAYER + "mlp.shared_expert_gate.weight")),
)


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    used = settings.take("use_sliding_window", False)
    window = settings.take("sliding_window", 4096)
    count = config.layer_count("config.json", arguments["num_layers"])
    full, windowed = (["full_attention"] * count, ["sliding_attention"] * count)
    # With the window on, a file without layer types has it in every second layer.
    settings.expect("layer_types", windowed if used else full, default=[] if used else full)
    rope = llama.linear_rope(settings.rope(), "rope_scaling_factor")
    found = {**rope, "use_sliding_window_attention": used}
    return {**found, "sliding_window_size": window} if used else found


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    written = llama.linear_rope_config(arguments, "rope_scaling_factor")
    written["mlp_only_layers"] = list(arguments["mlp_only_layers"])
    if not arguments["use_sliding_window_attention"]:
        return {**written, "use_sliding_window": False}
    kinds = ["sliding_attention"] * arguments["num_layers"]
    window = arguments["sliding_window_size"]
    return {
        **written,
        "use_sliding_window": True,
        "sliding_window": window,
        "layer_types": kinds,
    }


KEYS = {
    **qwen.KEYS,
    "moe_intermediate_size": "moe_intermediate_dim",
    "num_experts_per_tok": "top_k",
    "norm_topk_prob": "norm_top_k_prob",
    "decoder_sparse_step": "decoder_sparse_step",
    "router_aux_loss_coef": "router_aux_loss_coefficient",
    "mlp_only_layers": "mlp_only_layers",
}
DEFAULTS = {
    **qwen.DEFAULTS,
    "norm_topk_prob": False,
    "decoder_sparse_step": 1,
    "router_aux_loss_coef": 0.001,
    "mlp_only_layers": [],
}
HARMLESS = ("max_position_embeddings", "max_window_layers", "output_router_logits")


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments: every layer has experts."""
    arguments = gguf_decoder.rms_decoder(settings)
    gguf_decoder.equal_heads(settings, arguments)
    settings.take("expert_shared_feed_forward_length", None)
    return {
        **arguments,
        **gguf_decoder.linear_rope(settings),
        **gguf_decoder.experts(settings),
        "norm_top_k_prob": False,
        "shared_expert_intermediate_dim": settings.rows("blk.0.ffn_gate_shexp.weight"),
        "tie_word_embeddings": gguf_decoder.is_tied(settings),
    }


_GGUF_RULES = (
    *gguf_rules.llama_like(mlp=(*gguf_rules.EXPERTS, *gguf_rules.SHARED_EXPERT)),
    *gguf_rules.BIASES,
)

FAMILIES = (
    Family(
        name="qwen_moe",
        backbone=QwenMoeBackbone,
        tokenizer=QwenMoeTokenizer,
        preprocessor=QwenMoeCausalLMPreprocessor,
        causal_lm=QwenMoeCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=Gguf("qwen2moe", _GGUF_RULES, _read_gguf),
        transformers=Transformers(
            model_type="qwen2_moe",
            architecture="Qwen2MoeForCausalLM",
            rules=TRANSFORMERS_RULES,
            keys={
                **KEYS,
                "num_experts": "num_experts",
                "shared_expert_intermediate_size": "shared_expert_intermediate_dim",
            },
            defaults=DEFAULTS,
            fixed={"hidden_act": ("silu",), "qkv_bias": (True,)},
            read=_read,
            write=_write,
            harmless=HARMLESS,
        ),
    ),
)
