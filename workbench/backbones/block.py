"""One layer of a decoder.

x ──┬─ norm ─ attention ─ [norm] ─(+)──┬─ norm ─ mlp ─ [norm] ─(+)── x
    └──────────────────────────────┘   └────────────────────────┘
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.config import DecoderConfig, LayerSpec, Rope
from workbench.backbones.layers.attention import Attention, LayerCache
from workbench.backbones.layers.mlp import make_mlp
from workbench.backbones.layers.norms import make_norm


class DecoderBlock(keras.layers.Layer):
    """Pre-norm attention and feed-forward branches, each added to the residual stream."""

    def __init__(self, config: DecoderConfig, spec: LayerSpec, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        dtype = {"dtype": self.dtype_policy}
        norm = config.norm
        rope = config.position if isinstance(config.position, Rope) else None
        self.attention_norm = make_norm(norm, name="attention_norm", **dtype)
        self.attention = Attention(
            config.attention,
            config.width,
            init,
            rope=rope,
            window=spec.window,
            name="attention",
            **dtype,
        )
        self.mlp_norm = make_norm(norm, name="mlp_norm", **dtype)
        self.mlp = make_mlp(config.mlp, config.width, init, name="mlp", **dtype)
        self._after_attention = _after(
            config, spec.post_attention_norm, "post_attention_norm", dtype
        )
        self._after_mlp = _after(config, spec.post_mlp_norm, "post_mlp_norm", dtype)

    def build(self, x_shape: tuple[int | None, ...], padding_mask_shape: Any = None) -> None:
        parts = (self.attention_norm, self.attention, *self._after_attention)
        for layer in (*parts, self.mlp_norm, self.mlp, *self._after_mlp):
            layer.build(x_shape)

    def call(self, x: jax.Array, padding_mask: jax.Array | None = None) -> jax.Array:
        """The full forward pass over x (B, T, width): every position at once, nothing cached."""
        length = x.shape[1]
        positions = jnp.broadcast_to(jnp.arange(length), (x.shape[0], length))
        return self._run(x, positions, padding_mask)[0]

    def extend(
        self, x: jax.Array, positions: jax.Array, cache: LayerCache
    ) -> tuple[jax.Array, LayerCache]:
        """The cached pass: x (B, T, width) at `positions` (B, T) joins what the cache holds."""
        return self._run(x, positions, None, cache)

    def compute_output_spec(self, x: Any, padding_mask: Any = None) -> keras.KerasTensor:
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def _run(
        self,
        x: jax.Array,
        positions: jax.Array,
        padding_mask: jax.Array | None,
        cache: LayerCache | None = None,
    ) -> tuple[jax.Array, LayerCache]:
        branch, cache = self.attention(self.attention_norm(x), positions, padding_mask, cache)
        x = x + _chain(self._after_attention, branch)
        branch = self.mlp(self.mlp_norm(x))
        return x + _chain(self._after_mlp, branch), cache


def _after(
    config: DecoderConfig, normed: bool, name: str, dtype: dict[str, Any]
) -> list[keras.layers.Layer]:
    """What a branch passes through before it is added."""
    layers = [make_norm(config.norm, name=name, **dtype)] if normed else []
    if config.dropout:
        layers.append(keras.layers.Dropout(config.dropout, **dtype))
    return layers


def _chain(layers: list[keras.layers.Layer], x: jax.Array) -> jax.Array:
    for layer in layers:
        x = layer(x)
    return x
