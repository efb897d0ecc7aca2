"""What a sampler tells the compiled step, as scalars: a new value is a new argument, never a new
program."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

Scalar = np.generic | jax.Array


class Settings(NamedTuple):
    """Scalars of the sampling step, float32 but for `top_k` (int32). The defaults switch every
    cut and penalty off.

    - `temperature`: logits are divided by it; 0 means the likeliest token, without a draw.
    - `top_k`: how many tokens stay; 0 keeps all.
    - `top_p`: the likeliest tokens stay until their mass reaches it; 1 keeps all.
    - `min_p`: tokens below this share of the largest probability go; 0 keeps all.
    - `repetition_penalty`: divides the positive and multiplies the negative logits of tokens in
      the prompt or the completion; 1 changes nothing.
    - `presence_penalty`, `frequency_penalty`: taken from the logits of generated tokens, once
      and once per occurrence; 0 changes nothing.
    """

    temperature: Scalar = np.float32(1)
    top_k: Scalar = np.int32(0)
    top_p: Scalar = np.float32(1)
    min_p: Scalar = np.float32(0)
    repetition_penalty: Scalar = np.float32(1)
    presence_penalty: Scalar = np.float32(0)
    frequency_penalty: Scalar = np.float32(0)
