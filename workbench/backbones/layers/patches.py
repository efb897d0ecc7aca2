"""Cut images into patches and project each to a vector."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.layers.named import Named


class PatchEmbedding(Named, keras.layers.Layer):
    """Maps images (B, H, W, C) to vectors (B, rows * columns, width), patches row by row
    (Dosovitskiy et al. 2021). `kernel` is (width, patch height, patch width, C), `bias` (width,).
    """

    def __init__(self, width: int, patch: tuple[int, int], init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.patch, self.init = width, patch, init

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (self.width, *self.patch, input_shape[-1])
        self.kernel = self.add_weight(shape, self.init, name="kernel")
        self.bias = self.add_weight((self.width,), "zeros", name="bias")

    def call(self, images: jax.Array) -> jax.Array:
        batch, height, width, channels = images.shape
        high, wide = self.patch
        cut = images.reshape(batch, height // high, high, width // wide, wide, channels)
        rows = cut.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, high * wide * channels)
        matrix = self.kernel.value.reshape(self.width, -1)
        return jnp.einsum("bpi,di->bpd", rows.astype(self.compute_dtype), matrix) + self.bias.value

    def compute_output_spec(self, images: Any) -> keras.KerasTensor:
        batch, height, width, _ = images.shape
        count = (height // self.patch[0]) * (width // self.patch[1])
        return keras.KerasTensor((batch, count, self.width), dtype=self.compute_dtype)
