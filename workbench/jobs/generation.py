"""Generation as a background job: start, watch, cancel and wait for it, with or without a page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from workbench.errors import PromptError
from workbench.generation.clock import WorkClock
from workbench.generation.events import Done, Event, Events, Reason, Stats, Status, Token
from workbench.generation.language_model import LanguageModel
from workbench.generation.turn import Turn
from workbench.jobs.job import FINAL, POLL_SECONDS, Job, JobState, JobStatus, needs_foreground

__all__ = [
    "FINAL",
    "POLL_SECONDS",
    "GenerationJob",
    "JobState",
    "JobStatus",
    "Observer",
    "needs_foreground",
]

Observer = Callable[[JobState | Token | Done], None]


class GenerationJob(Job):
    """Generates one completion of one prompt, in the background.

    Args:
        lm: A causal language model, or any object whose `stream` works as `CausalLM.stream`.
        prompt: The text to continue; a dict, as for `lm.stream`, for models that read more than
            text; or `Chat.turn(...)`, the reply to write.
        sampler: As for `lm.stream`; None takes the model's own.
        max_new_tokens: The most tokens to write; None leaves it to `max_length`.
        max_length: The most tokens of prompt and completion together.
        stop_token_ids: "auto" for the tokenizer's own, None for none, or a tuple of ids.
        seed: Makes the run repeatable; None draws a fresh one.
        on_event: Called with every `JobState`, `Token` and `Done`, one at a time, in order, from
            the job's thread. An error it raises is logged once and never stops the job.

    Raises:
        PromptError: The prompt is not a string, a dict or a turn.

    Two jobs on one model run one after the other, in the order they were started. After a cancel,
    an interrupt or an error the job keeps the text so far.

    ```python
    job = GenerationJob(lm, "Once upon a time", max_new_tokens=64, seed=7)
    job.start()
    job.wait()
    print(job.text)
    ```
    """

    thread_name = "workbench-generation"
    _lm: LanguageModel

    def __init__(
        self,
        lm: LanguageModel,
        prompt: str | Mapping[str, Any] | Turn,
        *,
        sampler: Any = None,
        max_new_tokens: int | None = None,
        max_length: int | None = None,
        stop_token_ids: str | Iterable[int] | None = "auto",
        seed: int | None = None,
        on_event: Observer | None = None,
    ) -> None:
        if not isinstance(prompt, str | Mapping | Turn):
            raise PromptError(
                f"a job takes one string or dict, or a turn of a Chat, got {type(prompt).__name__}"
            )
        super().__init__(lm, on_event)
        self.prompt = prompt
        self.tokens: list[Token] = []
        self.reason: Reason | None = None
        self._arguments = {
            "sampler": sampler,
            "max_new_tokens": max_new_tokens,
            "max_length": max_length,
            "stop_token_ids": stop_token_ids,
            "seed": seed,
        }
        self._stats: Stats | None = None
        self._tail = ""
        self._prompt_size: int | None = None
        self._clock = WorkClock()

    def run(self) -> str:
        """Generate in the calling thread and return the text; an interrupt cancels the job."""
        self._claim()
        self._work()
        return self.text

    @property
    def text(self) -> str:
        """The completion so far, without the prompt."""
        return "".join(token.text for token in list(self.tokens)) + self._tail

    @property
    def stats(self) -> Stats | None:
        """Counts and times, None before the first token; at the end, the model's own."""
        if self._stats is not None or not self.tokens:
            return self._stats
        return self._clock.stats(self._prompt_tokens(), len(self.tokens))

    @staticmethod
    def _in_foreground() -> bool:
        return needs_foreground()

    def _progress(self) -> str:
        ahead = self.position
        waits = f"{ahead} ahead" if ahead else ""
        return f"{len(self.tokens)} tokens" if self.tokens else waits

    def _do(self) -> JobStatus:
        self._enter("running")
        self._clock.start()
        with contextlib.closing(self._events()) as events:
            for event in events:
                self._take(event)
                if self._cancelled.is_set() and self.reason is None:
                    return "cancelled"
        return "done"

    def _events(self) -> Events:
        if isinstance(self.prompt, Turn):
            return self.prompt.stream(**self._arguments)
        return self._lm.stream(self.prompt, **self._arguments)

    def _prompt_tokens(self) -> int:
        if isinstance(self.prompt, Turn):
            return self.prompt.prompt_tokens
        if self._prompt_size is None:  # counting may convert a picture: once is enough
            self._prompt_size = self._lm.prompt_tokens(self.prompt)
        return self._prompt_size

    def _take(self, event: Event) -> None:
        if isinstance(event, Status):
            self._clock.lap("compile" if self._status == "compiling" else self._clock.work)
            self._enter("compiling" if event.stage == "compiling" else "running")
            return
        if isinstance(event, Token):
            self._clock.lap(self._clock.work)
            self._clock.work = "decode"
            self.tokens.append(event)
        else:
            self.reason, self._stats, self._tail = event.reason, event.stats, event.tail
        self._tell(event)

    def _finish(self, status: JobStatus) -> None:
        if status == "cancelled":
            self.reason = "cancelled"
        super()._finish(status)
