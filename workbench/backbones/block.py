"""One transformer block.

Sequential, with the norms in brackets where the family has them:

x ──┬─ norm ─ attention ─ [norm] ─(+)──┬─ norm ─ mlp ─ [norm] ─(+)── x
    └──────────────────────────────┘   └────────────────────────┘

Parallel, where both branches may share one norm:

x ──┬─ norm ─ attention ─(+)── x
    ├─ norm ─── mlp ──────┤
    └─────────────────────┘

Post-norm:

x ──┬─ attention ─(+)─ norm ──┬─ mlp ─(+)─ norm ── x
    └─────────────┘           └───────┘

Branch-norm:

x ──┬─ attention ─ norm ─(+)──┬─ mlp ─ norm ─(+)── x
    └────────────────────┘    └──────────────┘
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.config import (
    BranchNorm,
    LayerSpec,
    Learned,
    Parallel,
    PostNorm,
    Sequential,
    StackConfig,
)
from workbench.backbones.layers.attention import LayerCache
from workbench.backbones.layers.bidirectional import make_attention
from workbench.backbones.layers.feed_forward import make_mlp
from workbench.backbones.layers.norms import make_norm
from workbench.backbones.observing import observed
from workbench.backbones.remat import recomputed
from workbench.keras_internals import layers_within


class BlockLayers(keras.layers.Layer):
    """The attention and feed-forward layers of a block, and what follows each branch."""

    def __init__(self, config: StackConfig, spec: LayerSpec, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dtype = {"dtype": self.dtype_policy}
        position = (spec.rope or config.position) if spec.has_positions else None
        self.attention_norm = make_norm(config.norm, name="attention_norm", **dtype)
        self.attention = make_attention(
            config.attention,
            config.width,
            init,
            position=None if isinstance(position, Learned) else position,
            window=spec.window,
            name="attention",
            **dtype,
        )
        self.mlp = make_mlp(spec.mlp or config.mlp, config.width, init, name="mlp", **dtype)
        self._after_attention = branch_end(
            config, spec.post_attention_norm, "post_attention_norm", dtype
        )
        self._after_mlp = branch_end(config, spec.post_mlp_norm, "post_mlp_norm", dtype)
        self._stretches = config.stretches

    def _build(self, x_shape: tuple[int | None, ...]) -> None:
        for layer in layers_within(self, recursive=False):
            layer.build(x_shape)

    def _mlp(self, x: jax.Array, padding_mask: jax.Array | None) -> jax.Array:
        return observed(f"{self.mlp.path}/output", self.mlp(x, padding_mask))

    def _end(self, x: jax.Array) -> jax.Array:
        """Return the block's output, reported to observers."""
        return observed(f"{self.path}/output", x)


class DecoderBlock(BlockLayers):
    """A block that reads one sequence: both branches are added to the residual stream."""

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]  # Keras names them after `call`
        self,
        x_shape: tuple[int | None, ...],
        padding_mask_shape: Any = None,
        groups_shape: Any = None,
    ) -> None:
        self._build(x_shape)

    def call(
        self,
        x: jax.Array,
        padding_mask: jax.Array | None = None,
        groups: jax.Array | None = None,
    ) -> jax.Array:
        """Run the full forward pass over x (B, T, width): all positions at once, without a cache.

        Args:
            x: the residual stream (B, T, width).
            padding_mask: (B, T), see `Decoder`.
            groups: int32 (B, T), -1 for none: positions of one group attend to each other in both
                directions.
        """
        length = x.shape[1]
        positions = jnp.broadcast_to(jnp.arange(length), (x.shape[0], length))
        stretched = self._stretches(length)
        where = {"positions": positions, "padding_mask": padding_mask, "groups": groups}
        return recomputed(self, lambda x: self._run(x, stretched=stretched, **where)[0], x)

    def extend(
        self,
        x: jax.Array,
        positions: jax.Array,
        cache: LayerCache,
        stretched: bool,
        groups: jax.Array | None = None,
    ) -> tuple[jax.Array, LayerCache]:
        """Run x (B, T, width) at `positions` int32 (B, T) against the cache, and extend it."""
        where = {"positions": positions, "cache": cache, "groups": groups}
        return self._run(x, stretched=stretched, **where)

    def compute_output_spec(
        self, x: Any, padding_mask: Any = None, groups: Any = None
    ) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def _run(self, x: jax.Array, **where: Any) -> tuple[jax.Array, LayerCache]:
        raise NotImplementedError


