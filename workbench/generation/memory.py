"""What reading and writing texts takes beside a model that is loaded, by arithmetic alone, and the
door that it goes through before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from workbench.backbones.audio_config import AudioConfig
from workbench.backbones.source import AUDIO_INPUTS, SOURCE_INPUTS
from workbench.estimates import peaks
from workbench.estimates.estimate import Estimate
from workbench.estimates.sizes import Sizes
from workbench.generation.programs import cache_room, padded
from workbench.generation.request import Request
from workbench.memory.door import admit
from workbench.memory.free_memory import on_cpu
from workbench.samplers import BeamSampler, ContrastiveSampler, Sampler

FRAME = 384  # samples of a recording
FRAME_NUMBERS = 24  # that are there at once, for each of a frame's own

Source = Mapping[str, np.ndarray]


def admit_request(backbone: Any, request: Request) -> None:
    """Refuse a generation that would not fit into the memory.

    Raises:
        MemoryTooSmallError: it would not; the message says what takes less.
    """
    if not request.prompts:
        return
    needed = estimate_request(backbone, request)
    rows, longest = len(request.prompts), int(request.limits.max())
    advice = "Shorten the text, lower max_length or max_new_tokens"
    advice += ", or give fewer at a time." if rows > 1 else ", or take a smaller model."
    admit(f"generating {rows} x {longest} tokens", needed.beside, advice)


def admit_reading(backbone: Any, length: int, source: Source, results: int) -> None:
    """Refuse to look into a text where that would not fit into the memory.

    Args:
        backbone: the model's.
        length: places of the text, padding included.
        source: what else is read, as a `Request` has it.
        results: bytes of what is asked for, and of what it is made of.

    Raises:
        MemoryTooSmallError: it would not fit; the message says what takes less.
    """
    needed = _loaded(backbone, *_read(backbone, source, 1, length, length), more=results)
    advice = "Take a shorter text, or ask for fewer arrays by their names."
    admit(f"looking into {length} tokens", needed.beside, advice)


def estimate_request(backbone: Any, request: Request) -> Estimate:
    """What the process holds at the peak of a generation, the loaded model included."""
    ids, _ = padded(request.prompts)
    slots = cache_room(backbone, request, ids).length
    cache, working = _read(backbone, request.source, *ids.shape, slots)
    lines = _lines(request.sampler)
    return _loaded(backbone, cache * lines, working, more=2 * cache * (lines - 1))


def _loaded(backbone: Any, cache: int, working: int, more: int) -> Estimate:
    """Beside the weights that are there; on CPU XLA multiplies 16-bit ones in float32."""
    arrays = [variable.value for variable in backbone.variables]
    narrow = sum(array.nbytes for array in arrays if array.dtype.itemsize == 2) if on_cpu() else 0
    return Estimate(
        weights=sum(array.nbytes for array in arrays),
        cache=cache,
        activations=working + 2 * narrow + more,
        optimizer=0,
        process=int(peaks.PROCESS),
    )


def _read(backbone: Any, source: Source, rows: int, prompt: int, slots: int) -> tuple[int, int]:
    """Bytes of the cache, and what comes and goes while prompts are read."""
    sizes = replace(Sizes.of_backbone(backbone), encoder=False, images=None)
    computed = jnp.dtype(backbone.compute_dtype).itemsize
    cache = peaks.cached(sizes, computed, rows, slots)
    working = peaks.generating(sizes, computed, rows, prompt, slots)
    working += sum(part.nbytes for part in source.values())
    if "images" in source:
        pictures = math.prod(source["images"].shape[:-3])
        seen = peaks.seeing(Sizes.of_backbone(backbone).images, computed, pictures)
        return cache, max(working, seen)
    places = _encoded(source)
    if places:
        cache += peaks.cached(sizes, computed, rows, places)
        working += peaks.attending(sizes.heads, rows, prompt, places)
        working += _encoding(backbone.config.encoder, computed, rows, places)
    return cache, working


def _encoding(config: Any, computed: int, rows: int, places: int) -> int:
    """What an encoder has at once: its layers one after the other, and before them the frames of
    recordings, in float32."""
    reading = peaks.reading(Sizes.of_stack(config), computed, rows, places)
    if not isinstance(config, AudioConfig):
        return reading
    return max(reading, rows * places * FRAME_NUMBERS * config.width * peaks.WIDE)


def _encoded(source: Source) -> int:
    """How many places an encoder's output has."""
    if AUDIO_INPUTS[0] in source:
        return source[AUDIO_INPUTS[0]].shape[1] // FRAME
    return source[SOURCE_INPUTS[0]].shape[1] if SOURCE_INPUTS[0] in source else 0


def _lines(sampler: Sampler) -> int:
    """Rows of the cache that a prompt takes while it is completed."""
    if isinstance(sampler, BeamSampler):
        return sampler.num_beams
    return sampler.k if isinstance(sampler, ContrastiveSampler) else 1
