"""Convolutions that turn audio samples into frames."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras

from workbench.backbones.audio_config import AudioConfig, Convolution
from workbench.backbones.layers.named import Named


class AudioFrames(keras.layers.Layer):
    """Maps samples (B, S, 1) and their mask (B, S) to frames (B, F, width) and their mask, bool
    (B, F), as Moonshine does (Jeffries et al. 2024).

    A frame is real if all of its samples are. The norm covers only the real samples of a
    recording, so padding does not change the frames.
    """

    def __init__(self, config: AudioConfig, init: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.convolutions = config.convolutions
        dtype: dict[str, Any] = {"dtype": self.dtype_policy}
        self.layers = [
            ConvolutionLayer(one, init, use_bias=at > 0, name=f"conv{at + 1}", **dtype)
            for at, one in enumerate(self.convolutions)
        ]
        self.norm = RecordingNorm(name="norm", **dtype)

    def build(  # pyright: ignore[reportIncompatibleMethodOverride]  # Keras names them after `call`
        self, samples_shape: tuple[int | None, ...], padding_mask_shape: Any = None
    ) -> None:
        for layer, one in zip(self.layers, self.convolutions, strict=True):
            layer.build((None, None, one.channels_in))
        self.norm.build((None, None, self.convolutions[0].channels_out))

    def call(self, samples: jax.Array, padding_mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        first, second, third = self.layers
        counts = jnp.sum(padding_mask.astype(bool), axis=1)
        x = jnp.tanh(first(samples))
        x = self.norm(x, _real(x, first.count(counts)))
        x = jax.nn.gelu(third(jax.nn.gelu(second(x), approximate=False)), approximate=False)
        return x, _real(x, third.count(second.count(first.count(counts))))

    def compute_output_spec(self, samples: Any, padding_mask: Any) -> tuple[Any, Any]:
        batch, frames = samples.shape[0], None
        width = self.convolutions[-1].channels_out
        return (
            keras.KerasTensor((batch, frames, width), dtype=self.compute_dtype),
            keras.KerasTensor((batch, frames), dtype="bool"),
        )


def _real(x: jax.Array, counts: jax.Array) -> jax.Array:
    """Return a mask (B, T) of the first `counts` (B,) positions of each row of x (B, T, ...)."""
    return jnp.arange(x.shape[1]) < counts[:, None]


class ConvolutionLayer(Named, keras.layers.Conv1D):
    """A convolution over time; its kernel is (width, in, out)."""

    def __init__(self, spec: Convolution, init: Any, **kwargs: Any) -> None:
        super().__init__(
            spec.channels_out, spec.width, spec.stride, kernel_initializer=init, **kwargs
        )
        self.spec = spec

    def count(self, inputs: jax.Array) -> jax.Array:
        """Return how many outputs `inputs` (B,) samples give, int (B,)."""
        return jnp.maximum((inputs - self.spec.width) // self.spec.stride + 1, 0)


class RecordingNorm(Named, keras.layers.Layer):
    """Group norm with one group (Wu and He 2018): (x - mean) / deviation * gamma + beta.

    x is (B, T, C), `gamma` and `beta` are (C,). Mean and deviation are taken in float32 over all
    channels of the positions where the mask (B, T) is true.
    """

    epsilon = 1e-5

    def build(self, input_shape: tuple[int | None, ...], mask_shape: Any = None) -> None:
        self.gamma = self.add_weight((input_shape[-1],), "ones", name="gamma")
        self.beta = self.add_weight((input_shape[-1],), "zeros", name="beta")

    def call(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        wide, real = x.astype(jnp.float32), mask[..., None]
        count = jnp.maximum(jnp.sum(mask, axis=1), 1)[:, None, None] * x.shape[-1]
        mean = jnp.sum(jnp.where(real, wide, 0), axis=(1, 2), keepdims=True) / count
        away = wide - mean
        squares = jnp.sum(jnp.where(real, away**2, 0), axis=(1, 2), keepdims=True)
        unit = away * jax.lax.rsqrt(squares / count + self.epsilon)
        gamma, beta = (part.value.astype(jnp.float32) for part in (self.gamma, self.beta))
        return (unit * gamma + beta).astype(x.dtype)
