"""The presets the workbench knows by name: facts to choose by, without building or downloading.

The facts are data, in `catalog.json`, and those of the embedded presets are read from their
folders. What is not known is None.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.presets import embedded
from workbench.storage.files import CONFIG, METADATA, PREPROCESSOR
from workbench.storage.json_files import read_json

CATALOG = Path(__file__).with_name("catalog.json")
CLASSIFIERS = Path(__file__).with_name("classifiers.json")
EMBEDDED = Path(embedded.__file__).parent

Modality = Literal["text", "image+text", "speech", "image"]


@dataclass(frozen=True, kw_only=True)
class PresetInfo:
    """What is known of a preset before it is loaded.

    Attributes:
        name: what `from_preset` takes.
        family: for people, such as "Gemma 3".
        backbone: the name of its backbone's class, such as "Gemma3Backbone".
        description: one sentence.
        parameters: how many numbers its weights are, towers for images included.
        layers, hidden_dim, intermediate_dim, heads, kv_heads, head_dim, vocabulary_size: sizes
            of the decoder. The width of a feed-forward network is one expert's where there are
            several.
        window: how many tokens the layers with a sliding window see; None where all see all.
        encoder: an encoder stands beside the decoder, whose layers read it.
        image_prefix: tokens of the decoder that a picture takes beside those of the text; None
            where it takes none of its own.
        modality: what it takes and makes.
        instruct: tuned to follow instructions or to chat; otherwise a base model.
        context_length: the longest sequence it is made for, in tokens.
        stored_dtype: the dtype its weight file is taken to be in.
        bytes_on_disk: size of the weights, an estimate: `parameters` in `stored_dtype`. Exact
            for embedded presets.
        licence: its usual name.
        gated: the licence has to be accepted at a hub before it can be downloaded.
        kaggle, hugging_face: whole handles; the second is the maker's own repository.
        embedded: part of this package, needs no download.
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
        from workbench import models

        return self.backbone in models.__all__


@functools.cache
def presets() -> tuple[PresetInfo, ...]:
    """All presets that write text: the embedded ones first, of them those that read text, then
    the hubs', family by family."""
    embedded = (_embedded(path.parent) for path in EMBEDDED.glob(f"*/{CONFIG}"))
    first = sorted(embedded, key=lambda preset: (preset.modality != "text", preset.name))
    return (*first, *_listed(CATALOG))


@functools.cache
def classifiers() -> tuple[PresetInfo, ...]:
    """The presets that `TextClassifier` takes by name."""
    return _listed(CLASSIFIERS)


def _listed(file: Path) -> tuple[PresetInfo, ...]:
    return tuple(PresetInfo(**entry) for entry in json.loads(file.read_text(encoding="utf-8")))


def find(name: str) -> PresetInfo | None:
    """The preset of this name; None where there is none."""
    return _by_name().get(name)


@functools.cache
def _by_name() -> dict[str, PresetInfo]:
    return {preset.name: preset for preset in (*presets(), *classifiers())}


# What the families of recordings and crops call the sizes of their decoders.
_HEADS = ("decoder_num_heads", "num_decoder_heads")
_WIDTHS = ("decoder_hidden_dim",)
_LAYERS = ("decoder_num_layers", "num_decoder_layers")
_INNER = ("decoder_mlp_dim",)


def _embedded(folder: Path) -> PresetInfo:
    saved = read_json(folder / CONFIG)
    sizes, about = saved["config"], read_json(folder / METADATA)
    preprocessor = read_json(folder / PREPROCESSOR)["config"]

    def size(*names: str) -> Any:
        """By the first of these names that the family's settings have."""
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
    """One token a patch, in the family whose text follows a picture."""
    patch = sizes.get("vit_patch_size")
    return None if patch is None else (sizes["image_size"] // patch) ** 2


def _dtype_name(policy: Any) -> str:
    return policy if isinstance(policy, str) else policy["config"]["name"]
