"""Computes the memory that generation takes on top of a loaded model, and refuses a call that does
not fit before anything is allocated."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import jax.numpy as jnp

from workbench.backbones.audio_config import AudioConfig
from workbench.backbones.decoder import Decoder
from workbench.backbones.encoder_decoder import EncoderDecoder
from workbench.backbones.source import AUDIO_INPUTS, SOURCE_INPUTS
from workbench.estimates import peaks
from workbench.estimates.estimate import Estimate
from workbench.estimates.sizes import Sizes
from workbench.generation.programs import Source, cache_room, padded
from workbench.generation.request import Request
from workbench.memory.door import admit
from workbench.memory.free_memory import on_cpu
from workbench.samplers import BeamSampler, ContrastiveSampler, Sampler

FRAME = 384  # samples of a recording
FRAME_NUMBERS = 24  # numbers in memory at once for each number of a frame


def admit_request(backbone: Decoder, request: Request) -> None:
    """Refuse a generation that would not fit into the memory.

    Raises:
        MemoryTooSmallError: it would not fit; the message says what takes less.
    """
    if not request.prompts:
        return
    needed = estimate_request(backbone, request)
    rows, longest = len(request.prompts), int(request.limits.max())
    advice = "Shorten the text, lower max_length or max_new_tokens"
    advice += ", or give fewer at a time." if rows > 1 else ", or take a smaller model."
    admit(f"generating {rows} x {longest} tokens", needed.beside, advice)


def admit_reading(backbone: Decoder, length: int, source: Source, results: int) -> None:
    """Refuse to look into a text when that would not fit into the memory.

    Args:
        backbone: the model's backbone.
        length: places of the text, padding included.
        source: the other inputs, as in `Request.source`.
        results: bytes of the requested arrays and of the arrays they are computed from.

    Raises:
        MemoryTooSmallError: it would not fit; the message says what takes less.
    """
    cache, working = _read(backbone, source, 1, length, length)
    needed = _loaded(backbone, cache, working, results)
    advice = "Take a shorter text, or ask for fewer arrays by their names."
    admit(f"looking into {length} tokens", needed.beside, advice)


def estimate_request(backbone: Decoder, request: Request) -> Estimate:
    """Estimate the memory at the peak of a generation, the loaded model included, in bytes."""
    ids, _ = padded(request.prompts)
    slots = cache_room(backbone, request, ids).length
    rows, prompt = ids.shape
    cache, working = _read(backbone, request.source, rows, prompt, slots)
    lines = _lines(request.sampler)
    return _loaded(backbone, cache * lines, working, more=2 * cache * (lines - 1))


def _loaded(backbone: Decoder, cache: int, working: int, more: int) -> Estimate:
    """Add the loaded weights to these bytes; on CPU, XLA multiplies 16-bit weights in float32."""
    arrays = [variable.value for variable in backbone.variables]
    narrow = sum(array.nbytes for array in arrays if array.dtype.itemsize == 2) if on_cpu() else 0
    return Estimate(
        weights=sum(array.nbytes for array in arrays),
        cache=cache,
        activations=working + 2 * narrow + more,
        optimizer=0,
        process=int(peaks.PROCESS),
    )


def _read(backbone: Decoder, source: Source, rows: int, prompt: int, slots: int) -> tuple[int, int]:
    """Return the bytes of the cache, and the temporary bytes while the model reads prompts."""
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
        encoder = cast(EncoderDecoder, backbone).config.encoder
        working += _encoding(encoder, computed, rows, places)
    return cache, working


def _encoding(config: Any, computed: int, rows: int, places: int) -> int:
    """Return the bytes an encoder needs at its peak: of one layer at a time, or of the frames of
    recordings before them, in float32."""
    reading = peaks.reading(Sizes.of_stack(config), computed, rows, places)
    if not isinstance(config, AudioConfig):
        return reading
    return max(reading, rows * places * FRAME_NUMBERS * config.width * peaks.WIDE)


def _encoded(source: Source) -> int:
    """Return how many places an encoder's output has."""
    if AUDIO_INPUTS[0] in source:
        return source[AUDIO_INPUTS[0]].shape[1] // FRAME
    return source[SOURCE_INPUTS[0]].shape[1] if SOURCE_INPUTS[0] in source else 0


def _lines(sampler: Sampler) -> int:
    """Return how many rows of the cache a prompt takes during generation."""
    if isinstance(sampler, BeamSampler):
        return sampler.num_beams
    return sampler.k if isinstance(sampler, ContrastiveSampler) else 1
