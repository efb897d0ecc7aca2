"""Moonshine's files: its weights in each format, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.backbones.config import Rope
from workbench.backbones.layers.rotary import rotation
from workbench.backbones.weights import Part, Rule, either, numbering
from workbench.errors import PresetError
from workbench.families.shared_rules import (
    HEADS,
    MERGED,
    hub_attention,
    hub_norm,
    hub_projection,
    projection,
)
from workbench.formats.config_reader import ConfigReader
from workbench.formats.transformers_config import Transformers
from workbench.storage.files import CONFIG
from workbench.storage.json_files import shown

SIDES = ("encoder", "decoder")
_OURS = {side: f"{side}_block_{{i}}/" for side in SIDES}
_TABLE = "token_embedding/embeddings"
_CONVOLUTIONS = ("conv1", "conv2", "conv3")


def head_dim(arguments: Mapping[str, Any], side: str) -> int:
    """Return the width of a side's heads, which KerasHub's files may pad to a multiple."""
    plain = arguments["hidden_dim"] // arguments[f"{side}_num_heads"]
    multiple = arguments.get("pad_head_dim_to_multiple_of") or 1
    return -(-plain // multiple) * multiple


def rope(arguments: Mapping[str, Any], side: str) -> Rope:
    """Return a side's rotary settings: neighbouring features, in a part of the head."""
    return Rope(
        arguments.get("rope_theta", 10_000.0),
        interleaved=True,
        turned=int(head_dim(arguments, side) * arguments.get("partial_rotary_factor", 0.62)),
    )


# KerasHub's names of the layers of a block, those with norms first.
_HUB = {
    "encoder": (
        "layers/moonshine_encoder_block{_i}/",
        {"attention_norm": "self_attention_layer_norm", "mlp_norm": "feedforward_layer_norm"},
        {"attention": "self_attention_layer"},
        "feedforward",
    ),
    "decoder": (
        "layers/moonshine_decoder_block{_i}/",
        {"attention_norm": "norm1", "cross_norm": "norm2", "mlp_norm": "norm3"},
        {"attention": "self_attention", "cross_attention": "cross_attention"},
        "ff",
    ),
}


def _hub_block(side: str, gated: bool) -> tuple[Rule, ...]:
    base, norms, attentions, mlp = _HUB[side]
    ours, first = _OURS[side], f"{base}{mlp}/dense_1/vars"
    rules = [Rule(f"{ours}{a}/gamma", f"{base}{b}/vars/0") for a, b in norms.items()]
    for a, b in attentions.items():
        rules += hub_attention(ours + a, base + b)
    for place, part in enumerate(("up", "gate")) if gated else ((None, "up"),):
        where = None if place is None else (place, 2)
        rules.append(Rule(f"{ours}mlp/{part}/kernel", f"{first}/0", "fd -> df", part=where))
        rules.append(Rule(f"{ours}mlp/{part}/bias", f"{first}/1", part=where))
    return (*rules, *hub_projection(f"{ours}mlp/down", f"{base}{mlp}/dense_2", "df -> fd"))


def keras_hub_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for KerasHub's files, which number each side's layers from zero."""
    gated = {side: arguments.get(f"{side}_use_swiglu_activation", _GATED[side]) for side in SIDES}
    kernels = zip(_CONVOLUTIONS, ("", "_1", "_2"), strict=True)
    return (
        *(Rule(f"audio/{a}/kernel", f"layers/conv1d{b}/vars/0") for a, b in kernels),
        Rule("audio/conv2/bias", "layers/conv1d_1/vars/1"),
        Rule("audio/conv3/bias", "layers/conv1d_2/vars/1"),
        *hub_norm("audio/norm", "layers/group_normalization"),
        Rule("encoder_final_norm/gamma", "layers/layer_normalization/vars/0"),
        Rule("decoder_final_norm/gamma", "layers/layer_normalization_1/vars/0"),
        Rule(_TABLE, "layers/reversible_embedding/vars/0"),
        *(
            rule
            for side in SIDES
            for rule in numbering(_hub_block(side, gated[side]), arguments[f"{side}_num_layers"])
        ),
    )


_GATED = {"encoder": False, "decoder": True}


FREQUENCIES = (
    "layers/moonshine_rotary_embedding/vars/0",
    "layers/moonshine_rotary_embedding_1/vars/0",
)
"""Radians per position of each side's pairs, which KerasHub keeps among the weights."""


