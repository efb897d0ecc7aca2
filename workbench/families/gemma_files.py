"""The files of Gemma 1 and 2: KerasHub's, Transformers' and GGUF's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.backbones import config
from workbench.backbones.weights import Rule
from workbench.errors import PresetError
from workbench.families import llama
from workbench.families.shared_rules import OURS
from workbench.formats import gguf_decoder, gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_rules import PlusOne
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers


def check_scores_width(
    owner: str,
    heads: Any,
    head_dim: Any,
    hidden_dim: Any,
    by_head: bool,
    scalar: float | None,
) -> float:
    """Return the number whose square root divides the scores, after checking its parts."""
    config.check_size(owner, "num_query_heads", heads, 2**16)
    config.check_size(owner, "head_dim", head_dim, 2**16)
    config.check_size(owner, "hidden_dim", hidden_dim)
    if scalar is not None:
        config.check_positive(owner, "query_pre_attn_scalar", scalar)
        return scalar
    return head_dim if by_head else hidden_dim / heads


_HUB = "layers/gemma_decoder_block{_i}/"

KERAS_HUB_RULES = (
    Rule("token_embedding/embeddings", "layers/reversible_embedding/vars/0"),
    Rule(OURS + "attention_norm/scale", _HUB + "pre_attention_norm/vars/0"),
    Rule(OURS + "attention/query/kernel", _HUB + "attention/query_dense/vars/0", "hkd -> hdk"),
    Rule(OURS + "attention/key/kernel", _HUB + "attention/key_dense/vars/0", "hkd -> hdk"),
    Rule(OURS + "attention/value/kernel", _HUB + "attention/value_dense/vars/0", "hkd -> hdk"),
    Rule(OURS + "attention/output/kernel", _HUB + "attention/output_dense/vars/0", "dhk -> hkd"),
    Rule(OURS + "post_attention_norm/scale", _HUB + "post_attention_norm/vars/0"),
    Rule(OURS + "mlp_norm/scale", _HUB + "pre_ffw_norm/vars/0"),
    Rule(OURS + "mlp/gate/kernel", _HUB + "gating_ffw/vars/0", "fd -> df", einsum=True),
    Rule(OURS + "mlp/up/kernel", _HUB + "gating_ffw_2/vars/0", "fd -> df", einsum=True),
    Rule(OURS + "mlp/down/kernel", _HUB + "ffw_linear/vars/0", "df -> fd", einsum=True),
    Rule(OURS + "post_mlp_norm/scale", _HUB + "post_ffw_norm/vars/0"),
    Rule("final_norm/scale", "layers/rms_normalization/vars/0"),
)


# Transformers gives Gemma 1's tensors Llama's names. In Gemma 2 one name means another norm.
TRANSFORMERS_RULES = llama.TRANSFORMERS_RULES
_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "post_mlp_norm": "post_feedforward_layernorm",
}
TRANSFORMERS_RULES_2 = (
    *(rule for rule in TRANSFORMERS_RULES if rule.ours != OURS + "mlp_norm/scale"),
    *(
        Rule(f"{OURS}{ours}/scale", llama.theirs(f"{llama.LAYER}{theirs}.weight"))
        for ours, theirs in _NORMS.items()
    ),
)


KEYS = {
    "vocab_size": "vocabulary_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_query_heads",
    "num_key_value_heads": "num_key_value_heads",
    "hidden_size": "hidden_dim",
    "head_dim": "head_dim",
    "rms_norm_eps": "layer_norm_epsilon",
}
CAPPED = {
    "attn_logit_softcapping": "attention_logit_soft_cap",
    "final_logit_softcapping": "final_logit_soft_cap",
}


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    rope = settings.rope()
    if rope != {"rope_theta": 10_000.0, "rope_type": "default"}:
        raise PresetError.at("config.json", "rope_parameters", "theta 10000, unscaled", rope)
    return {"intermediate_dim": 2 * settings.take("intermediate_size")}


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"intermediate_size": arguments["intermediate_dim"] // 2, "rope_theta": 10_000.0}


def _windows(num_layers: Any) -> list[str]:
    """Return the kinds of the layers: every other one sees only a window."""
    count = config.layer_count("config.json", num_layers)
    return (["sliding_attention", "full_attention"] * count)[:count]


def _read_windowed(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    settings.expect("layer_types", _windows(arguments["num_layers"]))
    window = settings.take("sliding_window")
    settings.expect("sliding_window_size", window)  # some releases say it twice
    return _read(settings, arguments) | {
        **scale_arguments(settings.take("query_pre_attn_scalar"), arguments),
        **{ours: settings.take(theirs, None) for theirs, ours in CAPPED.items()},
        "use_sliding_window_attention": True,
        "sliding_window_size": window,
    }


def _write_windowed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return _write(arguments) | {
        "layer_types": _windows(arguments["num_layers"]),
        "query_pre_attn_scalar": scores_width(arguments),
        **{theirs: arguments[ours] for theirs, ours in CAPPED.items()},
        "sliding_window": arguments["sliding_window_size"],
    }


def _windowed(arguments: Mapping[str, Any], normed: bool) -> bool:
    """Return whether a backbone has windows, and has norms after its branches exactly if
    `normed`."""
    norms = {arguments["use_post_ffw_norm"], arguments["use_post_attention_norm"]}
    return arguments["use_sliding_window_attention"] and norms == {normed}


def _read_2(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    normed = {"use_post_ffw_norm": True, "use_post_attention_norm": True}
    return _read_windowed(settings, arguments) | normed


def scale_arguments(scalar: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that divide scores by sqrt(scalar), which is one of two widths in every
    release."""
    if scalar == arguments["head_dim"]:
        return {"query_head_dim_normalize": True}
    if scalar == arguments["hidden_dim"] / arguments["num_query_heads"]:
        return {"query_head_dim_normalize": False}
    return {"query_pre_attn_scalar": scalar}


