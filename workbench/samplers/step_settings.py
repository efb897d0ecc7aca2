"""What a sampler passes to the compiled step, as scalars: a new value is a new argument, never a
new program."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from workbench.samplers.settings import SETTINGS

Scalar = np.float32 | np.int32 | jax.Array


def scalar_of(name: str, value: float) -> Scalar:
    """The value of the setting `name` as the step takes it: float32, or int32 for integers."""
    return np.int32(value) if SETTINGS[name].kind is int else np.float32(value)


def _neutral(name: str) -> Scalar:
    """The value that changes no distribution."""
    setting = SETTINGS[name]
    value = setting.default if setting.off is None else setting.off
    assert value is not None
    return scalar_of(name, value)


class StepSettings(NamedTuple):
    """Scalars of the sampling step, float32 except `top_k` (int32). The defaults switch every cut
    and penalty off.

    - `temperature`: logits are divided by it; 0 takes the likeliest token, without a draw.
    - `top_k`: how many tokens are kept; 0 keeps all.
    - `top_p`: the fewest likeliest tokens whose mass reaches it are kept; 1 keeps all.
    - `min_p`: tokens below this share of the largest probability are dropped; 0 keeps all.
    - `repetition_penalty`: divides the positive and multiplies the negative logits of tokens in
      the prompt or the completion; 1 changes nothing.
    - `presence_penalty`, `frequency_penalty`: subtracted from the logits of generated tokens, once
      and once per occurrence; 0 changes nothing.
    """

    temperature: Scalar = _neutral("temperature")
    top_k: Scalar = _neutral("top_k")
    top_p: Scalar = _neutral("top_p")
    min_p: Scalar = _neutral("min_p")
    repetition_penalty: Scalar = _neutral("repetition_penalty")
    presence_penalty: Scalar = _neutral("presence_penalty")
    frequency_penalty: Scalar = _neutral("frequency_penalty")
