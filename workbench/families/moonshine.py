"""Moonshine: recordings to text. Three convolutions turn samples into frames; an encoder reads them
and a decoder writes. Rotation applies to neighbouring features in a part of each head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.audio import AudioConverter
from workbench.backbones import config
from workbench.backbones.audio_config import AudioConfig
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.encoder_decoder import EncoderDecoder
from workbench.backbones.encoder_decoder_config import EncoderDecoderConfig
from workbench.errors import PresetError, SettingError
from workbench.families import decoders
from workbench.families.llama import LlamaTokenizer
from workbench.families.moonshine_files import (
    FREQUENCIES,
    TRANSFORMERS,
    head_dim,
    keras_hub_constants,
    keras_hub_rules,
    rope,
)
from workbench.families.registry import Family
from workbench.kinds import one_of
from workbench.preprocessing.audio_to_text_preprocessor import AudioToTextPreprocessor
from workbench.storage.files import TRANSFORMERS_PREPROCESSOR
from workbench.tasks.audio_to_text import AudioToText


class MoonshineBackbone(EncoderDecoder):
    """A Moonshine encoder-decoder (Jeffries et al. 2024), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        filter_dim: channels of the first convolution; must equal hidden_dim, the last one's
            channels.
        encoder_num_layers, decoder_num_layers: blocks of each side.
        hidden_dim: width of the residual stream.
        intermediate_dim: kept as KerasHub's files have it; the inner width of the feed-forward
            networks is hidden_dim * feedforward_expansion_factor.
        encoder_num_heads, decoder_num_heads: attention heads of each side.
        feedforward_expansion_factor: see `intermediate_dim`.
        encoder_use_swiglu_activation, decoder_use_swiglu_activation: a gate in the feed-forward
            networks of each side; without it they have a GELU.
        max_position_embeddings: the longest text in training, in tokens; limits nothing.
        pad_head_dim_to_multiple_of: the head width is hidden_dim / heads, rounded up to a multiple
            of this.
        partial_rotary_factor: the rotated part of each head; rounded down it must be even.
        dropout: rate before the blocks and after each branch in training.
        initializer_range: standard deviation of random weights.
        rope_theta: rotary base.
        attention_bias: biases in attention.
        attention_dropout: 0; dropout of attention weights is not supported.
        dtype: Keras dtype policy.

    Raises:
        SettingError: an argument is impossible or not supported.
    """

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        filter_dim: int,
        encoder_num_layers: int,
        decoder_num_layers: int,
        hidden_dim: int,
        intermediate_dim: int,
        encoder_num_heads: int,
        decoder_num_heads: int,
        feedforward_expansion_factor: int = 4,
        encoder_use_swiglu_activation: bool = False,
        decoder_use_swiglu_activation: bool = True,
        max_position_embeddings: int = 2048,
        pad_head_dim_to_multiple_of: int | None = None,
        partial_rotary_factor: float = 0.62,
        dropout: float = 0.0,
        initializer_range: float = 0.02,
        rope_theta: float = 10_000.0,
        attention_bias: bool = False,
        attention_dropout: float = 0.0,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        owner = "MoonshineBackbone"
        _check(owner, filter_dim, hidden_dim, partial_rotary_factor, attention_dropout)
        config.check_size(owner, "feedforward_expansion_factor", feedforward_expansion_factor, 1000)
        if pad_head_dim_to_multiple_of is not None:
            name = "pad_head_dim_to_multiple_of"
            config.check_size(owner, name, pad_head_dim_to_multiple_of, 2**10)
        inner = hidden_dim * feedforward_expansion_factor
        arguments = {
            "hidden_dim": hidden_dim,
            "encoder_num_heads": encoder_num_heads,
            "decoder_num_heads": decoder_num_heads,
            "pad_head_dim_to_multiple_of": pad_head_dim_to_multiple_of,
            "partial_rotary_factor": partial_rotary_factor,
            "rope_theta": rope_theta,
        }

        def side(name: str, layers: Any, gated: bool) -> dict[str, Any]:
            heads = arguments[f"{name}_num_heads"]
            config.head_width(owner, hidden_dim, heads)
            width = head_dim(arguments, name)
            return {
                "width": hidden_dim,
                "layers": (config.LayerSpec(),) * config.layer_count(owner, layers),
                "position": rope(arguments, name),
                "norm": config.LayerNorm(1e-5, bias=False),
                "attention": config.Attention(
                    heads,
                    heads,
                    width,
                    scale=width**-0.5,
                    bias=attention_bias,
                    output_bias=attention_bias,
                    causal=name == "decoder",
                ),
                "mlp": config.Gated(inner, bias=True) if gated else config.Dense(inner, "gelu"),
                "dropout": dropout,
            }

        encoder = side("encoder", encoder_num_layers, encoder_use_swiglu_activation)
        decoder = side("decoder", decoder_num_layers, decoder_use_swiglu_activation)
        super().__init__(
            EncoderDecoderConfig(
                AudioConfig(**encoder),
                config.DecoderConfig(vocabulary_size=vocabulary_size, **decoder),
            ),
            dtype=dtype,
            initializer_range=initializer_range,
            **kwargs,
        )


def _check(
    owner: str, filter_dim: Any, hidden_dim: Any, turned: Any, attention_dropout: Any
) -> None:
    config.check_size(owner, "hidden_dim", hidden_dim)
    if filter_dim != hidden_dim:
        raise SettingError(
            f"{owner}: filter_dim: expected hidden_dim ({hidden_dim}), got {filter_dim!r}"
        )
    decoders.check_part(owner, "partial_rotary_factor", turned)
    if attention_dropout != 0:
        raise SettingError(
            f"{owner}: attention_dropout: expected 0, the only one supported, got "
            f"{attention_dropout!r}"
        )


class MoonshineAudioConverter(AudioConverter):
    """Converts recordings to Moonshine's input: 16,000 samples per second."""


