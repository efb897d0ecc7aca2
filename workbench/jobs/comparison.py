"""A comparison: several models, adapters or samplers complete the same prompts side by side."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import PromptError, SettingError
from workbench.generation.events import Done, Event, Status, Token
from workbench.jobs.column import Active, Column, Result, Writing, titles_of
from workbench.jobs.comparison_table import (
    Row,
    csv_of,
    markdown_of,
    row_of,
    write_table,
)
from workbench.jobs.job import Job, JobState, JobStatus

__all__ = ["Active", "Column", "ColumnEvent", "ComparisonJob", "Result", "Row"]


@dataclass(frozen=True, slots=True)
class ColumnEvent:
    """An event of column `column` on prompt `prompt`, both from 0. If the column has failed, the
    event is the `Result` itself, and `result.error` says why."""

    prompt: int
    column: int
    event: Token | Done | Result


class ComparisonJob(Job):
    """Completes every prompt with every column, in the background.

    The columns complete a prompt together, one token of each in turn, even if they share a model.
    If a column fails, its result says why, and the others go on.

    Args:
        columns: The columns, from left to right.
        prompts: One text or several, completed one after the other.
        max_new_tokens: The most tokens of a completion, for columns without their own number.
        seed: The seed of columns without their own; None draws one. They all share it, so that
            differences come from the column.
        on_event: Called with every `JobState` and `ColumnEvent`, one at a time, in order, from the
            job's thread. An error it raises is logged once and never stops the job.

    Raises:
        PromptError: There is no prompt, or one is not a string.
        SettingError: There is no column.

    The job waits until all of its models are free, and leaves each with the adapter it had. If
    every column fails, the job's status is "error".

    ```python
    columns = [Column(lm, adapter="pirate"), Column(lm, adapter=None)]
    job = ComparisonJob(columns, ["The captain", "A shy lighthouse"], max_new_tokens=40)
    job.start()
    job.wait()
    job.results[0][1].text  # of the first prompt, the second column
    job.to_csv("comparison.csv")
    ```
    """

    thread_name = "workbench-comparison"

    def __init__(
        self,
        columns: Sequence[Column],
        prompts: str | Sequence[str],
        *,
        max_new_tokens: int | None = 128,
        seed: int | None = 0,
        on_event: Callable[[JobState | ColumnEvent], None] | None = None,
    ) -> None:
        self.columns = tuple(columns)
        if not self.columns:
            raise SettingError("a comparison needs at least one column, got none")
        self.prompts = _checked([prompts] if isinstance(prompts, str) else prompts)
        self.titles = titles_of(
            [column.facts for column in self.columns], [column.title for column in self.columns]
        )
        super().__init__(tuple(column.lm for column in self.columns), on_event)
        self.results = tuple(
            tuple(Result(prompt, title) for title in self.titles) for prompt in self.prompts
        )
        self._common = {
            "max_new_tokens": max_new_tokens,
            "seed": random.getrandbits(32) if seed is None else seed,
        }

    def run(self) -> tuple[tuple[Result, ...], ...]:
        """Run the job in the calling thread and return the results, one row per prompt; an
        interrupt cancels it."""
        self._claim()
        self._work()
        return self.results

    def table(self) -> list[Row]:
        """Return a row for every prompt and column: `prompt`, `column` (its title), `text`,
        `tokens`, `tokens_per_second`, `mean_logprob` (nats per token) and `reason`."""
        return [row_of(result) for results in self.results for result in results]

    def to_csv(self, path: str | Path) -> None:
        """Write the table to a file, atomically. A text that a spreadsheet would compute, such as
        "=1+1", gets an apostrophe in front, which `read_examples` removes.

        Raises:
            PresetError: The file cannot be written; an existing one is unchanged.
        """
        write_table(path, csv_of(self.table()))

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        return markdown_of(self.table())

    # -- how it works -------------------------------------------------------------------

    def _progress(self) -> str:
        ended = [result.ended for results in self.results for result in results]
        return f"{sum(ended)} of {len(ended)} completions"

    def _do(self) -> JobStatus:
        self._enter("running")
        for number in range(len(self.prompts)):
            self._write(number)
            if self._cancelled.is_set() and self._cut_short:
                return "cancelled"
        errors = [result.error for results in self.results for result in results]
        if all(errors):
            self._error, self.traceback = errors[0], self.results[0][0].traceback
            return "error"
        return "done"

    @property
    def _cut_short(self) -> bool:
        every = [result for results in self.results for result in results]
        return any(result.reason == "cancelled" or not result.ended for result in every)

    def _write(self, number: int) -> None:
        """Complete one prompt: a token of each column in turn, until all have ended."""
        with ExitStack() as streams:
            writing = [
                streams.enter_context(closing(self._begin_column(number, index)))
                for index in range(len(self.columns))
            ]
            while writing and not self._cancelled.is_set():
                writing = [column for column in writing if self._advance(column)]

    def _advance(self, column: Writing) -> bool:
        # A cancel is not kept waiting for the other columns.
        return not self._cancelled.is_set() and column.advance()

    def _begin_column(self, number: int, index: int) -> Writing:
        column = self.columns[index]
        own = {"max_new_tokens": column.max_new_tokens, "seed": column.seed}
        common = {name: self._common[name] if own[name] is None else own[name] for name in own}

        def tell(event: Event | Result) -> None:
            self._take(number, index, event)

        arguments = {"sampler": column.sampler, **common}
        return Writing(column, self.results[number][index], arguments, tell)

    def _take(self, number: int, index: int, event: Event | Result) -> None:
        if isinstance(event, Status):
            self._enter("compiling" if event.stage == "compiling" else "running")
            return
        self._enter("running")
        self._tell(ColumnEvent(number, index, event))

    def _finish(self, status: JobStatus) -> None:
        for results in self.results:
            for result in results:
                if not result.ended:
                    result.reason = "cancelled"
        super()._finish(status)


def _checked(prompts: Sequence[Any]) -> tuple[str, ...]:
    for number, prompt in enumerate(prompts):
        if not isinstance(prompt, str):
            raise PromptError(f"prompt {number}: expected a string, got {type(prompt).__name__}")
    if not prompts:
        raise PromptError("a comparison needs at least one prompt, got none")
    return tuple(prompts)
