"""The files of Gemma 3: KerasHub's, Transformers' and, for text, GGUF's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from typing import Any

from workbench.backbones import config
from workbench.backbones.weights import Rule, rules_for
from workbench.errors import PresetError
from workbench.families import gemma_files
from workbench.families.gemma3_vision import Gemma3ImageConverter, Gemma3VisionEncoder
from workbench.families.qwen3 import HEAD_NORMS
from workbench.families.shared_rules import OURS
from workbench.families.siglip import (
    keras_hub_siglip_rules,
    read_siglip,
    siglip_rules,
    write_siglip,
)
from workbench.formats import gguf_rules
from workbench.formats.config_reader import ConfigReader
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_rules import PlusOne
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.transformers_config import Transformers
from workbench.images.preprocessor_config import (
    converter_from_transformers,
    transformers_from_converter,
)
from workbench.kinds import integer
from workbench.storage.files import TRANSFORMERS_PREPROCESSOR

LOCAL_WAVELENGTH, GLOBAL_WAVELENGTH = 10_000.0, 1_000_000.0
IMAGE_TOKENS = {
    "boi_token_index": 255_999,
    "eoi_token_index": 256_000,
    "image_token_index": 262_144,
}
"""The ids before, after and in the places of pictures, in all releases."""

_HUB = "layers/gemma3_decoder_block{_i}/"
_HUB_TEXT_RULES = (
    *(
        Rule(rule.ours, rule.names[0].replace("gemma_decoder", "gemma3_decoder"), rule.layout)
        for rule in gemma_files.KERAS_HUB_RULES
    ),
    *(
        Rule(f"{OURS}attention/{kind}_norm/scale", f"{_HUB}attention/{kind}_norm/vars/0")
        for kind in ("query", "key")
    ),
)

_HUB_VISION = "layers/gemma3_vision_encoder/layers/"
_HUB_OUTPUT = _HUB_VISION + "gemma3_vision_output/"
_HUB_CONNECTOR = (
    Rule("image_connector/norm/scale", _HUB_OUTPUT + "vision_soft_embedding_norm/vars/0"),
    Rule(
        "image_connector/projection/kernel",
        _HUB_OUTPUT + "vision_input_projection/vars/0",
        "di -> id",
    ),
)


def keras_hub_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for KerasHub's files, which number each stack from zero."""
    encoder = arguments.get("vision_encoder")
    if encoder is None:
        return _HUB_TEXT_RULES
    images = keras_hub_siglip_rules(
        _HUB_VISION + "gemma3_vision_encoder_block",
        "gemma3_vision_encoder_layer",
        encoder.num_layers,
    )
    return (*_HUB_TEXT_RULES, *_HUB_CONNECTOR, *images)