def scores_width(arguments: Mapping[str, Any]) -> float:
    """Return the number whose square root divides the scores of a backbone with these arguments."""
    return check_scores_width(
        "config.json",
        arguments["num_query_heads"],
        arguments["head_dim"],
        arguments["hidden_dim"],
        arguments["query_head_dim_normalize"],
        arguments.get("query_pre_attn_scalar"),
    )


FORMAT = Transformers(
    model_type="gemma",
    architecture="GemmaForCausalLM",
    rules=TRANSFORMERS_RULES,
    keys=KEYS,
    defaults={"rms_norm_eps": 1e-6},
    # Early files write "gelu" for its tanh form.
    fixed={
        "hidden_act": ("gelu_pytorch_tanh", "gelu"),
        "hidden_activation": ("gelu_pytorch_tanh",),
        "tie_word_embeddings": (True,),
    },
    read=_read,
    write=_write,
    harmless=("max_position_embeddings", "cache_implementation"),
    tokenizer_class="GemmaTokenizer",
    writes=lambda arguments: not arguments["use_sliding_window_attention"],
)
FORMAT_2 = replace(
    FORMAT,
    model_type="gemma2",
    architecture="Gemma2ForCausalLM",
    rules=TRANSFORMERS_RULES_2,
    fixed={**FORMAT.fixed, "hidden_act": ("gelu_pytorch_tanh",)},
    read=_read_2,
    write=_write_windowed,
    writes=lambda arguments: _windowed(arguments, normed=True),
)
# VaultGemma is Gemma 2 without the norms after each branch.
FORMAT_VAULT = replace(
    FORMAT_2,
    model_type="vaultgemma",
    architecture="VaultGemmaForCausalLM",
    rules=tuple(rule for rule in TRANSFORMERS_RULES_2 if "post_" not in rule.ours),
    read=_read_windowed,
    writes=lambda arguments: _windowed(arguments, normed=False),
)


def gguf_decoder_arguments(settings: GgufSettings, theta: float) -> dict[str, Any]:
    """Return the arguments that the GGUF files of all Gemmas share; `theta` is the rotary base."""
    arguments = gguf_decoder.rms_decoder(settings)
    rope = gguf_decoder.linear_rope(settings, theta=theta)
    if rope.pop("rope_max_wavelength") != theta:
        raise settings.error("rope.freq_base", theta, "another")
    return {**arguments, **rope, "head_dim": gguf_decoder.own_heads(settings, arguments)}


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    arguments = gguf_decoder_arguments(settings, theta=10_000.0)
    if arguments.pop("rope_scaling_factor") != 1:
        raise settings.error("rope.scaling.factor", 1, "another")
    # The sum of both branches, as in KerasHub.
    return arguments | {"intermediate_dim": 2 * settings.rows("blk.0.ffn_up.weight")}


def read_gguf_norms_and_window(settings: GgufSettings) -> dict[str, Any]:
    """Read the settings that Gemma 2 added and Gemma 3 kept."""
    return {
        "use_post_ffw_norm": True,
        "use_post_attention_norm": True,
        "final_logit_soft_cap": settings.take("final_logit_softcapping", None),
        "use_sliding_window_attention": True,
        "sliding_window_size": settings.take("attention.sliding_window"),
    }


def _read_gguf_2(settings: GgufSettings) -> dict[str, Any]:
    """Read Gemma 2's arguments. The files do not state the scale of scores; only the 27B model,
    recognised by its 46 layers, uses a width other than that of a head."""
    arguments = _read_gguf(settings) | read_gguf_norms_and_window(settings)
    return arguments | {
        "query_head_dim_normalize": arguments["num_layers"] != 46,
        "attention_logit_soft_cap": settings.take("attn_logit_softcapping", None),
    }


_GGUF_POST_NORMS = {
    gguf_rules.OURS + "post_attention_norm": gguf_rules.THEIRS + "post_attention_norm",
    gguf_rules.OURS + "post_mlp_norm": gguf_rules.THEIRS + "post_ffw_norm",
}
GGUF_NORMS_2 = {**gguf_rules.NORMS, **_GGUF_POST_NORMS}
GGUF = Gguf("gemma", gguf_rules.llama_like(norm_layout=PlusOne("")), _read_gguf)
GGUF_2 = Gguf(
    "gemma2", gguf_rules.llama_like(norms=GGUF_NORMS_2, norm_layout=PlusOne("")), _read_gguf_2
)
