"""Rotary positions: each pair of features rotates at its own frequency."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from workbench.backbones.config import Llama3Scaling, LongScaling, Rope


class Rotation(NamedTuple):
    """The rotation of a head: radians per position of each pair, float32 (pairs,); a factor on the
    rotated features; and whether a pair is two neighbours, or one feature from each half."""

    frequencies: np.ndarray
    magnitude: float = 1.0
    interleaved: bool = False


def rotation(rope: Rope, head_dim: int, stretched: bool = False) -> Rotation:
    """Compute a head's rotation; `stretched` uses the long factors of longrope."""
    turned = rope.turns(head_dim)
    exponent = np.arange(0, turned, 2, dtype=np.float32) / turned
    base = 1.0 / (np.float32(rope.max_wavelength) ** exponent)
    magnitude = 1.0
    if isinstance(rope.scaling, Llama3Scaling):
        base = _llama3(base, rope.scaling)
    elif isinstance(rope.scaling, LongScaling):
        factors = rope.scaling.long_factors if stretched else rope.scaling.short_factors
        base, magnitude = base / np.array(factors, np.float32), rope.scaling.magnitude
    frequencies = (base / rope.linear_factor).astype(np.float32)
    return Rotation(frequencies, magnitude, rope.interleaved)


def _llama3(base: np.ndarray, scaling: Llama3Scaling) -> np.ndarray:
    """Stretch wavelengths above original / low, keep those below original / high, blend between."""
    turns = scaling.original_length * base / (2 * np.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    keep = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return keep * base + (1 - keep) * base / scaling.factor


def rotate(x: jax.Array, positions: jax.Array, turn: Rotation) -> jax.Array:
    """Rotate x (B, T, H, K) by integer positions (B, T); angles and products are float32.

    Features after the pairs of `turn` stay as they are.
    """
    angles = positions[..., None].astype(jnp.float32) * turn.frequencies  # (B, T, pairs)
    cos, sin = jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None]
    if turn.magnitude != 1.0:
        cos, sin = cos * turn.magnitude, sin * turn.magnitude
    turned = 2 * len(turn.frequencies)
    wide = x[..., :turned].astype(jnp.float32)
    if turn.interleaved:
        first, second = wide[..., 0::2], wide[..., 1::2]
    else:
        first, second = jnp.split(wide, 2, axis=-1)
    parts = [first * cos - second * sin, second * cos + first * sin]
    if turn.interleaved:
        made = jnp.stack(parts, axis=-1).reshape(wide.shape)
    else:
        made = jnp.concatenate(parts, axis=-1)
    made = made.astype(x.dtype)
    still = x[..., turned:]
    return jnp.concatenate([made, still], axis=-1) if still.shape[-1] else made
