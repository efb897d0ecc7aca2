"""Bidirectional attention, for encoders."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from workbench.backbones import config
from workbench.backbones.layers.attention import Attention, Places


class BidirectionalAttention(Attention):
    """Attention over a whole sequence; a window covers that many tokens on each side.

    As in Transformers' T5Gemma, the window includes the token at a distance equal to it.
    """

    def _visible(self, distance: jax.Array, queries: Places, slots: Places) -> jax.Array:
        visible = jnp.ones(distance.shape, bool)
        if self.window is not None:
            visible = jnp.abs(distance) <= self.window
        if slots.padding_mask is not None:
            visible &= slots.padding_mask[:, None, :].astype(bool)
        return visible


def make_attention(spec: config.Attention, *args: Any, **kwargs: Any) -> Attention:
    """Make the layer for an attention's specification, causal or not."""
    kind = Attention if spec.causal else BidirectionalAttention
    return kind(spec, *args, **kwargs)
