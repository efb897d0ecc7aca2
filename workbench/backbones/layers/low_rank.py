"""A projection's low-rank update, which is trained while the projection's matrix is frozen.

The update is multiplied separately, x A' B' (Hu et al. 2021, section 4.1). Adding it to the matrix
in every call would cost as much as the matrix itself, and so would its gradient.
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
from workbench.backbones.all_or_nothing import Restorable
from workbench.backbones.keras_types import LayerMixin, array_of
from workbench.errors import AdapterError
from workbench.keras_internals import disown, unlocked


@dataclass(eq=False)
class Update(Restorable):
    """The variables of one adapter's update of a projection: float32, whatever the matrix's dtype.

    `a` (rank, inputs) and `b` (outputs, rank) are trainable, `scale` () is not. `seed` is the
    random state of dropout, None without dropout.
    """

    a: keras.Variable
    b: keras.Variable
    scale: keras.Variable
    dropout: float = 0.0
    seed: keras.random.SeedGenerator | None = None

    @property
    def weights(self) -> list[keras.Variable]:
        """The variables that hold the update."""
        return [self.a, self.b, self.scale]

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables that hold the update, and the random state."""
        return self.weights if self.seed is None else [*self.weights, self.seed.state]

    @property
    def low_rank(self) -> LowRank:
        """A copy of the numbers: a training step may donate the variables' arrays."""
        return LowRank(np.array(self.a.value), np.array(self.b.value), float(self.scale.value))

    def assign(self, update: LowRank, dropout: float) -> None:
        """Assign the numbers of an update of the same shape."""
        for variable, value in zip(self.weights, update, strict=True):
            variable.assign(value)
        self.dropout = dropout
        if dropout and self.seed is None:
            self.seed = keras.random.SeedGenerator()


Updates = Mapping[str, Update]


def merged(kernel: Any, update: LowRank) -> Any:
    """Return a kernel with an update added, in the kernel's dtype."""
    delta = update.delta.reshape(kernel.shape)
    return (kernel.astype("float32") + delta).astype(kernel.dtype)


class Adaptable(LayerMixin):
    """Mix-in before a projection: adds the update of the active adapter, if there is one."""

    active_updates: Callable[[], Updates] | None = None
    """Returns the updates of the active adapter, by the paths of their projections."""

    @property
    def in_use(self) -> Update | None:
        """The update of the active adapter; None without one."""
        return None if self.active_updates is None else self.active_updates().get(str(self.path))

    @property
    def adapted(self) -> bool:
        """Whether the active adapter updates this projection."""
        return self.in_use is not None

    @property
    def lora_size(self) -> int:
        """The number of elements in the update's variables; 0 without an update."""
        weights = [] if self.in_use is None else self.in_use.weights
        return sum(math.prod(variable.shape) for variable in weights)

    @property
    def variables(self) -> list[keras.Variable]:
        """`keras.Layer.variables`, and those of the active update."""
        update = self.in_use
        return super().variables if update is None else [*super().variables, *update.variables]

    @property
    def weights(self) -> list[keras.Variable]:
        """`keras.Layer.weights`, and those of the active update."""
        update = self.in_use
        return super().weights if update is None else [*super().weights, *update.weights]

    def make_update(self, update: LowRank, dropout: float = 0.0) -> Update:
        """Make variables with these numbers. An adapter owns them: this layer tracks none."""
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
        """Convert a file's values: merge an update that the layer lacks, and keep one that the file
        lacks."""
        update = self.in_use
        if update is not None and values.keys().isdisjoint(_VARIABLES):
            return values | {v.name: np.asarray(v.value) for v in update.weights}
        if update is not None or not values.keys() >= {"kernel", *_VARIABLES}:
            return values
        if self.quantization_mode is not None:
            raise AdapterError(f"{self.path}: cannot merge an update into integers")
        a, b, scale = (values.pop(name) for name in _VARIABLES)
        written = LowRank(a, b, float(scale))
        return values | {"kernel": merged(values["kernel"].astype("float32"), written)}

    def _updated(self, made: jax.Array, rows: jax.Array, training: bool | None) -> jax.Array:
        """Add the update's product with rows (N, inputs) to the matrix's, `made` (N, outputs)."""
        update = self.in_use
        if update is None:
            return made
        if training and update.dropout:
            rows = array_of(keras.random.dropout(rows, update.dropout, seed=update.seed))
        a, b = (variable.value.astype(rows.dtype) for variable in (update.a, update.b))
        part = (rows @ a.T) @ b.T
        return made + part * update.scale.value.astype(made.dtype)


# The names of an update's variables, and whether they are trainable.
_VARIABLES = {"lora_a": True, "lora_b": True, "lora_scale": False}
