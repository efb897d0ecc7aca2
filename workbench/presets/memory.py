"""Whether the machine has the memory that a preset takes: asked before it is downloaded, and before
its first weight is read."""

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

LOAD_LENGTH = 256  # tokens that a model has to have room for, to be loaded at all
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
    """Refuse a model that would take more than 90 % of the free memory to load and generate.

    Args:
        what: the preset's handle, for the message.
        sizes: of the model.
        dtype: as for `estimate_config`.
        alike: presets that may be named in its place, where they are smaller.
        length: tokens of a sequence.
        free: bytes; None for what `free_memory()` says.

    Raises:
        MemoryTooSmallError: it does not fit; the message says what would.
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
    """`check` a preset of the catalog before it is downloaded; others pass.

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
    """`check` a preset whose weight files are open, before the first weight is read.

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
    """Whether it fits, given that a part of the process is there already."""
    return needed.total - min(resident(), needed.process) <= limit(free)


def _advice(sizes: Sizes, dtype: Any, alike: Sequence[PresetInfo], length: int, free: int) -> str:
    """What would fit, or that nothing does."""
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
