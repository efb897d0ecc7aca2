"""Normalisation layers. They compute statistics in float32, whatever the layer's dtype."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones import config
from workbench.backbones.layers.named import Named
from workbench.errors import present


class RMSNorm(Named, keras.layers.Layer):
    """Computes x / rms(x) * (offset + scale) over the last axis. `scale` is (width,)."""

    def __init__(self, spec: config.RMSNorm, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        start = "ones" if self.spec.offset == 0 else "zeros"
        self.scale = self.add_weight((input_shape[-1],), start, name="scale")

    def compute_output_spec(self, x: Any) -> keras.KerasTensor:
        """State the shape: Keras would trace the layer for it, and JAX would keep every trace."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def call(self, x: jax.Array) -> jax.Array:
        wide = x.astype(jnp.float32)
        # A dot product: XLA splits a plain sum over one row into two slow passes on CPU.
        mean = jnp.einsum("...d,...d->...", wide, wide)[..., None] / x.shape[-1]
        unit = wide * jax.lax.rsqrt(mean + self.spec.epsilon)
        if self.spec.offset == 0:
            # Llama rounds to the layer's dtype, then scales; Gemma scales in float32.
            return unit.astype(x.dtype) * self.scale.value
        return (unit * (self.spec.offset + self.scale.value.astype(jnp.float32))).astype(x.dtype)


class HeadsRMSNorm(RMSNorm):
    """RMSNorm of x (..., heads, head_dim), all heads as one vector. `scale` is
    (heads * head_dim,)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        heads, head_dim = input_shape[-2:]
        super().build((present(heads, "heads") * present(head_dim, "a head's width"),))

    def call(self, x: jax.Array) -> jax.Array:
        return super().call(x.reshape(*x.shape[:-2], -1)).reshape(x.shape)


class LayerNorm(Named, keras.layers.LayerNormalization):
    """Layer norm with `gamma` and, if it has a bias, `beta`, both (width,)."""


def make_norm(spec: config.RMSNorm | config.LayerNorm, **kwargs: Any) -> keras.layers.Layer:
    """Make the layer for a norm's specification."""
    if isinstance(spec, config.RMSNorm):
        return RMSNorm(spec, **kwargs)
    return LayerNorm(epsilon=spec.epsilon, center=spec.bias, **kwargs)
