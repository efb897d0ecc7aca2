"""The families the workbench knows, and the look-ups files and classes need.

A family is one file in `families/` that ends with `FAMILIES = (Family(...), ...)`, and
one line in `names.py`. Nothing is imported because a preset names it.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from workbench.backbones.weights import Rules
from workbench.errors import PresetError, present
from workbench.families.names import NAMES, home
from workbench.formats.gguf_family import Gguf
from workbench.formats.transformers_config import Transformers


def _no_constants(arguments: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Family:
    """The classes of a family and how its weights and settings are found in each file format.

    Families may share classes where only their Transformers files differ; what KerasHub's files
    need is then taken from the first.

    Attributes:
        name: the package name KerasHub gives the family, such as "llama3".
        backbone, tokenizer, preprocessor: its classes. Their names are KerasHub's: a file says
            `keras_hub>GemmaBackbone`.
        causal_lm, text_classifier: its task, one of the two.
        parts: arguments of the backbone that KerasHub's files hold as objects, with our classes:
            plain values with `get_config`.
        converters: the same for the preprocessor: "image_converter" or "audio_converter".
        keras_hub_rules: weights in `model.weights.h5`, such as
            `Rule("final_norm/scale", "layers/llama_layer_norm/vars/0")`; None for a family that
            is not read from KerasHub's layout nor saved in it.
        keras_hub_head_rules: weights of a classifier in `task.weights.h5`.
        keras_hub_ignored: names of tensors that may be present there and are not used.
        keras_hub_constants: tensors that are written there, by name, for arguments: what KerasHub
            keeps among the weights though it follows from the arguments.
        keras_hub_dtype_by_name: KerasHub's backbone takes its dtype as a plain name only.
        transformers: its files in Transformers' layout.
        gguf: its GGUF files.
    """

    name: str
    backbone: type
    tokenizer: type
    preprocessor: type
    causal_lm: type | None = None
    text_classifier: type | None = None
    parts: Mapping[str, type] = field(default_factory=dict)
    converters: Mapping[str, type] = field(default_factory=dict)
    keras_hub_rules: Rules | None = None
    keras_hub_head_rules: Rules = ()
    keras_hub_ignored: tuple[str, ...] = ()
    keras_hub_constants: Callable[[Mapping[str, Any]], Mapping[str, np.ndarray]] = _no_constants
    keras_hub_dtype_by_name: bool = False
    transformers: Transformers | None = None
    gguf: Gguf | None = None

    def __post_init__(self) -> None:
        for cls in self.classes:  # no name in a file of Keras's depends on where a class lives
            keras.saving.register_keras_serializable("workbench")(cls)

    @property
    def task(self) -> type:
        """The class of its task."""
        return present(self.causal_lm or self.text_classifier, "a family with a task")

    @property
    def keras_hub(self) -> Rules:
        """Its weights in KerasHub's layout, which `save_to_preset` writes.

        Raises:
            PresetError: the family has no place there.
        """
        if self.keras_hub_rules is None:
            raise PresetError(
                f"{self.backbone.__name__} has no place in KerasHub's layout, in which presets are "
                "saved; `export_to_transformers` may write it"
            )
        return self.keras_hub_rules

    @property
    def classes(self) -> tuple[type, ...]:
        """The classes a KerasHub file may name."""
        nested = (*self.parts.values(), *self.converters.values())
        return (self.backbone, self.tokenizer, self.preprocessor, self.task, *nested)


@functools.cache
def families() -> tuple[Family, ...]:
    """All families, in the order of `names.py`. Imports their files, and Keras with them."""
    modules = (importlib.import_module(home(module)) for module in NAMES)
    return tuple(family for module in modules for family in module.FAMILIES)


@functools.cache
def _by_class_name() -> dict[str, tuple[Family, type]]:
    found: dict[str, tuple[Family, type]] = {}
    for family in families():
        for cls in family.classes:
            found.setdefault(cls.__name__, (family, cls))
    return found


def find_class(class_name: str) -> tuple[Family, type] | None:
    """The family and class of a KerasHub class name, None where the workbench has none."""
    return _by_class_name().get(class_name)


def family_of(cls: type) -> Family:
    """The family a class, or the nearest of its bases, belongs to."""
    for base in cls.__mro__:
        found = _by_class_name().get(base.__name__)
        if found is not None and found[1] is base:
            return found[0]
    raise PresetError(f"{cls.__name__} belongs to no family of models known here")


def match_transformers(
    config: Mapping[str, Any], folder: Path, cls: type
) -> tuple[Family, Transformers] | None:
    """The family of a Transformers config and its files, None where the workbench has none.

    Where several families share the `model_type`, those that have a class `cls` come first, then
    `Transformers.match` decides.
    """
    model_type = config.get("model_type")
    having = [(family, family.transformers) for family in families() if family.transformers]
    sharing = [pair for pair in having if pair[1].model_type == model_type]
    asked_for = [pair for pair in sharing if any(issubclass(c, cls) for c in pair[0].classes)]
    candidates = asked_for or sharing
    if len(candidates) == 1:
        return candidates[0]
    return next((pair for pair in candidates if pair[1].match(config, folder)), None)


def transformers_of(family: Family, arguments: Mapping[str, Any]) -> Transformers:
    """How a backbone of a family is written for Transformers, given its arguments.

    Raises:
        PresetError: Transformers has nothing like it.
    """
    sharing = [f.transformers for f in families() if f.backbone is family.backbone]
    for files in sharing:
        if files is not None and files.writes(arguments):
            return files
    raise PresetError(f"Transformers has no model like this {family.backbone.__name__}")
