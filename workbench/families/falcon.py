"""Falcon: three architectures under one name.

    RefinedWeb 1B, 7B   ALiBi, branches in sequence, biases, a key and value per head
    7B                  rotary, both branches on one norm, one key and value for all heads
    40B, 180B, 11B      rotary, both branches on a norm each (11B: on one), groups of heads

KerasHub has only the first; our own arguments select the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Part, Rule
from workbench.errors import PresetError, SettingError
from workbench.families import bloom, decoders
from workbench.families.registry import Family
from workbench.families.shared_rules import (
    HEADS,
    OURS,
    fused_heads,
    hub_norm,
    hub_projection,
    norm,
    projection,
)
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import BytePairTokenizer

_BLOCKS = {
    "sequential": config.Sequential(),
    "parallel": config.Parallel(shared_norm=True),
    "parallel_two_norms": config.Parallel(shared_norm=False),
}


class FalconBackbone(Decoder):
    """A Falcon decoder (Almazrouei et al. 2023), with KerasHub's arguments and some of our own.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_attention_heads: attention heads; the head width is hidden_dim / num_attention_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        layer_norm_epsilon: epsilon of every norm.
        attention_dropout_rate: kept for KerasHub's files; attention weights are not dropped here.
        feedforward_dropout_rate: rate after each branch in training.
        dtype: Keras dtype policy.
        num_key_value_heads: heads of keys and values; None for the number of query heads.
        block: "sequential", "parallel" or "parallel_two_norms".
        rope_max_wavelength: base of rotary positions; None for ALiBi.
        bias: whether projections have biases.

    Raises:
        SettingError: an argument is impossible.
    """

    own_arguments: ClassVar[dict[str, Any]] = {
        "num_key_value_heads": None,
        "block": "sequential",
        "rope_max_wavelength": None,
        "bias": True,
    }

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_attention_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        layer_norm_epsilon: float = 1e-5,
        attention_dropout_rate: float = 0,
        feedforward_dropout_rate: float = 0,
        dtype: Any = None,
        num_key_value_heads: int | None = None,
        block: str = "sequential",
        rope_max_wavelength: float | None = None,
        bias: bool = True,
        **kwargs: Any,
    ) -> None:
        if block not in _BLOCKS:
            expected = " or ".join(map(repr, _BLOCKS))
            raise SettingError(f"FalconBackbone: block: expected {expected}, got {block!r}")
        config.check_rate("FalconBackbone", "attention_dropout_rate", attention_dropout_rate)
        rotary = rope_max_wavelength is not None
        super().__init__(
            decoders.gpt_like(
                "FalconBackbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_heads=num_attention_heads,
                num_key_value_heads=num_key_value_heads,
                intermediate_dim=intermediate_dim,
                activation="gelu",
                bias=bias,
                position=config.Rope(rope_max_wavelength) if rotary else config.Alibi(scaled=True),
                block=_BLOCKS[block],
                layer_norm_epsilon=layer_norm_epsilon,
                dropout=feedforward_dropout_rate,
            ),
            dtype=dtype,
            **kwargs,
        )


class FalconTokenizer(BytePairTokenizer):
    """The byte-level BPE tokenizer of Falcon's RefinedWeb models."""

    start_token = "<|endoftext|>"
    end_token = "<|endoftext|>"


class FalconCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Falcon's ids and back."""

    tokenizer_cls = FalconTokenizer


class FalconCausalLM(CausalLM):
    """Falcon as a causal language model."""

    backbone_cls = FalconBackbone
    preprocessor_cls = FalconCausalLMPreprocessor


_HUB = "layers/falcon_transformer_decoder{_i}/"
_HUB_ATTENTION = _HUB + "attention_layer/"

KERAS_HUB_RULES = (
    Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
    *hub_norm(OURS + "attention_norm", _HUB + "input_layernorm"),
    *hub_projection(OURS + "attention/query", _HUB_ATTENTION + "query_dense", "hkd -> dhk"),
    *hub_projection(OURS + "attention/key", _HUB_ATTENTION + "key_dense", "hkd -> dhk"),
    *hub_projection(OURS + "attention/value", _HUB_ATTENTION + "value_dense", "hkd -> dhk"),
    *hub_projection(OURS + "attention/output", _HUB_ATTENTION + "output_dense", "dhk -> (hk)d"),
    *hub_norm(OURS + "mlp_norm", _HUB + "post_attention_layernorm"),
    *hub_projection(OURS + "mlp/up", _HUB + "dense_h_to_4h", "fd -> df"),
    *hub_projection(OURS + "mlp/down", _HUB + "dense_4h_to_h", "df -> fd"),
    *hub_norm("final_norm", "layers/layer_normalization"),
)


