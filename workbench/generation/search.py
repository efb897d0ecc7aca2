"""Beam search, contrastive search, and samplers that run a loop of their own.

All of them know a row's text only at the end, so they do not stream.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from workbench.backbones.decoder import Cache
from workbench.errors import SettingError
from workbench.generation.programs import Programs, Room, Source, cache_room, padded, read_prompts
from workbench.generation.request import Request
from workbench.interrupts import held, let_through
from workbench.memory.door import names_exhaustion
from workbench.samplers import BeamSampler, ContrastiveSampler
from workbench.samplers.beam import expand, first_scores, follow
from workbench.samplers.contrastive import candidates, contrast


def is_search(request: Request) -> bool:
    """Return whether the request's sampler needs this module instead of the step-by-step loop."""
    sampler = request.sampler
    return isinstance(sampler, BeamSampler | ContrastiveSampler) or sampler.owns_loop


@names_exhaustion("generating")
def search_ids(programs: Programs, request: Request) -> list[np.ndarray]:
    """Return each row's new token ids, int32 (N,), up to and including its first stop token."""
    if isinstance(request.sampler, BeamSampler):
        rows = _beams(programs, request, request.sampler)
    elif isinstance(request.sampler, ContrastiveSampler):
        rows = _contrastive(programs, request, request.sampler)
    else:
        rows = _own_loop(programs, request)
    return [_until_stop(row, request.stop_ids) for row in rows]


def _until_stop(ids: np.ndarray, stop_ids: tuple[int, ...]) -> np.ndarray:
    stops = np.flatnonzero(np.isin(ids, stop_ids))
    return ids[: stops[0] + 1] if stops.size else ids


def _budgets(request: Request) -> np.ndarray:
    """Return how many new tokens each row may have, (B,)."""
    return request.limits - np.array([len(ids) for ids in request.prompts])


def _repeat(tree: Any, times: int) -> Any:
    """Repeat every row of every array `times` times, copies side by side."""
    return jax.tree.map(lambda x: jnp.repeat(x, times, axis=0), tree)


# Beam search: the host records which beam each token continues and reads the best beam backwards.


@functools.partial(jax.jit, donate_argnums=2)
def _reorder(
    logits: jax.Array, scores: jax.Array, cache: Cache, temperature: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, Cache]:
    tokens, parents, scores = expand(logits, scores, temperature)
    return tokens, parents, scores, follow(parents, cache)


@held()
def _beams(programs: Programs, request: Request, sampler: BeamSampler) -> list[np.ndarray]:
    if sampler.return_all_beams:
        raise SettingError(
            "BeamSampler: return_all_beams: generate() returns the best beam of each prompt: "
            "expected False, got True"
        )
    beams, parameters = sampler.num_beams, programs.parameters()
    ids, lengths = padded(request.prompts)
    logits, cache, _ = programs.prefill(
        parameters, ids, lengths, request.source, room=cache_room(programs.backbone, request, ids)
    )
    logits, cache = _repeat((logits, cache), beams)
    scores = first_scores(len(lengths), beams)
    trellis = _Trellis(_budgets(request), beams, request.stop_ids)
    temperature = np.float32(sampler.temperature)
    position = np.repeat(lengths, beams)
    while True:
        let_through()
        tokens, parents, scores, cache = _reorder(logits, scores, cache, temperature)
        if trellis.add(np.asarray(tokens), np.asarray(parents)):
            return trellis.best()
        position = np.minimum(position + 1, np.repeat(request.limits, beams))
        logits, cache = programs.step(parameters, cache, tokens.reshape(-1), position)


class _Trellis:
    """Tokens and parents of all beams, step by step; keeps a row's result when the row ends."""

    def __init__(self, budgets: np.ndarray, beams: int, stop_ids: tuple[int, ...]) -> None:
        self.budgets, self.stop_ids = budgets, stop_ids
        self.steps: list[tuple[np.ndarray, np.ndarray]] = []
        self.ended = np.zeros((len(budgets), beams), bool)
        self.results: list[np.ndarray | None] = [None] * len(budgets)

    def add(self, tokens: np.ndarray, parents: np.ndarray) -> bool:
        """Add one step, tokens and parents (B, N). Return whether all rows have ended."""
        self.steps.append((tokens, parents))
        self.ended = np.take_along_axis(self.ended, parents, axis=1)
        self.ended |= np.isin(tokens, self.stop_ids)
        for row, budget in enumerate(self.budgets):
            over = len(self.steps) == budget or self.ended[row].all()
            if over and self.results[row] is None:
                self.results[row] = self._read(row)
        return all(result is not None for result in self.results)

    def best(self) -> list[np.ndarray]:
        """Return the token ids of each row's best beam, int32 (N,) each."""
        return [row for row in self.results if row is not None]

    def _read(self, row: int) -> np.ndarray:
        beam, ids = 0, []  # beams come best first
        for tokens, parents in reversed(self.steps):
            ids.append(tokens[row, beam])
            beam = parents[row, beam]
        return np.array(ids[::-1], np.int32)


