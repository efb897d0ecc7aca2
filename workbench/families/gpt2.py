"""GPT-2: learned positions, LayerNorm, biases everywhere, one token that starts and ends text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Part, Rule, either
from workbench.families import decoders
from workbench.families.registry import Family
from workbench.families.shared_rules import (
    OURS,
    hub_norm,
    hub_projection,
    norm,
    projection,
    tied_head,
)
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import BytePairTokenizer


class GPT2Backbone(Decoder):
    """A GPT-2 decoder (Radford et al. 2019).

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_heads: attention heads; the head width is hidden_dim / num_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        dropout: rate after the embedding and each branch in training.
        max_sequence_length: rows of the position table; no sequence may be longer.
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
        dropout: float = 0.1,
        max_sequence_length: int = 1024,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            decoders.gpt_like(
                "GPT2Backbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_heads=num_heads,
                intermediate_dim=intermediate_dim,
                activation="gelu_tanh",
                position=config.Learned(max_sequence_length),
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class GPT2Tokenizer(BytePairTokenizer):
    """GPT-2's byte-level BPE tokenizer."""

    start_token = "<|endoftext|>"
    end_token = "<|endoftext|>"


class GPT2CausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to GPT-2's ids and back."""

    tokenizer_cls = GPT2Tokenizer


class GPT2CausalLM(CausalLM):
    """GPT-2 as a causal language model."""

    backbone_cls = GPT2Backbone
    preprocessor_cls = GPT2CausalLMPreprocessor


_HUB = "layers/transformer_decoder{_i}/"
_HUB_ATTENTION = _HUB + "_self_attention_layer/"

# KerasHub's TransformerDecoder layer, which OPT uses as well.
HUB_BLOCK_RULES = (
    *hub_norm(OURS + "attention_norm", _HUB + "_self_attention_layer_norm"),
    *hub_projection(OURS + "attention/query", _HUB_ATTENTION + "query_dense", "hkd -> dhk"),
    *hub_projection(OURS + "attention/key", _HUB_ATTENTION + "key_dense", "hkd -> dhk"),
    *hub_projection(OURS + "attention/value", _HUB_ATTENTION + "value_dense", "hkd -> dhk"),
    *hub_projection(OURS + "attention/output", _HUB_ATTENTION + "output_dense", "dhk -> hkd"),
    *hub_norm(OURS + "mlp_norm", _HUB + "_feedforward_layer_norm"),
    *hub_projection(OURS + "mlp/up", _HUB + "_feedforward_intermediate_dense", "fd -> df"),
    *hub_projection(OURS + "mlp/down", _HUB + "_feedforward_output_dense", "df -> fd"),
    *hub_norm("final_norm", "layers/layer_normalization"),
)
KERAS_HUB_RULES = (
    Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
    Rule("position_embedding/embeddings", "layers/position_embedding/vars/0"),
    *HUB_BLOCK_RULES,
)


_PREFIX, _LAYER = "transformer.", "h.{i}."


def _fused(ours: str, index: int) -> tuple[Rule, Rule]:
    """Return rules for query, key and value as thirds of one matrix and one bias."""
    third = Part(index, index + 1, 3, axis=-1)
    name = f"{OURS}attention/{ours}"
    return projection(_PREFIX, name, _LAYER + "attn.c_attn", "hkd -> d(hk)", "hk -> (hk)", third)


TRANSFORMERS_RULES = (
    Rule("token_embedding/embeddings", either(_PREFIX, "wte.weight")),
    tied_head(),
    Rule("position_embedding/embeddings", either(_PREFIX, "wpe.weight")),
    *norm(_PREFIX, OURS + "attention_norm", _LAYER + "ln_1"),
    *_fused("query", 0),
    *_fused("key", 1),
    *_fused("value", 2),
    *projection(_PREFIX, OURS + "attention/output", _LAYER + "attn.c_proj", "dhk -> (hk)d"),
    *norm(_PREFIX, OURS + "mlp_norm", _LAYER + "ln_2"),
    *projection(_PREFIX, OURS + "mlp/up", _LAYER + "mlp.c_fc", "fd -> df"),
    *projection(_PREFIX, OURS + "mlp/down", _LAYER + "mlp.c_proj", "df -> fd"),
    *norm(_PREFIX, "final_norm", "ln_f"),
)

TRANSFORMERS = Transformers(
    model_type="gpt2",
    architecture="GPT2LMHeadModel",
    rules=TRANSFORMERS_RULES,
    keys={
        "vocab_size": "vocabulary_size",
        "n_layer": "num_layers",
        "n_head": "num_heads",
        "n_embd": "hidden_dim",
        "n_positions": "max_sequence_length",
    },
    fixed={
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "layer_norm_epsilon": (1e-5,),
        "scale_attn_weights": (True,),
        "tie_word_embeddings": (True,),
    },
    read=lambda settings, found: {
        "intermediate_dim": settings.take("n_inner", 4 * found["hidden_dim"])
    },
    write=lambda arguments: {"n_inner": arguments["intermediate_dim"]},
    harmless=("n_ctx",),
    # Causal masks that old files store with the weights.
    ignored=tuple(
        name
        for buffer in ("attn.bias", "attn.masked_bias")
        for name in either(_PREFIX, _LAYER + buffer)
    ),
)


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    arguments = gguf_decoder.layer_norm_decoder(settings)
    gguf_decoder.expect_heads(settings, arguments["num_heads"])
    if arguments.pop("layer_norm_epsilon") != 1e-5:
        raise settings.error("attention.layer_norm_epsilon", 1e-5, "another")
    return {**arguments, "max_sequence_length": settings.rows("position_embd.weight")}


def _gguf_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    rules = gguf_rules.gpt_like(arguments["num_heads"])
    return (*rules, *gguf_rules.POSITIONS, *gguf_rules.TIED_HEAD)


FAMILIES = (
    Family(
        name="gpt2",
        backbone=GPT2Backbone,
        tokenizer=GPT2Tokenizer,
        preprocessor=GPT2CausalLMPreprocessor,
        causal_lm=GPT2CausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        transformers=TRANSFORMERS,
        gguf=Gguf("gpt2", _gguf_rules, _read_gguf, tied=True),
    ),
)
