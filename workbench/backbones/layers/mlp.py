"""Feed-forward networks. They take a padding mask because mixtures do, and ignore it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import keras

from workbench.backbones import config
from workbench.backbones.layers.named import Projection

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
}


class GatedMLP(keras.layers.Layer):
    """Computes down(act(gate(x)) * up(x)) of x (B, T, width)."""

    def __init__(self, spec: config.Gated, width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        shared = {"kernel_initializer": init, "dtype": self.dtype_policy}
        self.activation = ACTIVATIONS[spec.activation]
        inner, outer = (None, spec.width), (None, width)
        biases = ("f", "d") if spec.bias else (None, None)
        self.gate = Projection("btd,fd->btf", inner, bias_axes=biases[0], name="gate", **shared)
        self.up = Projection("btd,fd->btf", inner, bias_axes=biases[0], name="up", **shared)
        self.down = Projection("btf,df->btd", outer, bias_axes=biases[1], name="down", **shared)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.gate.build(input_shape)
        self.up.build(input_shape)
        self.down.build((*input_shape[:-1], self.up.partial_output_shape[-1]))

    def call(self, x: jax.Array, padding_mask: jax.Array | None = None) -> jax.Array:
        return self.down(self.activation(self.gate(x)) * self.up(x))


class DenseMLP(keras.layers.Layer):
    """Computes down(act(up(x))) of x (B, T, width)."""

    def __init__(self, spec: config.Dense, width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        shared = {"kernel_initializer": init, "dtype": self.dtype_policy}
        self.activation = ACTIVATIONS[spec.activation]
        inner, outer = (None, spec.width), (None, width)
        biases = ("f", "d") if spec.bias else (None, None)
        self.up = Projection("btd,fd->btf", inner, bias_axes=biases[0], name="up", **shared)
        self.down = Projection("btf,df->btd", outer, bias_axes=biases[1], name="down", **shared)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.up.build(input_shape)
        self.down.build((*input_shape[:-1], self.up.partial_output_shape[-1]))

    def call(self, x: jax.Array, padding_mask: jax.Array | None = None) -> jax.Array:
        return self.down(self.activation(self.up(x)))
