"""OPT: GPT-2 with ReLU; Transformers' position tables begin with two unused rows."""

from __future__ import annotations

from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Rule
from workbench.families import decoders, gpt2
from workbench.families.registry import Family
from workbench.families.shared_rules import (
    HEADS,
    MERGED,
    OURS,
    norm,
    projection,
    tied_head,
)
from workbench.formats.config_reader import ConfigReader
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import BytePairTokenizer


class OPTBackbone(Decoder):
    """An OPT decoder (Zhang et al. 2022), with KerasHub's arguments.

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
        max_sequence_length: int = 2048,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            decoders.gpt_like(
                "OPTBackbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_heads=num_heads,
                intermediate_dim=intermediate_dim,
                activation="relu",
                position=config.Learned(max_sequence_length),
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class OPTTokenizer(BytePairTokenizer):
    """OPT's byte-level BPE tokenizer: `</s>` starts and ends a text."""

    start_token = "</s>"
    end_token = "</s>"
    pad_token = "<pad>"


class OPTCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to OPT's ids and back."""

    tokenizer_cls = OPTTokenizer


class OPTCausalLM(CausalLM):
    """OPT as a causal language model."""

    backbone_cls = OPTBackbone
    preprocessor_cls = OPTCausalLMPreprocessor


_TABLES = "layers/token_and_position_embedding/"

KERAS_HUB_RULES = (
    Rule("token_embedding/embeddings", _TABLES + "token_embedding/vars/0"),
    Rule("position_embedding/embeddings", _TABLES + "position_embedding/vars/0"),
    *gpt2.HUB_BLOCK_RULES,
)

_LAYER = "decoder.layers.{i}."
_ATTENTION = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}


def _projection(ours: str, theirs: str, layout: str = "", bias: str = "") -> tuple[Rule, ...]:
    return projection("model.", OURS + ours, _LAYER + theirs, layout, bias)


TRANSFORMERS_RULES = (
    Rule(
        "token_embedding/embeddings",
        ("model.decoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
    ),
    tied_head(),
    Rule(
        "position_embedding/embeddings",
        ("model.decoder.embed_positions.weight", "decoder.embed_positions.weight"),
        skip=2,
    ),
    *norm("model.", OURS + "attention_norm", _LAYER + "self_attn_layer_norm"),
    *(
        rule
        for ours, theirs in _ATTENTION.items()
        for rule in _projection(f"attention/{ours}", f"self_attn.{theirs}", HEADS, "hk -> (hk)")
    ),
    *_projection("attention/output", "self_attn.out_proj", MERGED),
    *norm("model.", OURS + "mlp_norm", _LAYER + "final_layer_norm"),
    *_projection("mlp/up", "fc1"),
    *_projection("mlp/down", "fc2"),
    *norm("model.", "final_norm", "decoder.final_layer_norm"),
)


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    # The 350M model has norms after its branches and narrower embeddings.
    settings.expect("word_embed_proj_dim", arguments["hidden_dim"])
    return {}


FAMILIES = (
    Family(
        name="opt",
        backbone=OPTBackbone,
        tokenizer=OPTTokenizer,
        preprocessor=OPTCausalLMPreprocessor,
        causal_lm=OPTCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        transformers=Transformers(
            model_type="opt",
            architecture="OPTForCausalLM",
            rules=TRANSFORMERS_RULES,
            keys={
                "vocab_size": "vocabulary_size",
                "num_hidden_layers": "num_layers",
                "num_attention_heads": "num_heads",
                "hidden_size": "hidden_dim",
                "ffn_dim": "intermediate_dim",
                "dropout": "dropout",
                "max_position_embeddings": "max_sequence_length",
            },
            defaults={"dropout": 0.1},
            fixed={
                "activation_function": ("relu",),
                "do_layer_norm_before": (True,),
                "enable_bias": (True,),
                "layer_norm_elementwise_affine": (True,),
                "tie_word_embeddings": (True,),
            },
            read=_read,
            write=lambda arguments: {"word_embed_proj_dim": arguments["hidden_dim"]},
            harmless=("activation_dropout", "init_std", "layerdrop"),
        ),
    ),
)
