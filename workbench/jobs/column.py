"""One column of a comparison: a model with an adapter and a sampler, and what it makes of a
prompt."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from workbench import samplers
from workbench.errors import SettingError, details_of
from workbench.generation.arguments import AnySampler
from workbench.generation.events import Done, Event, Reason, Stats, Status, Token
from workbench.generation.loop import one_at_a_time
from workbench.jobs.generation import WorkClock

# By its second token a stream has called all of its programs, and none is traced any more.
TRACED = 2


class Active(Enum):
    """Stands for the adapter that is at work in the model when the column is made."""

    ADAPTER = "the adapter at work"


@dataclass(frozen=True, slots=True)
class Column:
    """What a column of a comparison writes with.

    Args:
        lm: A `CausalLM`.
        title: Over the column; None says what sets it apart from the others.
        adapter: The name of one of `lm.adapters`, None for the model without one; by default the
            one at work in the model now.
        sampler: As for `lm.stream`; None takes the model's own.
        max_new_tokens: The most tokens to write; None takes the comparison's number.
        seed: None takes the comparison's, which is the same in all columns.

    Raises:
        AdapterError: The model has no adapter of that name.
        SettingError: `lm` is no model, or there is no such sampler.
    """

    lm: Any
    title: str | None = None
    adapter: str | Active | None = Active.ADAPTER
    sampler: AnySampler | None = None
    max_new_tokens: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.lm, str | Path):
            raise SettingError(
                f"Column: expected a model, got {str(self.lm)!r}: load it with "
                "models.CausalLM.from_preset()"
            )
        if self.adapter is Active.ADAPTER:
            object.__setattr__(self, "adapter", self.lm.adapters.active)
        if self.adapter is not None:
            self.lm.adapters[self.adapter]  # an AdapterError that lists those there are
        if self.sampler is not None:
            samplers.get(self.sampler)

    @property
    def facts(self) -> dict[str, str]:
        """What it writes with, in words; the titles of columns are made of what differs."""
        sampler = self.lm.sampler if self.sampler is None else self.sampler
        given = {"max tokens": self.max_new_tokens, "seed": self.seed}
        return {
            "model": Path(self.lm.preset or self.lm.name).name,
            "adapter": "no adapter" if self.adapter is None else self.adapter,
            "sampler": sampler if isinstance(sampler, str) else repr(sampler),
            **{name: "" if value is None else f"{name} {value}" for name, value in given.items()},
        }


def titles_of(facts: Sequence[Mapping[str, str]], given: Sequence[str | None]) -> list[str]:
    """A title for each column: the given one, or those of its facts in which columns differ.

    Columns of which nothing tells one from another are numbered.
    """
    names = [name for name in facts[0] if len({fact[name] for fact in facts}) > 1]
    own = [
        " · ".join(filter(None, (fact[name] for name in names or ["model"]))) or fact["model"]
        for fact in facts
    ]
    titles = [title or made for title, made in zip(given, own, strict=True)]
    return [
        f"{title} ({titles[: index + 1].count(title)})" if titles.count(title) > 1 else title
        for index, title in enumerate(titles)
    ]


@dataclass
class Result:
    """What one column has made of one prompt so far.

    `reason` is None until it has ended, and also when `error` says why it could not.
    """

    prompt: str
    title: str
    tokens: list[Token] = field(default_factory=list)
    reason: Reason | None = None
    stats: Stats | None = None
    error: Exception | None = None
    traceback: str = ""
    tail: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.reason is not None or self.error is not None

    @property
    def text(self) -> str:
        """The completion, without the prompt."""
        return "".join(token.text for token in list(self.tokens)) + self.tail

    @property
    def mean_logprob(self) -> float | None:
        """The mean natural log-probability of its tokens under the model that wrote them, before
        temperature and cuts; None without a token."""
        logprobs = [token.logprob for token in list(self.tokens)]
        return math.fsum(logprobs) / len(logprobs) if logprobs else None

    @property
    def perplexity(self) -> float | None:
        """Of its own text to the model that wrote it: exp of minus the mean log-probability."""
        mean = self.mean_logprob
        return None if mean is None else math.exp(min(-mean, 700.0))

    @property
    def tokens_per_second(self) -> float:
        """Of decoding, counting only the time that this column has worked."""
        return self.stats.tokens_per_second if self.stats else 0.0


class Writing:
    """A column on its way through one prompt. It works only within `advance`."""

    def __init__(
        self,
        column: Column,
        result: Result,
        arguments: Mapping[str, Any],
        tell: Callable[[Event | Result], None],
    ) -> None:
        self.result = result
        self._column = column
        self._arguments = arguments
        self._tell = tell
        self._events: Iterator[Event] | None = None
        self._clock = WorkClock()
        self._compiling = False
        self._prompt_tokens = 0

    def advance(self) -> bool:
        """Go on to the next token; False once nothing more will come. What goes wrong is kept in
        the result."""
        self._clock.start()
        try:
            with self._adapter(), one_at_a_time():
                self._next()
        except Exception as error:
            self._fail(error)
        return not self.result.ended

    def close(self) -> None:
        """End the stream where it is."""
        if self._events is not None:
            self._events.close()
        if not self.result.ended:
            self.result.reason = "cancelled"

    def _adapter(self) -> AbstractContextManager[None]:
        """A stream keeps the arrays it began with; the adapter has to be there only while programs
        are traced. Changing adapters takes as long as several tokens."""
        if len(self.result.tokens) >= TRACED:
            return nullcontext()
        return self._column.lm.adapters.using(self._column.adapter)

    def _next(self) -> None:
        if self._events is None:
            self._prompt_tokens = self._column.lm.prompt_tokens(self.result.prompt)
            self._events = self._column.lm.stream(self.result.prompt, **self._arguments)
        for event in self._events:
            self._take(event)
            if not isinstance(event, Status):
                return

    def _take(self, event: Event) -> None:
        self._clock.lap("compile" if self._compiling else self._clock.work)
        self._compiling = isinstance(event, Status) and event.stage == "compiling"
        if isinstance(event, Token):
            self._clock.work = "decode"
            self.result.tokens.append(event)
            self.result.stats = Stats(
                self._prompt_tokens, len(self.result.tokens), **self._clock.spent
            )
        elif isinstance(event, Done):
            event = self._timed(event)
            self.result.stats, self.result.tail = event.stats, event.tail
            self.result.reason = event.reason
        self._tell(event)

    def _timed(self, done: Done) -> Done:
        """With the times of this column alone: the model's own ran on while others worked."""
        return replace(done, stats=replace(done.stats, **self._clock.spent))

    def _fail(self, error: Exception) -> None:
        self.result.error, self.result.traceback = error, details_of(error)
        self._tell(self.result)
