"""BART: post-norm blocks, learned positions, one token table for both sides and the head.

The decoder's text begins with the end token and the start token. Position tables of Transformers
begin with two unused rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.encoder_decoder import EncoderDecoder
from workbench.backbones.encoder_decoder_config import EncoderDecoderConfig, as_encoder
from workbench.backbones.weights import Rule, either, numbering
from workbench.errors import present
from workbench.families.registry import Family
from workbench.families.shared_rules import (
    HEADS,
    MERGED,
    hub_attention,
    hub_block,
    hub_norm,
    norm,
    projection,
)
from workbench.formats.config_reader import ConfigReader
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.seq2seq_preprocessor import Seq2SeqLMPreprocessor
from workbench.tasks.seq2seq_lm import Seq2SeqLM
from workbench.tokenizers import BytePairTokenizer


class BartBackbone(EncoderDecoder):
    """A BART encoder-decoder (Lewis et al. 2020), with KerasHub's arguments and four more.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: blocks of the encoder, and of the decoder unless it has its own number.
        num_heads: attention heads; the head width is hidden_dim / num_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward networks.
        dropout: rate after the embedding and each branch in training.
        max_sequence_length: rows of both position tables; no sequence may be longer.
        dtype: Keras dtype policy.
        decoder_num_layers, decoder_num_heads, decoder_intermediate_dim: the decoder's sizes; None
            for the encoder's. Distilled models have fewer decoder layers.
        scale_embedding: multiply token vectors by sqrt(hidden_dim).

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
        decoder_num_layers: int | None = None,
        decoder_num_heads: int | None = None,
        decoder_intermediate_dim: int | None = None,
        scale_embedding: bool = False,
        **kwargs: Any,
    ) -> None:
        def side(layers: Any, heads: Any, inner: Any) -> config.DecoderConfig:
            head_dim = config.head_width("BartBackbone", hidden_dim, heads)
            return config.DecoderConfig(
                vocabulary_size=vocabulary_size,
                width=hidden_dim,
                layers=(config.LayerSpec(),) * config.layer_count("BartBackbone", layers),
                position=config.Learned(max_sequence_length),
                norm=config.LayerNorm(1e-5),
                attention=config.Attention(
                    heads,
                    heads,
                    head_dim,
                    scale=head_dim**-0.5,
                    bias=True,
                    output_bias=True,
                ),
                mlp=config.Dense(inner, "gelu"),
                block=config.PostNorm(),
                scale_embedding=scale_embedding,
                norm_embedding=True,
                dropout=dropout,
            )

        own = (decoder_num_layers, decoder_num_heads, decoder_intermediate_dim)
        both = (num_layers, num_heads, intermediate_dim)
        decoder = (theirs if ours is None else ours for ours, theirs in zip(own, both, strict=True))
        super().__init__(
            EncoderDecoderConfig(as_encoder(side(*both)), side(*decoder), shared=True),
            dtype=dtype,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; those that KerasHub lacks only if they are used."""
        values = super().get_config()
        return {k: v for k, v in values.items() if k not in _OWN or v not in (None, False)}


_OWN = ("decoder_num_layers", "decoder_num_heads", "decoder_intermediate_dim", "scale_embedding")


class BartTokenizer(BytePairTokenizer):
    """BART's byte-level BPE tokenizer."""

    start_token = "<s>"
    end_token = "</s>"
    pad_token = "<pad>"


class BartSeq2SeqLMPreprocessor(Seq2SeqLMPreprocessor):
    """Preprocessor: pairs of strings to BART's ids and back."""

    tokenizer_cls = BartTokenizer

    @property
    def decoder_start_ids(self) -> list[int]:
        """The end token, then the start token, as in BART's training."""
        tokenizer = self.tokenizer
        end = present(tokenizer.end_token_id, "an end token")
        return [end, present(tokenizer.start_token_id, "a start token")]


class BartSeq2SeqLM(Seq2SeqLM):
    """BART as a sequence-to-sequence language model."""

    backbone_cls = BartBackbone
    preprocessor_cls = BartSeq2SeqLMPreprocessor


_ENCODER, _DECODER = "encoder_block_{i}/", "decoder_block_{i}/"
_HUB_DECODER = "layers/transformer_decoder{_i}/"
_HUB_ENCODER_RULES = hub_block(_ENCODER, "layers/transformer_encoder{_i}/")
_HUB_DECODER_RULES = (
    *hub_block(_DECODER, _HUB_DECODER),
    *hub_attention(_DECODER + "cross_attention", _HUB_DECODER + "_cross_attention_layer"),
    *hub_norm(_DECODER + "cross_norm", _HUB_DECODER + "_cross_attention_layer_norm"),
)
_HUB_REST = (
    Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
    Rule("encoder_position_embedding/embeddings", "layers/position_embedding/vars/0"),
    Rule("decoder_position_embedding/embeddings", "layers/position_embedding_1/vars/0"),
    *hub_norm("encoder_embedding_norm", "layers/layer_normalization"),
    *hub_norm("decoder_embedding_norm", "layers/layer_normalization_1"),
)


def _depths(arguments: Mapping[str, Any]) -> tuple[Any, Any]:
    layers = arguments["num_layers"]
    own = arguments.get("decoder_num_layers")
    return layers, layers if own is None else own


def keras_hub_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for KerasHub's files, which number each side's layers from zero."""
    encoder, decoder = _depths(arguments)
    return (
        *_HUB_REST,
        *numbering(_HUB_ENCODER_RULES, encoder),
        *numbering(_HUB_DECODER_RULES, decoder),
    )


_BASE = "model."


def _attention(ours: str, theirs: str) -> tuple[Rule, ...]:
    parts = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
    reads = (
        projection(_BASE, f"{ours}/{part}", f"{theirs}.{name}", HEADS, "hk -> (hk)")
        for part, name in parts.items()
    )
    output = projection(_BASE, f"{ours}/output", f"{theirs}.out_proj", MERGED)
    return (*(rule for pair in reads for rule in pair), *output)


def _block(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        *_attention(f"{ours}attention", f"{theirs}self_attn"),
        *norm(_BASE, f"{ours}attention_norm", f"{theirs}self_attn_layer_norm"),
        *projection(_BASE, f"{ours}mlp/up", f"{theirs}fc1"),
        *projection(_BASE, f"{ours}mlp/down", f"{theirs}fc2"),
        *norm(_BASE, f"{ours}mlp_norm", f"{theirs}final_layer_norm"),
    )


def _outside(side: str) -> tuple[Rule, ...]:
    table = either(_BASE, f"{side}.embed_positions.weight")
    return (
        Rule(f"{side}_position_embedding/embeddings", table, skip=2),
        *norm(_BASE, f"{side}_embedding_norm", f"{side}.layernorm_embedding"),
    )


_THEIR_DECODER = "decoder.layers.{i}."
_ENCODER_RULES = _block(_ENCODER, "encoder.layers.{i}.")
_DECODER_RULES = (
    *_block(_DECODER, _THEIR_DECODER),
    *_attention(_DECODER + "cross_attention", _THEIR_DECODER + "encoder_attn"),
    *norm(_BASE, _DECODER + "cross_norm", _THEIR_DECODER + "encoder_attn_layer_norm"),
)
_TABLE = "token_embedding/embeddings"
_REST = (
    Rule(_TABLE, either(_BASE, "shared.weight")),
    Rule(
        "token_embedding/reverse_embeddings",
        (
            "lm_head.weight",
            *either(_BASE, "encoder.embed_tokens.weight"),
            *either(_BASE, "decoder.embed_tokens.weight"),
        ),
        copy_of=_TABLE,
    ),
    Rule("token_embedding/bias", "final_logits_bias", zeros=True),
    *_outside("encoder"),
    *_outside("decoder"),
)


def transformers_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for Transformers' files."""
    encoder, decoder = _depths(arguments)
    return (*_REST, *numbering(_ENCODER_RULES, encoder), *numbering(_DECODER_RULES, decoder))


_DECODER_KEYS = {
    "decoder_layers": "num_layers",
    "decoder_attention_heads": "num_heads",
    "decoder_ffn_dim": "intermediate_dim",
}


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    # The decoder's text begins with these two, whatever the file's generation settings are.
    start, end = settings.take("bos_token_id", 0), settings.take("eos_token_id", 2)
    settings.expect("decoder_start_token_id", end)
    settings.expect("forced_bos_token_id", start)
    settings.expect("forced_eos_token_id", end)
    decoder = {f"decoder_{ours}": settings.take(theirs) for theirs, ours in _DECODER_KEYS.items()}
    own = {k: v for k, v in decoder.items() if v != arguments[k.removeprefix("decoder_")]}
    scaled = settings.take("scale_embedding", False)
    return own | ({"scale_embedding": True} if scaled else {})


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    def of_decoder(ours: str) -> Any:
        own = arguments.get(f"decoder_{ours}")
        return arguments[ours] if own is None else own

    return {
        **{theirs: of_decoder(ours) for theirs, ours in _DECODER_KEYS.items()},
        "scale_embedding": arguments.get("scale_embedding", False),
    }


TRANSFORMERS = Transformers(
    model_type="bart",
    architecture="BartForConditionalGeneration",
    rules=transformers_rules,
    keys={
        "vocab_size": "vocabulary_size",
        "d_model": "hidden_dim",
        "encoder_layers": "num_layers",
        "encoder_attention_heads": "num_heads",
        "encoder_ffn_dim": "intermediate_dim",
        "max_position_embeddings": "max_sequence_length",
        "dropout": "dropout",
    },
    defaults={"dropout": 0.1},
    fixed={
        "activation_function": ("gelu",),
        "is_encoder_decoder": (True,),
        "tie_word_embeddings": (True,),
        "normalize_embedding": (True,),
    },
    read=_read,
    write=_write,
    # Rates for training only, and settings of earlier versions.
    harmless=(
        "activation_dropout",
        "classifier_dropout",
        "classif_dropout",
        "encoder_layerdrop",
        "decoder_layerdrop",
        "init_std",
        "num_hidden_layers",
        "output_past",
        "replacing_rate",
        "_num_labels",
        "force_bos_token_to_be_generated",
    ),
)

FAMILIES = (
    Family(
        name="bart",
        backbone=BartBackbone,
        tokenizer=BartTokenizer,
        preprocessor=BartSeq2SeqLMPreprocessor,
        causal_lm=BartSeq2SeqLM,
        keras_hub_rules=keras_hub_rules,
        transformers=TRANSFORMERS,
    ),
)
