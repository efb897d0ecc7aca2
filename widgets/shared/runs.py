"""A run of the generate panel: streams a completion to the page and keeps it for later."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from workbench.generation.events import Done, Stats, Token
from workbench.generation.turn import Turn
from workbench.jobs.generation import GenerationJob, JobState
from workbench.samplers.settings import STREAMING

from .settings import Settings, call_of, sampler_of

KEPT_ALTERNATIVES = 300  # tokens; those of longer runs are asked for one at a time
ENDINGS = {"stop": "stop: end token", "length": "stop: max tokens", "cancelled": "stopped"}


def percent(logprob: float, digits: int | None = None) -> float | None:
    """Return a natural log-probability in percent; None if it is not a probability."""
    return round(100 * math.exp(logprob), digits) if logprob <= 0.01 else None


class Run:
    """A prompt, its settings and the completion.

    Args:
        number: The run's number in the panel, from 1.
        lm: The model that continues the prompt.
        prompt: The text to continue; for a reply, the message it answers.
        settings: The sampler's name and the value of every control.
        on_event: Called with this run and each event of its job, after the run handled it.
        turn: The job's input instead of the prompt: a turn, or a dict of the model's inputs.

    Raises:
        SettingError: The sampler refuses its settings.
    """

    def __init__(
        self,
        number: int,
        lm: Any,
        prompt: str,
        settings: Settings,
        on_event: Callable[[Run, JobState | Token | Done], None],
        turn: Turn | Mapping[str, Any] | None = None,
    ) -> None:
        self.number = number
        self.prompt = prompt
        self.settings = settings
        self.size = 0
        self._pieces: list[str] = []
        self._percents: list[int | None] = []
        self._on_event = on_event
        self.job = GenerationJob(
            lm,
            prompt if turn is None else turn,
            sampler=sampler_of(settings),
            on_event=self._take,
            **call_of(settings),
        )

    @property
    def text(self) -> str:
        """The completion so far."""
        return self.job.text

    @property
    def rate(self) -> float:
        """Tokens per second of decoding so far."""
        return round(self.job.stats.tokens_per_second, 1) if self.job.stats else 0.0

    @property
    def summary(self) -> str:
        """The number of tokens, the speed, and why the run ended."""
        if not self.job.done:
            return ""
        ending = ENDINGS.get(self.job.reason or "", "failed")
        stats = self.job.stats
        if stats is None:
            return ending
        if self.job.reason == "length" and stats.new_tokens < self.settings["max_new_tokens"]:
            ending = "stop: context full"
        return " · ".join([token_count(stats.new_tokens), *self.figures(stats), ending])

    def figures(self, stats: Stats) -> list[str]:
        """Return the summary's figures between the count and the ending."""
        return [f"{stats.prefill_seconds + stats.decode_seconds:.1f} s"]

    @property
    def entry(self) -> dict[str, Any]:
        """This run's line in the panel's history."""
        label = STREAMING[self.settings["sampler"]].label
        return {"number": self.number, "label": f"Run {self.number}: {label}, {self.summary}"}

    def delta(self, offset: int) -> dict[str, Any]:
        """Return a message with the tokens from `offset` on."""
        pieces = self._pieces[offset:]
        return {
            "type": "tokens",
            "run": self.number,
            "offset": offset,
            "pieces": pieces,
            "percents": self._percents[offset : offset + len(pieces)],
            "rate": self.rate,
        }

    def snapshot(self) -> dict[str, Any]:
        """Return everything the page shows of this run; `pieces` are the texts of its tokens."""
        pieces = list(self._pieces)
        final = self.job.done
        few = len(self.job.tokens) <= KEPT_ALTERNATIVES
        return {
            "run": self.number,
            "prompt": self.prompt,
            "pieces": pieces,
            "percents": self._percents[: len(pieces)],
            "rate": self.rate,
            "final": final,
            "summary": self.summary,
            "alternatives": self._all_alternatives() if final and few else [],
        }

    def alternatives(self, index: int) -> list[list[Any]]:
        """Return the alternatives of token `index`: [text, percent, chosen], best first."""
        if not 0 <= index < len(self.job.tokens):
            return []
        token = self.job.tokens[index]
        return [
            [other.text, percent(other.logprob, 1), other.id == token.id]
            for other in token.alternatives
        ]

    @property
    def count(self) -> int:
        """The number of pieces."""
        return len(self._pieces)

    def _all_alternatives(self) -> list[list[list[Any]]]:
        return [self.alternatives(index) for index in range(len(self.job.tokens))]

    def _take(self, event: JobState | Token | Done) -> None:
        if isinstance(event, Token):
            self._add(event.text, percent(event.logprob))
        elif isinstance(event, Done) and event.tail:
            self._add(event.tail, None)
        self._on_event(self, event)

    def _add(self, text: str, chance: float | None) -> None:
        # In this order, so that a snapshot by another thread has a chance for each piece.
        self._percents.append(chance)
        self._pieces.append(text)
        self.size += len(text) + 8  # about what JSON takes


def token_count(tokens: int) -> str:
    """Return a number of tokens in words."""
    return "1 token" if tokens == 1 else f"{tokens:,} tokens"
