"""SmolLM3: a tied Llama in which every fourth layer has no rotary positions (NoPE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.backbones import config
from workbench.backbones.backbone import keeps_arguments
from workbench.backbones.decoder import Decoder
from workbench.backbones.layers.rotary import rotation
from workbench.backbones.weights import Rule, numbered
from workbench.errors import SettingError
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
from workbench.tokenizers import LLAMA3_PATTERN, BytePairTokenizer

_FULL = "full_attention"


class SmolLM3Backbone(Decoder):
    """A SmolLM3 decoder (Bakouch et al. 2025), with KerasHub's arguments.

    Args:
        vocabulary_size: rows of the token table.
        hidden_dim: width of the residual stream.
        intermediate_dim: inner width of the feed-forward network.
        num_layers: number of blocks.
        num_attention_heads: attention heads; the head width is hidden_dim / num_attention_heads.
        num_key_value_heads: heads of keys and values, a divisor of num_attention_heads.
        attention_bias: False; SmolLM3 has no biases.
        attention_dropout: kept for KerasHub's files; attention weights are not dropped here.
        rope_layer_enabled_list: for each layer, whether it rotates queries and keys.
        layer_types: "full_attention" for each layer.
        mlp_bias: False.
        layer_norm_epsilon: epsilon of every norm.
        max_position_embeddings: context length in training, in tokens; limits nothing.
        rope_theta: base of the rotary frequencies.
        partial_rotary_factor: 1; whole heads are rotated.
        dtype: Keras dtype policy.

    Raises:
        SettingError: an argument is impossible.
    """

    @keeps_arguments
    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        intermediate_dim: int,
        num_layers: int,
        num_attention_heads: int,
        num_key_value_heads: int,
        attention_bias: bool,
        attention_dropout: float,
        rope_layer_enabled_list: list[bool],
        layer_types: list[str],
        mlp_bias: bool,
        layer_norm_epsilon: float,
        max_position_embeddings: int,
        rope_theta: float,
        partial_rotary_factor: float,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        owner = "SmolLM3Backbone"
        count = config.layer_count(owner, num_layers)
        decoders.expect_default(owner, "attention_bias", attention_bias, False)
        decoders.expect_default(owner, "mlp_bias", mlp_bias, False)
        decoders.expect_default(owner, "partial_rotary_factor", partial_rotary_factor, 1)
        decoders.expect_default(owner, "layer_types", list(layer_types), [_FULL] * count)
        config.check_rate(owner, "attention_dropout", attention_dropout)
        config.check_size(owner, "max_position_embeddings", max_position_embeddings)
        if len(rope_layer_enabled_list) != count:
            raise SettingError(
                f"{owner}: rope_layer_enabled_list: expected {count} values, one for each layer, "
                f"got {len(rope_layer_enabled_list)}"
            )
        super().__init__(
            decoders.llama_like(
                owner,
                vocabulary_size=vocabulary_size,
                num_layers=num_layers,
                hidden_dim=hidden_dim,
                num_query_heads=num_attention_heads,
                num_key_value_heads=num_key_value_heads,
                mlp=config.Gated(intermediate_dim),
                position=config.Rope(rope_theta),
                layers=tuple(
                    config.LayerSpec(has_positions=turns) for turns in rope_layer_enabled_list
                ),
                layer_norm_epsilon=layer_norm_epsilon,
                tied=True,
                dropout=0.0,
            ),
            dtype=dtype,
            **kwargs,
        )


class SmolLM3Tokenizer(BytePairTokenizer):
    """SmolLM3's byte-level BPE tokenizer; a chat's turn ends with `<|im_end|>`."""

    split_pattern = LLAMA3_PATTERN
    ignore_merges = True
    end_token = "<|end_of_text|>"
    extra_special_tokens = ("<|begin_of_text|>", "<think>", "</think>")
    extra_stop_tokens = ("<|im_end|>",)


class SmolLM3CausalLMPreprocessor(CausalLMPreprocessor):
    """Preprocessor: strings to SmolLM3's ids and back."""

    tokenizer_cls = SmolLM3Tokenizer


class SmolLM3CausalLM(CausalLM):
    """SmolLM3 as a causal language model."""

    backbone_cls = SmolLM3Backbone
    preprocessor_cls = SmolLM3CausalLMPreprocessor


_HUB = "layers/smol_lm3_decoder_layer{_i}/"
_HUB_ATTENTION, _HUB_MLP = _HUB + "self_attn/", _HUB + "mlp/"

