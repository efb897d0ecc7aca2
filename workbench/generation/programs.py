"""The compiled programs of generation.

    prefill   reads the prompts: logits after the last token, and the cache
    resume    reads the rest of a prompt whose beginning is in a cache already
    step      reads one token a row: the next logits, and the cache one longer
    choose    picks a token a row from logits and reports it

Everything a caller may change between calls enters as an array, so only a new shape (batch, or a
padded length) compiles prefill, resume and step, and only another kind of sampler compiles choose.
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
"""An array on the device, or one of the host on its way there or back."""

Source = Mapping[str, Array]

AnyArray = TypeVar("AnyArray", bound=Array)


class Controls(NamedTuple, Generic[AnyArray]):
    """What a caller may change without compiling. seeds and limits are (B,), stop_ids (S,)."""

    settings: StepSettings
    seeds: AnyArray
    stop_ids: AnyArray
    limits: AnyArray


class State(NamedTuple):
    """Where each row is. The next token belongs at `position` (B,); `token` (B,) is the last one
    chosen, not yet in the cache; `made` tokens have come; `finished` is bool (B,)."""

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
    """What a cache is made for: slots a row, and whether longrope's long factors are needed."""

    length: int
    stretched: bool


class Programs:
    """The programs of one backbone, made as they are needed and kept."""

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
        """The backbone's arrays as the programs take them."""
        with unchanging(self.backbone):
            return [variable.value for variable in self.backbone.variables]

    def chooser(self, sampler: Sampler, alternatives: int) -> Callable[..., tuple[State, Output]]:
        """The choose program of a kind of sampler."""
        key = (sampler.program, alternatives)
        if key not in self._choosers:
            # The sampler is kept beside its program, which runs its code.
            self._choosers[key] = (_make_chooser(sampler, alternatives), sampler)
            if len(self._choosers) > KEPT_SAMPLERS:
                self._choosers.popitem(last=False)
        self._choosers.move_to_end(key)
        return self._choosers[key][0]

    def others(self, name: str, size: int, make: Callable[[Programs, int], Any]) -> Any:
        """Programs of another kind, made once for each name and size."""
        if (name, size) not in self._others:
            self._others[name, size] = make(self, size)
        return self._others[name, size]

    def is_new(self, *shape: object) -> bool:
        """Whether this program and shape have not run before and so have to compile; from now on
        they count as run."""
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
        """Logits (1, V) after the last of `length` real ids, int32 (1, P), the first of which
        belongs at position `start`. The cache has at least `start` + P slots."""
        with self.holding(parameters):
            positions = start + jnp.arange(ids.shape[1])[None]
            hidden, cache = self.backbone.extend(ids, positions, cache)
            last = jax.lax.dynamic_index_in_dim(hidden, length - 1, axis=1, keepdims=False)
            return self.backbone.logits(last).astype(jnp.float32), cache

    def _step(
        self, parameters: list[jax.Array], cache: Cache, token: jax.Array, position: jax.Array
    ) -> tuple[jax.Array, Cache]:
        """`position` (B,) is where the next token belongs: `token` (B,) is the one before it."""
        with self.holding(parameters):
            at = position[:, None] - 1
            hidden, cache = self.backbone.extend(token[:, None], at, cache)
            return self.backbone.logits(hidden)[:, 0].astype(jnp.float32), cache

    @contextmanager
    def holding(self, parameters: list[jax.Array]) -> Iterator[None]:
        """While it is entered, the backbone's variables have these values, and nobody changes
        its layers; an interrupt waits. Whatever fails leaves none of Keras's scopes open."""
        with unchanging(self.backbone), held(), put_back():
            values = list(zip(self.backbone.variables, parameters, strict=True))
            with keras.StatelessScope(values):
                yield


def read_prompts(
    backbone: Decoder, ids: jax.Array, lengths: jax.Array, source: Source, room: Room
) -> tuple[jax.Array, jax.Array, Cache]:
    """Float32 logits (B, V) after the last real token of each row of ids (B, P), the hidden
    states (B, P, D), and the cache. `source` is a request's.

    Attention runs over the prompt's own padded length only; the cache grows afterwards.
    """
    hidden, cache = backbone.read(ids, lengths, room.stretched, **source)
    last = jnp.take_along_axis(hidden, (lengths - 1)[:, None, None], axis=1)
    return backbone.logits(last)[:, 0].astype(jnp.float32), hidden, grow(cache, room.length)


@functools.partial(jax.jit, static_argnames="length")
def grow(cache: Cache, length: int) -> Cache:
    """The same cache with `length` slots."""
    return cache.grow(length)


