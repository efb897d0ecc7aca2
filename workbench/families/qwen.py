"""Qwen2 and Qwen2.5: Llama with biases on queries, keys and values.

A window in the file applies only if `use_sliding_window` is on, from layer `max_window_layers` up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.weights import Rule
from workbench.errors import PresetError
from workbench.families import decoders, llama
from workbench.families.registry import Family
from workbench.families.shared_rules import OURS
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tokenizers import BytePairTokenizer
from workbench.tokenizers.patterns import QWEN_PATTERN


class QwenBackbone(Decoder):
    """A Qwen2 or Qwen2.5 decoder (Yang et al. 2024), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        num_layers: number of blocks.
        num_query_heads: attention heads; the head width is hidden_dim / num_query_heads.
        num_key_value_heads: heads of keys and values, a divisor of num_query_heads.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        rope_max_wavelength: base of the rotary frequencies.
        rope_scaling_factor: divisor of the positions.
        layer_norm_epsilon: epsilon of every norm.
        dropout: rate after each branch in training.
        dtype: Keras dtype policy.
        tie_word_embeddings: project to logits with the token table itself.
        use_sliding_window_attention: every layer sees only the last sliding_window_size keys.
        sliding_window_size: keys a query sees there, itself included.

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
        rope_max_wavelength: float = 10_000,
        rope_scaling_factor: float = 1.0,
        layer_norm_epsilon: float = 1e-6,
        dropout: float = 0,
        dtype: Any = None,
        tie_word_embeddings: bool = True,
        use_sliding_window_attention: bool = False,
        sliding_window_size: int = 32_768,
        **kwargs: Any,
    ) -> None:
        window = sliding_window_size if use_sliding_window_attention else None
        super().__init__(
            decoders.llama_like(
                "QwenBackbone",
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_query_heads,
                num_key_value_heads=num_key_value_heads,
                mlp=config.Gated(intermediate_dim),
                position=config.Rope(rope_max_wavelength, rope_scaling_factor),
                layer=config.LayerSpec(window),
                bias=True,
                layer_norm_epsilon=layer_norm_epsilon,
                tied=tie_word_embeddings,
                dropout=dropout,
            ),
            dtype=dtype,
            **kwargs,
        )


class QwenTokenizer(BytePairTokenizer):
    """Qwen2's byte-level BPE tokenizer; a chat's turn ends with `<|im_end|>`."""

    split_pattern = QWEN_PATTERN
    composes = True
    end_token = "<|endoftext|>"
    extra_stop_tokens = ("<|im_end|>",)


class QwenCausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to Qwen2's ids and back."""

    tokenizer_cls = QwenTokenizer


class QwenCausalLM(CausalLM):
    """Qwen2 or Qwen2.5 as a causal language model."""

    backbone_cls = QwenBackbone
    preprocessor_cls = QwenCausalLMPreprocessor


_KINDS = ("query", "key", "value")


def hub_biases(decoder: str, attention: str) -> tuple[Rule, ...]:
    """Return rules for biases of queries, keys and values in KerasHub's files."""
    block = f"layers/{decoder}{{_i}}/_self_attention_layer/"
    return tuple(
        Rule(f"{OURS}attention/{kind}/bias", f"{block}{attention.format(kind)}/vars/1")
        for kind in _KINDS
    )


BIASES = tuple(
    Rule(
        f"{OURS}attention/{kind}/bias",
        llama.theirs(f"{llama.LAYER}self_attn.{kind[0]}_proj.bias"),
        "hk -> (hk)",
    )
    for kind in _KINDS
)

KERAS_HUB_RULES = (
    *llama.hub_outer_rules("qwen_layer_norm"),
    *llama.hub_block_rules("qwen_transformer_decoder"),
    *hub_biases("qwen_transformer_decoder", "_{}_dense"),
)


def read_window(settings: ConfigReader, arguments: dict[str, Any]) -> int | None:
    """Return the window of every layer, or None.

    Raises:
        PresetError: only some layers have a window; this family's arguments cannot express that.
    """
    used = settings.take("use_sliding_window", False)
    window = settings.take("sliding_window", None) if used else None
    settings.take("sliding_window", None)
    layers, first = arguments["num_layers"], settings.take("max_window_layers", 28)
    kind = "full_attention" if window is None else "sliding_attention"
    settings.expect("layer_types", [kind] * config.layer_count("config.json", layers))
    if window is not None and first > 0:
        raise PresetError.at("config.json", "max_window_layers", "0 with a window", first)
    return window


def write_window(arguments: Mapping[str, Any], window: int | None) -> dict[str, Any]:
    """Invert `read_window`."""
    if window is None:
        return {"use_sliding_window": False}
    return {"use_sliding_window": True, "sliding_window": window, "max_window_layers": 0}


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    window = read_window(settings, arguments)
    windowed = {} if window is None else {"sliding_window_size": window}
    rope = llama.linear_rope(settings.rope(), "rope_scaling_factor")
    return {**rope, **windowed, "use_sliding_window_attention": window is not None}


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    used = arguments["use_sliding_window_attention"]
    window = arguments["sliding_window_size"] if used else None
    rope = llama.linear_rope_config(arguments, "rope_scaling_factor")
    return rope | write_window(arguments, window)


KEYS = {
    **llama.KEYS,
    "num_key_value_heads": "num_key_value_heads",
    "tie_word_embeddings": "tie_word_embeddings",
}
DEFAULTS = {"rms_norm_eps": 1e-6, "tie_word_embeddings": False}


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments; such files have no sliding window."""
    arguments = gguf_decoder.rms_decoder(settings)
    gguf_decoder.equal_heads(settings, arguments)
    tied = {"tie_word_embeddings": gguf_decoder.is_tied(settings)}
    return {**arguments, **gguf_decoder.linear_rope(settings), **tied}


FAMILIES = (
    Family(
        name="qwen",
        backbone=QwenBackbone,
        tokenizer=QwenTokenizer,
        preprocessor=QwenCausalLMPreprocessor,
        causal_lm=QwenCausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        gguf=Gguf("qwen2", (*gguf_rules.llama_like(), *gguf_rules.BIASES), _read_gguf),
        transformers=Transformers(
            model_type="qwen2",
            architecture="Qwen2ForCausalLM",
            rules=(*llama.TRANSFORMERS_RULES, *BIASES),
            keys=KEYS,
            defaults=DEFAULTS,
            fixed={"hidden_act": ("silu",)},
            read=_read,
            write=_write,
            harmless=("max_position_embeddings",),
        ),
    ),
)
