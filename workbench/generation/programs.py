"""The compiled programs of generation.

    prefill   reads the prompts; returns the logits after the last token, and the cache
    resume    reads the rest of a prompt whose beginning is already in a cache
    step      reads one token per row; returns the next logits and the longer cache
    choose    picks one token per row from the logits and reports it

Everything a caller may change between calls is an array argument. So only a new shape (batch or
padded length) recompiles prefill, resume and step, and only a new kind of sampler recompiles
choose.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import keras
import numpy as np

from workbench.backbones.all_or_nothing import put_back, unchanging
from workbench.backbones.decoder import Cache, Decoder
from workbench.errors import present
from workbench.generation.compilation import compiler_options, keep_compiled_programs
from workbench.generation.prefix import Prefix, slots
from workbench.generation.request import Request
from workbench.interrupts import held
from workbench.samplers import History, Sampler, StepSettings

SMALLEST_PROMPT = 16
SMALLEST_CACHE = 64
LARGEST_DOUBLING = 2048
STOP_BUCKET = 8
KEPT_SAMPLERS = 16


Array = jax.Array | np.ndarray
"""An array on the device or on the host."""

Source = Mapping[str, Array]

AnyArray = TypeVar("AnyArray", bound=Array)


class Controls(NamedTuple, Generic[AnyArray]):
    """What a caller may change without recompiling. seeds and limits are (B,), stop_ids (S,)."""

    settings: StepSettings
    seeds: AnyArray
    stop_ids: AnyArray
    limits: AnyArray


class State(NamedTuple):
    """The progress of each row. The next token goes to `position` (B,); `token` (B,) is the last
    chosen one, not yet in the cache; `made` counts the tokens so far; `finished` is bool (B,)."""

    history: History
    token: jax.Array
    position: jax.Array
    made: jax.Array
    finished: jax.Array


class Output(NamedTuple, Generic[AnyArray]):
    """One token per row: token, logprob and finished are (B,); alternatives are (B, A)."""

    token: AnyArray
    logprob: AnyArray
    alternatives: AnyArray
    alternative_logprobs: AnyArray
    finished: AnyArray


class Room(NamedTuple):
    """The size of a cache: slots per row, and whether it needs longrope's long factors."""

    length: int
    stretched: bool


class Programs:
    """The programs of one backbone, made when first needed and then kept."""

    def __init__(self, backbone: Decoder) -> None:
        keep_compiled_programs()
        self.backbone = backbone
        options = compiler_options()
        self.prefill = jax.jit(self._prefill, static_argnames="room", compiler_options=options)
        self.resume = jax.jit(self._resume, donate_argnames="cache", compiler_options=options)
        self.step = jax.jit(self._step, donate_argnames="cache", compiler_options=options)
        self._choosers: OrderedDict[object, tuple[Callable, Sampler]] = OrderedDict()
        self._others: dict[tuple[str, int], Any] = {}
        self._seen: set[object] = set()

    def parameters(self) -> list[jax.Array]:
        """Return the backbone's arrays in the order that the programs take."""
        with unchanging(self.backbone):
            return [variable.value for variable in self.backbone.variables]

    def chooser(self, sampler: Sampler, alternatives: int) -> Callable[..., tuple[State, Output]]:
        """Return the choose program for this kind of sampler."""
        key = (sampler.program, alternatives)
        if key not in self._choosers:
            # The program runs the sampler's code, so the sampler is kept with it.
            self._choosers[key] = (_make_chooser(sampler, alternatives), sampler)
            if len(self._choosers) > KEPT_SAMPLERS:
                self._choosers.popitem(last=False)
        self._choosers.move_to_end(key)
        return self._choosers[key][0]

    def others(self, name: str, size: int, make: Callable[[Programs, int], Any]) -> Any:
        """Return the programs that `make` makes, once for each name and size."""
        if (name, size) not in self._others:
            self._others[name, size] = make(self, size)
        return self._others[name, size]

    def is_new(self, *shape: object) -> bool:
        """Return whether this program and shape are new and have to compile; from now on they
        count as run."""
        new = shape not in self._seen
        self._seen.add(shape)
        return new

    def _prefill(
        self,
        parameters: list[jax.Array],
        ids: jax.Array,
        lengths: jax.Array,
        source: Source,
        room: Room,
    ) -> tuple[jax.Array, Cache, State]:
        with self.holding(parameters):
            logits, _, cache = read_prompts(self.backbone, ids, lengths, source, room)
        return logits, cache, first_state(ids, lengths, logits.shape[-1])

    def _resume(
        self,
        parameters: list[jax.Array],
        cache: Cache,
        ids: jax.Array,
        start: jax.Array,
        length: jax.Array,
    ) -> tuple[jax.Array, Cache]:
        """Return the logits (1, V) after the last of `length` real ids, int32 (1, P), and the
        cache. The first id is at position `start`; the cache has at least `start` + P slots."""
        with self.holding(parameters):
            positions = start + jnp.arange(ids.shape[1])[None]
            hidden, cache = self.backbone.extend(ids, positions, cache)
            last = jax.lax.dynamic_index_in_dim(hidden, length - 1, axis=1, keepdims=False)
            return self.backbone.logits(last).astype(jnp.float32), cache

    def _step(
        self, parameters: list[jax.Array], cache: Cache, token: jax.Array, position: jax.Array
    ) -> tuple[jax.Array, Cache]:
        """Read `token` (B,), which stands just before `position` (B,), the next token's place."""
        with self.holding(parameters):
            at = position[:, None] - 1
            hidden, cache = self.backbone.extend(token[:, None], at, cache)
            return self.backbone.logits(hidden)[:, 0].astype(jnp.float32), cache

    @contextmanager
    def holding(self, parameters: list[jax.Array]) -> Iterator[None]:
        """Give the backbone's variables these values inside the block. Nobody can change its
        layers meanwhile; an interrupt waits. A failure leaves no Keras scope open."""
        with unchanging(self.backbone), held(), put_back():
            values = list(zip(self.backbone.variables, parameters, strict=True))
            with keras.StatelessScope(values):
                yield


