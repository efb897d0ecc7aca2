"""Rotary positions, half-split: feature i of the first half turns with feature i of the second."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from workbench.backbones.config import Llama3Scaling, LongScaling, Rope


class Rotation(NamedTuple):
    """Radians per position of each pair, float32 (head_dim / 2,), and a factor on what turns."""

    frequencies: np.ndarray
    magnitude: float = 1.0


def rotation(rope: Rope, head_dim: int, stretched: bool = False) -> Rotation:
    """How a head turns; `stretched` takes the long factors of longrope."""
    exponent = np.arange(0, head_dim, 2, dtype=np.float32) / head_dim
    base = 1.0 / (np.float32(rope.max_wavelength) ** exponent)
    magnitude = 1.0
    if isinstance(rope.scaling, Llama3Scaling):
        base = _llama3(base, rope.scaling)
    elif isinstance(rope.scaling, LongScaling):
        factors = rope.scaling.long_factors if stretched else rope.scaling.short_factors
        base, magnitude = base / np.array(factors, np.float32), rope.scaling.magnitude
    return Rotation((base / rope.linear_factor).astype(np.float32), magnitude)


def _llama3(base: np.ndarray, scaling: Llama3Scaling) -> np.ndarray:
    """Stretch wavelengths above original / low, keep those below original / high, blend between."""
    turns = scaling.original_length * base / (2 * np.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    keep = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return keep * base + (1 - keep) * base / scaling.factor


def rotate(x: jax.Array, positions: jax.Array, turn: Rotation) -> jax.Array:
    """Rotate x (B, T, H, K) by integer positions (B, T); angles and products are float32."""
    angles = positions[..., None].astype(jnp.float32) * turn.frequencies  # (B, T, K/2)
    cos, sin = jnp.cos(angles)[:, :, None], jnp.sin(angles)[:, :, None]
    if turn.magnitude != 1.0:
        cos, sin = cos * turn.magnitude, sin * turn.magnitude
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return turned.astype(x.dtype)
