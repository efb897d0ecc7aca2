"""T5Gemma: an encoder and a decoder of Gemma 2 blocks, with separate token tables.

The encoder's windows extend in both directions. Cross-attention has Gemma's scale and soft cap, but
no rotation and no window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.encoder_decoder import EncoderDecoder
from workbench.backbones.encoder_decoder_config import EncoderDecoderConfig, as_encoder
from workbench.errors import SettingError, present
from workbench.families.gemma import GemmaTokenizer
from workbench.families.registry import Family
from workbench.families.t5gemma_files import (
    FULL,
    SLIDING,
    TRANSFORMERS,
    keras_hub_rules,
)
from workbench.kinds import checks_types
from workbench.preprocessing.seq2seq_preprocessor import Seq2SeqLMPreprocessor
from workbench.storage.json_files import shown
from workbench.tasks.seq2seq_lm import Seq2SeqLM
from workbench.tokenizers import Tokenizer


class T5GemmaBackbone(EncoderDecoder):
    """A T5Gemma encoder-decoder (Zhang et al. 2025), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of both token tables.
        encoder_hidden_dim, decoder_hidden_dim: width of the residual stream of each side.
        encoder_intermediate_dim, decoder_intermediate_dim: inner width of its feed-forward
            networks.
        encoder_num_layers, decoder_num_layers: its blocks.
        encoder_num_attention_heads, decoder_num_attention_heads: its attention heads.
        encoder_num_key_value_heads, decoder_num_key_value_heads: its heads of keys and values.
        encoder_head_dim, decoder_head_dim: width of its heads.
        encoder_layer_types, decoder_layer_types: "sliding_attention" or "full_attention" for each
            of its blocks.
        dropout_rate: rate after the embedding, each branch and the last norm in training.
        rms_norm_eps: epsilon of every norm.
        query_pre_attn_scalar: scores are scaled by this ** -0.5.
        attention_bias: False; T5Gemma has no biases.
        hidden_activation: "gelu_approximate", the only supported value.
        tie_word_embeddings: project to logits with the decoder's token table.
        initializer_range: standard deviation of random weights.
        attention_dropout: 0; dropout of attention weights is not supported.
        sliding_window: keys that a decoder query sees in a sliding layer, itself included; also how
            far an encoder query sees in each direction. None requires layers without windows.
        cross_attention_hidden_size: encoder_hidden_dim, or None for the same.
        attn_logit_softcapping: bound on the attention scores; None for none.
        final_logit_softcapping: bound on the output logits; None for none.
        rope_max_wavelength: rotary base of self-attention.
        dtype: Keras dtype policy.

    Raises:
        SettingError: an argument is impossible or not supported.
    """

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        encoder_hidden_dim: int,
        encoder_intermediate_dim: int,
        encoder_num_layers: int,
        encoder_num_attention_heads: int,
        encoder_num_key_value_heads: int,
        encoder_head_dim: int,
        encoder_layer_types: Sequence[str],
        decoder_hidden_dim: int,
        decoder_intermediate_dim: int,
        decoder_num_layers: int,
        decoder_num_attention_heads: int,
        decoder_num_key_value_heads: int,
        decoder_head_dim: int,
        decoder_layer_types: Sequence[str],
        dropout_rate: float = 0.0,
        rms_norm_eps: float = 1e-6,
        query_pre_attn_scalar: float = 1.0,
        attention_bias: bool = False,
        hidden_activation: str = "gelu_approximate",
        tie_word_embeddings: bool = True,
        initializer_range: float = 0.02,
        attention_dropout: float = 0.0,
        sliding_window: int | None = None,
        cross_attention_hidden_size: int | None = None,
        attn_logit_softcapping: float | None = None,
        final_logit_softcapping: float | None = None,
        rope_max_wavelength: float = 10_000.0,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        _expect("attention_bias", attention_bias, False)
        _expect("hidden_activation", hidden_activation, "gelu_approximate")
        _expect("attention_dropout", attention_dropout, 0)
        if cross_attention_hidden_size is not None:
            _expect("cross_attention_hidden_size", cross_attention_hidden_size, encoder_hidden_dim)
        config.check_positive("T5GemmaBackbone", "query_pre_attn_scalar", query_pre_attn_scalar)

        def side(
            width: Any, inner: Any, heads: Any, kv_heads: Any, head_dim: Any, kinds: Any, depth: Any
        ) -> config.DecoderConfig:
            return config.DecoderConfig(
                vocabulary_size=vocabulary_size,
                width=width,
                layers=_layers(depth, kinds, sliding_window),
                position=config.Rope(rope_max_wavelength),
                norm=config.RMSNorm(rms_norm_eps, offset=1.0),
                attention=config.Attention(
                    heads,
                    kv_heads,
                    head_dim,
                    scale=query_pre_attn_scalar**-0.5,
                    soft_cap=attn_logit_softcapping,
                ),
                mlp=config.Gated(inner, "gelu_tanh"),
                tied=tie_word_embeddings,
                scale_embedding=True,
                final_soft_cap=final_logit_softcapping,
                dropout=dropout_rate,
            )

        encoder = side(
            encoder_hidden_dim,
            encoder_intermediate_dim,
            encoder_num_attention_heads,
            encoder_num_key_value_heads,
            encoder_head_dim,
            encoder_layer_types,
            encoder_num_layers,
        )
        decoder = side(
            decoder_hidden_dim,
            decoder_intermediate_dim,
            decoder_num_attention_heads,
            decoder_num_key_value_heads,
            decoder_head_dim,
            decoder_layer_types,
            decoder_num_layers,
        )
        super().__init__(
            EncoderDecoderConfig(as_encoder(encoder), decoder),
            dtype=dtype,
            initializer_range=initializer_range,
            **kwargs,
        )


def _expect(name: str, value: Any, only: Any) -> None:
    if value != only:
        raise SettingError(
            f"T5GemmaBackbone: {name}: expected {only!r}, which is all there is, got {value!r}"
        )


def _layers(depth: Any, kinds: Any, window: Any) -> tuple[config.LayerSpec, ...]:
    count = config.layer_count("T5GemmaBackbone", depth)
    if not isinstance(kinds, list | tuple) or len(kinds) != count or set(kinds) - {SLIDING, FULL}:
        raise SettingError(
            f"T5GemmaBackbone: layer_types: expected {count} of {SLIDING!r} and {FULL!r}, "
            f"got {shown(kinds)}"
        )
    if SLIDING in kinds and window is None:
        raise SettingError("T5GemmaBackbone: sliding_window: expected a number, got None")
    return tuple(
        config.LayerSpec(
            window=window if kind == SLIDING else None,
            post_attention_norm=True,
            post_mlp_norm=True,
        )
        for kind in kinds
    )


class T5GemmaTokenizer(GemmaTokenizer):
    """T5Gemma's SentencePiece tokenizer, which is Gemma's."""


class T5GemmaSeq2SeqLMPreprocessor(Seq2SeqLMPreprocessor):
    """Preprocessor: pairs of strings to T5Gemma's ids and back.

    The decoder's text begins with the start token. In generation the encoder's text has no end
    token.

    Args:
        tokenizer: the tokenizer of both sides.
        encoder_sequence_length: the most tokens that the encoder reads.
        decoder_sequence_length: tokens per target; also the default `max_length` of `generate()`.
        add_start_token: put the start token before the encoder's text.
        add_end_token: put the end token after both texts in training.
    """

    tokenizer_cls = T5GemmaTokenizer

    @checks_types
    def __init__(
        self,
        tokenizer: Tokenizer,
        encoder_sequence_length: int = 512,
        decoder_sequence_length: int = 512,
        add_start_token: bool = False,
        add_end_token: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, encoder_sequence_length, decoder_sequence_length, **kwargs)
        self.add_start_token, self.add_end_token = add_start_token, add_end_token

    @classmethod
    def transformers_settings(cls, prepends_start: bool, length: int | None) -> dict[str, Any]:
        """Return the constructor arguments for a Transformers folder; see
        `CausalLMPreprocessor`."""
        settings = super().transformers_settings(prepends_start, length)
        return settings | {"add_start_token": prepends_start}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments without the tokenizer."""
        own = {"add_start_token": self.add_start_token, "add_end_token": self.add_end_token}
        return super().get_config() | own

    @property
    def prompt_frame(self) -> tuple[str | None, str | None]:
        """The token before every text of the encoder, if any."""
        return self.tokenizer.start_token if self.add_start_token else None, None

    def prompt_ids(self, text: str) -> list[int]:
        """Return the encoder's ids of a text in generation."""
        start = (
            [present(self.tokenizer.start_token_id, "a start token")]
            if self.add_start_token
            else []
        )
        return [*start, *self.tokenizer.tokenize(text)]

    def training_source_ids(self, text: str) -> list[int]:
        """Return the encoder's ids of a text in training."""
        end = [present(self.tokenizer.end_token_id, "an end token")] if self.add_end_token else []
        return [*self.prompt_ids(text), *end]


class T5GemmaSeq2SeqLM(Seq2SeqLM):
    """T5Gemma as a sequence-to-sequence language model."""

    backbone_cls = T5GemmaBackbone
    preprocessor_cls = T5GemmaSeq2SeqLMPreprocessor


FAMILIES = (
    Family(
        name="t5gemma",
        backbone=T5GemmaBackbone,
        tokenizer=T5GemmaTokenizer,
        preprocessor=T5GemmaSeq2SeqLMPreprocessor,
        causal_lm=T5GemmaSeq2SeqLM,
        keras_hub_rules=keras_hub_rules,
        transformers=TRANSFORMERS,
    ),
)
