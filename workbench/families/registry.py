"""The known families, and the look-ups by file and by class.

A family is one file in `families/` that ends with `FAMILIES = (Family(...), ...)`, and
one line in `names.py`. A name in a preset never causes an import.
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
    """A family's classes, and the places of its weights and settings in each file format.

    Families may share classes if only their Transformers files differ; the first one then describes
    KerasHub's files.

    Attributes:
        name: KerasHub's package name of the family, such as "llama3".
        backbone, tokenizer, preprocessor: its classes. They have KerasHub's names: a file contains
            `keras_hub>GemmaBackbone`.
        causal_lm, text_classifier: its task; exactly one is given.
        parts: backbone arguments that KerasHub's files hold as objects, with our classes for them:
            plain values with `get_config`.
        converters: the same for the preprocessor: "image_converter" or "audio_converter".
        keras_hub_rules: weights in `model.weights.h5`, such as
            `Rule("final_norm/scale", "layers/llama_layer_norm/vars/0")`; None for a family that is
            neither read from nor saved in KerasHub's layout.
        keras_hub_head_rules: weights of a classifier in `task.weights.h5`.
        keras_hub_ignored: names of tensors that may be present there and stay unused.
        keras_hub_constants: returns, for arguments, tensors to write there by name: values that
            KerasHub stores as weights although they follow from the arguments.
        keras_hub_dtype_by_name: KerasHub's backbone accepts its dtype only as a plain name.
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
        for cls in self.classes:  # the names in Keras's files do not depend on a class's module
            keras.saving.register_keras_serializable("workbench")(cls)

    @property
    def task(self) -> type:
        """The class of its task."""
        return present(self.causal_lm or self.text_classifier, "a family with a task")

    @property
    def keras_hub(self) -> Rules:
        """The rules of its weights in KerasHub's layout, which `save_to_preset` writes.

        Raises:
            PresetError: the family does not exist in that layout.
        """
        if self.keras_hub_rules is None:
            raise PresetError(
                f"{self.backbone.__name__} has no place in KerasHub's layout, in which presets are "
                "saved; `export_to_transformers` may write it"
            )
        return self.keras_hub_rules

    @property
    def classes(self) -> tuple[type, ...]:
        """The classes that a KerasHub file may name."""
        nested = (*self.parts.values(), *self.converters.values())
        return (self.backbone, self.tokenizer, self.preprocessor, self.task, *nested)


@functools.cache
def families() -> tuple[Family, ...]:
    """Return all families, in the order of `names.py`. Imports their files and Keras."""
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
    """Return the family and class of a KerasHub class name, or None if it is unknown."""
    return _by_class_name().get(class_name)


def family_of(cls: type) -> Family:
    """Return the family of a class or of its nearest base."""
    for base in cls.__mro__:
        found = _by_class_name().get(base.__name__)
        if found is not None and found[1] is base:
            return found[0]
    raise PresetError(f"{cls.__name__} belongs to no family of models known here")


def match_transformers(
    config: Mapping[str, Any], folder: Path, cls: type
) -> tuple[Family, Transformers] | None:
    """Return the family of a Transformers config and its files, or None if it is unknown.

    If several families share the `model_type`, prefer those with the class `cls`; then
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
    """Return the Transformers format for a backbone of a family with these arguments.

    Raises:
        PresetError: Transformers has no such model.
    """
    sharing = [f.transformers for f in families() if f.backbone is family.backbone]
    for files in sharing:
        if files is not None and files.writes(arguments):
            return files
    raise PresetError(f"Transformers has no model like this {family.backbone.__name__}")
