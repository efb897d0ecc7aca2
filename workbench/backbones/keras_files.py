"""Keras's own ways to save a model: `save`, `save_weights`, pickles and copies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from workbench.backbones.all_or_nothing import unchanging
from workbench.errors import PresetError
from workbench.storage.atomic import replacing_file


class KerasFiles:
    """Mix-in before a Keras model: what these calls write is one model, whole, adapters included,
    and what was there before stays until it is written."""

    def save(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """`keras.Model.save`: a `.keras` file, which `keras.saving.load_model` reads once the class
        has been imported, as by naming `workbench.models.LlamaCausalLM`.

        It holds the configuration, the weights, all adapters, how the model was compiled, the
        state of its optimizer and, of a task, the preprocessor.

        Raises:
            PresetError: the file cannot be written, its name ends otherwise, or a change of the
                model was broken off; what was there before is unchanged.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise PresetError.at("save", "filepath", "a name that ends in .keras", str(filepath))
        with self._written(filepath, ".keras", overwrite) as path:
            super().save(path, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(
        self, filepath: str | Path, overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """`keras.Model.save_weights`: a `.weights.h5` file for `load_weights`, with all adapters
        and the state of the optimizer.

        `load_weights` gives a model with the same adapters all of their numbers; of one without
        adapters it changes the weights by the file's active adapter, and warns. KerasHub does not
        read the file: `save_to_preset` writes what it reads.

        Raises:
            PresetError: the file cannot be written, or a change of the model was broken off; what
                was there before is unchanged.
        """
        with self._written(filepath, ".weights.h5", overwrite) as path:
            super().save_weights(path, overwrite=overwrite, max_shard_size=max_shard_size)

    def __reduce__(self) -> tuple[Any, ...]:
        with unchanging(getattr(self, "backbone", self)):
            return super().__reduce__()

    @contextmanager
    def _written(self, path: str | Path, ending: str, overwrite: bool) -> Iterator[str | Path]:
        """Where to write a file of this ending; what else Keras writes, it writes in place."""
        with unchanging(getattr(self, "backbone", self)):
            if not (overwrite and str(path).endswith(ending)) or "://" in str(path):
                yield path
                return
            size = sum(math.prod(v.shape) * jnp.dtype(v.dtype).itemsize for v in self.variables)
            with replacing_file(path, size) as new:
                yield new
