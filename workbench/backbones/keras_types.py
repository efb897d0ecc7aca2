"""Keras as type checkers should see it: at run time a mix-in has no base class.

Keras's stubs call a tensor `OpenVINOKerasTensor` and leave layers' calls without types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import keras

Tensor = jax.Array | keras.KerasTensor
"""An array, or its symbol while Keras builds a functional model."""


def array_of(value: Any) -> jax.Array:
    """Return a variable's array, from the stateless scope if one is open. Arrays pass through."""
    return keras.ops.convert_to_tensor(value)  # pyright: ignore[reportReturnType]  # OpenVINO's


if TYPE_CHECKING:
    LayerMixin = keras.layers.Layer
else:
    LayerMixin = object
