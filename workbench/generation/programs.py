"""The two compiled programs of generation: prefill reads the prompts, step makes one token a row.

Everything a caller may change between calls enters as an array, so only a new shape (batch, or a
length bucket) or another sampling program compiles.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.backbones.decoder import Cache, Decoder
from workbench.backbones.layers.attention import LayerCache
from workbench.generation.compilation import keep_compiled_programs
from workbench.generation.request import Request
from workbench.samplers import History, Sampler, Settings

SMALLEST_BUCKET = 16
LARGEST_DOUBLING = 2048
STOP_BUCKET = 8
KEPT_PROGRAMS = 16


class Controls(NamedTuple):
    """What a caller may change without compiling. seeds and limits are (B,), stop_ids (S,)."""

    settings: Settings
    seeds: jax.Array
    stop_ids: jax.Array
    limits: jax.Array


class State(NamedTuple):
    """What a step hands to the next. `token` (B,) belongs at `position` (B,) and is not yet in
    the cache; `count` is the number of tokens made so far; `finished` is bool (B,)."""

    cache: Cache
    history: History
    token: jax.Array
    position: jax.Array
    count: jax.Array
    finished: jax.Array


class Output(NamedTuple):
    """One token per row: token, logprob and finished are (B,); alternatives are (B, A)."""

    token: jax.Array
    logprob: jax.Array
    alternatives: jax.Array
    alternative_logprobs: jax.Array
    finished: jax.Array


class Programs:
    """The programs of one backbone, made as they are needed and kept."""

    def __init__(self, backbone: Decoder) -> None:
        keep_compiled_programs()
        self.backbone = backbone
        self._made: OrderedDict[object, tuple[Callable, Callable, Sampler]] = OrderedDict()
        self._shapes: set[object] = set()

    def start(self, request: Request) -> Run:
        """A run of the request: nothing is computed yet."""
        key = (request.sampler.program, request.alternatives)
        if key not in self._made:
            # The sampler is kept beside its programs: they hold its code.
            self._made[key] = (*self._make(request.sampler, request.alternatives), request.sampler)
            if len(self._made) > KEPT_PROGRAMS:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        prefill, step, _ = self._made[key]
        return Run(self, request, prefill, step, key)

    def is_new(self, shape: object) -> bool:
        """Whether this shape has not run before, and so has to compile; it counts as run now."""
        new = shape not in self._shapes
        self._shapes.add(shape)
        return new

    def parameters(self) -> list[jax.Array]:
        """The backbone's arrays as the programs take them."""
        return [variable.value for variable in self.backbone.variables]

    def _make(self, sampler: Sampler, alternatives: int) -> tuple[Callable, Callable]:
        emit = functools.partial(_emit, sampler, alternatives)

        def prefill(
            parameters: list[jax.Array],
            ids: jax.Array,
            lengths: jax.Array,
            controls: Controls,
            cache_length: int,
        ) -> tuple[State, Output]:
            with self._holding(parameters):
                logits, cache = read_prompts(self.backbone, ids, lengths, cache_length)
            real = jnp.arange(ids.shape[1]) < lengths[:, None]
            history = History.start(ids, real, logits.shape[-1])
            return emit(logits, cache, history, lengths, jnp.int32(0), controls)

        def step(
            parameters: list[jax.Array], state: State, controls: Controls
        ) -> tuple[State, Output]:
            with self._holding(parameters):
                hidden, cache = self.backbone.extend(
                    state.token[:, None], state.position[:, None], state.cache
                )
                logits = self.backbone.logits(hidden)[:, 0]
            # A finished row stays where it is until the others are done.
            position = jnp.where(state.finished, state.position, state.position + 1)
            state, output = emit(logits, cache, state.history, position, state.count, controls)
            return state, output

        return (
            jax.jit(prefill, static_argnames="cache_length"),
            jax.jit(step, donate_argnames="state"),
        )

    def _holding(self, parameters: list[jax.Array]) -> keras.StatelessScope:
        return keras.StatelessScope(list(zip(self.backbone.variables, parameters, strict=True)))


