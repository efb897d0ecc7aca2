"""Mixtures of experts: a router sends each token to a few of many gated networks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones import config
from workbench.backbones.keras_types import array_of
from workbench.backbones.layers import grouped
from workbench.backbones.layers.mlp import ACTIVATIONS, GatedMLP
from workbench.backbones.layers.named import Named, Projection


class Experts(Named, keras.layers.Layer):
    """The gated networks of all experts, each kernel stacked along its first axis."""

    def __init__(self, spec: config.MoE, width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = ACTIVATIONS[spec.activation]
        self._count, self._inner, self._width = spec.experts, spec.width, width
        self._init = init

    def build(self, input_shape: Any = None) -> None:
        inward = (self._count, self._inner, self._width)
        outward = (self._count, self._width, self._inner)
        self.gate = self.add_weight(inward, self._init, name="gate")
        self.up = self.add_weight(inward, self._init, name="up")
        self.down = self.add_weight(outward, self._init, name="down")

    def call(self, rows: jax.Array, chosen: jax.Array, weights: jax.Array) -> jax.Array:
        """Run rows (N, width) through the experts `chosen` int (N, active), and return the sums (N,
        width) of their outputs weighted by `weights` (N, active)."""
        groups, product = grouped.plan(chosen.reshape(-1), self._count)
        gate, up, down = map(array_of, (self.gate, self.up, self.down))
        given = rows[groups.items // chosen.shape[1]]
        given = jnp.where(groups.filled[:, None], given, 0)
        inner = self.activation(product(given, gate, groups)) * product(given, up, groups)
        made = product(inner, down, groups)[groups.places]
        return jnp.einsum("nka,nk->na", made.reshape(*chosen.shape, -1), weights)


class Router(Projection):
    """Scores the experts, or one of them. It stays in floats when a model is quantized: its matrix
    is small and its precision matters."""

    quantizable = False


class MoE(keras.layers.Layer):
    """A mixture: each token's output is the weighted sum of its active experts' outputs."""

    def __init__(self, spec: config.MoE, width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        shared = {"kernel_initializer": init, "dtype": self.dtype_policy}
        self._active = spec.active
        self._weigh = _shares if spec.normalize else _as_they_are
        self._balance = spec.balance_loss
        self.router = Router("btd,ed->bte", (None, spec.experts), name="router", **shared)
        self.experts = Experts(spec, width, init, name="experts", dtype=self.dtype_policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.router.build(input_shape)
        self.experts.build()

    def call(
        self, x: jax.Array, padding_mask: jax.Array | None = None, training: bool | None = None
    ) -> jax.Array:
        """Map x (B, T, width) to the same shape. The balance loss leaves out tokens where
        `padding_mask` (B, T) is false; the mask changes no output."""
        rows = x.reshape(-1, x.shape[-1])
        odds = jax.nn.softmax(self.router(x).reshape(len(rows), -1).astype("float32"))
        weights, chosen = jax.lax.top_k(odds, self._active)
        if training and self._balance:
            self.add_loss(self._balance * balance_loss(odds, chosen, padding_mask))
        weights = self._weigh(weights).astype(x.dtype)
        return self.experts(rows, chosen, weights).reshape(x.shape)


def _shares(odds: jax.Array) -> jax.Array:
    return odds / odds.sum(-1, keepdims=True)


def _as_they_are(odds: jax.Array) -> jax.Array:
    return odds


class SharedMoE(MoE):
    """A mixture with one more expert that every token uses, weighted by its own gate."""

    def __init__(self, spec: config.MoE, width: int, init: Any, **kwargs: Any) -> None:
        super().__init__(spec, width, init, **kwargs)
        gated, dtype = config.Gated(spec.shared_width or 0, spec.activation), self.dtype_policy
        self.shared = GatedMLP(gated, width, init, name="shared", dtype=dtype)
        self.shared_gate = Router(
            "btd,od->bto", (None, 1), kernel_initializer=init, name="shared_gate", dtype=dtype
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        self.shared.build(input_shape)
        self.shared_gate.build(input_shape)

    def call(
        self, x: jax.Array, padding_mask: jax.Array | None = None, training: bool | None = None
    ) -> jax.Array:
        routed = super().call(x, padding_mask, training)
        return routed + jax.nn.sigmoid(self.shared_gate(x)) * self.shared(x)


def balance_loss(
    odds: jax.Array, chosen: jax.Array, padding_mask: jax.Array | None = None
) -> jax.Array:
    """Measure how unevenly tokens are spread over experts: float32 (), `active` at best.

    The sum over experts of the share of tokens times the mean router probability, times the number
    of experts (Fedus et al. 2022, counting each of a token's choices).

    Args:
        odds: router probabilities, float32 (N, experts).
        chosen: active experts, int (N, active).
        padding_mask: (B, T) with B * T = N, false or zero at tokens to leave out.
    """
    count = odds.shape[-1]
    real = jnp.ones(len(odds)) if padding_mask is None else padding_mask.reshape(-1) != 0
    real = real.astype("float32") / real.sum()
    shares = (jax.nn.one_hot(chosen, count).sum(1) * real[:, None]).sum(0)
    return count * (shares * (odds * real[:, None]).sum(0)).sum()