def read_prompts(
    backbone: Decoder, ids: jax.Array, lengths: jax.Array, source: Source, room: Room
) -> tuple[jax.Array, jax.Array, Cache]:
    """Return float32 logits (B, V) after the last real token of each row of ids (B, P), the
    hidden states (B, P, D), and the cache. `source` is a request's.

    Attention runs over the padded length of the prompt only; the cache grows afterwards.
    """
    hidden, cache = backbone.read(ids, lengths, room.stretched, **source)
    last = jnp.take_along_axis(hidden, (lengths - 1)[:, None, None], axis=1)
    return backbone.logits(last)[:, 0].astype(jnp.float32), hidden, grow(cache, room.length)


@functools.partial(jax.jit, static_argnames="length")
def grow(cache: Cache, length: int) -> Cache:
    """Return the cache grown to `length` slots."""
    return cache.grow(length)


@functools.partial(jax.jit, static_argnames="vocabulary_size")
def first_state(ids: jax.Array, lengths: jax.Array, vocabulary_size: int) -> State:
    """Return the state of rows whose prompts, ids (B, P) of these lengths (B,), are read."""
    real = jnp.arange(ids.shape[1]) < lengths[:, None]
    history = History.start(ids, real, vocabulary_size)
    finished = jnp.zeros(lengths.shape, bool)
    return State(history, jnp.zeros_like(lengths), lengths, jnp.int32(0), finished)


def _make_chooser(
    sampler: Sampler, alternatives: int
) -> Callable[[jax.Array, State, Controls], tuple[State, Output]]:
    def choose(logits: jax.Array, state: State, controls: Controls) -> tuple[State, Output]:
        history, count = state.history, state.made
        token = sampler.choose(logits, controls.settings, controls.seeds, count, history)
        stopped = jnp.any(token[:, None] == controls.stop_ids, axis=-1)
        finished = stopped | (state.position + 1 >= controls.limits)
        # A finished row keeps its position until the other rows end.
        position = jnp.where(finished, state.position, state.position + 1)
        state = State(history.add(token), token, position, count + 1, finished)
        return state, _report(logits, token, alternatives, finished)

    return jax.jit(choose, donate_argnames="state")


def _report(logits: jax.Array, token: jax.Array, alternatives: int, finished: jax.Array) -> Output:
    """Return the chosen and the likeliest tokens with their log-probabilities of the model."""
    logprobs = jax.nn.log_softmax(logits, axis=-1)
    best, best_ids = jax.lax.top_k(logprobs, alternatives)
    chosen = jnp.take_along_axis(logprobs, token[:, None], axis=-1)[:, 0]
    return Output(token, chosen, best_ids, best, finished)