# Contrastive search: every step runs a row's candidates as separate rows of the batch.


@held()
def _contrastive(
    programs: Programs, request: Request, sampler: ContrastiveSampler
) -> list[np.ndarray]:
    parameters = programs.parameters()
    ids, lengths = padded(request.prompts)
    read, step = programs.others("contrastive", sampler.k, _make_contrastive)
    room = cache_room(programs.backbone, request, ids)
    logits, hidden, cache = read(parameters, ids, lengths, request.source, room=room)
    settings = np.float32(sampler.temperature), np.float32(sampler.alpha)
    budgets, made, position = _budgets(request), [], lengths
    ended = np.zeros(len(lengths), bool)
    while not ended.all():
        let_through()
        token, logits, hidden, cache = step(parameters, cache, logits, hidden, position, *settings)
        made.append(np.asarray(token))
        ended |= np.isin(made[-1], request.stop_ids) | (len(made) >= budgets)
        position = np.where(ended, position, position + 1)
    return [row[:budget] for row, budget in zip(np.stack(made, axis=1), budgets, strict=True)]


def _make_contrastive(programs: Programs, k: int) -> tuple[Any, Any]:
    backbone = programs.backbone

    def read(
        parameters: list[jax.Array],
        ids: jax.Array,
        lengths: jax.Array,
        source: Source,
        room: Room,
    ) -> tuple[jax.Array, jax.Array, Cache]:
        with programs.holding(parameters):
            logits, hidden, cache = read_prompts(backbone, ids, lengths, source, room)
        more = ((0, 0), (0, room.length - ids.shape[1]), (0, 0))
        return logits, jnp.pad(hidden, more), cache

    def step(
        parameters: list[jax.Array],
        cache: Cache,
        logits: jax.Array,
        hidden: jax.Array,
        position: jax.Array,
        temperature: jax.Array,
        alpha: jax.Array,
    ) -> tuple[jax.Array, jax.Array, jax.Array, Cache]:
        rows, length = hidden.shape[:2]
        tokens, probabilities = candidates(logits, k, temperature)
        with programs.holding(parameters):
            trial, at = tokens.reshape(-1, 1), jnp.repeat(position, k)[:, None]
            states, wide = backbone.extend(trial, at, _repeat(cache, k))
            outcomes = backbone.logits(states)[:, 0].astype(jnp.float32)
        states = states[:, 0].reshape(rows, k, -1)
        before = jnp.arange(length) < position[:, None]
        choice = contrast(probabilities, states, hidden, before, alpha)
        taken = jnp.arange(rows) * k + choice
        state = jnp.take_along_axis(states, choice[:, None, None], axis=1)
        hidden = jax.vmap(lambda h, s, at: jax.lax.dynamic_update_slice(h, s, (at, 0)))(
            hidden, state.astype(hidden.dtype), position
        )
        cache = jax.tree.map(lambda x: x[taken], wide)
        return tokens.reshape(-1)[taken], outcomes[taken], hidden, cache

    return (
        jax.jit(read, static_argnames="room"),
        jax.jit(step, donate_argnames=("cache", "hidden")),
    )


# Samplers with their own loop, called by KerasHub's protocol.


def _own_loop(programs: Programs, request: Request) -> list[np.ndarray]:
    parameters, backbone = programs.parameters(), programs.backbone
    prompts, lengths = padded(request.prompts)
    total = int(request.limits.max())
    tokens = np.zeros((len(lengths), total), np.int32)
    width = min(total, prompts.shape[1])
    tokens[:, :width] = prompts[:, :width]
    mask = np.arange(total) < lengths[:, None]
    room = cache_room(backbone, request, prompts)
    _, cache, _ = programs.prefill(parameters, prompts, lengths, request.source, room=room)

    @jax.jit
    def next_logits(tokens: jax.Array, cache: Cache, index: jax.Array) -> tuple[Any, Any, Cache]:
        with programs.holding(parameters):
            token = jax.lax.dynamic_slice_in_dim(jnp.asarray(tokens), index - 1, 1, axis=1)
            at = jnp.broadcast_to(jnp.asarray(index - 1, jnp.int32), token.shape)
            hidden, cache = backbone.extend(token.astype(jnp.int32), at, cache)
            return backbone.logits(hidden)[:, 0].astype(jnp.float32), hidden[:, 0], cache

    filled = request.sampler(
        next=next_logits,
        prompt=jnp.asarray(tokens),
        cache=cache,
        index=int(lengths.min()),
        mask=jnp.asarray(mask),
        stop_token_ids=request.stop_ids or None,
        hidden_states=None,
        model=backbone,
    )
    rows = zip(np.asarray(filled), lengths, request.limits, strict=True)
    return [row[length:limit].astype(np.int32) for row, length, limit in rows]
