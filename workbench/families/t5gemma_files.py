"""T5Gemma's files: its weights in each format, and its nested settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.backbones.weights import Rule, either, numbering
from workbench.errors import PresetError
from workbench.families.shared_rules import HEADS, MERGED
from workbench.formats.config_reader import ConfigReader
from workbench.formats.transformers_config import Transformers
from workbench.storage.files import CONFIG
from workbench.storage.json_files import shown

SLIDING, FULL = "sliding_attention", "full_attention"

# Our names of a block's layers, and the names that KerasHub and Transformers share.
_NORMS = {
    "attention_norm": "pre_self_attn_layernorm",
    "post_attention_norm": "post_self_attn_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "post_mlp_norm": "post_feedforward_layernorm",
}
_CROSS_NORMS = {
    "cross_norm": "pre_cross_attn_layernorm",
    "post_cross_norm": "post_cross_attn_layernorm",
}
_MLP = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}
_HEADS = {"query": "q", "key": "k", "value": "v"}


def _hub_block(ours: str, theirs: str, norms: Mapping[str, str], *attentions: str) -> list[Rule]:
    rules = [Rule(f"{ours}{a}/scale", f"{theirs}{b}/vars/0") for a, b in norms.items()]
    rules += [
        Rule(f"{ours}mlp/{a}/kernel", f"{theirs}mlp/{b}/vars/0", "fd -> df")
        for a, b in _MLP.items()
    ]
    for layer in attentions:
        own, other = f"{ours}{layer}", f"{theirs}{_ATTENTIONS[layer]}"
        rules += [
            Rule(f"{own}/{part}/kernel", f"{other}/{part}_dense/vars/0", "hkd -> dhk")
            for part in _HEADS
        ]
        rules.append(Rule(f"{own}/output/kernel", f"{other}/output_dense/vars/0", "dhk -> hkd"))
    return rules


def _block(ours: str, theirs: str, norms: Mapping[str, str], *attentions: str) -> list[Rule]:
    def rule(own: str, other: str, layout: str = "") -> Rule:
        return Rule(ours + own, either("model.", f"{theirs}{other}.weight"), layout)

    rules = [rule(f"{a}/scale", b) for a, b in norms.items()]
    rules += [rule(f"mlp/{a}/kernel", f"mlp.{b}") for a, b in _MLP.items()]
    for layer in attentions:
        other = _ATTENTIONS[layer]
        rules += [
            rule(f"{layer}/{part}/kernel", f"{other}.{letter}_proj", HEADS)
            for part, letter in _HEADS.items()
        ]
        rules.append(rule(f"{layer}/output/kernel", f"{other}.o_proj", MERGED))
    return rules


_ATTENTIONS = {"attention": "self_attn", "cross_attention": "cross_attn"}
_ENCODER, _DECODER = "encoder_block_{i}/", "decoder_block_{i}/"
_TABLES = ("token_embedding/embeddings", "decoder_token_embedding/embeddings")
_HEAD = "decoder_token_embedding/reverse_embeddings"
_FINAL = ("encoder_final_norm/scale", "decoder_final_norm/scale")


def keras_hub_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for KerasHub's files."""
    encoder = _hub_block(_ENCODER, "layers/t5_gemma_encoder_layer{_i}/", _NORMS, "attention")
    decoder = _hub_block(
        _DECODER, "layers/t5_gemma_decoder_layer{_i}/", _NORMS | _CROSS_NORMS, *_ATTENTIONS
    )
    return (
        Rule(_TABLES[0], "layers/embedding/vars/0"),
        Rule(_TABLES[1], "layers/reversible_embedding/vars/0"),
        Rule(_HEAD, "layers/reversible_embedding/vars/1"),
        Rule(_FINAL[0], "layers/rms_normalization/vars/0"),
        Rule(_FINAL[1], "layers/rms_normalization_1/vars/0"),
        *numbering(encoder, arguments["encoder_num_layers"]),
        *numbering(decoder, arguments["decoder_num_layers"]),
    )


def transformers_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for Transformers' files."""
    encoder = _block(_ENCODER, "encoder.layers.{i}.", _NORMS, "attention")
    decoder = _block(_DECODER, "decoder.layers.{i}.", _NORMS | _CROSS_NORMS, *_ATTENTIONS)
    return (
        Rule(_TABLES[0], either("model.", "encoder.embed_tokens.weight")),
        Rule(_TABLES[1], either("model.", "decoder.embed_tokens.weight")),
        Rule(_HEAD, "lm_head.out_proj.weight", "dv -> vd", copy_of=_TABLES[1]),
        Rule(_FINAL[0], either("model.", "encoder.norm.weight")),
        Rule(_FINAL[1], either("model.", "decoder.norm.weight")),
        *numbering(encoder, arguments["encoder_num_layers"]),
        *numbering(decoder, arguments["decoder_num_layers"]),
    )


