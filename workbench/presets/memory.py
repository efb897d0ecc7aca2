"""Checks that the machine has enough memory for a preset: before the download, and before the first
weight is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import MemoryTooSmallError
from workbench.estimates.estimate import (
    DEFAULT_LENGTH,
    DTYPES,
    Estimate,
    dtype_name,
    estimate_sizes,
    weight_bytes,
)
from workbench.estimates.sizes import Sizes
from workbench.formats.tensors import TensorSource
from workbench.memory.door import gigabytes
from workbench.memory.free_memory import free_memory, limit, resident
from workbench.presets.catalog import PresetInfo, find, presets
from workbench.presets.listed_sizes import sizes_of_listed

LOAD_LENGTH = 256  # a model is loaded only if there is memory for this many tokens
SMALLER_DTYPES = ("bfloat16", "int8", "int4")


def check(
    what: str,
    sizes: Sizes,
    dtype: Any = None,
    *,
    alike: Sequence[PresetInfo] = (),
    length: int = DEFAULT_LENGTH,
    free: int | None = None,
) -> None:
    """Refuse a model that needs more than 90 % of the free memory to load and generate.

    Args:
        what: the preset's handle, for the message.
        sizes: of the model.
        dtype: as for `estimate_config`.
        alike: similar presets that the message may suggest if they are smaller.
        length: tokens of a sequence.
        free: bytes; None for the result of `free_memory()`.

    Raises:
        MemoryTooSmallError: it does not fit; the message suggests what would.
    """
    free = free_memory() if free is None else free
    needed = estimate_sizes(sizes, dtype, length)
    if _fits(needed, free):
        return
    raise MemoryTooSmallError(
        f"{what} in {dtype_name(dtype)} needs {needed} for {length} tokens; free here are "
        f"{gigabytes(free)}, of which {gigabytes(limit(free))} may be used. "
        + _advice(sizes, dtype, alike, length, free)
    )


def check_listed(handle: object, dtype: Any) -> None:
    """Call `check` for a catalog preset before its download; others pass.

    Raises:
        MemoryTooSmallError: it does not fit.
    """
    info = find(str(handle))
    if info is not None and not info.stored_dtype.startswith("int"):
        alike = [preset for preset in presets() if preset.family == info.family]
        check(info.name, sizes_of_listed(info), dtype, alike=alike, length=LOAD_LENGTH)


def check_weights(
    handle: object, backbone: str, arguments: Mapping[str, Any], source: TensorSource
) -> None:
    """Call `check` for a preset with open weight files, before the first weight is read.

    Args:
        handle: for the message.
        backbone: the name of the class that will be built.
        arguments: its arguments, `dtype` among them.
        source: the weight files.

    Raises:
        MemoryTooSmallError: it does not fit.
    """
    alike = [preset for preset in presets() if preset.backbone == backbone and preset.supported]
    sizes = Sizes.of_files(arguments, source)
    check(str(handle), sizes, arguments["dtype"], alike=alike, length=LOAD_LENGTH)


def _fits(needed: Estimate, free: int) -> bool:
    """Return whether it fits, given that part of the process is already in memory."""
    return needed.total - min(resident(), needed.process) <= limit(free)


def _advice(sizes: Sizes, dtype: Any, alike: Sequence[PresetInfo], length: int, free: int) -> str:
    """Suggest what would fit, or say that nothing does."""
    size = weight_bytes(dtype)
    tried = {f'dtype="{name}"': (sizes, name, length) for name in SMALLER_DTYPES}
    fitting = {
        option: needed
        for option, (of, name, tokens) in tried.items()
        if DTYPES[name][0] < size and _fits(needed := estimate_sizes(of, name, tokens), free)
    }
    shorter = length // 4
    if _fits(needed := estimate_sizes(sizes, dtype, shorter), free):
        fitting[f"{shorter} tokens"] = needed
    smaller = [preset for preset in alike if preset.parameters < sizes.parameters]
    for preset in sorted(smaller, key=lambda preset: -preset.parameters):
        if _fits(needed := estimate_sizes(sizes_of_listed(preset), dtype, length), free):
            fitting[preset.name] = needed
    if not fitting:
        return "No smaller dtype or preset of its family fits: free memory, or another machine."
    named = list(fitting.items())[:6]
    return "Smaller: " + ", ".join(f"{name} ({gigabytes(e.total)})" for name, e in named) + "."