def _kinds(num_layers: Any) -> list[str]:
    count = config.layer_count("config.json", num_layers)
    return ["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(count)]


def _read_text(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    settings.expect("layer_types", _kinds(arguments["num_layers"]))
    local, everywhere = _ropes(settings)
    return {
        **gemma_files.scale_arguments(settings.take("query_pre_attn_scalar"), arguments),
        **{ours: settings.take(theirs, None) for theirs, ours in gemma_files.CAPPED.items()},
        "image_size": None,
        "use_post_ffw_norm": True,
        "use_post_attention_norm": True,
        "use_sliding_window_attention": True,
        "local_rope_scaling_factor": local.get("factor", 1.0),
        "global_rope_scaling_factor": everywhere.get("factor", 1.0),
    }


def _ropes(settings: ConfigReader) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rotary settings of windowed and of full layers, from files of either
    generation."""
    both = settings.take("rope_parameters", {})
    if both:
        local, everywhere = (
            ConfigReader({"rope_parameters": both.get(kind)})
            for kind in ("sliding_attention", "full_attention")
        )
    else:
        local = ConfigReader({"rope_theta": settings.take("rope_local_base_freq", None)})
        everywhere = settings
    found = local.rope(LOCAL_WAVELENGTH), everywhere.rope(GLOBAL_WAVELENGTH)
    for rope, theta in zip(found, (LOCAL_WAVELENGTH, GLOBAL_WAVELENGTH), strict=True):
        if rope["rope_theta"] != theta:
            raise PresetError.at("config.json", "rope_theta", theta, rope["rope_theta"])
    return found


def _write_text(arguments: Mapping[str, Any]) -> dict[str, Any]:
    factor = arguments["global_rope_scaling_factor"]
    scaling = None if factor == 1 else {"rope_type": "linear", "factor": factor}
    return {
        "layer_types": _kinds(arguments["num_layers"]),
        "query_pre_attn_scalar": gemma_files.scores_width(arguments),
        **{theirs: arguments[ours] for theirs, ours in gemma_files.CAPPED.items()},
        "rope_local_base_freq": LOCAL_WAVELENGTH,
        "rope_theta": GLOBAL_WAVELENGTH,
        "rope_scaling": scaling,
    }


def _is_release(arguments: Mapping[str, Any]) -> bool:
    """Return whether a backbone has the features of all releases, which Transformers assumes."""
    switches = ("query_key_norm", "post_ffw_norm", "post_attention_norm")
    normed = all(arguments[f"use_{name}"] for name in switches)
    return normed and arguments["use_sliding_window_attention"]


TEXT = replace(
    gemma_files.FORMAT_2,
    model_type="gemma3_text",
    architecture="Gemma3ForCausalLM",
    rules=(*gemma_files.TRANSFORMERS_RULES_2, *HEAD_NORMS),
    keys={
        **gemma_files.KEYS,
        "intermediate_size": "intermediate_dim",
        "sliding_window": "sliding_window_size",
    },
    fixed={**gemma_files.FORMAT_2.fixed, "attention_bias": (False,)},
    read=_read_text,
    write=_write_text,
    writes=lambda arguments: _is_release(arguments) and arguments["vision_encoder"] is None,
    harmless=(
        *gemma_files.FORMAT_2.harmless,
        "_sliding_window_pattern",
        "sliding_window_pattern",
    ),
)

# Settings that the text_config of releases omits: the defaults of Transformers' class.
_TEXT_DEFAULTS = {
    "vocab_size": 262_208,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
}


def _in_language_model(rule: Rule) -> Rule:
    """Convert a text model's rule for files in which the text model is one of two parts."""
    bare = next(name for name in rule.names if not name.startswith("model."))
    if rule.copy_of is not None:  # in new files the head is outside the language model
        return replace(rule, theirs=(f"language_model.{bare}", bare))
    prefixes = ("language_model.model.", "model.language_model.")
    return replace(rule, theirs=tuple(prefix + bare for prefix in prefixes))


_PROJECTOR = {
    "norm/scale": ("mm_soft_emb_norm.weight", ""),
    "projection/kernel": ("mm_input_projection_weight", "di -> id"),
}


def vision_rules(arguments: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rules for Transformers' files of models with an image encoder."""
    projector = (
        Rule(
            f"image_connector/{ours}",
            tuple(f"{prefix}multi_modal_projector.{theirs}" for prefix in ("", "model.")),
            layout,
        )
        for ours, (theirs, layout) in _PROJECTOR.items()
    )
    text = (_in_language_model(rule) for rule in rules_for(TEXT.rules, arguments))
    return (*text, *projector, *siglip_rules(arguments["vision_encoder"].num_layers))


def _read_vision(settings: ConfigReader, arguments: dict[str, Any]) -> dict[str, Any]:
    given = settings.take("text_config")
    given = {key: value for key, value in given.items() if value is not None}
    text = TEXT.arguments({**_TEXT_DEFAULTS, **given})
    encoder = read_siglip(settings.take("vision_config"))
    pool = _pool_size(settings.take("mm_tokens_per_image", 256), encoder)
    ids = {key: settings.take(key, usual) for key, usual in IMAGE_TOKENS.items()}
    own = {} if ids == IMAGE_TOKENS else {"image_token_ids": tuple(ids.values())}
    return {
        **text,
        **own,
        "image_size": encoder["image_size"],
        "vision_encoder": Gemma3VisionEncoder(
            **encoder, output_dim=text["hidden_dim"], pool_size=pool
        ),
    }


def _pool_size(tokens: int, encoder: Mapping[str, Any]) -> int:
    """Return KerasHub's pool size, the side of a square of patches, from the vectors per
    picture."""
    side = encoder["image_size"] // encoder["patch_size"]
    root = isqrt(tokens)
    if root * root != tokens or side % root:
        expected = f"the square of a divisor of {side}"
        raise PresetError.at("config.json", "mm_tokens_per_image", expected, tokens)
    return side // root


def _write_vision(arguments: Mapping[str, Any]) -> dict[str, Any]:
    encoder = arguments["vision_encoder"]
    text = TEXT.config(arguments)
    del text["architectures"]
    ids = arguments["image_token_ids"] or IMAGE_TOKENS.values()
    return {
        "text_config": text,
        "vision_config": write_siglip(encoder.get_config()),
        "mm_tokens_per_image": encoder.tokens,
        **dict(zip(IMAGE_TOKENS, ids, strict=True)),
    }


def _read_preprocessor(saved: Mapping[str, Any]) -> dict[str, Any]:
    if not saved:  # a folder without this file is for use without pictures
        return {}
    tokens = saved.get("image_seq_length", 256)
    where = f"{TRANSFORMERS_PREPROCESSOR}: image_seq_length"
    integer(1, config.MAX_SIZE).check(where, tokens, PresetError)
    return {
        "image_converter": Gemma3ImageConverter(**converter_from_transformers(saved)),
        "num_vision_tokens_per_image": tokens,
    }


def _write_preprocessor(preprocessor: Any) -> dict[str, Any]:
    if preprocessor.image_converter is None:
        return {}
    return {
        **transformers_from_converter(preprocessor.image_converter, "Gemma3ImageProcessor"),
        "image_seq_length": preprocessor.num_vision_tokens_per_image,
        "processor_class": "Gemma3Processor",
    }


VISION = Transformers(
    model_type="gemma3",
    architecture="Gemma3ForConditionalGeneration",
    rules=vision_rules,
    keys={},
    fixed={"tie_word_embeddings": (True,)},
    read=_read_vision,
    write=_write_vision,
    writes=lambda arguments: _is_release(arguments) and arguments["vision_encoder"] is not None,
    ignored=("vision_tower.vision_model.embeddings.position_ids",),
    tokenizer_class=TEXT.tokenizer_class,
    read_preprocessor=_read_preprocessor,
    write_preprocessor=_write_preprocessor,
)


def _read_gguf(settings: GgufSettings) -> dict[str, Any]:
    """Read the arguments of a text model. Of the published models, only the 27B, recognised by its
    62 layers, scales scores by a width other than that of a head."""
    arguments = gemma_files.gguf_decoder_arguments(settings, theta=GLOBAL_WAVELENGTH)
    factor = arguments.pop("rope_scaling_factor")
    settings.expect("rope.freq_base_swa", LOCAL_WAVELENGTH)
    return {
        **arguments,
        **gemma_files.read_gguf_norms_and_window(settings),
        "image_size": None,
        "intermediate_dim": settings.rows("blk.0.ffn_up.weight"),
        "query_head_dim_normalize": arguments["num_layers"] != 62,
        "global_rope_scaling_factor": factor,
    }


GGUF = Gguf(
    "gemma3",
    gguf_rules.llama_like(
        norms={**gemma_files.GGUF_NORMS_2, **gguf_rules.HEAD_NORMS}, norm_layout=PlusOne("")
    ),
    _read_gguf,
)
