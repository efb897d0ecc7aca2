"""Estimates the memory of a model by arithmetic.

Nothing is allocated and no weight is read. The figures are peaks: the memory in use at the most
demanding moment of loading, then generating or training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.backbones.config import DecoderConfig
from workbench.backbones.encoder_decoder_config import EncoderDecoderConfig
from workbench.backbones.layers.integers import AT_ONCE
from workbench.backbones.vision_config import ImagePrefix
from workbench.errors import SettingError
from workbench.estimates import peaks
from workbench.estimates.fast_dtype import fast_dtype
from workbench.estimates.peaks import IMPORTS, PROCESS
from workbench.estimates.sizes import Sizes
from workbench.memory.door import gigabytes
from workbench.memory.free_memory import on_cpu, resident

DEFAULT_LENGTH = 1024
# Bytes of a weight, and of a number in the cache or an activation.
DTYPES = {
    "float32": (4, 4),
    "bfloat16": (2, 2),
    "float16": (2, 2),
    "mixed_bfloat16": (4, 2),
    "mixed_float16": (4, 2),
    "int8": (1, 2),
    "int4": (0.5, 2),
}
QUANTIZING = 5 * 4 * AT_ONCE  # temporary bytes of the rows that are quantized together


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak: the weights; the keys and values of the cache; temporary activations and
    gradients; the optimizer's state; and the process itself."""

    weights: int
    cache: int
    activations: int
    optimizer: int
    process: int

    @property
    def total(self) -> int:
        """The sum, in bytes."""
        return self.weights + self.cache + self.activations + self.optimizer + self.process

    @property
    def beside(self) -> int:
        """The bytes still needed if the model is already loaded."""
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
    """Estimate the memory of a model with this configuration.

    Args:
        config: the configuration of a decoder, or of an encoder and a decoder.
        dtype: a Keras dtype policy or its name, including "int8" and "int4"; None or "auto" for the
            one that is fast on this machine.
        length: tokens of a sequence, prompt and completion together; 0 for loading alone.
        batch: sequences per batch.
        training: include the gradients and the state of Adam; otherwise estimate generation.
        lora_rank: only low-rank updates of this rank, on queries and values, are trained.
        images: how the decoder reads pictures, one per sequence. If the picture comes before the
            text, `length` counts only the text.

    Raises:
        SettingError: the dtype is unknown.
    """
    sizes = Sizes.of_config(config, images)
    return estimate_sizes(sizes, dtype, length, batch, training, lora_rank)


def estimate_sizes(
    sizes: Sizes,
    dtype: Any,
    length: int = DEFAULT_LENGTH,
    batch: int = 1,
    training: bool = False,
    lora_rank: int | None = None,
) -> Estimate:
    """Estimate the memory of a model with these sizes; arguments as in `estimate_config`.

    Raises:
        SettingError: the dtype is not known.
    """
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
    """Return the bytes of float32 copies: on CPU, XLA converts all 16-bit weights to multiply."""
    return sizes.parameters * 4 if computed < 4 and stored >= 2 and on_cpu() else 0


def _loading(sizes: Sizes, stored: float) -> float:
    """Return the bytes that loading takes beyond the weights and the working process. The largest
    tensor, which is read first, is in memory twice as floats, and also as integers if it is
    quantized; but nothing is compiled yet."""
    becomes = stored < 2 and sizes.parameters > 0
    once = sizes.largest * (4 + 2 * stored if becomes else stored)
    several = QUANTIZING if becomes else 0
    first = IMPORTS + 4 * sizes.largest + once + several
    return max(first - sizes.parameters * stored - sizes.codes - PROCESS, several)


def dtype_name(dtype: Any) -> str:
    """Return a dtype policy's name; None and "auto" mean the fast dtype of this machine."""
    if dtype in (None, "auto"):
        return fast_dtype()
    return dtype if isinstance(dtype, str) else dtype.name


def weight_bytes(dtype: Any) -> float:
    """Return the bytes of one weight in a dtype; half a byte in int4.

    Raises:
        SettingError: the dtype is not known.
    """
    return _bytes(dtype)[0]


def _bytes(dtype: Any) -> tuple[float, int]:
    """Return the bytes of a weight, and of an activation."""
    name, _, computed = dtype_name(dtype).partition("_from_")
    name = name.partition("/")[0]  # Keras adds the block size, as in int4/128_from_float32
    if name not in DTYPES or (computed and computed not in DTYPES):
        raise SettingError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    stored, between = DTYPES[name]
    return stored, DTYPES[computed][1] if computed else between