class MoonshineTokenizer(LlamaTokenizer):
    """Moonshine's tokenizer, Llama 2's."""


class MoonshineAudioToTextPreprocessor(AudioToTextPreprocessor):
    """Preprocessor: recordings and texts to Moonshine's arrays and back."""

    tokenizer_cls = MoonshineTokenizer


class MoonshineAudioToText(AudioToText):
    """Moonshine as a speech-to-text model."""

    backbone_cls = MoonshineBackbone
    preprocessor_cls = MoonshineAudioToTextPreprocessor


def _read_preprocessor(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the converter, from the settings of Transformers' feature extractor."""
    arguments = {
        "sampling_rate": given.get("sampling_rate", 16_000),
        "padding_value": given.get("padding_value", 0.0),
        "do_normalize": given.get("do_normalize", False),
    }
    size = given.get("feature_size", 1)
    one_of(1).check(f"{TRANSFORMERS_PREPROCESSOR}: feature_size", size, PresetError)
    return {"audio_converter": MoonshineAudioConverter(**arguments)}


def _write_preprocessor(preprocessor: AudioToTextPreprocessor) -> dict[str, Any]:
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "padding_side": "right",
        "return_attention_mask": True,
        **preprocessor.audio_converter.get_config(),
    }


FAMILIES = (
    Family(
        name="moonshine",
        backbone=MoonshineBackbone,
        tokenizer=MoonshineTokenizer,
        preprocessor=MoonshineAudioToTextPreprocessor,
        causal_lm=MoonshineAudioToText,
        converters={"audio_converter": MoonshineAudioConverter},
        keras_hub_rules=keras_hub_rules,
        keras_hub_ignored=FREQUENCIES,
        keras_hub_constants=keras_hub_constants,
        keras_hub_dtype_by_name=True,
        transformers=replace(
            TRANSFORMERS,
            read_preprocessor=_read_preprocessor,
            write_preprocessor=_write_preprocessor,
        ),
    ),
)