KERAS_HUB_RULES = (
    Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
    Rule(OURS + "attention_norm/scale", _HUB + "input_layernorm/vars/0"),
    Rule(OURS + "attention/query/kernel", _HUB_ATTENTION + "q_proj/vars/0", "hkd -> d(hk)"),
    Rule(OURS + "attention/key/kernel", _HUB_ATTENTION + "k_proj/vars/0", "hkd -> d(hk)"),
    Rule(OURS + "attention/value/kernel", _HUB_ATTENTION + "v_proj/vars/0", "hkd -> d(hk)"),
    Rule(OURS + "attention/output/kernel", _HUB_ATTENTION + "o_proj/vars/0", "dhk -> hkd"),
    Rule(OURS + "mlp_norm/scale", _HUB + "post_attention_layernorm/vars/0"),
    Rule(OURS + "mlp/gate/kernel", _HUB_MLP + "gate_proj/vars/0", "fd -> df"),
    Rule(OURS + "mlp/up/kernel", _HUB_MLP + "up_proj/vars/0", "fd -> df"),
    Rule(OURS + "mlp/down/kernel", _HUB_MLP + "down_proj/vars/0", "df -> fd"),
    Rule("final_norm/scale", "layers/rms_normalization/vars/0"),
)


_FREQUENCIES = _HUB_ATTENTION + "rotary_embedding/vars/0"


def _frequencies(arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return radians per position of each layer's pairs, which KerasHub stores with the weights."""
    turn = rotation(
        config.Rope(arguments["rope_theta"]),
        arguments["hidden_dim"] // arguments["num_attention_heads"],
    )
    names = (numbered(_FREQUENCIES, i) for i in range(arguments["num_layers"]))
    return dict.fromkeys(names, turn.frequencies)


def _turning(num_layers: int, interval: int = 4) -> list[bool]:
    """Return whether each layer rotates: all except every `interval`-th."""
    count = config.layer_count("SmolLM3Backbone", num_layers)
    return [(i + 1) % interval != 0 for i in range(count)]


def _same_everywhere(num_layers: int) -> dict[str, Any]:
    """Return the arguments that have the same value in all files."""
    return {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "layer_types": [_FULL] * config.layer_count("SmolLM3Backbone", num_layers),
        "mlp_bias": False,
        "partial_rotary_factor": 1.0,
    }


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    layers = arguments["num_layers"]
    shared = _same_everywhere(layers)
    width, heads = arguments["hidden_dim"], arguments["num_attention_heads"]
    settings.expect("head_dim", config.head_width("config.json", width, heads))
    settings.expect("layer_types", shared["layer_types"])
    turning = _turning(layers, settings.take("no_rope_layer_interval", 4))
    # Despite the name, a 1 in the list means that the layer rotates.
    listed = settings.take("no_rope_layers", turning)
    return {
        **shared,
        "num_key_value_heads": settings.take("num_key_value_heads", 4),
        "rope_layer_enabled_list": [bool(turns) for turns in listed],
        "rope_theta": settings.rope(2_000_000.0, kinds=("default",))["rope_theta"],
    }


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "num_key_value_heads": arguments["num_key_value_heads"],
        "layer_types": arguments["layer_types"],
        "no_rope_layers": [int(turns) for turns in arguments["rope_layer_enabled_list"]],
        "rope_theta": arguments["rope_theta"],
    }


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read a GGUF file's arguments. In this format, all layers except every fourth rotate."""
    arguments = gguf_decoder.rms_decoder(settings)
    gguf_decoder.equal_heads(settings, arguments)
    heads, layers = arguments.pop("num_query_heads"), arguments["num_layers"]
    return {
        **arguments,
        **_same_everywhere(layers),
        "rope_layer_enabled_list": _turning(layers),
        "num_attention_heads": heads,
        "max_position_embeddings": settings.take("context_length", 65_536),
        "rope_theta": settings.take("rope.freq_base", 2_000_000.0),
    }


FAMILIES = (
    Family(
        name="smollm3",
        backbone=SmolLM3Backbone,
        tokenizer=SmolLM3Tokenizer,
        preprocessor=SmolLM3CausalLMPreprocessor,
        causal_lm=SmolLM3CausalLM,
        keras_hub_rules=KERAS_HUB_RULES,
        keras_hub_ignored=(_FREQUENCIES,),
        keras_hub_constants=_frequencies,
        gguf=Gguf("smollm3", gguf_rules.llama_like(interleaved=True), _read_gguf),
        transformers=Transformers(
            model_type="smollm3",
            architecture="SmolLM3ForCausalLM",
            rules=llama.TRANSFORMERS_RULES,
            keys={
                **llama.KEYS,
                "num_attention_heads": "num_attention_heads",
                "max_position_embeddings": "max_position_embeddings",
            },
            defaults={"rms_norm_eps": 1e-6, "max_position_embeddings": 32_768},
            fixed={
                "hidden_act": ("silu",),
                "attention_bias": (False,),
                "mlp_bias": (False,),
                "tie_word_embeddings": (True,),
                "use_sliding_window": (False,),
            },
            read=_read,
            write=_write,
            harmless=("max_window_layers", "sliding_window"),
        ),
    ),
)