# What each side has for itself, and what our arguments have once for both.
_OWN = {
    "hidden_size": "hidden_dim",
    "intermediate_size": "intermediate_dim",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_attention_heads",
    "num_key_value_heads": "num_key_value_heads",
    "head_dim": "head_dim",
}
_COMMON = {
    "vocab_size": "vocabulary_size",
    "rms_norm_eps": "rms_norm_eps",
    "query_pre_attn_scalar": "query_pre_attn_scalar",
}
_OPTIONAL = {
    "sliding_window": "sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
}
_IN_FILES = {ours: theirs for theirs, ours in (_COMMON | _OPTIONAL).items()}
_IN_FILES["rope_max_wavelength"] = "rope_theta"
_HARMLESS = ("max_position_embeddings", "is_decoder", "classifier_dropout_rate")


def _side(
    given: Mapping[str, Any], name: str, more: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a side's own arguments, and those that both sides must agree on."""
    settings = ConfigReader(given)
    own = {f"{name}_{ours}": settings.take(theirs) for theirs, ours in _OWN.items()}
    depth = own[f"{name}_num_layers"]
    usual = [SLIDING, FULL] * depth
    own[f"{name}_layer_types"] = settings.take("layer_types", usual[:depth])
    common = {ours: settings.take(theirs) for theirs, ours in _COMMON.items()}
    common |= {ours: settings.take(theirs, None) for theirs, ours in _OPTIONAL.items()}
    rope = settings.rope(kinds=("default",))
    common["rope_max_wavelength"] = rope["rope_theta"]
    common["dropout_rate"] = settings.take("dropout_rate", 0.0)
    settings.expect("hidden_activation", "gelu_pytorch_tanh")
    settings.expect("attention_bias", False)
    cap = settings.take("final_logit_softcapping", None)
    if name == "decoder":
        own["final_logit_softcapping"] = cap
    settings.finish(harmless=(*_HARMLESS, *more))
    return own, common


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    given = settings.take("decoder")
    memory = ConfigReader(given).take("cross_attention_hidden_size", None)
    unread = ("cross_attention_hidden_size", "tie_word_embeddings")
    encoder, common = _side(settings.take("encoder"), "encoder", unread)
    decoder, theirs = _side(given, "decoder", unread)
    differing = [key for key in common if common[key] != theirs[key]]
    if differing:
        names = ", ".join(_IN_FILES.get(key, key) for key in differing)
        got = f"{shown([common[k] for k in differing])} and {shown([theirs[k] for k in differing])}"
        raise PresetError.at(CONFIG, f"{names} of both sides", "equal values", got)
    if memory not in (None, encoder["encoder_hidden_dim"]):
        expected = f"the encoder's hidden_size, {encoder['encoder_hidden_dim']}"
        raise PresetError.at(CONFIG, "cross_attention_hidden_size", expected, shown(memory))
    return {**encoder, **decoder, **common}


def _whole(number: float) -> float:
    """Convert KerasHub's float to the integer that Transformers expects."""
    return int(number) if number == int(number) else number


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    def side(name: str) -> dict[str, Any]:
        return {
            "model_type": "t5_gemma_module",
            "is_decoder": name == "decoder",
            **{theirs: arguments[f"{name}_{ours}"] for theirs, ours in _OWN.items()},
            **{theirs: arguments[ours] for theirs, ours in (_COMMON | _OPTIONAL).items()},
            "query_pre_attn_scalar": _whole(arguments["query_pre_attn_scalar"]),
            "layer_types": list(arguments[f"{name}_layer_types"]),
            "rope_parameters": {
                "rope_theta": arguments["rope_max_wavelength"],
                "rope_type": "default",
            },
            "dropout_rate": arguments["dropout_rate"],
            "hidden_activation": "gelu_pytorch_tanh",
            "attention_bias": False,
            "final_logit_softcapping": arguments["final_logit_softcapping"],
            "cross_attention_hidden_size": arguments["encoder_hidden_dim"],
            "tie_word_embeddings": arguments["tie_word_embeddings"],
        }

    return {
        "encoder": side("encoder"),
        "decoder": side("decoder"),
        "vocab_size": arguments["vocabulary_size"],
        "dropout_rate": arguments["dropout_rate"],
    }


TRANSFORMERS = Transformers(
    model_type="t5gemma",
    architecture="T5GemmaForConditionalGeneration",
    rules=transformers_rules,
    keys={"tie_word_embeddings": "tie_word_embeddings"},
    defaults={"tie_word_embeddings": True},
    fixed={"is_encoder_decoder": (True,)},
    read=_read,
    write=_write,
    harmless=("vocab_size", "dropout_rate", "classifier_dropout_rate"),
    tokenizer_class="GemmaTokenizer",
)
