"""The default dtype of presets. It is a separate module because it needs no Keras."""

from __future__ import annotations

import jax


def fast_dtype() -> str:
    """Return float32 on CPU, where bfloat16 is several times slower to read, otherwise bfloat16."""
    return "float32" if jax.default_backend() == "cpu" else "bfloat16"
