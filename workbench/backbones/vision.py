"""The image encoder, and the connectors that project its vectors to a decoder's width."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.encoder import Encoder
from workbench.backbones.keras_types import Tensor
from workbench.backbones.layers.named import Projection
from workbench.backbones.layers.norms import make_norm
from workbench.backbones.layers.patches import PatchEmbedding
from workbench.backbones.vision_config import ImagePrefix, Linear, Pooled, VisionConfig


class VisionEncoder(keras.layers.Layer):
    """Maps images (..., height, width, 3) with values in [-1, 1] to vectors (..., patches, width),
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

    def build(self, input_shape: tuple[int | None, ...]) -> None:
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
    """Projects vectors (..., patches, vision width) to (..., patches, width)."""

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

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.projection.build((None, None, input_shape[-1]))

    def call(self, patches: jax.Array) -> jax.Array:
        x = self._prepared(patches.reshape(-1, *patches.shape[-2:]))
        return self.projection(x).reshape(*patches.shape[:-2], x.shape[1], self.width)

    def compute_output_spec(self, patches: Any) -> keras.KerasTensor:
        shape = (*patches.shape[:-2], self.prefix.tokens, self.width)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def _prepared(self, x: jax.Array) -> jax.Array:
        """Return the projection's input (N, tokens, vision width), given patches of N images."""
        return x


class PooledConnector(LinearConnector):
    """Averages squares of patches and norms them before the projection (Gemma Team 2025)."""

    def __init__(
        self, prefix: ImagePrefix, pooled: Pooled, width: int, init: Any, **kwargs: Any
    ) -> None:
        super().__init__(prefix, width, init, **kwargs)
        self.size = pooled.size
        self.norm = make_norm(pooled.norm, dtype=self.dtype_policy, name="norm")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.norm.build((input_shape[-1],))

    def _prepared(self, x: jax.Array) -> jax.Array:
        (rows, columns), size = self.prefix.grid, self.size
        squares = x.reshape(len(x), rows, size, columns, size, x.shape[-1])
        return self.norm(squares.mean(axis=(2, 4)).reshape(len(x), rows * columns, x.shape[-1]))


def make_connector(prefix: ImagePrefix, width: int, **kwargs: Any) -> LinearConnector:
    """Make the connector of an `ImagePrefix` to a decoder of this width."""
    init = keras.initializers.RandomNormal(stddev=0.02)
    if isinstance(prefix.connector, Pooled):
        return PooledConnector(prefix, prefix.connector, width, init, **kwargs)
    return LinearConnector(prefix, width, init, **kwargs)


class PlaceImages(keras.layers.Layer):
    """Replaces token vectors x (B, T, D) where `image_mask` (B, T) is true, in order, by the image
    vectors of the row, (B, tokens, D) or (B, images, tokens, D)."""

    def call(self, x: jax.Array, vectors: jax.Array, image_mask: jax.Array) -> jax.Array:
        flat = vectors.reshape(len(x), -1, x.shape[-1]).astype(x.dtype)
        mask = image_mask.astype(bool)
        which = jnp.clip(jnp.cumsum(mask, axis=1) - 1, 0, flat.shape[1] - 1)
        return jnp.where(mask[..., None], jnp.take_along_axis(flat, which[..., None], axis=1), x)

    def compute_output_spec(self, x: Any, vectors: Any, image_mask: Any) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, dtype=x.dtype)


def image_groups(image_mask: Tensor, tokens: int) -> Any:
    """Number the image that each token belongs to, int32 (B, T), -1 for none. `image_mask` (B, T)
    is true at the tokens of images, `tokens` each."""
    mask: Any = keras.ops.cast(image_mask, "int32")
    picture = keras.ops.floor_divide(keras.ops.cumsum(mask, axis=1) - 1, tokens)
    return keras.ops.where(mask > 0, picture, -1)
