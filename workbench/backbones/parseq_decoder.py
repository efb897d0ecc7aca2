"""PARSeq's decoder: two streams through the same blocks (Bautista and Atienza 2022).

The content stream holds the characters read so far, with their positions. The query stream holds
only positions, and predicts the next character at each. Both attend to the content, where a mask
allows it, and to the image. The mask sets the order of reading: left to right, a permutation, or
each character from all others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.block import branch_end, chain
from workbench.backbones.config import DecoderConfig
from workbench.backbones.decoder import Cache
from workbench.backbones.layers.attention import LayerCache, Mixed
from workbench.backbones.layers.cross_attention import CrossAttention
from workbench.backbones.layers.feed_forward import make_mlp
from workbench.backbones.layers.named import Named, TokenEmbedding
from workbench.backbones.layers.norms import make_norm
from workbench.backbones.parseq_config import learned_positions
from workbench.keras_internals import layers_within


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PARSeqCache(Cache):
    """The cache of the content stream, with the image's keys and values, `memory`."""

    memory: tuple[LayerCache, ...] = ()


class ContentAttention(CrossAttention):
    """Attends from either stream to the content, where a mask allows it."""

    def call(  # pyright: ignore[reportIncompatibleMethodOverride]  # a layer's inputs are its own
        self, x: jax.Array, content: LayerCache, visible: jax.Array
    ) -> jax.Array:
        """Attend from x (B, T, width) to the positions where `visible` bool (B, T, S) is true."""

        def mix(queries: tuple[jax.Array, jax.Array]) -> Mixed:
            query, seen = queries
            return self._attend(query, content, seen, None)

        return self._output(mix, (self.query(x), visible))


