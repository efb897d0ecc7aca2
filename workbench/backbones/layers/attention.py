"""Causal grouped-query attention, over its own input or over a cache of keys and values.

A slot of the cache is a position: the key of row b for position p is at [b, p]. So rows of unequal
length need no padding mask: causality hides the slots after a row's position, and the row
overwrites them when it gets there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.backbones import config
from workbench.backbones.layers.alibi import slopes
from workbench.backbones.layers.chunks import in_chunks
from workbench.backbones.layers.named import Projection
from workbench.backbones.layers.norms import HeadsRMSNorm, make_norm
from workbench.backbones.layers.packing import same_text
from workbench.backbones.layers.rotary import rotate, rotation
from workbench.backbones.observing import observed, watched

HIDDEN = -1e30


class LayerCache(NamedTuple):
    """Keys and values of one layer, both (B, L, kv_heads, head_dim)."""

    key: jax.Array
    value: jax.Array

    def write(self, key: jax.Array, value: jax.Array, start: jax.Array) -> LayerCache:
        """Write (B, T, kv_heads, head_dim) to slots start[b] to start[b] + T of each row b."""
        return LayerCache(_write(self.key, key, start), _write(self.value, value, start))


def _write(slots: jax.Array, new: jax.Array, start: jax.Array) -> jax.Array:
    new = new.astype(slots.dtype)
    if slots.shape[0] == 1:  # one slice is updated in place, a scatter over rows is slower
        return jax.lax.dynamic_update_slice(slots, new, (0, start[0], 0, 0))
    place = jax.vmap(lambda row, part, at: jax.lax.dynamic_update_slice(row, part, (at, 0, 0)))
    return place(slots, new, start)


class Places(NamedTuple):
    """The positions of queries or slots, their padding mask and their groups, each (B, T), as
    `Attention.call` takes them."""

    positions: jax.Array
    padding_mask: jax.Array | None = None
    groups: jax.Array | None = None


class Mixed(NamedTuple):
    """The weighted sums of values (B, T, heads, head_dim), and the attention weights (B, T, heads,
    S), each query's summing to 1; None unless an observer asked for them."""

    values: jax.Array
    shares: jax.Array | None


