"""The image encoder, and what brings its vectors to a decoder's width."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.encoder import Encoder
from workbench.backbones.layers.named import Projection
from workbench.backbones.layers.norms import make_norm
from workbench.backbones.layers.patches import PatchEmbedding
from workbench.backbones.vision_config import ImagePrefix, Linear, Pooled, VisionConfig


class VisionEncoder(keras.layers.Layer):
    """Pictures (..., height, width, 3), values in [-1, 1], to vectors (..., patches, width), the
    patches row by row."""

    def __init__(self, vision: VisionConfig, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vision = vision
        dtype = self.dtype_policy
        self.patch_embedding = PatchEmbedding(
            vision.stack.width, vision.patch_size, init, dtype=dtype, name="patch_embedding"
        )
        stack = Encoder(vision.stack, init, dtype, prefix="")
        self.steps = [*stack.prepare, *stack.blocks, *stack.finish]

    def build(self, images_shape: tuple[int | None, ...]) -> None:
        self.patch_embedding.build((None, *self.vision.image_size, 3))
        for step in self.steps:
            step.build((None, self.vision.patches, self.vision.stack.width))

    def call(self, images: jax.Array) -> jax.Array:
        x = self.patch_embedding(images.reshape(-1, *images.shape[-3:]))
        for step in self.steps:
            x = step(x)
        return x.reshape(*images.shape[:-3], *x.shape[1:])

    def compute_output_spec(self, images: Any) -> keras.KerasTensor:
        shape = (*images.shape[:-3], self.vision.patches, self.vision.stack.width)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


class LinearConnector(keras.layers.Layer):
    """Vectors (..., patches, vision width) to (..., patches, width), each by itself."""

    def __init__(self, prefix: ImagePrefix, width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prefix, self.width = prefix, width
        self.projection = Projection(
            "bpi,di->bpd",
            (None, width),
            bias_axes="d" if isinstance(prefix.connector, Linear) else None,
            kernel_initializer=init,
            dtype=self.dtype_policy,
            name="projection",
        )

    def build(self, patches_shape: tuple[int | None, ...]) -> None:
        self.projection.build((None, None, patches_shape[-1]))

    def call(self, patches: jax.Array) -> jax.Array:
        x = self._prepared(patches.reshape(-1, *patches.shape[-2:]))
        return self.projection(x).reshape(*patches.shape[:-2], x.shape[1], self.width)

    def compute_output_spec(self, patches: Any) -> keras.KerasTensor:
        shape = (*patches.shape[:-2], self.prefix.tokens, self.width)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def _prepared(self, x: jax.Array) -> jax.Array:
        """What the matrix reads, (N, tokens, vision width), of patches of N pictures."""
        return x


class PooledConnector(LinearConnector):
    """Averages squares of patches and norms them first (Gemma Team 2025)."""

    def __init__(self, prefix: ImagePrefix, width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(prefix, width, init, **kwargs)
        self.norm = make_norm(prefix.connector.norm, dtype=self.dtype_policy, name="norm")

    def build(self, patches_shape: tuple[int | None, ...]) -> None:
        super().build(patches_shape)
        self.norm.build((patches_shape[-1],))

    def _prepared(self, x: jax.Array) -> jax.Array:
        (rows, columns), size = self.prefix.grid, self.prefix.connector.size
        squares = x.reshape(len(x), rows, size, columns, size, x.shape[-1])
        return self.norm(squares.mean(axis=(2, 4)).reshape(len(x), rows * columns, x.shape[-1]))


def make_connector(prefix: ImagePrefix, width: int, **kwargs: Any) -> LinearConnector:
    """The layer for a prefix's connector, to a decoder of this width."""
    kind = PooledConnector if isinstance(prefix.connector, Pooled) else LinearConnector
    init = keras.initializers.RandomNormal(stddev=0.02)
    return kind(prefix, width, init, **kwargs)


class PlaceImages(keras.layers.Layer):
    """Puts picture vectors into a text: x (B, T, D) takes, where `image_mask` (B, T) is true, the
    next of its row's vectors (B, tokens, D) or (B, pictures, tokens, D)."""

    def call(self, x: jax.Array, vectors: jax.Array, image_mask: jax.Array) -> jax.Array:
        flat = vectors.reshape(len(x), -1, x.shape[-1]).astype(x.dtype)
        mask = image_mask.astype(bool)
        which = jnp.clip(jnp.cumsum(mask, axis=1) - 1, 0, flat.shape[1] - 1)
        return jnp.where(mask[..., None], jnp.take_along_axis(flat, which[..., None], axis=1), x)

    def compute_output_spec(self, x: Any, vectors: Any, image_mask: Any) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, dtype=x.dtype)


def image_groups(image_mask: jax.Array, tokens: int) -> jax.Array:
    """Which picture each place of a text belongs to, int32 (B, T), -1 for none; `image_mask`
    (B, T) is true at the places of pictures, `tokens` each."""
    mask = keras.ops.cast(image_mask, "int32")
    picture = keras.ops.floor_divide(keras.ops.cumsum(mask, axis=1) - 1, tokens)
    return keras.ops.where(mask > 0, picture, -1)