class Run:
    """A request that runs: call `prefill()` once, then `step()` until every row is finished.

    Both return at once; the device computes their arrays while the caller continues.

    With a `prefix`, the request has one prompt, and the run reads only the tokens that the prefix
    does not hold. `keep` gives the cache back to the prefix for the next run.
    """

    def __init__(self, programs: Programs, request: Request, prefix: Prefix | None = None) -> None:
        self._programs = programs
        self._parameters = programs.parameters()
        self._choose = programs.chooser(request.sampler, request.alternatives)
        self._controls = _controls(request)
        self._ids, self._lengths = padded(request.prompts)
        self._source = request.source
        self._room = cache_room(programs.backbone, request, self._ids)
        # A decoder's cache depends on everything the encoder has read.
        self._prefix = None if request.source else prefix
        self._cache: Cache | None = None
        self._state: State | None = None
        self._rest, self._reused = self._ids, 0
        if self._prefix is not None:
            self._go_on(self._prefix)
        structure = hash(tuple((p.shape, p.dtype) for p in self._parameters))
        source = tuple(part.shape for part in self._source.values())
        self._shape = (structure, len(self._lengths), self._room, source)
        self._sampling = (request.sampler.program, request.alternatives, len(self._lengths))

    def prefill_compiles(self) -> bool:
        """Return whether the next prefill has to compile first."""
        stops = self._controls.stop_ids.size
        program = "prefill" if self._cache is None else "resume"
        reads = self._programs.is_new(program, self._rest.shape[1], *self._shape)
        return self._programs.is_new("choose", stops, *self._sampling) or reads

    def step_compiles(self) -> bool:
        """Return whether the next step has to compile first."""
        return self._programs.is_new("step", *self._shape)

    @held()
    def prefill(self) -> Output:
        """Read the prompts and return the first token of every row."""
        if self._cache is None:
            logits, self._cache, self._state = self._programs.prefill(
                self._parameters, self._ids, self._lengths, self._source, room=self._room
            )
            return self._next(logits)
        start = np.int32(self._reused)
        logits, self._cache = self._programs.resume(
            self._parameters, self._taken(), self._rest, start, self._lengths[0] - start
        )
        self._state = first_state(self._ids, self._lengths, vocabulary_size=logits.shape[-1])
        return self._next(logits)

    @held()
    def step(self) -> Output:
        """Return the next token of every row."""
        state = present(self._state, "prefill() before step()")
        logits, self._cache = self._programs.step(
            self._parameters, self._taken(), state.token, state.position
        )
        return self._next(logits)

    def keep(self, made: list[int]) -> None:
        """Give the cache to the prefix once `made` tokens are generated; also after a failure.

        A step dispatched after the last token has overwritten the slot before it.
        """
        if self._prefix is None or self._cache is None:
            return
        ids = np.concatenate([self._ids[0, : self._lengths[0]], np.array(made, np.int32)])
        certain = self._lengths[0] + max(len(made), 1) - 2
        self._prefix.keep(ids[:certain], self._cache, self._parameters)

    def _go_on(self, prefix: Prefix) -> None:
        """Take the cache of the tokens the prefix shares with the prompt; grow it for the rest."""
        prompt = self._ids[0, : self._lengths[0]]
        cache = prefix.take(prompt, self._parameters, self._room.stretched)
        if cache is None:
            return
        self._reused = prefix.reused
        self._rest, _ = padded((prompt[self._reused :],))
        needed = compiled_length(self._reused + self._rest.shape[1], SMALLEST_CACHE)
        length = max(self._room.length, slots(cache), needed)
        self._cache = cache if length == slots(cache) else grow(cache, length=length)
        self._room = self._room._replace(length=length)

    def _taken(self) -> Cache:
        """Hand over the cache to a program that donates it."""
        cache, self._cache = self._cache, None
        return present(cache, "prefill() before step()")

    def _next(self, logits: Any) -> Output:
        self._state, output = self._choose(logits, self._state, self._controls)
        return output


def padded(prompts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Right-pad prompts to a compiled length; return ids, int32 (B, P), and lengths, int32 (B,)."""
    lengths = np.array([len(ids) for ids in prompts], np.int32)
    ids = np.zeros((len(prompts), compiled_length(int(lengths.max()), SMALLEST_PROMPT)), np.int32)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt
    return ids, lengths


def cache_room(backbone: Decoder, request: Request, ids: np.ndarray) -> Room:
    """Return the size of the cache for a request whose padded prompts are `ids`, int32 (B, P)."""
    reach = int(request.limits.max())
    length = compiled_length(max(reach, ids.shape[1]), SMALLEST_CACHE)
    return Room(length, backbone.config.stretches(reach))


def compiled_length(length: int, smallest: int) -> int:
    """Round a length up to one that programs are compiled for, so that few lengths compile:
    powers of two up to 2048, then multiples of 2048."""
    if length > LARGEST_DOUBLING:
        return -(-length // LARGEST_DOUBLING) * LARGEST_DOUBLING
    return max(smallest, 1 << (length - 1).bit_length())


def _controls(request: Request) -> Controls:
    size = -(-max(len(request.stop_ids), 1) // STOP_BUCKET) * STOP_BUCKET
    stop_ids = np.full(size, -1, np.int32)  # no token is -1
    stop_ids[: len(request.stop_ids)] = request.stop_ids
    return Controls(request.sampler.settings(), request.seeds, stop_ids, request.limits)
