"""Learned absolute positions, and the scale of token embeddings."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.layers.named import Named
from workbench.backbones.layers.packing import text_positions


class PositionEmbedding(Named, keras.layers.Layer):
    """Adds row p of a learned table (length, width) to the vector at position p of x (B, T, D)."""

    def __init__(self, length: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length, self.init = length, init

    def build(self, input_shape: tuple[int | None, ...], **others: Any) -> None:
        shape = (self.length, input_shape[-1])
        self.embeddings = self.add_weight(shape, self.init, name="embeddings")

    def call(
        self,
        x: jax.Array,
        positions: jax.Array | None = None,
        padding_mask: jax.Array | None = None,
    ) -> jax.Array:
        """Use `positions` (B, T), or those within each text that a padding mask (B, T) gives, or 0
        to T - 1."""
        if padding_mask is not None:
            positions = text_positions(padding_mask)
        elif positions is None:
            positions = jnp.arange(x.shape[1])[None]
        return x + self.embeddings.value[positions]


class EmbeddingScale(keras.layers.Layer):
    """Multiplies embeddings by sqrt(width), rounded to their dtype as in Gemma."""

    def call(self, x: jax.Array) -> jax.Array:
        return x * jnp.sqrt(jnp.float32(x.shape[-1])).astype(x.dtype)
