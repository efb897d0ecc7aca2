"""One block of an encoder-decoder's decoder.

x ── self-attention ── cross-attention ── mlp ── x

Each of the three is added to the residual stream and normed as the block's configuration says.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.block import PostNormLayers, SequentialLayers, branch_end, chain
from workbench.backbones.config import DecoderConfig, LayerSpec, PostNorm, Sequential
from workbench.backbones.layers.attention import LayerCache
from workbench.backbones.layers.cross_attention import CrossAttention
from workbench.backbones.layers.norms import make_norm


class CrossBlock(SequentialLayers):
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

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]  # Keras names them after `call`
        self,
        x_shape: tuple[int | None, ...],
        memory_shape: Any = None,
        padding_mask_shape: Any = None,
        memory_mask_shape: Any = None,
    ) -> None:
        self._build(x_shape)

    def call(
        self,
        x: jax.Array,
        memory: jax.Array,
        padding_mask: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
    ) -> jax.Array:
        """Run the full forward pass over x (B, T, width).

        Args:
            x: the decoder's residual stream.
            memory: the encoder's output (B, S, memory_width).
            padding_mask: of x, (B, T).
            memory_mask: of the memory, (B, S).
        """
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
        memory_mask: jax.Array | None,
    ) -> tuple[jax.Array, LayerCache]:
        """Run x (B, T, width) at `positions` int32 (B, T) against the cache, and extend it.
        `memory` holds the keys and values of the encoder's output."""
        where = {"positions": positions, "cache": cache, "stretched": stretched}
        return self._run(x, memory=memory, memory_mask=memory_mask, **where)

    def _run(
        self, x: jax.Array, memory: LayerCache, memory_mask: jax.Array | None, **where: Any
    ) -> tuple[jax.Array, LayerCache]:
        x, cache = self._attend(x, **where)
        branch = self.cross_attention(self._read(self.cross_norm, x), memory, memory_mask)
        x = self._join(self.cross_norm, x, chain(self._after_cross, branch))
        return self._feed_forward(x), cache


class PostNormCrossBlock(PostNormLayers, CrossBlock):
    """A cross block whose norms follow the sums."""


def make_cross_block(
    config: DecoderConfig, spec: LayerSpec, memory_width: int, init: Any, **kwargs: Any
) -> CrossBlock:
    """Make one block, of the kind that the configuration names, that reads an encoder's output."""
    kinds = {Sequential: CrossBlock, PostNorm: PostNormCrossBlock}
    return kinds[type(config.block)](config, spec, memory_width, init, **kwargs)
