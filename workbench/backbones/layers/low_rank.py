"""A projection's low-rank update, trained while the projection's own matrix stays as it is.

The product with the update is a product of its own, x A' B' (Hu et al. 2021, section 4.1). Added
to the matrix in every call, it would cost as much as the matrix, and so would its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np

from workbench.backbones.adapter import LowRank
from workbench.backbones.all_or_nothing import Content
from workbench.errors import AdapterError
from workbench.keras_internals import disown, unlocked


@dataclass(eq=False)
class Update(Content):
    """The variables of one adapter's update of a projection, float32 whatever its matrix is.

    `a` (rank, inputs) and `b` (outputs, rank) are trainable, `scale` () is not; `seed` is the
    random state of dropout, None without.
    """

    a: keras.Variable
    b: keras.Variable
    scale: keras.Variable
    dropout: float = 0.0
    seed: keras.random.SeedGenerator | None = None

    @property
    def weights(self) -> list[keras.Variable]:
        """Its numbers."""
        return [self.a, self.b, self.scale]

    @property
    def variables(self) -> list[keras.Variable]:
        """Its numbers and the random state."""
        return self.weights if self.seed is None else [*self.weights, self.seed.state]

    @property
    def low_rank(self) -> LowRank:
        """A copy of the numbers: training may use up the variables' own arrays."""
        return LowRank(np.array(self.a.value), np.array(self.b.value), float(self.scale.value))

    def assign(self, update: LowRank, dropout: float) -> None:
        """Take the numbers of an update of the same shape."""
        for variable, value in zip(self.weights, update, strict=True):
            variable.assign(value)
        self.dropout = dropout
        if dropout and self.seed is None:
            self.seed = keras.random.SeedGenerator()


Updates = Mapping[str, Update]


def merged(kernel: Any, update: LowRank) -> Any:
    """A kernel with an update added, in the kernel's dtype."""
    delta = update.delta.reshape(kernel.shape)
    return (kernel.astype("float32") + delta).astype(kernel.dtype)


class Adaptable:
    """Mix-in before a projection, which has the update of the adapter in use, if there is one."""

    adapters_in_use: Callable[[], Updates] | None = None
    """Gives the updates in use, by the paths of their projections."""

    @property
    def in_use(self) -> Update | None:
        """The update in use."""
        return None if self.adapters_in_use is None else self.adapters_in_use().get(self.path)

    @property
    def adapted(self) -> bool:
        """Whether there is an update."""
        return self.in_use is not None

    @property
    def lora_size(self) -> int:
        """How many numbers the update's variables hold."""
        return sum(math.prod(variable.shape) for variable in self.in_use.weights)

    @property
    def variables(self) -> list[keras.Variable]:
        """`keras.Layer.variables`, with those of the update in use."""
        update = self.in_use
        return super().variables if update is None else [*super().variables, *update.variables]

    @property
    def weights(self) -> list[keras.Variable]:
        """`keras.Layer.weights`, with those of the update in use."""
        update = self.in_use
        return super().weights if update is None else [*super().weights, *update.weights]

    def make_update(self, update: LowRank, dropout: float = 0.0) -> Update:
        """Variables with these numbers. They belong to an adapter, so this layer keeps none."""
        with unlocked(self):
            made = [
                self.add_weight(jax.numpy.shape(value), "zeros", dtype="float32", name=name)
                for name, value in zip(_VARIABLES, update, strict=True)
            ]
        for variable in made:
            disown(self, variable)
            variable.trainable = _VARIABLES[variable.name]  # the layer itself is frozen
        filled = Update(*made)
        filled.assign(update, dropout)
        return filled

    def _as_here(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A file's values: an update is merged where the layer has none, and one that the file has
        not stays."""
        update = self.in_use
        if update is not None and values.keys().isdisjoint(_VARIABLES):
            return values | {v.name: np.asarray(v.value) for v in update.weights}
        if update is not None or not values.keys() >= {"kernel", *_VARIABLES}:
            return values
        if self.quantization_mode is not None:
            raise AdapterError(f"{self.path}: expected no update of integers, got one")
        written = LowRank(*(values.pop(name) for name in _VARIABLES))
        return values | {"kernel": merged(values["kernel"].astype("float32"), written)}

    def _updated(self, made: jax.Array, rows: jax.Array, training: bool | None) -> jax.Array:
        """What the matrix has made of rows (N, inputs), (N, outputs), with the update's part."""
        update = self.in_use
        if update is None:
            return made
        if training and update.dropout:
            rows = keras.random.dropout(rows, update.dropout, seed=update.seed)
        a, b = (variable.value.astype(rows.dtype) for variable in (update.a, update.b))
        part = (rows @ a.T) @ b.T
        return made + part * update.scale.value.astype(made.dtype)


# The names of an update's variables, and whether they are trained.
_VARIABLES = {"lora_a": True, "lora_b": True, "lora_scale": False}
