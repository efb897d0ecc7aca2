"""Dtype policies by name, with the modes of quantisation among them.

Keras writes `"int8_from_float32"` for integers that are computed with in float32, and
`"int4/128_from_float32"` for groups of 128. `"int8"` and `"int4"` are short for these, in the
dtype that is fast on the machine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from workbench.backbones.layers.integers import GROUP
from workbench.errors import SettingError

MODES = ("int8", "int4")


class Precision(NamedTuple):
    """How a model computes, a Keras dtype policy or its name, None for the default; and how it
    holds its matrices, a mode of quantisation or None for floats."""

    computes: Any
    mode: str | None


def precision(dtype: Any) -> Precision:
    """What a dtype policy, or its name, asks for.

    Raises:
        SettingError: it asks for a quantisation that is not known here.
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
        raise SettingError(f"dtype: int8 is not computed in float16, got {name!r}")
    return Precision(computes or None, mode)


def policy_name(how: Precision) -> Any:
    """The dtype that asks for `how`."""
    if how.mode is None:
        return how.computes
    computes = how.computes if isinstance(how.computes, str) else how.computes.name
    return f"{how.mode}_from_{computes}"


def check_mode(mode: Any) -> None:
    """Raises SettingError unless it is one of the modes."""
    if mode not in MODES:
        raise SettingError(f"quantize: mode: expected one of {', '.join(MODES)}, got {mode!r}")


def quantized_policy(mode: str, computes: keras.DTypePolicy) -> keras.DTypePolicy:
    """Keras's policy for integers of a mode that are computed with as `computes` says."""
    held = f"{mode}/{GROUP}" if mode == "int4" else mode
    return keras.dtype_policies.get(f"{held}_from_{computes.name}")


def _quantized_name(dtype: Any) -> str | None:
    if isinstance(dtype, keras.dtype_policies.DTypePolicyMap):
        raise SettingError("dtype: expected one policy for the whole model, got a map of policies")
    if isinstance(dtype, keras.DTypePolicy) and dtype.quantization_mode is not None:
        return dtype.name
    return None
