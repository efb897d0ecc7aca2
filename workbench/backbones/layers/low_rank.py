"""A projection's low-rank update, trained while the projection's own matrix stays as it is.

The product with the update is a product of its own, x A' B' (Hu et al. 2021, section 4.1). Added
to the matrix in every call, it would cost as much as the matrix, and so would its gradient.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import keras
import numpy as np

from workbench.backbones.adapter import LowRank
from workbench.errors import AdapterError

_NAMES = ("lora_a", "lora_b", "lora_scale")


def merged(kernel: Any, update: LowRank) -> Any:
    """A kernel with an update added, in the kernel's dtype."""
    delta = update.delta.reshape(kernel.shape)
    return (kernel.astype("float32") + delta).astype(kernel.dtype)


class Adaptable:
    """Mix-in before a projection: at most one update at a time, in variables of its own.

    `lora_a` (rank, inputs) and `lora_b` (outputs, rank) are trainable, `lora_scale` () is not. All
    are float32, whatever the projection's matrix is.
    """

    lora_a: keras.Variable | None = None
    lora_b: keras.Variable | None = None
    lora_scale: keras.Variable | None = None
    lora_seed: keras.random.SeedGenerator | None = None
    lora_dropout: float = 0.0

    @property
    def adapted(self) -> bool:
        """Whether there is an update."""
        return self.lora_a is not None

    @property
    def lora_size(self) -> int:
        """How many numbers these variables hold."""
        return sum(math.prod(getattr(self, name).shape) for name in _NAMES)

    @property
    def update(self) -> LowRank:
        """A copy of the update: training may use up the variables' own arrays."""
        a, b = (np.array(variable.value) for variable in (self.lora_a, self.lora_b))
        return LowRank(a, b, float(self.lora_scale.value))

    def adapt(self, update: LowRank, dropout: float = 0.0) -> None:
        """Take an update in place of the one before, whose variables serve where they fit."""
        if not self.adapted or self.lora_a.shape != update.a.shape:
            self.release()
            self._make(update)
        for name, value in zip(_NAMES, update, strict=True):
            getattr(self, name).assign(value)
        self.lora_dropout = dropout
        if dropout and self.lora_seed is None:
            self._tracker.unlock()
            self.lora_seed = keras.random.SeedGenerator()
            self._tracker.lock()

    def release(self) -> None:
        """Be without an update."""
        if not self.adapted:
            return
        for name in _NAMES:
            # Not `del`: Keras's way to delete collects all garbage of the process each time.
            self._untrack_variable(getattr(self, name))
            object.__delattr__(self, name)

    def _as_here(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A file's values: an update is merged where the layer has none, and one that the file has
        not stays."""
        if self.adapted and values.keys().isdisjoint(_NAMES):
            return values | {name: np.asarray(getattr(self, name).value) for name in _NAMES}
        if self.adapted or not values.keys() >= {"kernel", *_NAMES}:
            return values
        if self.quantization_mode is not None:
            raise AdapterError(f"{self.path}: expected no update of integers, got one")
        update = LowRank(*(values.pop(name) for name in _NAMES))
        return values | {"kernel": merged(values["kernel"].astype("float32"), update)}

    def _make(self, update: LowRank) -> None:
        """The variables for an update of this shape."""
        self._tracker.unlock()
        for name, value in zip(_NAMES, update, strict=True):
            shape, trained = jax.numpy.shape(value), name != "lora_scale"
            made = self.add_weight(shape, "zeros", dtype="float32", trainable=trained, name=name)
            setattr(self, name, made)
        self._tracker.lock()

    def _updated(self, made: jax.Array, rows: jax.Array, training: bool | None) -> jax.Array:
        """What the matrix has made of rows (N, inputs), (N, outputs), with the update's part."""
        if not self.adapted:
            return made
        if training and self.lora_dropout:
            rows = keras.random.dropout(rows, self.lora_dropout, seed=self.lora_seed)
        a, b = (variable.value.astype(rows.dtype) for variable in (self.lora_a, self.lora_b))
        part = (rows @ a.T) @ b.T
        return made + part * self.lora_scale.value.astype(made.dtype)
