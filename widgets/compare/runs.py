"""A run of the compare panel: streams a comparison to the page and keeps it for later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from workbench.errors import SettingError
from workbench.generation.events import Done, Token
from workbench.jobs.column import Column, Result
from workbench.jobs.comparison import ColumnEvent, ComparisonJob
from workbench.jobs.generation import JobState

from ..shared.runs import ENDINGS, percent
from ..shared.settings import Settings

KEPT_ALTERNATIVES = 600  # tokens; those of longer runs are asked for one at a time


class Cell:
    """One column's completion of one prompt, for the page."""

    def __init__(self, result: Result, limit: int) -> None:
        self.result = result
        self.size = 0
        self._limit = limit
        self._pieces: list[str] = []
        self._percents: list[float | None] = []

    @property
    def count(self) -> int:
        """The number of pieces."""
        return len(self._pieces)

    def add(self, text: str, chance: float | None) -> None:
        """Add a piece of the text, with its probability in percent."""
        # In this order, so that a snapshot by another thread has a chance for each piece.
        self._percents.append(chance)
        self._pieces.append(text)
        self.size += len(text) + 8  # about what JSON takes

    def delta(self, offset: int) -> Settings:
        """Return its pieces from `offset` on."""
        pieces = self._pieces[offset:]
        percents = self._percents[offset : offset + len(pieces)]
        return {"offset": offset, "pieces": pieces, "percents": percents, **self.figures}

    def snapshot(self, alternatives: bool) -> Settings:
        """Return everything the page shows of it."""
        every = range(len(self.result.tokens)) if alternatives else ()
        return {
            **self.delta(0),
            "final": self.result.ended,
            "ending": self.ending,
            "error": str(self.result.error)[:2000] if self.result.error else "",
            "alternatives": [self.alternatives(index) for index in every],
        }

    @property
    def figures(self) -> Settings:
        """Tokens per second, and the mean natural log-probability of a token."""
        mean = self.result.mean_logprob
        rate = round(self.result.tokens_per_second, 1)
        return {"rate": rate, "logprob": None if mean is None else round(mean, 3)}

    @property
    def ending(self) -> str:
        """Why it stopped, in words; empty until then."""
        if self.result.error is not None:
            return "failed"
        if self.result.reason == "length" and len(self.result.tokens) < self._limit:
            return "stop: context full"
        return ENDINGS.get(self.result.reason or "", "")

    def alternatives(self, index: int) -> list[list[Any]]:
        """Return the alternatives of token `index`: [text, percent, chosen], best first."""
        if not 0 <= index < len(self.result.tokens):
            return []
        token = self.result.tokens[index]
        return [
            [other.text, percent(other.logprob, 1), other.id == token.id]
            for other in token.alternatives
        ]


class ComparisonRun:
    """Prompts, columns and their results.

    Args:
        number: The run's number in the panel, from 1.
        columns: The job's columns, each with its title.
        prompts: The texts to continue.
        settings: `max_new_tokens`, `seed`, and `columns`: the values of each column's sampler.
        on_event: Called with this run and each event of its job, after the run handled it.
    """

    def __init__(
        self,
        number: int,
        columns: Sequence[Column],
        prompts: Sequence[str],
        settings: Settings,
        on_event: Callable[[ComparisonRun, JobState | ColumnEvent], None],
    ) -> None:
        self.number = number
        self.settings = settings
        self.now = 0  # the index of the current prompt
        self._on_event = on_event
        shared = {name: settings[name] for name in ("max_new_tokens", "seed")}
        self.job = ComparisonJob(columns, prompts, **shared, on_event=self._take)
        limits = [column.max_new_tokens or shared["max_new_tokens"] for column in columns]
        self._cells = [
            [Cell(result, limit) for result, limit in zip(row, limits, strict=True)]
            for row in self.job.results
        ]

    @property
    def prompts(self) -> list[str]:
        """The prompts."""
        return list(self.job.prompts)

    @property
    def text(self) -> str:
        """The prompts and each column's text, as lines."""
        return "\n".join(
            f"{result.title}: {result.text}" for row in self.job.results for result in row
        )

    @property
    def size(self) -> int:
        """The size of a snapshot of the current prompt, in characters."""
        return sum(cell.size for cell in self._cells[self.now])

    @property
    def rate(self) -> float:
        """Tokens per second of all columns together, for the current prompt."""
        stats = [cell.result.stats for cell in self._cells[self.now] if cell.result.stats]
        seconds = sum(one.decode_seconds for one in stats)
        return round(sum(one.new_tokens - 1 for one in stats) / seconds, 1) if seconds else 0.0

    @property
    def counts(self) -> list[int]:
        """The number of pieces of each column, for the current prompt."""
        return [cell.count for cell in self._cells[self.now]]

    @property
    def endings(self) -> list[list[str]]:
        """Why each column stopped, a row per prompt."""
        return [[cell.ending for cell in row] for row in self._cells]

    @property
    def summary(self) -> str:
        """The number of tokens, and how the run ended."""
        if not self.job.done:
            return ""
        tokens = sum(len(result.tokens) for row in self.job.results for result in row)
        prompts, columns = len(self._cells), len(self._cells[0])
        counted = f"{prompts} {'prompt' if prompts == 1 else 'prompts'}, {columns} columns"
        endings = {"cancelled": ", stopped", "error": ", failed"}
        return f"{counted}, {tokens:,} tokens{endings.get(self.job.status, '')}"

    @property
    def entry(self) -> Settings:
        """This run's line in the panel's history."""
        return {"number": self.number, "label": f"Run {self.number}: {self.summary}"}

    def delta(self, offsets: Sequence[int]) -> Settings:
        """Return a message with each column's text from its offset on."""
        pairs = zip(self._cells[self.now], offsets, strict=True)
        cells = [cell.delta(offset) for cell, offset in pairs]
        return {
            "type": "tokens",
            "run": self.number,
            "prompt": self.now,
            "rate": self.rate,
            "cells": cells,
        }

    def snapshot(self) -> Settings:
        """Return everything the page shows of the current prompt, or of the last one."""
        return {
            "run": self.number,
            "prompts": self.prompts,
            "titles": self.job.titles,
            "now": self.now,
            "cells": self._shown(self.now),
            "final": self.job.done,
            "rate": self.rate,
            "summary": self.summary,
        }

    def past(self) -> list[list[Settings]]:
        """Return the same for the prompts before it."""
        return [self._shown(number) for number in range(self.now)]

    def cell(self, prompt: object, column: object) -> Cell:
        """Return the cell at a place that the page names, or raise a SettingError."""
        if type(prompt) is not int or type(column) is not int:
            raise SettingError("prompt and column must be whole numbers")
        if not (0 <= prompt < len(self._cells) and 0 <= column < len(self._cells[0])):
            raise SettingError(f"there is no column {column} of prompt {prompt}")
        return self._cells[prompt][column]

    def _shown(self, number: int) -> list[Settings]:
        made = sum(cell.count for row in self._cells for cell in row)
        kept = self.job.done and made <= KEPT_ALTERNATIVES
        return [cell.snapshot(kept) for cell in self._cells[number]]

    def _take(self, event: JobState | ColumnEvent) -> None:
        if isinstance(event, ColumnEvent):
            self.now = event.prompt
            cell = self._cells[event.prompt][event.column]
            if isinstance(event.event, Token):
                cell.add(event.event.text, percent(event.event.logprob))
            elif isinstance(event.event, Done) and event.event.tail:
                cell.add(event.event.tail, None)
        self._on_event(self, event)