def transformers_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules of one of the three architectures."""
    heads = arguments["num_attention_heads"]
    groups = arguments.get("num_key_value_heads") or heads
    if arguments.get("block") == "parallel_two_norms":
        norms = {"attention_norm": "ln_attn", "mlp_norm": "ln_mlp"}
    else:
        norms = {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
    return (
        *(rule for rule in bloom.OUTER_RULES if "_norm/" not in rule.ours),
        *norm(bloom.PREFIX, "final_norm", "ln_f"),
        *(
            rule
            for ours, theirs in norms.items()
            for rule in norm(bloom.PREFIX, OURS + ours, bloom.LAYER + theirs)
        ),
        *_fused(heads, groups),
    )


def _fused(all_heads: int, groups: int) -> tuple[Rule, ...]:
    """Return the rules of a fused matrix: each group has its queries, then its key and its
    value."""
    if groups == all_heads:
        return fused_heads(bloom.PREFIX, bloom.FUSED, all_heads)
    heads = all_heads // groups
    bounds = {"query": (0, heads), "key": (heads, heads + 1), "value": (heads + 1, heads + 2)}
    return tuple(
        rule
        for name, bound in bounds.items()
        for rule in projection(
            bloom.PREFIX,
            f"{OURS}attention/{name}",
            bloom.FUSED,
            HEADS,
            "hk -> (hk)",
            Part(*bound, heads + 2, groups=groups),
        )
    )


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    heads = arguments["num_attention_heads"]
    grouped = settings.take("new_decoder_architecture", False)
    shared = settings.take("multi_query", True)
    groups = settings.take("num_kv_heads", heads)
    rope = settings.rope()
    if rope["rope_type"] != "default":
        raise PresetError.at("config.json", "rope_type", "default", rope["rope_type"])
    alibi = settings.take("alibi", False)
    return {
        "intermediate_dim": settings.take("ffn_hidden_size", 4 * arguments["hidden_dim"]),
        "num_key_value_heads": groups if grouped else 1 if shared else heads,
        "block": _block(settings, grouped),
        "rope_max_wavelength": None if alibi else rope["rope_theta"],
        "bias": settings.take("bias", False),
    }


def _block(settings: ConfigReader, grouped: bool) -> str:
    norms = settings.take("num_ln_in_parallel_attn", 2 if grouped else 1)
    parallel = settings.take("parallel_attn", True)
    if grouped:
        return "parallel_two_norms" if norms == 2 else "parallel"
    return "parallel" if parallel else "sequential"


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    heads = arguments["num_attention_heads"]
    groups = arguments.get("num_key_value_heads") or heads
    block, theta = arguments.get("block", "sequential"), arguments.get("rope_max_wavelength")
    grouped = block == "parallel_two_norms" or groups not in (1, heads)
    return {
        "ffn_hidden_size": arguments["intermediate_dim"],
        "num_kv_heads": groups,
        "multi_query": groups == 1,
        "new_decoder_architecture": grouped,
        "num_ln_in_parallel_attn": 2 if block == "parallel_two_norms" else 1,
        "parallel_attn": block != "sequential",
        "alibi": theta is None,
        "bias": arguments.get("bias", True),
        "rope_theta": 10_000.0 if theta is None else theta,
    }


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read the arguments of a rotary model; the format does not support Falcon with ALiBi."""
    two_norms = "blk.0.attn_norm_2.weight" in settings.tensors
    return {
        **gguf_decoder.layer_norm_decoder(settings, heads="num_attention_heads"),
        "num_key_value_heads": settings.take("attention.head_count_kv", 1),
        "block": "parallel_two_norms" if two_norms else "parallel",
        "rope_max_wavelength": settings.take("rope.freq_base", 10_000.0),
        "bias": False,
    }


def _gguf_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules; with two norms, the first name is that of the feed-forward branch."""
    names = {"attention_norm": "attn_norm"}
    if arguments["block"] == "parallel_two_norms":
        names = {"attention_norm": "attn_norm_2", "mlp_norm": "attn_norm"}
    norms = {gguf_rules.OURS + ours: gguf_rules.THEIRS + name for ours, name in names.items()}
    return (
        *gguf_rules.EMBEDDING,
        *gguf_rules.TIED_HEAD,
        *gguf_rules.layer_norms({**norms, "final_norm": "output_norm"}),
        *gguf_rules.fused(arguments["num_attention_heads"], arguments["num_key_value_heads"]),
        *gguf_rules.OUTPUT,
        *gguf_rules.DENSE,
    )


FAMILIES = (
    Family(
        name="falcon",
        backbone=FalconBackbone,
        tokenizer=FalconTokenizer,
        preprocessor=FalconCausalLMPreprocessor,
        causal_lm=FalconCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=Gguf("falcon", _gguf_rules, _read_gguf, tied=True),
        transformers=Transformers(
            model_type="falcon",
            architecture="FalconForCausalLM",
            rules=transformers_rules,
            keys={
                "vocab_size": "vocabulary_size",
                "num_hidden_layers": "num_layers",
                "num_attention_heads": "num_attention_heads",
                "hidden_size": "hidden_dim",
                "layer_norm_epsilon": "layer_norm_epsilon",
                "hidden_dropout": "feedforward_dropout_rate",
            },
            renamed={
                "n_head": "num_attention_heads",
                "n_layer": "num_hidden_layers",
                "n_head_kv": "num_kv_heads",
            },
            defaults={"layer_norm_epsilon": 1e-5, "hidden_dropout": 0.0},
            fixed={"activation": ("gelu",), "tie_word_embeddings": (True,)},
            read=_read,
            write=_write,
            harmless=("apply_residual_connection_post_layernorm", "max_position_embeddings"),
        ),
    ),
)
