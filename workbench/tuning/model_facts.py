"""The facts that identify a model, so that a run does not resume on another one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from workbench.tuning.feed import Facts

if TYPE_CHECKING:
    from workbench.tasks.causal_lm import CausalLM

ADAPTED = ("lora_a", "lora_b", "lora_scale")


def model_facts(lm: CausalLM) -> Facts:
    """Return the class of a model's backbone, its dtype and size, and a SHA-256 digest of the
    first row of each weight, without adapters and random states."""
    backbone = lm.backbone
    digest, numbers = hashlib.sha256(), 0
    for variable in sorted(backbone.weights, key=lambda each: each.path):
        if variable.path.rsplit("/", 1)[-1] in ADAPTED:
            continue
        value = variable.value
        numbers += int(np.prod(value.shape))
        row = np.asarray(value[(0,) * (value.ndim - 1)] if value.ndim > 1 else value)
        digest.update(f"{variable.path} {row.dtype} {value.shape}".encode() + row.tobytes())
    return {
        "class": type(backbone).__name__,
        "dtype": backbone.dtype_policy.name,
        "numbers": numbers,
        "digest": digest.hexdigest(),
    }