def read_prompts(
    backbone: Decoder, ids: jax.Array, lengths: jax.Array, cache_length: int
) -> tuple[jax.Array, Cache]:
    """Logits (B, V) after the last real token of each row of ids (B, P), and the filled cache.

    Attention runs over the prompt's own bucket only; the cache grows to its length afterwards.
    """
    batch, bucket = ids.shape
    positions = jnp.broadcast_to(jnp.arange(bucket), ids.shape)
    hidden, cache = backbone.extend(ids, positions, backbone.init_cache(batch, bucket))
    last = jnp.take_along_axis(hidden, (lengths - 1)[:, None, None], axis=1)
    room = ((0, 0), (0, cache_length - bucket), (0, 0), (0, 0))
    grown = tuple(LayerCache(*(jnp.pad(part, room) for part in layer)) for layer in cache)
    return backbone.logits(last)[:, 0], grown


def _emit(
    sampler: Sampler,
    alternatives: int,
    logits: jax.Array,
    cache: Cache,
    history: History,
    position: jax.Array,
    count: jax.Array,
    controls: Controls,
) -> tuple[State, Output]:
    """Choose the token that belongs at `position` and report it under the model's distribution."""
    logits = logits.astype(jnp.float32)
    token = sampler.choose(logits, controls.settings, controls.seeds, count, history)
    logprobs = jax.nn.log_softmax(logits, axis=-1)
    best, best_ids = jax.lax.top_k(logprobs, alternatives)
    chosen = jnp.take_along_axis(logprobs, token[:, None], axis=-1)[:, 0]
    stopped = jnp.any(token[:, None] == controls.stop_ids, axis=-1)
    finished = stopped | (position + 1 >= controls.limits)
    state = State(cache, history.add(token), token, position, count + 1, finished)
    return state, Output(token, chosen, best_ids, best, finished)


class Run:
    """One request on its way: `prefill()` once, then `step()` until every row is finished."""

    def __init__(
        self, programs: Programs, request: Request, prefill: Callable, step: Callable, key: object
    ) -> None:
        self._programs, self._prefill, self._step = programs, prefill, step
        self._parameters = programs.parameters()
        self._controls = _controls(request)
        lengths = [len(ids) for ids in request.prompts]
        # The bucket of the cache holds the prompt's: prefill fills a part of it.
        self._bucket = bucket(max(lengths))
        self._cache_length = max(bucket(int(request.limits.max())), self._bucket)
        self._ids = np.zeros((len(lengths), self._bucket), np.int32)
        for row, ids in enumerate(request.prompts):
            self._ids[row, : len(ids)] = ids
        self._lengths = np.array(lengths, np.int32)
        structure = tuple((p.shape, p.dtype) for p in self._parameters)
        stops = len(self._controls.stop_ids)
        self._shape = (key, hash(structure), self._ids.shape[0], self._cache_length, stops)
        self._state: State | None = None

    def prefill_compiles(self) -> bool:
        """Whether the prefill about to run has to compile first."""
        return self._programs.is_new(("prefill", self._bucket, *self._shape))

    def step_compiles(self) -> bool:
        """Whether the step about to run has to compile first."""
        return self._programs.is_new(("step", *self._shape))

    def prefill(self) -> Output:
        """Read the prompts; the first token of every row."""
        self._state, output = self._prefill(
            self._parameters, self._ids, self._lengths, self._controls, self._cache_length
        )
        return output

    def step(self) -> Output:
        """The next token of every row. Returns at once; the arrays fill when they are read."""
        self._state, output = self._step(self._parameters, self._state, self._controls)
        return output


def bucket(length: int) -> int:
    """The length compiled for: powers of two from 16 to 2048, multiples of 2048 above."""
    if length > LARGEST_DOUBLING:
        return -(-length // LARGEST_DOUBLING) * LARGEST_DOUBLING
    return max(SMALLEST_BUCKET, 1 << (length - 1).bit_length())


def _controls(request: Request) -> Controls:
    size = -(-max(len(request.stop_ids), 1) // STOP_BUCKET) * STOP_BUCKET
    stop_ids = np.full(size, -1, np.int32)  # no token is -1
    stop_ids[: len(request.stop_ids)] = request.stop_ids
    return Controls(request.sampler.settings(), request.seeds, stop_ids, request.limits)
