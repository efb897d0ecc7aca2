"""PARSeq's iterative refinement of a text read from a picture (Bautista and Atienza 2022, 3.4).

The first pass writes character by character. A refinement pass predicts every place again from all
other places, in one step, for all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from workbench.backbones.parseq_orders import cloze_masks
from workbench.generation.clock import WorkClock
from workbench.generation.events import Status
from workbench.generation.lengths import NO_LIMIT
from workbench.generation.loop import drive
from workbench.generation.programs import Array, Output, Programs, compiled_length
from workbench.generation.request import Request
from workbench.generation.search import is_search, search_ids
from workbench.generation.stream import ids_of

SMALLEST = 16


class Texts(NamedTuple):
    """A batch of texts: ids int32 (B, T); `starts` is the prompt's length, `stops` the text's
    length so far and `limits` the largest length, int32 (B,) each."""

    ids: Array
    starts: Array
    stops: Array
    limits: Array


class Refined(NamedTuple):
    """The token predicted at each place from all other places, int32 (B, T), its log-probability
    (B, T), and the likeliest alternatives (B, T, A), as in `Output`."""

    tokens: jax.Array
    logprobs: jax.Array
    alternatives: jax.Array
    alternative_logprobs: jax.Array


class Refinement:
    """The refinement programs of one `PARSeqBackbone`."""

    def __init__(self, programs: Programs, alternatives: int) -> None:
        self._programs = programs
        self.encode = jax.jit(self._encode)
        self.refine = jax.jit(partial(self._refine, alternatives=alternatives))

    def _encode(self, parameters: list[jax.Array], images: jax.Array) -> jax.Array:
        with self._programs.holding(parameters):
            return self._programs.backbone.encode(images)

    def _refine(
        self,
        parameters: list[jax.Array],
        memory: jax.Array,
        texts: Texts,
        stop_ids: jax.Array,
        alternatives: int,
    ) -> Refined:
        ids, backbone = texts.ids, self._programs.backbone
        place = jnp.arange(ids.shape[1])[None]
        made = (place >= texts.starts[:, None]) & (place < texts.stops[:, None])
        ended = made & (ids[..., None] == stop_ids).any(-1)
        written = (place < texts.stops[:, None]) & (jnp.cumsum(ended, axis=1) == 0)
        with self._programs.holding(parameters):
            decoder = backbone.decoder
            masks = cloze_masks(ids.shape[1])
            hidden = decoder.run(ids, decoder.remember(memory), *masks, written)
            logprobs = jax.nn.log_softmax(backbone.logits(hidden), axis=-1)
        best, best_ids = jax.lax.top_k(logprobs, max(alternatives, 1))
        kept = slice(0, alternatives)
        # Row t predicts token t + 1; shift by one, so that row t holds token t.
        made = Refined(best_ids[..., 0], best[..., 0], best_ids[..., kept], best[..., kept])
        return jax.tree.map(lambda part: jnp.roll(part, 1, axis=1), made)


def read_again(
    programs: Programs, request: Request, refinements: int, clock: WorkClock
) -> Iterator[Status | Output]:
    """Yield what `drive` yields, for the texts after `refinements` passes. The request's source
    is `images`. Of the first pass, only the statuses are yielded."""
    refinement = programs.others(
        "refinement", request.alternatives, lambda p, size: Refinement(p, size)
    )
    parameters = programs.parameters()
    shape = tuple(request.source["images"].shape)
    if programs.is_new("encode", shape):
        yield Status("compiling")
    memory = refinement.encode(parameters, request.source["images"])
    first = replace(request, source={"memory": memory})
    items: list[Output] = []
    if not is_search(request):
        for item in drive(programs, first, clock):
            if isinstance(item, Status):
                yield item
            else:
                items.append(item)
    made = search_ids(programs, first) if is_search(request) else ids_of(items, request)
    texts = _written(programs, request, made)
    compiles = programs.is_new("refine", request.alternatives, texts.ids.shape, shape)
    if compiles:
        yield Status("compiling")
    stop_ids = np.array([*request.stop_ids, *[-1] * (8 - len(request.stop_ids) % 8)], np.int32)
    refine = partial(refinement.refine, parameters, memory, stop_ids=stop_ids)
    refined = jax.device_get(refine(texts))
    for _ in range(refinements - 1):
        texts = _taken_over(texts, refined)
        refined = jax.device_get(refine(texts))
    texts = _taken_over(texts, refined)
    clock.lap("compile" if compiles else "decode")
    yield Status("streaming")
    yield from _outputs(texts, refined, request)


def _written(programs: Programs, request: Request, made: list[np.ndarray]) -> Texts:
    """Return the texts of the first pass as one batch, no wider than the positions allow."""
    rows = [np.concatenate(parts) for parts in zip(request.prompts, made, strict=True)]
    width = min(
        compiled_length(int(request.limits.max()), SMALLEST),
        programs.backbone.max_length or NO_LIMIT,
    )
    ids = np.zeros((len(rows), width), np.int32)
    for row, values in enumerate(rows):
        ids[row, : len(values)] = values
    starts = np.array([len(prompt) for prompt in request.prompts], np.int32)
    stops = np.array([len(row) for row in rows], np.int32)
    return Texts(ids, starts, stops, request.limits.astype(np.int32))


def _taken_over(texts: Texts, refined: Refined) -> Texts:
    """Replace the written tokens by the refined ones; prompts stay."""
    prompt = np.arange(texts.ids.shape[1]) < texts.starts[:, None]
    ids = np.where(prompt, texts.ids, refined.tokens)
    return texts._replace(ids=ids, stops=texts.limits)


def _outputs(texts: Texts, refined: Refined, request: Request) -> Iterator[Output]:
    """Yield one output per place, as if the texts came token by token."""
    rows = np.arange(len(texts.ids))
    finished = np.zeros(len(rows), bool)
    for step in range(int((texts.limits - texts.starts).max())):
        at = np.minimum(texts.starts + step, texts.limits - 1)
        token = texts.ids[rows, at]
        finished |= np.isin(token, request.stop_ids) | (at + 1 >= texts.limits)
        logprob, ids, logprobs = (part[rows, at] for part in refined[1:])
        yield Output(token, logprob, ids, logprobs, finished.copy())
        if finished.all():
            return
