"""The events of a stream: typed, frozen records, from the first status to the final figures."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

Stage = Literal["compiling", "prefill", "streaming"]
Reason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Status:
    """The model's current work. `compiling` comes only when XLA really has to compile."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token the model could have chosen at this place, with its natural log-probability."""

    id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token.

    `text` is the delta to append. It never ends in half a character, so it may be empty while
    the bytes of a character are incomplete. `logprob` and `alternatives` (best first) come from
    the model's own distribution, before temperature, cuts and penalties.
    """

    id: int
    text: str
    logprob: float
    alternatives: tuple[Alternative, ...] = ()
    row: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts are tokens of this row; times are seconds of wall clock for the whole batch.

    The other two times exclude `compile_seconds`. The model did not read `reused_tokens` of the
    prompt: the cache still held them from the previous turn.
    """

    prompt_tokens: int
    new_tokens: int
    prefill_seconds: float
    decode_seconds: float
    compile_seconds: float = 0.0
    reused_tokens: int = 0

    @property
    def tokens_per_second(self) -> float:
        """Decoded tokens per second, without the first, which comes from prefill."""
        if self.decode_seconds <= 0 or self.new_tokens < 2:
            return 0.0
        return (self.new_tokens - 1) / self.decode_seconds


@dataclass(frozen=True, slots=True)
class Done:
    """The end of one row. `text` is the whole completion; `tail` is its end that no `Token` has
    carried yet (the flushed bytes of an incomplete character)."""

    reason: Reason
    text: str
    stats: Stats
    tail: str = ""
    row: int = 0


Event = Status | Token | Done
Events = Generator[Event, None, None]
"""A stream's generator of events; closing it cancels the generation."""
