"""Reads Keras' serialized objects as data: our own table maps names to classes.

An object is `{"module", "class_name", "config", "registered_name"}`. The module is compared and
never imported. Anything that describes code (functions, lambdas, compile settings, objects in place
of plain values) is refused, even if nothing would use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workbench.backbones.precision import MODES
from workbench.errors import PresetError
from workbench.families.registry import Family, family_of, find_class
from workbench.formats.policies import read_policy, write_policy
from workbench.storage.files import CONVERTERS
from workbench.storage.json_files import shown
from workbench.tokenizers import TransformersTokenizer

_KEYS = {"module", "class_name", "config", "registered_name"}
_UNUSED_KEYS = {"build_config", "assets", "weights"}  # older KerasHub wrote these
_CODE_KEYS = {"module", "class_name", "registered_name", "compile_config", "shared_object_id"}
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,100}")
_OWN = "workbench>TransformersTokenizer"
# Classes that KerasHub keeps in a package of their own instead of the family's.
_MODULES = {"ViTBackbone": "keras_hub.src.models.vit.vit_backbone"}
_OWN_MODULE = "workbench.tokenizers.tokenizer_json"


# The keys of an object's config that hold objects, by the key of the object itself.
NESTED = {
    "backbone": ("vision_encoder", "image_encoder"),
    "preprocessor": ("tokenizer", *CONVERTERS),
}


@dataclass(frozen=True)
class SavedObject:
    """One of our classes and the plain values that a file gives for it.

    `parts` are its nested objects by key; None for a null in the file.
    """

    cls: type
    config: dict[str, Any]
    parts: dict[str, SavedObject | None]
    dtype: str | None
    file: str

    def build(self) -> Any:
        """Build the object from its plain values."""
        return self.cls(**self.config)


def read_object(
    value: Any, file: str, parts: tuple[str, ...] = (), key: str = "content"
) -> SavedObject:
    """Check an object and everything nested in it.

    Args:
        value: from a file.
        file: names it in errors.
        parts: keys of its config that hold our objects or null.
        key: its place in the file.

    Raises:
        PresetError: it is not such an object, names an unknown class or a module that does not
            match the class, or holds anything except plain values.
    """
    if not isinstance(value, dict) or not _KEYS <= set(value) <= _KEYS | _UNUSED_KEYS:
        expected = f"an object with {', '.join(sorted(_KEYS))}"
        raise PresetError.at(file, key, expected, _summary(value))
    cls = _class(value, file, key)
    config = value["config"]
    if not isinstance(config, dict):
        raise PresetError.at(file, f"{key}: config", "an object", shown(config))
    nested = {
        part: _part(config[part], f"{key}.{part}", file, cls) for part in parts if part in config
    }
    plain = {name: item for name, item in config.items() if name not in (*nested, "dtype")}
    for where, item in [*plain.items(), *((k, value[k]) for k in _UNUSED_KEYS if k in value)]:
        _refuse_code(item, f"{key}.{where}", file)
    dtype = read_policy(config.get("dtype"), file, f"{key}.dtype")
    if dtype in MODES and cls is not family_of(cls).backbone:
        raise PresetError.at(file, f"{key}.dtype", "a policy of plain values", dtype)
    return SavedObject(cls, _checked_names(plain, file, key), nested, dtype, file)


def write_object(
    cls: type, config: dict[str, Any], *, dtype: str | None, parts: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return an object in KerasHub's form. `parts` are objects in this form, or None."""
    own = cls is TransformersTokenizer
    head: dict[str, Any] = {"name": snake_case(cls.__name__)}
    if dtype is not None:
        head |= {"trainable": True, "dtype": write_policy(dtype)}
    return {
        "module": _OWN_MODULE if own else _module(cls),
        "class_name": cls.__name__,
        "config": {**head, **(parts or {}), **config},
        "registered_name": _OWN if own else f"keras_hub>{cls.__name__}",
    }


def snake_case(name: str) -> str:
    """Convert `GPT2CausalLM` to `gpt2_causal_lm`, as KerasHub names modules and layers."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def _module(cls: type) -> str:
    if cls.__name__ in _MODULES:
        return _MODULES[cls.__name__]
    family = family_of(cls).name
    return f"keras_hub.src.models.{family}.{_module_name(cls.__name__, family)}"


def _module_name(class_name: str, family: str) -> str:
    """Return KerasHub's module of a class: `t5gemma_seq_2_seq_lm` for `T5GemmaSeq2SeqLM`."""
    prefix = len(family.replace("_", ""))
    if class_name[:prefix].lower() != family.replace("_", ""):
        return snake_case(class_name)
    rest = re.sub(r"([a-z])([0-9])", r"\1_\2", snake_case(class_name[prefix:]))
    return f"{family}_{rest}"


def _class(value: dict[str, Any], file: str, key: str) -> type:
    module, name, registered = value["module"], value["class_name"], value["registered_name"]
    if (module, name, registered) == (_OWN_MODULE, TransformersTokenizer.__name__, _OWN):
        return TransformersTokenizer
    known = _known_class(registered)
    if known is None:
        raise PresetError.at(file, f"{key}: registered_name", "a known class", shown(registered))
    cls = known[1]
    if name != cls.__name__:
        raise PresetError.at(file, f"{key}: class_name", cls.__name__, shown(name))
    # Compared without underscores, because KerasHub places them irregularly.
    fitting = rf"keras(hub|nlp)(\.src)?\.models\.[a-z0-9]+\.{name.lower()}"
    if not isinstance(module, str) or not re.fullmatch(fitting, module.replace("_", "")):
        raise PresetError.at(file, f"{key}: module", _module(cls), shown(module))
    return cls


def _known_class(registered: Any) -> tuple[Family, type] | None:
    if not isinstance(registered, str) or len(registered) > 200:
        return None
    library, _, name = registered.partition(">")
    return find_class(name) if library in ("keras_hub", "keras_nlp") else None


def _part(value: Any, key: str, file: str, owner: type) -> SavedObject | None:
    if value is None:
        return None
    part = read_object(value, file, NESTED.get(key.rpartition(".")[2], ()), key)
    if part.cls is not TransformersTokenizer and family_of(part.cls) is not family_of(owner):
        expected = f"a class of the family {family_of(owner).name}"
        raise PresetError.at(file, key, expected, part.cls.__name__)
    return part


def _checked_names(config: dict[str, Any], file: str, key: str) -> dict[str, Any]:
    """Check and drop `name` and `trainable`, which do not affect what the object computes."""
    name, trainable = config.get("name", "none"), config.get("trainable", True)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PresetError.at(file, f"{key}.name", "a plain name", shown(name))
    if not isinstance(trainable, bool):
        raise PresetError.at(file, f"{key}.trainable", "true or false", shown(trainable))
    return {k: v for k, v in config.items() if k not in ("name", "trainable")}


def _refuse_code(value: Any, key: str, file: str) -> None:
    for item in _dicts(value):
        found = _CODE_KEYS & set(item)
        if found:
            raise PresetError.at(file, key, "plain values", f"an object with {sorted(found)}")


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _dicts(item)


def _summary(value: Any) -> str:
    return f"an object with {shown(sorted(value))}" if isinstance(value, dict) else shown(value)
