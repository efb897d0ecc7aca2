"""Keras's ways to save a model: `save`, `save_weights`, pickles and copies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from workbench.backbones.all_or_nothing import backbone_of, unchanging
from workbench.errors import PresetError
from workbench.keras_internals import ModelMixin
from workbench.storage.atomic import replacing_file


class KerasFiles(ModelMixin):
    """Mix-in before a Keras model: these calls write a consistent model, with its adapters, and
    replace an existing file only when the new one is complete."""

    def save(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """`keras.Model.save`: write a `.keras` file. `keras.saving.load_model` reads it once the
        class has been imported, for example by naming `workbench.models.LlamaCausalLM`.

        The file holds the configuration, the weights, all adapters, the compile settings, the
        optimizer's state and a task's preprocessor.

        Raises:
            PresetError: the file cannot be written, its name has another ending, or a change to
                the model was interrupted. An existing file is unchanged.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise PresetError.at("save", "filepath", "a name that ends in .keras", str(filepath))
        with self._written(filepath, ".keras", overwrite) as path:
            super().save(path, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(
        self, filepath: str | Path, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """`keras.Model.save_weights`: write a `.weights.h5` file with all adapters and the
        optimizer's state.

        `load_weights` fills the adapters of a model that has the same ones. In a model without
        adapters it merges the file's active adapter into the weights, and warns. KerasHub cannot
        read the file: for KerasHub use `save_to_preset`.

        Raises:
            PresetError: the file cannot be written, or a change to the model was interrupted. An
                existing file is unchanged.
        """
        with self._written(filepath, ".weights.h5", overwrite) as path:
            super().save_weights(path, overwrite=overwrite, max_shard_size=max_shard_size)

    def __reduce__(self) -> tuple[Any, ...]:
        with unchanging(backbone_of(self)):
            return super().__reduce__()

    @contextmanager
    def _written(self, path: str | Path, ending: str, overwrite: bool) -> Iterator[str | Path]:
        """Yield the path to write a file of this ending to; Keras writes others in place."""
        with unchanging(backbone_of(self)):
            if not (overwrite and str(path).endswith(ending)) or "://" in str(path):
                yield path
                return
            size = sum(math.prod(v.shape) * jnp.dtype(v.dtype).itemsize for v in self.variables)
            with replacing_file(path, size) as new:
                yield new
