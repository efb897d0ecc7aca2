"""Finds samplers by name, makes them from configs and turns them into configs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from workbench.errors import SettingError, shown
from workbench.samplers.beam import BeamSampler
from workbench.samplers.contrastive import ContrastiveSampler
from workbench.samplers.drawing import GreedySampler, RandomSampler, TopKSampler, TopPSampler
from workbench.samplers.function import FunctionSampler
from workbench.samplers.sampler import Sampler
from workbench.samplers.settings import SAMPLERS

CLASSES: tuple[type[Sampler], ...] = (
    BeamSampler,
    ContrastiveSampler,
    GreedySampler,
    RandomSampler,
    TopKSampler,
    TopPSampler,
)
BY_CLASS_NAME = {cls.__name__: cls for cls in CLASSES}
BY_NAME = {name: BY_CLASS_NAME[sampler.class_name] for name, sampler in SAMPLERS.items()}
KNOWN = BY_NAME | {name.lower(): cls for name, cls in BY_CLASS_NAME.items()}
KEYS = {"module", "class_name", "config", "registered_name"}
PACKAGES = ("keras_hub>", "keras_nlp>")


def get(identifier: str | Mapping[str, Any] | Sampler | Callable[..., Any]) -> Sampler:
    """The sampler that `identifier` stands for.

    ```python
    get("top_k")
    get({"class_name": "TopPSampler", "config": {"p": 0.9}})
    get(my_function)  # runs the decoding loop itself, by KerasHub's protocol
    ```

    Takes a name (beam, contrastive, greedy, random, top_k, top_p, in any case), a config as
    `serialize` writes it, a sampler, a sampler class, or a callable.

    Raises:
        SettingError: it is none of these, or the config does not fit its class.
    """
    if isinstance(identifier, Sampler):
        return identifier
    if isinstance(identifier, str):
        return _built_in(identifier)()
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Sampler):
        return _build(identifier, identifier, {})
    if callable(identifier):
        return FunctionSampler(identifier)
    raise SettingError(
        f"sampler: expected one of {', '.join(BY_NAME)}, a config, a Sampler or a callable, "
        f"got {shown(identifier)}"
    )


def serialize(sampler: Sampler) -> dict[str, Any]:
    """A config of `sampler` in KerasHub's form, from which `deserialize` rebuilds it."""
    if isinstance(sampler, FunctionSampler) or not isinstance(sampler, Sampler):
        raise SettingError(f"sampler: expected a Sampler to serialize, got {shown(sampler)}")
    cls = type(sampler)
    built_in = cls in CLASSES
    return {
        "module": "keras_hub.samplers" if built_in else cls.__module__,
        "class_name": cls.__name__,
        "config": sampler.get_config(),
        "registered_name": (
            f"keras_hub>{cls.__name__}" if built_in else keras.saving.get_registered_name(cls)
        ),
    }


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, type] | None = None
) -> Sampler:
    """The sampler that `config` describes: `class_name`, and optionally `config`.

    The class is built in, one in `custom_objects`, or one registered with
    `keras.saving.register_keras_serializable`; nothing is ever imported because a config names it.

    Raises:
        SettingError: the class is unknown, or its constructor refuses the config.
    """
    names = [config[key] for key in ("registered_name", "class_name") if config.get(key)]
    arguments = config.get("config", {})
    named = bool(names) and all(isinstance(name, str) for name in names)
    if not (named and isinstance(arguments, Mapping) and set(config) <= KEYS):
        raise SettingError(
            f"sampler: expected a config of {', '.join(sorted(KEYS))}, got {shown(dict(config))}"
        )
    return _build(_class_of(names, dict(custom_objects or {})), names[-1], arguments)


def _class_of(names: list[str], custom_objects: dict[str, type]) -> type[Sampler]:
    for name in names:
        found = keras.saving.get_registered_object(name, custom_objects)
        if isinstance(found, type) and issubclass(found, Sampler):
            return found
    return _built_in(names[-1])


def _built_in(name: str) -> type[Sampler]:
    key = name.lower()
    for package in PACKAGES:
        key = key.removeprefix(package)
    cls = KNOWN.get(key)
    if cls is None:
        reason = "speculative decoding is not built; " if key.startswith("speculative") else ""
        raise SettingError(
            f"sampler: {reason}expected one of {', '.join(BY_NAME)}, got {shown(name)}"
        )
    return cls


def _build(cls: type[Sampler], name: object, arguments: Mapping[str, Any]) -> Sampler:
    try:
        return cls.from_config(dict(arguments))
    except TypeError as error:
        raise SettingError(f"sampler: {name!r:.80}: {error}") from error
