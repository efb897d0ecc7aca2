"""How much memory a model will take, by arithmetic alone, and whether the machine has it.

Nothing is allocated and no weight is read. The figures are peaks: what is there at the same time
in the most demanding moment of loading, then generating or training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.backbones.config import DecoderConfig
from workbench.backbones.encoder_decoder_config import EncoderDecoderConfig
from workbench.backbones.layers.integers import AT_ONCE
from workbench.backbones.vision_config import ImagePrefix
from workbench.errors import MemoryTooSmallError, PresetError, SettingError
from workbench.estimates import peaks
from workbench.estimates.peaks import IMPORTS, PROCESS
from workbench.estimates.sizes import Sizes
from workbench.formats.tensors import TensorSource
from workbench.memory.door import gigabytes
from workbench.memory.free_memory import free_memory, limit, on_cpu, resident
from workbench.presets.catalog import PresetInfo, find, presets

__all__ = ["Estimate", "check", "estimate_config", "estimate_preset", "free_memory", "limit"]

DEFAULT_LENGTH = 1024
LOAD_LENGTH = 256  # what a model has to have room for, to be loaded at all
# Bytes of a weight, and of a number in the cache and between layers.
DTYPES = {
    "float32": (4, 4),
    "bfloat16": (2, 2),
    "float16": (2, 2),
    "mixed_bfloat16": (4, 2),
    "mixed_float16": (4, 2),
    "int8": (1, 2),
    "int4": (0.5, 2),
}
QUANTIZING = 5 * 4 * AT_ONCE  # bytes of the rows that become integers together, on their way
SMALLER_DTYPES = ("bfloat16", "int8", "int4")


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak: the weights; keys and values of the cache; what comes and goes between
    layers, gradients of training included; the optimizer's state; and the process itself."""

    weights: int
    cache: int
    activations: int
    optimizer: int
    process: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.weights + self.cache + self.activations + self.optimizer + self.process

    @property
    def beside(self) -> int:
        """What of it is not there yet where the model is loaded already, in bytes."""
        there = self.weights + self.process
        missing = max(0, there - resident()) if on_cpu() else 0
        return self.cache + self.activations + self.optimizer + missing

    def __str__(self) -> str:
        parts = ("weights", "cache", "activations", "optimizer", "process")
        sizes = {part: getattr(self, part) for part in parts}
        said = ", ".join(f"{part} {gigabytes(size)}" for part, size in sizes.items() if size)
        return f"{gigabytes(self.total)} ({said})"


def estimate_config(
    config: DecoderConfig | EncoderDecoderConfig,
    dtype: Any = None,
    *,
    length: int = DEFAULT_LENGTH,
    batch: int = 1,
    training: bool = False,
    lora_rank: int | None = None,
    images: ImagePrefix | None = None,
) -> Estimate:
    """What a model of this configuration takes.

    Args:
        config: of a decoder, or of an encoder and a decoder.
        dtype: a Keras dtype policy or its name, "int8" and "int4" included; None or "auto" for
            what is fast on this machine.
        length: tokens of a sequence, prompt and completion together; 0 for loading alone.
        batch: sequences at a time.
        training: with the gradients and the state of Adam; otherwise for generation.
        lora_rank: only low-rank updates of this rank, on queries and values, are trained.
        images: how the decoder reads pictures, one with each sequence. Where the text follows a
            picture, `length` counts the text alone.

    Raises:
        SettingError: the dtype is not known.
    """
    sizes = Sizes.of_config(config, images)
    return _estimate(sizes, dtype, length, batch, training, lora_rank)