def keras_hub_constants(arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return these constants for a model with these arguments."""
    return {
        name: rotation(rope(arguments, side), head_dim(arguments, side)).frequencies
        for name, side in zip(FREQUENCIES, SIDES, strict=True)
    }


# Transformers' names.
_BASE = "model."
_NORMS = {
    "encoder": {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"},
    "decoder": {
        "attention_norm": "input_layernorm",
        "cross_norm": "post_attention_layernorm",
        "mlp_norm": "final_layernorm",
    },
}
_ATTENTIONS = {
    "encoder": {"attention": "self_attn"},
    "decoder": {"attention": "self_attn", "cross_attention": "encoder_attn"},
}
_HEADS = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}


def _block(side: str) -> tuple[Rule, ...]:
    ours, theirs = _OURS[side], f"{side}.layers.{{i}}."

    def rule(own: str, other: str, layout: str = "") -> Rule:
        return Rule(ours + own, either(_BASE, f"{theirs}{other}.weight"), layout)

    rules = [rule(f"{a}/gamma", b) for a, b in _NORMS[side].items()]
    for a, b in _ATTENTIONS[side].items():
        rules += [rule(f"{a}/{part}/kernel", f"{b}.{name}", HEADS) for part, name in _HEADS.items()]
        rules.append(rule(f"{a}/output/kernel", f"{b}.o_proj", MERGED))
    for part, where in _HALVES[side].items():
        rules += projection(_BASE, f"{ours}mlp/{part}", f"{theirs}mlp.fc1", part=where)
    return (*rules, *projection(_BASE, f"{ours}mlp/down", f"{theirs}mlp.fc2"))


# The second half of the decoder's first matrix is the gate.
_HALVES = {"encoder": {"up": None}, "decoder": {"up": Part(0, 1, 2), "gate": Part(1, 2, 2)}}


def transformers_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for Transformers' files."""

    def rule(ours: str, theirs: str, layout: str = "") -> Rule:
        return Rule(ours, either(_BASE, theirs), layout)

    return (
        *(rule(f"audio/{c}/kernel", f"encoder.{c}.weight", "kio -> oik") for c in _CONVOLUTIONS),
        *(rule(f"audio/{c}/bias", f"encoder.{c}.bias") for c in _CONVOLUTIONS[1:]),
        rule("audio/norm/gamma", "encoder.groupnorm.weight"),
        rule("audio/norm/beta", "encoder.groupnorm.bias"),
        rule("encoder_final_norm/gamma", "encoder.layer_norm.weight"),
        rule("decoder_final_norm/gamma", "decoder.norm.weight"),
        rule(_TABLE, "decoder.embed_tokens.weight"),
        Rule("token_embedding/reverse_embeddings", "proj_out.weight", copy_of=_TABLE),
        *(
            one
            for side in SIDES
            for one in numbering(_block(side), arguments[f"{side}_num_layers"])
        ),
    )


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    width, inner = arguments["hidden_dim"], arguments["intermediate_dim"]
    if inner % width:
        expected = f"a multiple of hidden_size, {shown(width)}"
        raise PresetError.at(CONFIG, "intermediate_size", expected, shown(inner))
    for side in SIDES:
        settings.expect(f"{side}_num_key_value_heads", arguments[f"{side}_num_heads"])
    turns = settings.rope(kinds=("default",), partial=0.9)
    return {
        "filter_dim": width,
        "feedforward_expansion_factor": inner // width,
        "rope_theta": turns["rope_theta"],
        "partial_rotary_factor": turns["partial_rotary_factor"],
    }


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    turns = {
        "rope_theta": arguments["rope_theta"],
        "partial_rotary_factor": arguments["partial_rotary_factor"],
    }
    inner = arguments["hidden_dim"] * arguments["feedforward_expansion_factor"]
    heads = {f"{side}_num_key_value_heads": arguments[f"{side}_num_heads"] for side in SIDES}
    # The first generation of Transformers' files has these two in addition.
    both = {**turns, "rope_parameters": {**turns, "rope_type": "default"}}
    return {**heads, **both, "intermediate_size": inner}


def _writes(arguments: Mapping[str, Any]) -> bool:
    """Return whether Transformers has such a model: unpadded heads, its choice of gates, and no
    biases in attention."""
    plain = all(
        head_dim(arguments, side) * arguments[f"{side}_num_heads"] == arguments["hidden_dim"]
        for side in SIDES
    )
    gates = {side: arguments[f"{side}_use_swiglu_activation"] for side in SIDES}
    return plain and gates == _GATED and not arguments["attention_bias"]


TRANSFORMERS = Transformers(
    model_type="moonshine",
    architecture="MoonshineForConditionalGeneration",
    rules=transformers_rules,
    keys={
        "vocab_size": "vocabulary_size",
        "hidden_size": "hidden_dim",
        "intermediate_size": "intermediate_dim",
        "encoder_num_hidden_layers": "encoder_num_layers",
        "decoder_num_hidden_layers": "decoder_num_layers",
        "encoder_num_attention_heads": "encoder_num_heads",
        "decoder_num_attention_heads": "decoder_num_heads",
        "max_position_embeddings": "max_position_embeddings",
    },
    defaults={"max_position_embeddings": 512},
    fixed={
        "encoder_hidden_act": ("gelu",),
        "decoder_hidden_act": ("silu",),
        "is_encoder_decoder": (True,),
        "tie_word_embeddings": (True,),
        "attention_bias": (False,),
    },
    read=_read,
    write=_write,
    writes=_writes,
    # Transformers pads heads with zeros during computation, which changes nothing.
    harmless=("pad_head_dim_to_multiple_of",),
)
