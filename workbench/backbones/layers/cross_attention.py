"""Cross-attention: a decoder's queries, an encoder's keys and values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from workbench.backbones import config
from workbench.backbones.layers.attention import Attention, LayerCache, Mixed


class CrossAttention(Attention):
    """Attends from x (B, T, width) to a memory (B, S, memory_width), without positions.

    Keys and values depend on the memory alone, so `remember` computes them once for all steps.
    """

    def __init__(
        self, spec: config.Attention, width: int, memory_width: int, init: Any, **kwargs: Any
    ) -> None:
        super().__init__(spec, width, init, position=None, window=None, **kwargs)
        self.memory_width = memory_width

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self._build(input_shape, (*input_shape[:-1], self.memory_width))

    def remember(self, memory: jax.Array) -> LayerCache:
        """Compute keys and values (B, S, kv_heads, head_dim) of a memory (B, S, memory_width)."""
        key, value = self.key(memory), self.value(memory)
        if self.key_norm is not None:
            key = self.key_norm(key)
        return LayerCache(key, value)

    def call(  # pyright: ignore[reportIncompatibleMethodOverride]  # a layer's inputs are its own
        self, x: jax.Array, memory: LayerCache, memory_mask: jax.Array | None = None
    ) -> jax.Array:
        """Attend from x (B, T, width) to the positions where `memory_mask` (B, S) is true, by
        default to all."""
        query = self.query(x)
        if self.query_norm is not None:
            query = self.query_norm(query)

        def mix(queries: jax.Array) -> Mixed:
            shape = (*queries.shape[:2], memory.key.shape[1])
            seen = True if memory_mask is None else memory_mask[:, None, :].astype(bool)
            return self._attend(queries, memory, jnp.broadcast_to(seen, shape), None)

        return self._output(mix, query)