def estimate_preset(
    preset: PresetInfo | str | Path,
    dtype: Any = None,
    *,
    length: int = DEFAULT_LENGTH,
    batch: int = 1,
    training: bool = False,
    lora_rank: int | None = None,
) -> Estimate:
    """What a preset takes: one of the catalog, or a folder or `.gguf` file on this machine.

    ```python
    print(estimate_preset("gemma2_2b_en", "bfloat16"))
    ```

    Args:
        preset: a built-in name, what `catalog.find` gives, or a path. Of a folder the names,
            shapes and dtypes of its tensors are read, and no weights.
        dtype, length, batch, training, lora_rank: as for `estimate_config`.

    Raises:
        PresetError: there is no such preset here.
        SettingError: the dtype is not known.
    """
    info = preset if isinstance(preset, PresetInfo) else find(str(preset))
    if dtype is None and info is not None and info.stored_dtype in ("int8", "int4"):
        dtype = info.stored_dtype
    sizes = Sizes.of_preset(info) if info is not None else _sizes_of_folder(preset)
    return _estimate(sizes, dtype, length, batch, training, lora_rank)


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
    needed = _estimate(sizes, dtype, length)
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
        check(info.name, Sizes.of_preset(info), dtype, alike=alike, length=LOAD_LENGTH)


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
    size = _bytes(dtype)[0]
    tried = {f'dtype="{name}"': (sizes, name, length) for name in SMALLER_DTYPES}
    fitting = {
        option: estimate
        for option, (of, name, tokens) in tried.items()
        if DTYPES[name][0] < size and _fits(estimate := _estimate(of, name, tokens), free)
    }
    shorter = length // 4
    if _fits(estimate := _estimate(sizes, dtype, shorter), free):
        fitting[f"{shorter} tokens"] = estimate
    smaller = [preset for preset in alike if preset.parameters < sizes.parameters]
    for preset in sorted(smaller, key=lambda preset: -preset.parameters):
        if _fits(estimate := estimate_preset(preset, dtype, length=length), free):
            fitting[preset.name] = estimate
    if not fitting:
        return "No smaller dtype or preset of its family fits: free memory, or another machine."
    named = list(fitting.items())[:6]
    return "Smaller: " + ", ".join(f"{name} ({gigabytes(e.total)})" for name, e in named) + "."


def _estimate(
    sizes: Sizes,
    dtype: Any,
    length: int = DEFAULT_LENGTH,
    batch: int = 1,
    training: bool = False,
    lora_rank: int | None = None,
) -> Estimate:
    stored, computed = _bytes(dtype)
    trained = sizes.parameters
    if sizes.images is not None and length:
        length += sizes.images.ahead
    if lora_rank is not None:
        ends = 2 * sizes.width + (sizes.heads + sizes.kv_heads) * sizes.head_dim
        trained = sizes.layers * lora_rank * ends
    if training:
        between = 4 if on_cpu() else computed
        working = peaks.training(sizes, between, batch, length) + trained * stored
    else:
        working = peaks.generating(sizes, computed, batch, length, length)
    working += _widened(sizes, stored, computed)
    return Estimate(
        weights=int(sizes.parameters * stored) + sizes.codes,
        cache=0 if training else peaks.cached(sizes, computed, batch, length),
        activations=int(max(working, _loading(sizes, stored), 0)),
        optimizer=int(2 * trained * stored) if training else 0,
        process=int(PROCESS),
    )


def _widened(sizes: Sizes, stored: float, computed: int) -> int:
    """On CPU XLA multiplies in float32: 16-bit weights are all there a second time, as wide."""
    return sizes.parameters * 4 if computed < 4 and stored >= 2 and on_cpu() else 0


def _loading(sizes: Sizes, stored: float) -> float:
    """What loading takes beyond the weights and the working process. The largest tensor, which is
    read first, is there twice, as floats, and as integers where it becomes them; but nothing is
    compiled yet."""
    becomes = stored < 2 and sizes.parameters > 0
    once = sizes.largest * (4 + 2 * stored if becomes else stored)
    several = QUANTIZING if becomes else 0
    first = IMPORTS + 4 * sizes.largest + once + several
    return max(first - sizes.parameters * stored - sizes.codes - PROCESS, several)


def dtype_name(dtype: Any) -> str:
    """A dtype policy's name; of None or "auto", that of what is fast on this machine."""
    if dtype in (None, "auto"):
        from workbench.presets.load import fast_dtype

        return fast_dtype()
    return dtype if isinstance(dtype, str) else dtype.name


def _bytes(dtype: Any) -> tuple[float, int]:
    """Bytes of a weight, and of a number between layers."""
    name, _, computed = dtype_name(dtype).partition("_from_")
    name = name.partition("/")[0]  # Keras writes the size of a block, as in int4/128_from_float32
    if name not in DTYPES or (computed and computed not in DTYPES):
        raise SettingError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    stored, between = DTYPES[name]
    return stored, DTYPES[computed][1] if computed else between


def _sizes_of_folder(handle: str | Path) -> Sizes:
    from workbench.backbones.backbone import Backbone
    from workbench.presets.load import open_preset

    if "://" in str(handle):
        raise PresetError(f"{handle}: download it first; estimates read presets of this machine")
    preset = open_preset(handle, Backbone)
    source = preset.open_weights()
    try:
        return Sizes.of_files(preset.backbone_arguments(), source)
    finally:
        source.close()
