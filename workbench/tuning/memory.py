"""Computes the memory that training an adapter needs, before it starts.

The weights are already loaded, so only the rest has to fit. The constants for the layers'
activations come from XLA's memory analysis of compiled steps on CPU; `tests/bench/tuning_memory.py`
compares the sums with measured peaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import jax

from workbench.backbones.backbone import Backbone
from workbench.backbones.config import DecoderConfig
from workbench.backbones.encoder_decoder_config import EncoderDecoderConfig
from workbench.backbones.image_text import ImageTextDecoder
from workbench.data.batches import row_length
from workbench.errors import MemoryTooSmallError, SettingError
from workbench.estimates.estimate import Estimate
from workbench.estimates.peaks import PROCESS, scores_kept, seeing
from workbench.estimates.sizes import Sizes
from workbench.memory.door import gigabytes
from workbench.memory.free_memory import free_memory, limit, on_cpu, resident
from workbench.tuning.head import PIECE_NUMBERS
from workbench.tuning.settings import TuneSettings

if TYPE_CHECKING:
    from workbench.tasks.causal_lm import CausalLM

# Numbers that are there at once, for each of a layer's own: scores of the attention; queries, keys
# and values; the feed-forward network's inner vectors; the vectors between the layers.
SCORES, ATTENTION, NETWORK, STREAM = 2.5, 1.0, 4.33, 2.0
LOGITS = 2.0  # for each logit of a piece
UPDATE = 0.85  # for each input and output of an adapted projection beyond queries and values
DROPPED = 2.0  # for each input of an adapted projection, with dropout
COPIES = 8  # of the adapter: gradients, new values, the last good, the best, a checkpoint's
WIDER_ON_CPU = 1.1  # XLA on CPU converts 16-bit numbers to float32 and back
PROGRAMS = 150e6  # compiling and holding a step, a validation and a generation


def memory_in_use() -> int:
    """Return the bytes in use now: on the first accelerator, or else in this process."""
    device = jax.local_devices()[0]
    stats = None if device.platform == "cpu" else device.memory_stats()
    return stats["bytes_in_use"] if stats else resident()


def estimate_training(lm: CausalLM, settings: TuneSettings, longest: int) -> Estimate:
    """Estimate the memory of the process at the peak of a run, in bytes.

    Args:
        lm: the loaded model.
        settings: the run's settings.
        longest: positions of the longest row.

    Raises:
        SettingError: no adapter of this model can be trained.
    """
    backbone = lm.backbone
    trained = settings.rank * sum(map(sum, lm.adapters.shapes_of(settings.targets).values()))
    length = row_length(longest, backbone.max_length or longest)
    return Estimate(
        weights=sum(variable.value.nbytes for variable in backbone.variables),
        cache=0,
        activations=int(_activations(lm, settings, length)) + COPIES * trained * 4,
        optimizer=2 * trained * 4,
        process=int(PROCESS + PROGRAMS),
    )


def check_training(
    lm: CausalLM, settings: TuneSettings, longest: int, free: int | None = None
) -> None:
    """Refuse a run that would take more than 90 % of the free memory.

    Args:
        lm, settings, longest: as for `estimate_training`.
        free: free bytes; None takes `free_memory()`.

    Raises:
        MemoryTooSmallError: the run does not fit; the message says what would.
    """
    free = free_memory() if free is None else free
    needed = estimate_training(lm, settings, longest)
    if needed.beside <= limit(free):
        return
    fitting = [
        f"{said} ({gigabytes(estimate.beside)})"
        for said, estimate in _smaller(lm, settings, longest)
        if estimate.beside <= limit(free)
    ]
    advice = f"Smaller: {', '.join(fitting[:6])}." if fitting else "No smaller batch or row fits."
    raise MemoryTooSmallError(
        f"training with batches of {settings.batch_size} x {longest} tokens needs {needed}, of "
        f"which {gigabytes(needed.beside)} are not there yet; free here are {gigabytes(free)}, "
        f"of which {gigabytes(limit(free))} may be used. {advice} A base in int8 or a smaller "
        "preset leaves more free."
    )


def _smaller(lm: CausalLM, settings: TuneSettings, longest: int) -> Iterator[tuple[str, Estimate]]:
    """Yield remedies, the mildest first, each with the estimate that it gives."""
    batch, length = settings.batch_size, longest
    if not settings.remat:
        yield "remat=True", estimate_training(lm, replace(settings, remat=True), length)
    while batch > 1:
        batch //= 2
        more = max(1, settings.batch_size // batch) * settings.accumulate
        said = f"batch_size={batch} with accumulate={more}"
        yield said, estimate_training(lm, replace(settings, batch_size=batch), length)
    while length > 64:
        length //= 2
        one = replace(settings, batch_size=1)
        yield f"batch_size=1 with length={length}", estimate_training(lm, one, length)


def _activations(lm: CausalLM, settings: TuneSettings, length: int) -> float:
    """Return the temporary bytes of a step."""
    sizes, narrow = _sizes(lm.backbone), lm.backbone.compute_dtype != "float32"
    computed = 2 if narrow and not on_cpu() else 4
    if sizes.images is not None:
        length += sizes.images.ahead
    tokens = settings.batch_size * length
    layers = sizes.layers * (2 if sizes.encoder else 1)
    kept = layers * tokens * computed * _layer(sizes)
    kept += SCORES * scores_kept(layers, sizes.heads, settings.batch_size, length)
    kept += tokens * computed * _beside_projections(lm, settings)
    if settings.remat:
        kept *= _kept_by_remat(layers)
    piece = min(tokens, PIECE_NUMBERS // sizes.vocabulary) * sizes.vocabulary
    images = sizes.images
    pictures = (
        0 if images is None else images.layers * seeing(images, computed, settings.batch_size)
    )
    wider = WIDER_ON_CPU if narrow and on_cpu() else 1
    return wider * (kept + pictures) + LOGITS * piece * 4


def _layer(sizes: Sizes) -> float:
    """Return how many numbers per position one layer keeps for its backward pass, without the
    attention scores."""
    attention = ATTENTION * (sizes.heads + 2 * sizes.kv_heads) * sizes.head_dim
    return attention + NETWORK * sizes.inner + STREAM * sizes.width


def _beside_projections(lm: CausalLM, settings: TuneSettings) -> float:
    """Return how many numbers per position the updates of projections add, over all layers."""
    shapes = lm.adapters.shapes_of(settings.targets)
    usual = ("query", "value")
    extra = sum(sum(shape) for path, shape in shapes.items() if path.split("/")[-1] not in usual)
    dropped = sum(inputs for _, inputs in shapes.values()) if settings.dropout else 0
    return UPDATE * extra + DROPPED * dropped


def _kept_by_remat(layers: int) -> float:
    """XLA on CPU undoes most of it; elsewhere one layer's numbers are there at a time."""
    return 0.95 if on_cpu() else min(1.0, 0.1 + 1 / layers)


def _sizes(backbone: Backbone) -> Sizes:
    if not isinstance(backbone.config, DecoderConfig | EncoderDecoderConfig):
        raise SettingError(f"training: a {type(backbone).__name__} is trained with fit() alone")
    images = backbone.images if isinstance(backbone, ImageTextDecoder) else None
    return Sizes.of_config(backbone.config, images)
