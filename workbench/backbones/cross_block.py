"""One layer of an encoder-decoder's decoder: attention to itself, to the encoder, feed-forward.

x ── self-attention ── cross-attention ── mlp ── x

Each of the three is added to the stream and normed as the configuration's block says.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.block import PostNormBlock, SequentialBlock, branch_end, chain
from workbench.backbones.config import DecoderConfig, LayerSpec, PostNorm, Sequential
from workbench.backbones.layers.attention import LayerCache
from workbench.backbones.layers.cross_attention import CrossAttention
from workbench.backbones.layers.norms import make_norm


class CrossBlock(SequentialBlock):
    """A sequential block with a cross-attention branch between its two others."""

    def __init__(
        self,
        config: DecoderConfig,
        spec: LayerSpec,
        memory_width: int,
        init: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(config, spec, init, **kwargs)
        dtype = {"dtype": self.dtype_policy}
        self.cross_norm = make_norm(config.norm, name="cross_norm", **dtype)
        self.cross_attention = CrossAttention(
            config.attention, config.width, memory_width, init, name="cross_attention", **dtype
        )
        self._after_cross = branch_end(config, spec.post_attention_norm, "post_cross_norm", dtype)

    def build(
        self,
        x_shape: tuple[int | None, ...],
        memory_shape: Any = None,
        padding_mask_shape: Any = None,
        memory_mask_shape: Any = None,
    ) -> None:
        super().build(x_shape)

    def call(
        self,
        x: jax.Array,
        memory: jax.Array,
        padding_mask: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
    ) -> jax.Array:
        """The full forward pass over x (B, T, width), reading a memory (B, S, memory_width)."""
        length = x.shape[1]
        return self._run(
            x,
            memory=self.cross_attention.remember(memory),
            memory_mask=memory_mask,
            positions=jnp.broadcast_to(jnp.arange(length), (x.shape[0], length)),
            padding_mask=padding_mask,
            stretched=self._stretches(length),
        )[0]

    def compute_output_spec(
        self, x: Any, memory: Any, padding_mask: Any = None, memory_mask: Any = None
    ) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def extend(
        self,
        x: jax.Array,
        positions: jax.Array,
        cache: LayerCache,
        stretched: bool,
        memory: LayerCache,
        memory_mask: jax.Array,
    ) -> tuple[jax.Array, LayerCache]:
        """The cached pass: x (B, T, width) at `positions` (B, T) joins what the cache holds, and
        reads the keys and values of the memory."""
        where = {"positions": positions, "cache": cache, "stretched": stretched}
        return self._run(x, memory=memory, memory_mask=memory_mask, **where)

    def _run(
        self, x: jax.Array, memory: LayerCache, memory_mask: jax.Array, **where: Any
    ) -> tuple[jax.Array, LayerCache]:
        x, cache = self._attend(x, **where)
        branch = self.cross_attention(self._read(self.cross_norm, x), memory, memory_mask)
        x = self._join(self.cross_norm, x, chain(self._after_cross, branch))
        return self._feed_forward(x), cache


class PostNormCrossBlock(PostNormBlock, CrossBlock):
    """A cross block whose norms follow the sums."""


def make_cross_block(
    config: DecoderConfig, spec: LayerSpec, memory_width: int, init: Any, **kwargs: Any
) -> CrossBlock:
    """The block of the configuration's kind for one layer of a decoder that reads a memory."""
    kinds = {Sequential: CrossBlock, PostNorm: PostNormCrossBlock}
    return kinds[type(config.block)](config, spec, memory_width, init, **kwargs)