@functools.partial(jax.jit, static_argnames="vocabulary_size")
def first_state(ids: jax.Array, lengths: jax.Array, vocabulary_size: int) -> State:
    """Where rows are when their prompts, ids (B, P) of these lengths (B,), have been read."""
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
        # A finished row stays where it is until the others are done.
        position = jnp.where(finished, state.position, state.position + 1)
        state = State(history.add(token), token, position, count + 1, finished)
        return state, _report(logits, token, alternatives, finished)

    return jax.jit(choose, donate_argnames="state")


def _report(logits: jax.Array, token: jax.Array, alternatives: int, finished: jax.Array) -> Output:
    """The chosen token under the model's own distribution, and the likeliest ones."""
    logprobs = jax.nn.log_softmax(logits, axis=-1)
    best, best_ids = jax.lax.top_k(logprobs, alternatives)
    chosen = jnp.take_along_axis(logprobs, token[:, None], axis=-1)[:, 0]
    return Output(token, chosen, best_ids, best, finished)


class Run:
    """One request on its way: `prefill()` once, then `step()` until every row is finished.

    Both return at once; the arrays of their output fill while the caller does something else.

    With a `prefix` the one prompt of the request goes on from what the prefix holds of it, and
    `keep` gives back the cache for the next run.
    """

    def __init__(self, programs: Programs, request: Request, prefix: Prefix | None = None) -> None:
        self._programs = programs
        self._parameters = programs.parameters()
        self._choose = programs.chooser(request.sampler, request.alternatives)
        self._controls = _controls(request)
        self._ids, self._lengths = padded(request.prompts)
        self._source = request.source
        self._room = cache_room(programs.backbone, request, self._ids)
        # What a decoder makes of its prompt depends on all that an encoder has read.
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
        """Whether the prefill about to run has to compile first."""
        stops = self._controls.stop_ids.size
        program = "prefill" if self._cache is None else "resume"
        reads = self._programs.is_new(program, self._rest.shape[1], *self._shape)
        return self._programs.is_new("choose", stops, *self._sampling) or reads

    def step_compiles(self) -> bool:
        """Whether the step about to run has to compile first."""
        return self._programs.is_new("step", *self._shape)

    @held()
    def prefill(self) -> Output:
        """Read the prompts; the first token of every row."""
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
        """The next token of every row."""
        state = present(self._state, "prefill() before step()")
        logits, self._cache = self._programs.step(
            self._parameters, self._taken(), state.token, state.position
        )
        return self._next(logits)

    def keep(self, made: list[int]) -> None:
        """Give the cache to the prefix, after `made` tokens have come; also after a failure.

        The step after the last token, if it was under way, has written over the slot before.
        """
        if self._prefix is None or self._cache is None:
            return
        ids = np.concatenate([self._ids[0, : self._lengths[0]], np.array(made, np.int32)])
        certain = self._lengths[0] + max(len(made), 1) - 2
        self._prefix.keep(ids[:certain], self._cache, self._parameters)

    def _go_on(self, prefix: Prefix) -> None:
        """Take what the prefix holds of the prompt, with room for the rest of it."""
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
        """The cache, for a program that uses it up."""
        cache, self._cache = self._cache, None
        return present(cache, "prefill() before step()")

    def _next(self, logits: Any) -> Output:
        self._state, output = self._choose(logits, self._state, self._controls)
        return output


def padded(prompts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Prompts right-padded to a compiled length, int32 (B, P), and their lengths, int32 (B,)."""
    lengths = np.array([len(ids) for ids in prompts], np.int32)
    ids = np.zeros((len(prompts), compiled_length(int(lengths.max()), SMALLEST_PROMPT)), np.int32)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt
    return ids, lengths


def cache_room(backbone: Decoder, request: Request, ids: np.ndarray) -> Room:
    """The cache for a request whose padded prompts are `ids`, int32 (B, P)."""
    reach = int(request.limits.max())
    length = compiled_length(max(reach, ids.shape[1]), SMALLEST_CACHE)
    return Room(length, backbone.config.stretches(reach))


def compiled_length(length: int, smallest: int) -> int:
    """The length that programs are compiled for: powers of two up to 2048, multiples of 2048 above,
    so that few lengths are compiled."""
    if length > LARGEST_DOUBLING:
        return -(-length // LARGEST_DOUBLING) * LARGEST_DOUBLING
    return max(smallest, 1 << (length - 1).bit_length())


def _controls(request: Request) -> Controls:
    size = -(-max(len(request.stop_ids), 1) // STOP_BUCKET) * STOP_BUCKET
    stop_ids = np.full(size, -1, np.int32)  # no token is -1
    stop_ids[: len(request.stop_ids)] = request.stop_ids
    return Controls(request.sampler.settings(), request.seeds, stop_ids, request.limits)
