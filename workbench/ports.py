"""What a model asks of higher floors: to be loaded, saved, listed and drawn.

`Gemma.from_preset(...)` is a method of the model, and what loads it imports models. So a model
asks a port, which is bound to a module by its name and imports it when it is first asked. This is
the one place of the package where a lower floor reaches a higher one; `workbench/__init__.py`
says which modules they are.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any, Protocol, cast

DEPTH = 3  # levels of a tree that are printed


class Store(Protocol):
    """Presets and adapters on disk: `workbench.presets.store`."""

    def load_backbone(
        self, preset: str, cls: type, load_weights: bool, dtype: Any, **overrides: Any
    ) -> Any:
        """The backbone of a preset, an instance of `cls`."""

    def load_task(
        self, preset: str, cls: type, load_weights: bool, dtype: Any, **overrides: Any
    ) -> Any:
        """The task of a preset, an instance of `cls`."""

    def load_preprocessor(self, preset: str, cls: type, **overrides: Any) -> Any:
        """The preprocessor of a preset, an instance of `cls`."""

    def load_tokenizer(self, preset: str, cls: type) -> Any:
        """The tokenizer of a preset, an instance of `cls`."""

    def load_image_converter(self, preset: str | Path, cls: type) -> Any:
        """The image converter of a preset, an instance of `cls`."""

    def list_presets(self, owner: type) -> dict[str, dict[str, Any]]:
        """The built-in presets that a class loads: names to metadata."""

    def save_preset(
        self, saved: Any, folder: str | Path, max_shard_size: float | None = 10
    ) -> None:
        """Write a preset folder in KerasHub's layout."""

    def export_to_transformers(
        self, saved: Any, folder: str | Path, max_shard_size: float | None
    ) -> None:
        """Write a folder in Transformers' layout."""

    def read_adapter(self, path: Path, backbone: Any) -> Any:
        """The adapter in a `.lora.h5` file or a PEFT folder."""

    def write_adapter(self, adapter: Any, path: str | Path, backbone: Any) -> Any:
        """Write an adapter as a `.lora.h5` file or a PEFT folder, by its name."""


class Displayed(Protocol):
    """What shows itself in a notebook."""

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Its forms by MIME type."""


class Drawing(Protocol):
    """Models as trees: `workbench.tree.model`."""

    def tree(self, model: Any, depth: int | None) -> Displayed:
        """What a model is made of, printed down to `depth` levels."""


_modules: dict[str, str] = {}


def bind(**modules: str) -> None:
    """Say which module each port is: `bind(store="workbench.presets.store")`."""
    _modules.update(modules)


def store() -> Store:
    """The store of presets."""
    return cast(Store, importlib.import_module(_modules["store"]))


def drawing() -> Drawing:
    """What draws models."""
    return cast(Drawing, importlib.import_module(_modules["drawing"]))


class NamedPresets:
    """A read-only class attribute: names of built-in presets to metadata."""

    def __get__(self, instance: object, owner: type) -> dict[str, dict[str, Any]]:
        return store().list_presets(owner)


class SavesPresets:
    """Mix-in before `keras.Model`: saving as a preset."""

    def save_to_preset(self, preset_dir: str, max_shard_size: float | None = 10) -> None:
        """Write configuration, weights and what else it holds as a KerasHub preset folder, all or
        nothing.

        Args:
            preset_dir: the folder to make or replace.
            max_shard_size: gigabytes a weight file may hold; None writes one file.

        Raises:
            PresetError: the folder cannot be written, the disk is too small, or a change of the
                model was broken off.
        """
        store().save_preset(self, preset_dir, max_shard_size=max_shard_size)

    def export_to_transformers(self, path: str, max_shard_size: float | None = 5) -> None:
        """Write the folder that Hugging Face Transformers loads: `config.json`, safetensors and,
        with a preprocessor, the tokenizer's files; all or nothing.

        Args:
            path: the folder to make or replace.
            max_shard_size: gigabytes a weight file may hold; None writes one file.

        Raises:
            PresetError: Transformers has no model of this kind or with these settings, or the
                folder cannot be written.
        """
        store().export_to_transformers(self, path, max_shard_size=max_shard_size)


class ShowsTree:
    """Mix-in before a Keras model with a `preset`. Keras's `summary()` stays as it is."""

    name: str
    preset: str | None
    quantization: str | None
    weights: list[Any]

    def tree(self, depth: int | None = DEPTH) -> Displayed:
        """What the model is made of: components, shapes, parameters, dtypes, adapters.

        Runs of equal layers are one node. Shapes alone are read, no numbers.

        Args:
            depth: levels that the printed text has below the first; None for all.

        Example:
            >>> print(lm.tree())
        """
        return drawing().tree(self, depth)

    def __repr__(self) -> str:
        weights = self.weights
        count = sum(math.prod(variable.shape) for variable in weights)
        dtype = self.quantization or (weights[0].dtype if weights else "")
        name = Path(self.preset or self.name).name
        return f"<{type(self).__name__} {name}: {count:,} parameters, {dtype}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        return self.tree()._repr_mimebundle_()
