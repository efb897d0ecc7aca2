"""PARSeq's decoder: two streams through the same blocks (Bautista and Atienza 2022).

The content stream holds what has been read: characters with their positions. The query stream holds
positions alone and asks, at each, which character comes next. Both attend to the content, as far
as a mask allows, and to the picture. The mask is what makes the model read in one order or another:
left to right, in a permutation, or each place from all others.
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
from workbench.keras_internals import layers_within


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PARSeqCache(Cache):
    """Keys and values of the content, which grow, and those of the picture, which do not."""

    memory: tuple[LayerCache, ...] = ()


class ContentAttention(CrossAttention):
    """Attends from either stream to the content, where a mask allows it."""

    def call(self, x: jax.Array, content: LayerCache, visible: jax.Array) -> jax.Array:
        """x is (B, T, width); `visible` bool (B, T, S) says which of S places each query sees."""

        def mix(queries: tuple[jax.Array, jax.Array]) -> Mixed:
            query, seen = queries
            return self._attend(query, content, seen, None)

        return self._output(mix, (self.query(x), visible))


class PARSeqBlock(keras.layers.Layer):
    """One layer for both streams: attention to the content, to the picture, feed-forward."""

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
        """Keys and values of a content stream (B, T, width)."""
        return self.attention.remember(self.content_norm(content))

    def forward(
        self,
        x: jax.Array,
        normed: jax.Array,
        content: LayerCache,
        visible: jax.Array,
        memory: LayerCache,
    ) -> jax.Array:
        """One stream, x (B, T, width), through the block; `normed` is x through its norm."""
        everything = jnp.ones((len(x), memory.key.shape[1]), bool)
        x = x + chain(self._after, self.attention(normed, content, visible))
        x = x + chain(self._after, self.cross_attention(self.cross_norm(x), memory, everything))
        return x + chain(self._after, self.mlp(self.mlp_norm(x)))


class PARSeqDecoder(keras.layers.Layer):
    """Hidden states (B, T, width), one for each next token, of token ids and a picture's vectors.

    The first token is the start; it stands for what comes before the text and has no position.
    """

    def __init__(self, config: DecoderConfig, memory_width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dtype = {"dtype": self.dtype_policy}
        self.config, self.memory_width = config, memory_width
        self.token_embedding = TokenEmbedding(
            config.vocabulary_size,
            config.width,
            embeddings_initializer=init,
            name="token_embedding",
            **dtype,
        )
        self.positions = PositionQueries(
            config.position.length, config.width, init, name="positions", **dtype
        )
        self.blocks = [
            PARSeqBlock(config, memory_width, init, name=f"block_{i}", **dtype)
            for i in range(len(config.layers))
        ]
        self.final_norm = make_norm(config.norm, name="final_norm", **dtype)
        self._dropout = branch_end(config, False, "", dtype)

    def build(
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
        """Every position at once; `padding_mask` (B, T) hides the false ones. Left to right, or as
        two masks bool (T, T) or (B, T, T) say, which token each query sees, and each token.
        `training` is for the dropout within."""
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
        """Each layer's keys and values of a picture's vectors (B, S, memory_width)."""
        return tuple(block.cross_attention.remember(memory) for block in self.blocks)

    def content(self, token_ids: jax.Array, positions: jax.Array) -> jax.Array:
        """The content stream (B, T, width) of ids at positions, both (B, T)."""
        x = self.token_embedding(token_ids)
        x = x * jnp.sqrt(jnp.float32(self.config.width)).astype(x.dtype)
        placed = x + self.positions(jnp.maximum(positions - 1, 0))
        return chain(self._dropout, jnp.where(positions[..., None] > 0, placed, x))

    def queries(self, positions: jax.Array) -> jax.Array:
        """The query stream (B, T, width) of what follows each position (B, T)."""
        return chain(self._dropout, self.positions(positions))

    def run(
        self,
        token_ids: jax.Array,
        memory: tuple[LayerCache, ...],
        query_visible: jax.Array,
        content_visible: jax.Array,
        padding_mask: jax.Array | None = None,
    ) -> jax.Array:
        """As `call`, in any order: which token each query sees, and each token, bool (T, T) or
        (B, T, T). `memory` is that of `remember`."""
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
            if block is not self.blocks[-1]:  # nobody reads the content of the last layer
                normed = block.content_norm(content)
                content = block.forward(content, normed, held, visible[1], seen)
        return self.final_norm(query)

    def extend(
        self, token_ids: jax.Array, positions: jax.Array, cache: PARSeqCache
    ) -> tuple[jax.Array, PARSeqCache]:
        """Left to right with a cache: ids at consecutive positions, both (B, T), join it."""
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
    """Rows of a learned table (length, width), one for each position (B, T)."""

    def __init__(self, length: int, width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length, self.width, self.init = length, width, init

    def build(self, positions_shape: tuple[int | None, ...] | None = None) -> None:
        self.embeddings = self.add_weight((self.length, self.width), self.init, name="embeddings")

    def call(self, positions: jax.Array) -> jax.Array:
        return self.embeddings.value[positions]
