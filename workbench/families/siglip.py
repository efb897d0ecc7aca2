"""SigLIP's image encoder in files: its weights and its settings.

Transformers' files have `vision_model.` in the names up to version 4, but not in version 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workbench.backbones.weights import Rule, numbering
from workbench.families.shared_rules import HEADS, MERGED, hub_norm, hub_projection
from workbench.formats.config_reader import ConfigReader

OURS = "image_encoder/"
_BLOCK = OURS + "block_{i}/"
_MERGED = "hk -> (hk)"
_LAYER = "encoder.layers.{i}."
_PREFIXES = (
    "vision_tower.",
    "vision_tower.vision_model.",
    "model.vision_tower.",
    "model.vision_tower.vision_model.",
)
_KEYS = {
    "hidden_size": ("hidden_dim", 768),
    "intermediate_size": ("intermediate_dim", 3072),
    "num_hidden_layers": ("num_layers", 12),
    "num_attention_heads": ("num_heads", 12),
    "image_size": ("image_size", 224),
    "patch_size": ("patch_size", 16),
    "layer_norm_eps": ("layer_norm_epsilon", 1e-6),
}
_HARMLESS = ("projection_dim", "num_image_tokens", "num_positions", "projector_hidden_act")
_FIXED = {"hidden_act": "gelu_pytorch_tanh", "num_channels": 3, "vision_use_head": False}


def siglip_rules(layers: int) -> tuple[Rule, ...]:
    """Return rules for an encoder with this number of layers in Transformers' files."""
    projections = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
    blocks = (
        *_norm(_BLOCK + "attention_norm", _LAYER + "layer_norm1"),
        *(
            rule
            for ours, theirs in projections.items()
            for rule in _projection(
                f"{_BLOCK}attention/{ours}", f"{_LAYER}self_attn.{theirs}", HEADS, _MERGED
            )
        ),
        *_projection(_BLOCK + "attention/output", _LAYER + "self_attn.out_proj", MERGED),
        *_norm(_BLOCK + "mlp_norm", _LAYER + "layer_norm2"),
        *_projection(_BLOCK + "mlp/up", _LAYER + "mlp.fc1"),
        *_projection(_BLOCK + "mlp/down", _LAYER + "mlp.fc2"),
    )
    return (
        *_projection(OURS + "patch_embedding", "embeddings.patch_embedding", "dhwc -> dchw"),
        Rule(
            OURS + "position_embedding/embeddings", _names("embeddings.position_embedding.weight")
        ),
        *numbering(blocks, layers),
        *_norm(OURS + "final_norm", "post_layernorm"),
    )


def read_siglip(vision: Mapping[str, Any]) -> dict[str, Any]:
    """Return the encoder's arguments from a `vision_config`; missing ones get the class's defaults.

    Raises:
        PresetError: a setting is impossible or unknown.
    """
    settings = ConfigReader(vision)
    arguments = {ours: settings.take(key, default) for key, (ours, default) in _KEYS.items()}
    settings.expect("model_type", "siglip_vision_model")
    for key, value in _FIXED.items():
        settings.expect(key, value)
    # Decoder settings among the encoder's settings in PaliGemma's files.
    settings.finish(harmless=_HARMLESS)
    return arguments


def write_siglip(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Invert `read_siglip`."""
    settings = {key: arguments[ours] for key, (ours, _) in _KEYS.items()}
    return {"model_type": "siglip_vision_model", **settings, **_FIXED}


def _names(name: str) -> tuple[str, ...]:
    return tuple(prefix + name for prefix in _PREFIXES)


def _norm(ours: str, theirs: str) -> Iterator[Rule]:
    yield Rule(f"{ours}/gamma", _names(f"{theirs}.weight"))
    yield Rule(f"{ours}/beta", _names(f"{theirs}.bias"))


def _projection(ours: str, theirs: str, layout: str = "", bias: str = "") -> Iterator[Rule]:
    yield Rule(f"{ours}/kernel", _names(f"{theirs}.weight"), layout)
    yield Rule(f"{ours}/bias", _names(f"{theirs}.bias"), bias)


def keras_hub_siglip_rules(encoder: str, block: str, layers: int) -> tuple[Rule, ...]:
    """Return rules for KerasHub's files; `encoder` is the encoder's name and `block` the name of
    its blocks without their numbers."""
    theirs = f"{encoder}/resblocks/{block}{{_i}}/"
    blocks = (
        *hub_norm(_BLOCK + "attention_norm", theirs + "layer_norm_1"),
        *(
            rule
            for part in ("query", "key", "value")
            for rule in hub_projection(
                f"{_BLOCK}attention/{part}", f"{theirs}attn/{part}_proj", "hkd -> d(hk)", _MERGED
            )
        ),
        *hub_projection(_BLOCK + "attention/output", theirs + "attn/out_proj", "dhk -> (hk)d"),
        *hub_norm(_BLOCK + "mlp_norm", theirs + "layer_norm_2"),
        *hub_projection(_BLOCK + "mlp/up", theirs + "mlp_dense_1", "fd -> df"),
        *hub_projection(_BLOCK + "mlp/down", theirs + "mlp_dense_2", "df -> fd"),
    )
    embeddings = f"{encoder}/vision_embeddings/"
    return (
        *hub_projection(OURS + "patch_embedding", embeddings + "patch_embedding", "dhwc -> hwcd"),
        Rule(OURS + "position_embedding/embeddings", embeddings + "position_embedding/vars/0"),
        *numbering(blocks, layers),
        *hub_norm(OURS + "final_norm", f"{encoder}/encoder_layer_norm"),
    )
