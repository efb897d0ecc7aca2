"""KerasHub's direct call: a sampler fills a prompt by calling `next` column after column.

The workbench's own generation does not come here; this keeps scripts written against
`sampler(next, prompt, ...)` running, in and outside of `jax.jit`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import lax

from workbench.errors import SettingError
from workbench.samplers.history import History
from workbench.samplers.settings import Settings

Next = Callable[..., tuple[jax.Array, Any, Any]]


class Loop(NamedTuple):
    """One such call: what to ask for logits, where to start, what to keep and when to stop."""

    next: Next
    tokens: jax.Array  # (B, T)
    cache: Any
    start: jax.Array  # () int32
    mask: jax.Array  # (B, T) bool
    stops: jax.Array | None  # (S,)
    hidden_states: jax.Array | None  # (B, T, D)

    @classmethod
    def of(
        cls,
        next: Next,
        prompt: Any,
        cache: Any,
        index: Any,
        mask: Any,
        stop_token_ids: Sequence[int] | None,
        hidden_states: Any,
    ) -> Loop:
        """The call with its arguments as arrays."""
        tokens = jnp.asarray(prompt)
        if tokens.ndim != 2:
            raise SettingError(f"prompt: expected token ids of shape (B, T), got {tokens.shape}")
        return cls(
            next=next,
            tokens=tokens,
            cache=jax.tree.map(jnp.asarray, cache),
            start=jnp.asarray(index, jnp.int32),
            mask=jnp.zeros(tokens.shape, bool) if mask is None else jnp.asarray(mask, bool),
            stops=None if stop_token_ids is None else jnp.asarray(stop_token_ids, jnp.int32),
            hidden_states=None if hidden_states is None else jnp.asarray(hidden_states),
        )

    def repeated(self, times: int) -> Loop:
        """Every row `times` times, one after the other."""

        def repeat(x: jax.Array) -> jax.Array:
            return jnp.repeat(x, times, axis=0)

        return self._replace(
            tokens=repeat(self.tokens),
            cache=jax.tree.map(repeat, self.cache),
            mask=repeat(self.mask),
        )

    def generated(self, index: jax.Array) -> jax.Array:
        """Which places hold a generated token when column `index` comes next, (B, T) bool."""
        column = jnp.arange(self.tokens.shape[1])
        return (column >= self.start) & (column < index) & ~self.mask

    def running(self, tokens: jax.Array, index: jax.Array) -> jax.Array:
        """Whether a column is left to write and a row is left without a stop token."""
        more = index < tokens.shape[1]
        if self.stops is None:
            return more
        stopped = (tokens[..., None] == self.stops).any(-1) & self.generated(index)
        return more & ~jnp.all(stopped.any(-1))

    def write(self, tokens: jax.Array, index: jax.Array, new: jax.Array) -> jax.Array:
        """`tokens` with `new` (B,) in column `index`, except where the mask protects a token."""
        new = jnp.where(self.mask[:, index], tokens[:, index], new.astype(tokens.dtype))
        return tokens.at[:, index].set(new)

    def history(self, tokens: jax.Array, index: jax.Array, vocabulary_size: int) -> History:
        """What the rows have said before column `index`."""
        given = self.mask | (jnp.arange(tokens.shape[1]) < self.start)
        return History.start(tokens, given, vocabulary_size).add(tokens, self.generated(index))


class Picker(Protocol):
    """What the loop asks of a sampler."""

    @property
    def initial_seed(self) -> int | None:
        """The seed of the draws, None for a fresh one."""

    def settings(self) -> Settings:
        """The current values, as scalars for the compiled step."""

    def check_vocabulary(self, vocabulary_size: int) -> None:
        """Raises `SettingError` if the sampler asks for more tokens than there are."""

    def choose(
        self,
        logits: jax.Array,
        settings: Settings,
        seeds: jax.Array,
        step: jax.Array | int,
        history: History,
    ) -> jax.Array:
        """The next token of every row, (B,) int32."""


def fill(sampler: Picker, loop: Loop) -> jax.Array:
    """The prompt (B, T), filled with what `sampler.choose` picks, one column after the other."""
    settings = sampler.settings()
    seed = sampler.initial_seed
    base = secrets.randbits(32) if seed is None else seed
    seeds = jnp.uint32(base) + jnp.arange(loop.tokens.shape[0], dtype=jnp.uint32)

    def step(state: tuple) -> tuple:
        tokens, cache, index = state
        logits, _, cache = loop.next(tokens, cache, index)
        sampler.check_vocabulary(logits.shape[-1])
        history = loop.history(tokens, index, logits.shape[-1])
        new = sampler.choose(logits, settings, seeds, index - loop.start, history)
        return loop.write(tokens, index, new), cache, index + 1

    state = loop.tokens, loop.cache, loop.start
    return lax.while_loop(lambda state: loop.running(state[0], state[2]), step, state)[0]
