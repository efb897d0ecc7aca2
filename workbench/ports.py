"""Ports through which a model calls higher floors: to be loaded, saved, listed and drawn.

`Gemma.from_preset(...)` is a method of the model, but the loading module imports models. So a model
calls a port, which is bound to a module's name and imports it at the first call. This is the only
place in the package where a lower floor calls a higher one; `workbench/__init__.py` binds the
modules.
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
        """Return the backbone of a preset, an instance of `cls`."""

    def load_task(
        self, preset: str, cls: type, load_weights: bool, dtype: Any, **overrides: Any
    ) -> Any:
        """Return the task of a preset, an instance of `cls`."""

    def load_preprocessor(self, preset: str, cls: type, **overrides: Any) -> Any:
        """Return the preprocessor of a preset, an instance of `cls`."""

    def load_tokenizer(self, preset: str, cls: type) -> Any:
        """Return the tokenizer of a preset, an instance of `cls`."""

    def load_image_converter(self, preset: str | Path, cls: type) -> Any:
        """Return the image converter of a preset, an instance of `cls`."""

    def list_presets(self, owner: type) -> dict[str, dict[str, Any]]:
        """Return the built-in presets that a class loads: names to metadata."""
        ...

    def save_preset(
        self, saved: Any, folder: str | Path, max_shard_size: float | None = 10
    ) -> None:
        """Write a preset folder in KerasHub's layout."""

    def export_to_transformers(
        self, saved: Any, folder: str | Path, max_shard_size: float | None
    ) -> None:
        """Write a folder in Transformers' layout."""

    def read_adapter(self, path: Path, backbone: Any) -> Any:
        """Return the adapter in a `.lora.h5` file or a PEFT folder."""

    def write_adapter(self, adapter: Any, path: str | Path, backbone: Any) -> Any:
        """Write an adapter as a `.lora.h5` file or a PEFT folder, depending on the path's name."""
        ...


class Displayed(Protocol):
    """An object that a notebook can display."""

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Return its representations by MIME type."""
        ...


class Drawing(Protocol):
    """Models as trees: `workbench.tree.model`."""

    def tree(self, model: Any, depth: int | None) -> Displayed:
        """Return the tree of a model's parts, printed down to `depth` levels."""
        ...


_modules: dict[str, str] = {}


def bind(**modules: str) -> None:
    """Bind each port to a module's name: `bind(store="workbench.presets.store")`."""
    _modules.update(modules)


def store() -> Store:
    """Return the store of presets."""
    return cast(Store, importlib.import_module(_modules["store"]))


def drawing() -> Drawing:
    """Return the module that draws models."""
    return cast(Drawing, importlib.import_module(_modules["drawing"]))


class NamedPresets:
    """A read-only class attribute: names of built-in presets to metadata."""

    def __get__(self, instance: object, owner: type) -> dict[str, dict[str, Any]]:
        return store().list_presets(owner)


class SavesPresets:
    """Mix-in before `keras.Model`: saving as a preset."""

    def save_to_preset(self, preset_dir: str, max_shard_size: float | None = 10) -> None:
        """Write configuration, weights and other parts as a KerasHub preset folder, atomically: a
        crash leaves an existing folder intact.

        Args:
            preset_dir: the folder to make or replace.
            max_shard_size: gigabytes per weight file; None writes one file.

        Raises:
            PresetError: the folder cannot be written, the disk is too small, or a change of the
                model was interrupted.
        """
        store().save_preset(self, preset_dir, max_shard_size=max_shard_size)

    def export_to_transformers(self, path: str, max_shard_size: float | None = 5) -> None:
        """Write the folder that Hugging Face Transformers loads: `config.json`, safetensors and,
        with a preprocessor, the tokenizer's files; atomically.

        Args:
            path: the folder to make or replace.
            max_shard_size: gigabytes per weight file; None writes one file.

        Raises:
            PresetError: Transformers has no model of this kind or with these settings, or the
                folder cannot be written.
        """
        store().export_to_transformers(self, path, max_shard_size=max_shard_size)


class Shown(Protocol):
    """The attributes that `ShowsTree` needs of its model."""

    preset: str | None

    @property
    def name(self) -> str: ...
    @property
    def quantization(self) -> str | None: ...
    @property
    def weights(self) -> list[Any]: ...
    def tree(self, depth: int | None = DEPTH) -> Displayed: ...


class ShowsTree:
    """Mix-in before a Keras model with a `preset`. Keras's `summary()` is unchanged."""

    def tree(self, depth: int | None = DEPTH) -> Displayed:
        """Return the tree of the model's parts: components, shapes, parameters, dtypes, adapters.

        Runs of equal layers are one node. It reads shapes only, no weights.

        Args:
            depth: levels that the printed text has below the first; None for all.

        Example:
            >>> print(lm.tree())
        """
        return drawing().tree(self, depth)

    def __repr__(self: Shown) -> str:
        weights = self.weights
        count = sum(math.prod(variable.shape) for variable in weights)
        dtype = self.quantization or (weights[0].dtype if weights else "")
        name = Path(self.preset or self.name).name
        return f"<{type(self).__name__} {name}: {count:,} parameters, {dtype}>"

    def _repr_mimebundle_(self: Shown, **kwargs: Any) -> dict[str, str]:
        return self.tree()._repr_mimebundle_()