class PARSeqBlock(keras.layers.Layer):
    """One block for both streams: attention to the content, to the image, and feed-forward."""

    def __init__(self, config: DecoderConfig, memory_width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dtype, width = {"dtype": self.dtype_policy}, config.width

        def norm(name: str) -> keras.layers.Layer:
            return make_norm(config.norm, name=name, **dtype)

        self.width, self.memory_width = width, memory_width
        self.query_norm, self.content_norm = norm("query_norm"), norm("content_norm")
        self.attention = ContentAttention(
            config.attention, width, width, init, name="attention", **dtype
        )
        self.cross_norm, self.mlp_norm = norm("cross_norm"), norm("mlp_norm")
        self.cross_attention = CrossAttention(
            config.attention, width, memory_width, init, name="cross_attention", **dtype
        )
        self.mlp = make_mlp(config.mlp, width, init, name="mlp", **dtype)
        self._after = branch_end(config, False, "", dtype)

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        for layer in layers_within(self, recursive=False):
            layer.build((None, None, self.width))

    def remember(self, content: jax.Array) -> LayerCache:
        """Compute keys and values of a content stream (B, T, width)."""
        return self.attention.remember(self.content_norm(content))

    def forward(
        self,
        x: jax.Array,
        normed: jax.Array,
        content: LayerCache,
        visible: jax.Array,
        memory: LayerCache,
    ) -> jax.Array:
        """Run one stream x (B, T, width) through the block; `normed` is x after its norm."""
        everything = jnp.ones((len(x), memory.key.shape[1]), bool)
        x = x + chain(self._after, self.attention(normed, content, visible))
        x = x + chain(self._after, self.cross_attention(self.cross_norm(x), memory, everything))
        return x + chain(self._after, self.mlp(self.mlp_norm(x)))


class PARSeqDecoder(keras.layers.Layer):
    """Maps token ids and an image's vectors to hidden states (B, T, width) for the next tokens.

    The first token is the start token, which has no position.
    """

    def __init__(self, config: DecoderConfig, memory_width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dtype: dict[str, Any] = {"dtype": self.dtype_policy}
        self.config, self.memory_width = config, memory_width
        self.token_embedding = TokenEmbedding(
            config.vocabulary_size,
            config.width,
            embeddings_initializer=init,
            name="token_embedding",
            **dtype,
        )
        self.positions = PositionQueries(
            learned_positions(config), config.width, init, name="positions", **dtype
        )
        self.blocks = [
            PARSeqBlock(config, memory_width, init, name=f"block_{i}", **dtype)
            for i in range(len(config.layers))
        ]
        self.final_norm = make_norm(config.norm, name="final_norm", **dtype)
        self._dropout = branch_end(config, False, "", dtype)

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]  # Keras names them after `call`
        self,
        token_ids_shape: Any = None,
        memory_shape: Any = None,
        padding_mask_shape: Any = None,
        query_visible_shape: Any = None,
        content_visible_shape: Any = None,
    ) -> None:
        for layer in layers_within(self, recursive=False):
            layer.build((None, None, self.config.width))

    def call(
        self,
        token_ids: jax.Array,
        memory: jax.Array,
        padding_mask: jax.Array | None = None,
        query_visible: jax.Array | None = None,
        content_visible: jax.Array | None = None,
        training: bool | None = None,
    ) -> jax.Array:
        """Compute all positions at once.

        Args:
            token_ids: int32 (B, T).
            memory: the image's vectors (B, S, memory_width).
            padding_mask: (B, T), false at padding.
            query_visible: which tokens each query sees, bool (T, T) or (B, T, T); by default those
                to its left.
            content_visible: which tokens each token sees, in the same form.
            training: whether dropout is on.
        """
        length = token_ids.shape[1]
        causal = jnp.tril(jnp.ones((length, length), bool))
        return self.run(
            token_ids,
            self.remember(memory),
            causal if query_visible is None else query_visible,
            causal if content_visible is None else content_visible,
            padding_mask,
        )

    def compute_output_spec(self, token_ids: Any, memory: Any, *masks: Any) -> keras.KerasTensor:
        shape = (*token_ids.shape, self.config.width)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def remember(self, memory: jax.Array) -> tuple[LayerCache, ...]:
        """Compute each block's keys and values of an image's vectors (B, S, memory_width)."""
        return tuple(block.cross_attention.remember(memory) for block in self.blocks)

    def content(self, token_ids: jax.Array, positions: jax.Array) -> jax.Array:
        """Return the content stream (B, T, width) of ids at positions, both (B, T)."""
        x = self.token_embedding(token_ids)
        x = x * jnp.sqrt(jnp.float32(self.config.width)).astype(x.dtype)
        placed = x + self.positions(jnp.maximum(positions - 1, 0))
        return chain(self._dropout, jnp.where(positions[..., None] > 0, placed, x))

    def queries(self, positions: jax.Array) -> jax.Array:
        """Return the query stream (B, T, width) for what follows each position (B, T)."""
        return chain(self._dropout, self.positions(positions))

    def run(
        self,
        token_ids: jax.Array,
        memory: tuple[LayerCache, ...],
        query_visible: jax.Array,
        content_visible: jax.Array,
        padding_mask: jax.Array | None = None,
    ) -> jax.Array:
        """`call` with both masks given and the `memory` of `remember`."""
        batch, length = token_ids.shape
        positions = jnp.broadcast_to(jnp.arange(length), (batch, length))
        hidden = None if padding_mask is None else padding_mask[:, None, :].astype(bool)
        visible = [
            jnp.broadcast_to(part if hidden is None else part & hidden, (batch, length, length))
            for part in (query_visible, content_visible)
        ]
        query, content = self.queries(positions), self.content(token_ids, positions)
        for block, seen in zip(self.blocks, memory, strict=True):
            held = block.remember(content)
            query = block.forward(query, block.query_norm(query), held, visible[0], seen)
            if block is not self.blocks[-1]:  # the last block's content is not read
                normed = block.content_norm(content)
                content = block.forward(content, normed, held, visible[1], seen)
        return self.final_norm(query)

    def extend(
        self, token_ids: jax.Array, positions: jax.Array, cache: PARSeqCache
    ) -> tuple[jax.Array, PARSeqCache]:
        """Run ids at consecutive positions, both (B, T), against the cache, and extend it."""
        query, content = self.queries(positions), self.content(token_ids, positions)
        slots = jnp.arange(cache.layers[0].key.shape[1])
        visible = positions[:, :, None] >= slots
        grown = []
        for block, own, seen in zip(self.blocks, cache.layers, cache.memory, strict=True):
            own = own.write(*block.remember(content), positions[:, 0])
            grown.append(own)
            query = block.forward(query, block.query_norm(query), own, visible, seen)
            if block is not self.blocks[-1]:
                normed = block.content_norm(content)
                content = block.forward(content, normed, own, visible, seen)
        return self.final_norm(query), replace(cache, layers=tuple(grown))


class PositionQueries(Named, keras.layers.Layer):
    """Looks up positions (B, T) in a learned table (length, width)."""

    def __init__(self, length: int, width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length, self.width, self.init = length, width, init

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        self.embeddings = self.add_weight((self.length, self.width), self.init, name="embeddings")

    def call(self, positions: jax.Array) -> jax.Array:
        return self.embeddings.value[positions]
