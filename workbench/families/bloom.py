"""BLOOM: ALiBi, a norm right after the embedding, and queries, keys and values fused per head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Rule, either
from workbench.errors import PresetError
from workbench.families import decoders
from workbench.families.registry import Family
from workbench.families.shared_rules import (
    MERGED,
    OURS,
    fused_heads,
    hub_norm,
    hub_projection,
    norm,
    projection,
    tied_head,
)
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import BytePairTokenizer
from workbench.tokenizers.patterns import BLOOM_PATTERN


class BloomBackbone(Decoder):
    """A BLOOM decoder (Le Scao et al. 2022), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_heads: attention heads; the head width is hidden_dim / num_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        dropout: rate after the embedding and each branch in training.
        layer_norm_epsilon: epsilon of every norm.
        dtype: Keras dtype policy.

    Raises:
        SettingError: an argument is impossible.
    """

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        dropout: float = 0.0,
        layer_norm_epsilon: float = 1e-5,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            decoders.gpt_like(
                "BloomBackbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_heads=num_heads,
                intermediate_dim=intermediate_dim,
                activation="gelu_tanh",
                position=config.Alibi(),
                norm_embedding=True,
                layer_norm_epsilon=layer_norm_epsilon,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class BloomTokenizer(BytePairTokenizer):
    """BLOOM's byte-level BPE tokenizer."""

    split_pattern = BLOOM_PATTERN
    start_token = "<s>"
    end_token = "</s>"
    pad_token = "<pad>"


class BloomCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to BLOOM's ids and back."""

    tokenizer_cls = BloomTokenizer


class BloomCausalLM(CausalLM):
    """BLOOM as a causal language model."""

    backbone_cls = BloomBackbone
    preprocessor_cls = BloomCausalLMPreprocessor


_HUB = "layers/bloom_decoder{_i}/"
_HUB_ATTENTION = _HUB + "_self_attention_layer/"

KERAS_HUB_RULES = (
    Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
    *hub_norm("embedding_norm", "layers/layer_normalization"),
    *hub_norm(OURS + "attention_norm", _HUB + "_pre_attention_layernorm"),
    *hub_projection(OURS + "attention/query", _HUB_ATTENTION + "_query_dense", "hkd -> dhk"),
    *hub_projection(OURS + "attention/key", _HUB_ATTENTION + "_key_dense", "hkd -> dhk"),
    *hub_projection(OURS + "attention/value", _HUB_ATTENTION + "_value_dense", "hkd -> dhk"),
    *hub_projection(OURS + "attention/output", _HUB_ATTENTION + "_output_dense", "dhk -> (hk)d"),
    *hub_norm(OURS + "mlp_norm", _HUB + "_post_attention_layernorm"),
    *hub_projection(OURS + "mlp/up", _HUB + "_mlp_intermediate_dense", "fd -> df"),
    *hub_projection(OURS + "mlp/down", _HUB + "_mlp_output_dense", "df -> fd"),
    *hub_norm("final_norm", "layers/layer_normalization_1"),
)

PREFIX, LAYER = "transformer.", "h.{i}."


FUSED = LAYER + "self_attention.query_key_value"

OUTER_RULES = (
    Rule("token_embedding/embeddings", either(PREFIX, "word_embeddings.weight")),
    tied_head(),
    *norm(PREFIX, OURS + "attention_norm", LAYER + "input_layernorm"),
    *projection(PREFIX, OURS + "attention/output", LAYER + "self_attention.dense", MERGED),
    *norm(PREFIX, OURS + "mlp_norm", LAYER + "post_attention_layernorm"),
    *projection(PREFIX, OURS + "mlp/up", LAYER + "mlp.dense_h_to_4h"),
    *projection(PREFIX, OURS + "mlp/down", LAYER + "mlp.dense_4h_to_h"),
    *norm(PREFIX, "final_norm", "ln_f"),
)
"""The rules that BLOOM's and Falcon's files share."""


def transformers_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules of a model with this number of heads."""
    return (
        *OUTER_RULES,
        *norm(PREFIX, "embedding_norm", "word_embeddings_layernorm"),
        *fused_heads(PREFIX, FUSED, arguments["num_heads"]),
    )


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    width = 4 * arguments["hidden_dim"]
    settings.expect("n_inner", width)
    return {"intermediate_dim": width}


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    width = 4 * arguments["hidden_dim"]
    if arguments["intermediate_dim"] != width:
        got = arguments["intermediate_dim"]
        raise PresetError.at("config.json", "intermediate_dim", f"{width}, 4 * hidden_dim", got)
    return {}


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    arguments = gguf_decoder.layer_norm_decoder(settings)
    gguf_decoder.expect_heads(settings, arguments["num_heads"])
    settings.expect("attention.max_alibi_bias", 8.0)
    return arguments


def _gguf_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    norms = {**gguf_rules.NORMS, "embedding_norm": "token_embd_norm"}
    return (*gguf_rules.gpt_like(arguments["num_heads"], norms), *gguf_rules.TIED_HEAD)


FAMILIES = (
    Family(
        name="bloom",
        backbone=BloomBackbone,
        tokenizer=BloomTokenizer,
        preprocessor=BloomCausalLMPreprocessor,
        causal_lm=BloomCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=Gguf("bloom", _gguf_rules, _read_gguf, tied=True),
        transformers=Transformers(
            model_type="bloom",
            architecture="BloomForCausalLM",
            rules=transformers_rules,
            keys={
                "vocab_size": "vocabulary_size",
                "n_layer": "num_layers",
                "n_head": "num_heads",
                "hidden_size": "hidden_dim",
                "hidden_dropout": "dropout",
                "layer_norm_epsilon": "layer_norm_epsilon",
            },
            renamed={
                "n_embed": "hidden_size",
                "num_attention_heads": "n_head",
                "num_hidden_layers": "n_layer",
            },
            defaults={"hidden_dropout": 0.0, "layer_norm_epsilon": 1e-5},
            fixed={
                "apply_residual_connection_post_layernorm": (False,),
                "tie_word_embeddings": (True,),
            },
            read=_read,
            write=_write,
            harmless=(
                "attention_softmax_in_fp32",
                "bias_dropout_fusion",
                "masked_softmax_fusion",
                "offset_alibi",
                "seq_length",
                "skip_bias_add",
                "skip_bias_add_qkv",
                "slow_but_exact",
            ),
        ),
    ),
)
