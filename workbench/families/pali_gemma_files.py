"""PaliGemma's files: its weights in each format, and its settings in Transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.backbones.weights import Rule, rules_for
from workbench.errors import PresetError
from workbench.families import gemma_files
from workbench.families.siglip import (
    keras_hub_siglip_rules,
    read_siglip,
    siglip_rules,
    write_siglip,
)
from workbench.formats.config_reader import ConfigReader
from workbench.formats.transformers_config import Transformers
from workbench.storage.files import CONFIG
from workbench.storage.json_files import shown

SIGLIP_INNER = 4304
"""Inner width of the so400m encoder's networks; files before KerasHub 0.17 omit it."""
SIGLIP_EPSILON = 1e-6

_HUB_VIT = "layers/pali_gemma_vit/layers/"
_HUB_TEXT = tuple(
    replace(rule, theirs=rule.names[0].replace("gemma_decoder", "pali_gemma_decoder"))
    for rule in gemma_files.KERAS_HUB_RULES
)


def keras_hub_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for KerasHub's files, which number each stack from zero."""
    return (
        *_HUB_TEXT,
        Rule("image_connector/projection/kernel", _HUB_VIT + "dense/vars/0", "di -> id"),
        Rule("image_connector/projection/bias", _HUB_VIT + "dense/vars/1"),
        *keras_hub_siglip_rules(
            _HUB_VIT + "pali_gemma_vit_encoder",
            "pali_gemma_vit_encoder_block",
            arguments.get("vit_num_layers", 27),
        ),
    )


def _in_language_model(rule: Rule) -> Rule:
    """Convert a text model's rule for files in which the text model is one of two parts."""
    bare = rule.names[0].removeprefix("model.")
    if rule.copy_of is not None:  # in new files the head is outside the language model
        return replace(rule, theirs=(f"language_model.{bare}", bare))
    return replace(rule, theirs=(f"language_model.model.{bare}", f"model.language_model.{bare}"))


def transformers_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for Transformers' files, under the names of every version."""
    text = rules_for(_text_files(arguments).rules, arguments)
    projector = "multi_modal_projector.linear."
    return (
        *(_in_language_model(rule) for rule in text),
        *(
            Rule(
                f"image_connector/projection/{ours}", (projector + name, f"model.{projector}{name}")
            )
            for ours, name in (("kernel", "weight"), ("bias", "bias"))
        ),
        *siglip_rules(arguments.get("vit_num_layers", 27)),
    )


def _text_files(arguments: Mapping[str, Any]) -> Transformers:
    """Return the form of the decoder's files: PaliGemma 2 uses Gemma 2's, with norms after
    branches."""
    return gemma_files.FORMAT_2 if arguments.get("use_post_ffw_norm") else gemma_files.FORMAT


# Settings that the text_config of releases omits: the defaults of Transformers' classes.
_COMMON = {"head_dim": 256, "vocab_size": 256_000}
_TEXT_DEFAULTS = {
    "gemma": {
        **_COMMON,
        "hidden_size": 3072,
        "intermediate_size": 24_576,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
    },
    "gemma2": {
        **_COMMON,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "query_pre_attn_scalar": 256,
        "sliding_window": 4096,
    },
}
# A file without the keys means Gemma 2's caps; null means no caps.
_CAPS = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
# Settings of a text_config for the pictures before the text.
_SAID_BESIDE = ("num_image_tokens", "use_bidirectional_attention")
# A picture's placeholder has no row in the table; releases have unused rows after it.
_IMAGE_TOKEN = 257_152
_VISION = {
    "hidden_dim": "vit_hidden_dim",
    "intermediate_dim": "vit_intermediate_dim",
    "num_layers": "vit_num_layers",
    "num_heads": "vit_num_heads",
    "image_size": "image_size",
    "patch_size": "vit_patch_size",
}


def _read(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    text = _read_text(settings.take("text_config"))
    encoder = read_siglip(settings.take("vision_config"))
    if encoder["layer_norm_epsilon"] != SIGLIP_EPSILON:
        got = shown(encoder["layer_norm_epsilon"])
        raise PresetError.at(CONFIG, "vision_config: layer_norm_eps", SIGLIP_EPSILON, got)
    settings.expect("projection_dim", text["hidden_dim"], default=2048)
    return {**text, **{ours: encoder[theirs] for theirs, ours in _VISION.items()}}


def _read_text(given: dict[str, Any]) -> dict[str, Any]:
    kind = given.get("model_type", "gemma")
    if kind not in tuple(_TEXT_DEFAULTS):
        expected = " or ".join(_TEXT_DEFAULTS)
        raise PresetError.at(CONFIG, "text_config: model_type", expected, shown(kind))
    if not ConfigReader(given).take("use_bidirectional_attention", True):
        raise PresetError.at(CONFIG, "text_config: use_bidirectional_attention", True, False)
    given = (_CAPS if kind == "gemma2" else {}) | given
    stated = {k: v for k, v in given.items() if v is not None and k not in _SAID_BESIDE}
    files = gemma_files.FORMAT_2 if kind == "gemma2" else gemma_files.FORMAT
    return files.arguments({**_TEXT_DEFAULTS[kind], **stated})


def _write(arguments: Mapping[str, Any]) -> dict[str, Any]:
    text = _text_files(arguments).config(arguments)
    del text["architectures"]
    width, patches = arguments["hidden_dim"], _patches(arguments)
    inner = arguments["vit_intermediate_dim"]
    encoder = {theirs: arguments[ours] for theirs, ours in _VISION.items()}
    encoder |= {"intermediate_dim": SIGLIP_INNER if inner is None else inner}
    vision = write_siglip({**encoder, "layer_norm_epsilon": SIGLIP_EPSILON})
    return {
        "text_config": {**text, "num_image_tokens": patches},
        "vision_config": {**vision, "projection_dim": width},
        "projection_dim": width,
        "hidden_size": width,
        "image_token_index": min(_IMAGE_TOKEN, arguments["vocabulary_size"]),
    }


def _patches(arguments: Mapping[str, Any]) -> int:
    return (arguments["image_size"] // arguments["vit_patch_size"]) ** 2


def _writes(arguments: Mapping[str, Any]) -> bool:
    """Return whether Transformers has such a model: Gemma 1 without caps, or Gemma 2."""
    capped = any(arguments[ours] is not None for ours in gemma_files.CAPPED.values())
    normed = {arguments["use_post_ffw_norm"], arguments["use_post_attention_norm"]}
    windowed = arguments["use_sliding_window_attention"]
    return (windowed, normed) == (True, {True}) or (windowed, normed, capped) == (
        False,
        {False},
        False,
    )


TRANSFORMERS = Transformers(
    model_type="paligemma",
    architecture="PaliGemmaForConditionalGeneration",
    rules=transformers_rules,
    keys={},
    fixed={"tie_word_embeddings": (True,)},
    read=_read,
    write=_write,
    writes=_writes,
    # Settings of the placeholder, and unused sizes.
    harmless=("image_token_index", "hidden_size", "vocab_size", "_vocab_size", "ignore_index"),
    tokenizer_class="GemmaTokenizer",
)