class SequentialLayers(BlockLayers):
    """The branches of a pre-norm block, where feed-forward reads the output of attention."""

    def __init__(self, config: StackConfig, spec: LayerSpec, init: Any, **kwargs: Any) -> None:
        super().__init__(config, spec, init, **kwargs)
        self.mlp_norm = make_norm(config.norm, name="mlp_norm", dtype=self.dtype_policy)

    def _attend(self, x: jax.Array, **where: Any) -> tuple[jax.Array, LayerCache]:
        branch, cache = self.attention(self._read(self.attention_norm, x), **where)
        return self._join(self.attention_norm, x, chain(self._after_attention, branch)), cache

    def _feed_forward(self, x: jax.Array, padding_mask: jax.Array | None = None) -> jax.Array:
        branch = self._mlp(self._read(self.mlp_norm, x), padding_mask)
        return self._end(self._join(self.mlp_norm, x, chain(self._after_mlp, branch)))

    def _read(self, norm: keras.layers.Layer, x: jax.Array) -> jax.Array:
        """Return a branch's input, given the residual stream."""
        return norm(x)

    def _join(self, norm: keras.layers.Layer, x: jax.Array, branch: jax.Array) -> jax.Array:
        """Add a branch to the residual stream."""
        return x + branch


class SequentialBlock(SequentialLayers, DecoderBlock):
    """Attention, then feed-forward."""

    def _run(self, x: jax.Array, **where: Any) -> tuple[jax.Array, LayerCache]:
        x, cache = self._attend(x, **where)
        return self._feed_forward(x, where.get("padding_mask")), cache


class PostNormLayers(SequentialLayers):
    """Branches that read the stream itself and norm each sum."""

    def _read(self, norm: keras.layers.Layer, x: jax.Array) -> jax.Array:
        return x

    def _join(self, norm: keras.layers.Layer, x: jax.Array, branch: jax.Array) -> jax.Array:
        return norm(x + branch)


class PostNormBlock(PostNormLayers, SequentialBlock):
    """A sequential block whose norms follow the sums."""


class BranchNormBlock(PostNormBlock):
    """A sequential block that norms the output of each branch."""

    def _join(self, norm: keras.layers.Layer, x: jax.Array, branch: jax.Array) -> jax.Array:
        return x + norm(branch)


class ParallelBlock(DecoderBlock):
    """A block whose attention and feed-forward branches read the same input."""

    def __init__(self, config: StackConfig, spec: LayerSpec, init: Any, **kwargs: Any) -> None:
        super().__init__(config, spec, init, **kwargs)
        if isinstance(config.block, Parallel) and config.block.shared_norm:
            self.mlp_norm = None
        else:
            self.mlp_norm = make_norm(config.norm, name="mlp_norm", dtype=self.dtype_policy)

    def _run(self, x: jax.Array, **where: Any) -> tuple[jax.Array, LayerCache]:
        normed = self.attention_norm(x)
        branch, cache = self.attention(normed, **where)
        read = normed if self.mlp_norm is None else self.mlp_norm(x)
        other = self._mlp(read, where.get("padding_mask"))
        x = x + chain(self._after_attention, branch) + chain(self._after_mlp, other)
        return self._end(x), cache


def make_block(config: StackConfig, spec: LayerSpec, init: Any, **kwargs: Any) -> DecoderBlock:
    """Make one block of the kind that the configuration names."""
    kinds = {
        Sequential: SequentialBlock,
        Parallel: ParallelBlock,
        PostNorm: PostNormBlock,
        BranchNorm: BranchNormBlock,
    }
    return kinds[type(config.block)](config, spec, init, **kwargs)


def branch_end(
    config: StackConfig, normed: bool, name: str, dtype: dict[str, Any]
) -> list[keras.layers.Layer]:
    """Make the layers between a branch and its sum with the stream: norm, dropout, or neither."""
    layers: list[keras.layers.Layer] = (
        [make_norm(config.norm, name=name, **dtype)] if normed else []
    )
    if config.dropout:
        layers.append(keras.layers.Dropout(config.dropout, **dtype))
    return layers


def chain(layers: list[keras.layers.Layer], x: jax.Array) -> jax.Array:
    """Apply layers one after another."""
    for layer in layers:
        x = layer(x)
    return x
