"""The presets known by name, with facts to choose by; nothing is built or downloaded.

The facts are in `catalog.json`; those of the embedded presets come from their folders. Unknown
facts are None.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.families.names import CLASSES
from workbench.presets import embedded
from workbench.storage.files import CONFIG, METADATA, PREPROCESSOR
from workbench.storage.json_files import read_json

CATALOG = Path(__file__).with_name("catalog.json")
CLASSIFIERS = Path(__file__).with_name("classifiers.json")
EMBEDDED = Path(embedded.__file__).parent

Modality = Literal["text", "image+text", "speech", "image"]


@dataclass(frozen=True, kw_only=True)
class PresetInfo:
    """The facts about a preset that are known before it is loaded.

    Attributes:
        name: what `from_preset` takes.
        family: a readable name, such as "Gemma 3".
        backbone: the name of its backbone's class, such as "Gemma3Backbone".
        description: one sentence.
        parameters: the number of weights, including image towers.
        layers, hidden_dim, intermediate_dim, heads, kv_heads, head_dim, vocabulary_size: sizes
            of the decoder. With several experts, `intermediate_dim` is the width of one.
        window: the tokens that layers with a sliding window see; None if no layer has one.
        encoder: whether the decoder attends to an encoder.
        image_prefix: the tokens that a picture adds to those of the text; None if it adds none.
        modality: the kinds of its inputs and outputs.
        instruct: whether it is tuned to follow instructions or chat; otherwise it is a base model.
        context_length: the longest sequence it supports, in tokens.
        stored_dtype: the assumed dtype of its weight file.
        bytes_on_disk: the size of the weights, estimated as `parameters` in `stored_dtype`; exact
            for embedded presets.
        licence: its usual name.
        gated: whether the licence must be accepted at a hub before the download.
        kaggle, hugging_face: whole handles; the second is the original maker's repository.
        embedded: whether it is part of this package and needs no download.
    """

    name: str
    family: str
    backbone: str
    description: str
    parameters: int
    layers: int | None = None
    hidden_dim: int | None = None
    intermediate_dim: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    vocabulary_size: int | None = None
    window: int | None = None
    encoder: bool = False
    image_prefix: int | None = None
    modality: Modality = "text"
    instruct: bool = False
    context_length: int | None = None
    stored_dtype: str = "bfloat16"
    bytes_on_disk: int
    licence: str
    gated: bool = False
    kaggle: str | None = None
    hugging_face: str | None = None
    embedded: bool = False

    @property
    def supported(self) -> bool:
        """Whether this version has the models of its family. Imports none of them."""
        return self.backbone in CLASSES


@functools.cache
def presets() -> tuple[PresetInfo, ...]:
    """Return all presets that write text: the embedded ones first (those that read text lead), then
    those of the hubs, family by family."""
    embedded = (_embedded(path.parent) for path in EMBEDDED.glob(f"*/{CONFIG}"))
    first = sorted(embedded, key=lambda preset: (preset.modality != "text", preset.name))
    return (*first, *_listed(CATALOG))


@functools.cache
def classifiers() -> tuple[PresetInfo, ...]:
    """Return the presets that `TextClassifier` loads by name."""
    return _listed(CLASSIFIERS)


def _listed(file: Path) -> tuple[PresetInfo, ...]:
    return tuple(PresetInfo(**entry) for entry in json.loads(file.read_text(encoding="utf-8")))


def find(name: str) -> PresetInfo | None:
    """Return the preset of this name, or None."""
    return _by_name().get(name)


@functools.cache
def _by_name() -> dict[str, PresetInfo]:
    return {preset.name: preset for preset in (*presets(), *classifiers())}


# The decoder sizes as the families for recordings and text crops name them.
_HEADS = ("decoder_num_heads", "num_decoder_heads")
_WIDTHS = ("decoder_hidden_dim",)
_LAYERS = ("decoder_num_layers", "num_decoder_layers")
_INNER = ("decoder_mlp_dim",)


def _embedded(folder: Path) -> PresetInfo:
    saved = read_json(folder / CONFIG)
    sizes, about = saved["config"], read_json(folder / METADATA)
    preprocessor = read_json(folder / PREPROCESSOR)["config"]

    def size(*names: str) -> Any:
        """Return the value of the first of these names in the family's settings."""
        return next((sizes[name] for name in names if name in sizes), None)

    heads, width = size("num_query_heads", *_HEADS), size("hidden_dim", *_WIDTHS)
    return PresetInfo(
        name=folder.name,
        family=saved["class_name"].removesuffix("Backbone"),
        backbone=saved["class_name"],
        description=about["description"],
        parameters=about["parameter_count"],
        layers=size("num_layers", *_LAYERS),
        hidden_dim=width,
        intermediate_dim=size("intermediate_dim", *_INNER),
        heads=heads,
        kv_heads=sizes.get("num_key_value_heads", heads),
        head_dim=sizes.get("head_dim", width // heads),
        vocabulary_size=sizes["vocabulary_size"],
        encoder="encoder_num_layers" in sizes,
        image_prefix=_image_prefix(sizes),
        modality=about.get("modality", "text"),
        context_length=preprocessor.get("sequence_length"),
        stored_dtype=_dtype_name(sizes["dtype"]),
        bytes_on_disk=sum(path.stat().st_size for path in folder.glob("*.weights.h5")),
        licence="Apache-2.0",
        embedded=True,
    )


def _image_prefix(sizes: dict[str, Any]) -> int | None:
    """Return one token per patch for the family that puts the picture before the text."""
    patch = sizes.get("vit_patch_size")
    return None if patch is None else (sizes["image_size"] // patch) ** 2


def _dtype_name(policy: Any) -> str:
    return policy if isinstance(policy, str) else policy["config"]["name"]
