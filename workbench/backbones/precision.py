"""Dtype policies by name, quantisation modes included.

Keras writes `"int8_from_float32"` for integers that compute in float32, and
`"int4/128_from_float32"` for groups of 128. `"int8"` and `"int4"` are short for these in the
machine's default dtype.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from workbench.backbones.layers.integers import GROUP
from workbench.errors import SettingError

MODES = ("int8", "int4")


class Precision(NamedTuple):
    """A model's dtype: `computes` is a Keras dtype policy or its name, None for the default; `mode`
    is the quantisation mode of its matrices, None for floats."""

    computes: Any
    mode: str | None


def precision(dtype: Any) -> Precision:
    """Split a dtype policy, or its name, into compute dtype and quantisation mode.

    Raises:
        SettingError: the quantisation is unknown, or does not go with the dtype.
    """
    name = dtype if isinstance(dtype, str) else _quantized_name(dtype)
    if name is None:
        return Precision(dtype, None)
    mode, _, computes = name.partition("_from_")
    mode = mode.removesuffix(f"/{GROUP}") if mode.startswith("int4") else mode
    if mode not in MODES:
        if computes or name.startswith(MODES):
            check_mode(mode)
        return Precision(dtype, None)
    if mode == "int8" and computes.endswith("float16") and "b" not in computes:
        raise SettingError(f"dtype: int8 does not compute in float16, got {name!r}")
    return Precision(computes or None, mode)


def policy_name(how: Precision) -> Any:
    """Return the dtype, as `from_preset` takes it, for a precision."""
    if how.mode is None:
        return how.computes
    computes = how.computes if isinstance(how.computes, str) else how.computes.name
    return f"{how.mode}_from_{computes}"


def check_mode(mode: Any) -> str:
    """Return a quantisation mode.

    Raises:
        SettingError: it is not one of `MODES`.
    """
    if mode not in MODES:
        raise SettingError(f"quantize: mode: expected one of {', '.join(MODES)}, got {mode!r}")
    return mode


def quantized_policy(mode: str, computes: keras.DTypePolicy) -> keras.DTypePolicy:
    """Return Keras's policy for integers of a mode that compute in the dtype of `computes`."""
    held = f"{mode}/{GROUP}" if mode == "int4" else mode
    return keras.dtype_policies.get(f"{held}_from_{computes.name}")


def _quantized_name(dtype: Any) -> str | None:
    if isinstance(dtype, keras.dtype_policies.DTypePolicyMap):
        raise SettingError("dtype: expected one policy for the whole model, got a map of policies")
    if isinstance(dtype, keras.DTypePolicy) and dtype.quantization_mode is not None:
        return dtype.name
    return None