class Attention(keras.layers.Layer):
    """Projects x (B, T, width) to queries, keys and values, attends, and projects back."""

    def __init__(
        self,
        spec: config.Attention,
        width: int,
        init: Any,
        *,
        position: config.Rope | config.Alibi | None,
        window: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec, self.window, self.position = spec, window, position
        self.slopes = _slopes(position, spec)
        shared = {"kernel_initializer": init, "dtype": self.dtype_policy}
        bias = "hk" if spec.bias else None

        def heads(count: int, name: str) -> Projection:
            shape = (None, count, spec.head_dim)
            return Projection("btd,hkd->bthk", shape, bias_axes=bias, name=name, **shared)

        self.query = heads(spec.heads, "query")
        self.key = heads(spec.kv_heads, "key")
        self.value = heads(spec.kv_heads, "value")
        self.output_projection = Projection(
            "bthk,dhk->btd",
            (None, width),
            bias_axes="d" if spec.output_bias else None,
            name="output",
            **shared,
        )
        self.query_norm = self._head_norm("query_norm")
        self.key_norm = self._head_norm("key_norm")

    def _head_norm(self, name: str) -> keras.layers.Layer | None:
        norm = self.spec.query_key_norm
        if norm is None:
            return None
        make = HeadsRMSNorm if self.spec.norms_heads_together else make_norm
        return make(norm, dtype=self.dtype_policy, name=name)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self._build(input_shape, input_shape)

    def _build(
        self, input_shape: tuple[int | None, ...], memory_shape: tuple[int | None, ...]
    ) -> None:
        """Build for queries made of the input and keys and values made of the memory."""
        self.query.build(input_shape)
        for projection in (self.key, self.value):
            projection.build(memory_shape)
        merged = (*input_shape[:-1], self.spec.heads, self.spec.head_dim)
        self.output_projection.build(merged)
        counts = (self.spec.heads, self.spec.kv_heads)
        for norm, heads in zip((self.query_norm, self.key_norm), counts, strict=True):
            if norm is not None:
                norm.build((heads, self.spec.head_dim))

    def call(
        self,
        x: jax.Array,
        positions: jax.Array,
        padding_mask: jax.Array | None = None,
        cache: LayerCache | None = None,
        stretched: bool = False,
        groups: jax.Array | None = None,
    ) -> tuple[jax.Array, LayerCache]:
        """Attend from x (B, T, width).

        Args:
            x: the input.
            positions: int32 (B, T), consecutive in each row.
            padding_mask: (B, T), hides padding and the other texts of a row; only without a cache.
            cache: takes the new keys and values; without one, x attends to itself.
            stretched: use the long factors of longrope.
            groups: int32 (B, T), -1 for none. Positions of one group attend to each other whatever
                their order and distance; with a cache they are its first T slots.

        Returns:
            The output (B, T, width), and the cache or the keys and values of x.
        """
        query, key, value = self.query(x), self.key(x), self.value(x)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if isinstance(self.position, config.Rope):
            turn = rotation(self.position, self.spec.head_dim, stretched)
            query, key = (rotate(part, positions, turn) for part in (query, key))
        if cache is None:
            attend, cache = self._attend_whole, LayerCache(key, value)
        else:
            attend, cache = self._attend, cache.write(key, value, positions[:, 0])
        places = Places(positions, padding_mask, groups)

        def mix(queries: tuple[jax.Array, Places]) -> Mixed:
            query, where = queries
            distance = where.positions[:, :, None] - jnp.arange(cache.key.shape[1])
            visible = self._visible(distance, where, places)
            return attend(query, cache, visible, distance)

        return self._output(mix, (query, places)), cache

    def _output(self, mix: Callable[[Any], Mixed], queries: Any) -> jax.Array:
        """Compute `mix(queries)` chunk by chunk, and project it to the layer's output."""
        made, shares = in_chunks(mix, queries)
        if shares is not None:
            observed(f"{self.path}/weights", shares.swapaxes(1, 2))
        return observed(f"{self.path}/output", self.output_projection(made))

    def _visible(self, distance: jax.Array, queries: Places, slots: Places) -> jax.Array:
        """Return which slots each query sees, bool (B, T, L). `distance` int (B, T, L) is how far
        back a slot is; `slots` describes the first slots."""
        visible = distance >= 0
        if self.window is not None:
            visible &= distance < self.window
        if queries.groups is not None and slots.groups is not None:
            visible |= _same_group(queries.groups, slots.groups, distance.shape[-1])
        if queries.padding_mask is not None and slots.padding_mask is not None:
            visible &= same_text(queries.padding_mask, slots.padding_mask)
        return visible

    def _attend(
        self, query: jax.Array, cache: LayerCache, visible: jax.Array, distance: jax.Array | None
    ) -> Mixed:
        """Softmax attention of queries (B, T, heads, K). Scores and softmax are float32."""
        batch, length, heads, dim = query.shape
        groups = self.spec.kv_heads
        grouped = query.reshape(batch, length, groups, heads // groups, dim)
        scores = jnp.einsum(
            "btgrk,bsgk->bgrts", grouped, cache.key, preferred_element_type=jnp.float32
        )
        weights = self._weights(scores * self.spec.scale, visible, distance)
        # Dividing after the sum divides head_dim numbers instead of one for each slot.
        mixed = jnp.einsum(
            "bgrts,bsgk->btgrk",
            weights.astype(query.dtype),
            cache.value,
            preferred_element_type=jnp.float32,
        )
        total = jnp.einsum("bgrts->btgr", weights)[..., None]
        values = (mixed / total).astype(query.dtype).reshape(query.shape)
        return Mixed(values, self._shares(weights, total))

    def _attend_whole(
        self, query: jax.Array, keys: LayerCache, visible: jax.Array, distance: jax.Array | None
    ) -> Mixed:
        """`_attend` for new keys: transposed so that heads come first, matrix products are faster.
        A cache would have to be copied for this in every step."""
        batch, length, heads, dim = query.shape
        groups, slots = self.spec.kv_heads, visible.shape[-1]
        shape = (batch, groups, heads // groups, length)

        def first(part: jax.Array) -> jax.Array:  # (B, S, heads, K) to (B groups, ..., K)
            return part.transpose(0, 2, 1, 3).reshape(batch * groups, -1, dim)

        wide = {"preferred_element_type": jnp.float32}
        scores = jnp.matmul(first(query), first(keys.key).transpose(0, 2, 1), **wide)
        scores = scores.reshape(*shape, slots) * self.spec.scale
        weights = self._weights(scores, visible, distance)
        total = jnp.einsum("bgrts->btgr", weights)[..., None]
        shares = self._shares(weights, total)
        weights = weights.astype(query.dtype).reshape(batch * groups, -1, slots)
        mixed = jnp.matmul(weights, first(keys.value), **wide).reshape(*shape, dim)
        mixed = mixed.transpose(0, 3, 1, 2, 4) / total
        return Mixed(mixed.astype(query.dtype).reshape(query.shape), shares)

    def _shares(self, weights: jax.Array, total: jax.Array) -> jax.Array | None:
        """Normalise weights (B, groups, queries a group, T, S) by their sums (B, T, groups, queries
        a group, 1), for `Mixed`."""
        if not watched(f"{self.path}/weights"):
            return None
        shares = weights.transpose(0, 3, 1, 2, 4) / total
        return shares.reshape(*shares.shape[:2], -1, shares.shape[-1])

    def _weights(
        self, scores: jax.Array, visible: jax.Array, distance: jax.Array | None
    ) -> jax.Array:
        """Turn scaled scores (B, groups, queries a group, T, S) into float32 weights of that shape,
        not yet divided by their sum."""
        if self.spec.soft_cap is not None:
            scores = self.spec.soft_cap * jnp.tanh(scores / self.spec.soft_cap)
        if self.slopes is not None and distance is not None:
            fall = self.slopes.reshape(scores.shape[1:3])
            scores = scores - fall[:, :, None, None] * distance[:, None, None].astype(jnp.float32)
        scores = scores + jnp.where(visible, 0.0, HIDDEN)[:, None, None]
        return jnp.exp(scores - jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True)))


def _same_group(queries: jax.Array, groups: jax.Array, length: int) -> jax.Array:
    """Return which of `length` slots share the group of each query (B, T), bool (B, T, length).
    `groups` (B, S) are those of the first slots."""
    slots = jnp.pad(groups, ((0, 0), (0, length - groups.shape[1])), constant_values=-1)
    return (queries[:, :, None] == slots[:, None, :]) & (queries[:, :, None] >= 0)


def _slopes(position: object, spec: config.Attention) -> np.ndarray | None:
    if not isinstance(position, config.Alibi):
        return None
    return slopes(spec.heads) * np.float32(spec.scale if position.scaled else 1.0)
