"""One column of a comparison: a model with an adapter and a sampler, and its completion of a
prompt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from workbench import samplers
from workbench.backbones.adapters import Adapters
from workbench.errors import SettingError, details_of
from workbench.generation.arguments import AnySampler
from workbench.generation.clock import WorkClock
from workbench.generation.events import Done, Event, Events, Reason, Stats, Status, Token
from workbench.generation.language_model import LanguageModel
from workbench.generation.loop import one_at_a_time
from workbench.samplers import Sampler

# By its second token a stream has called all of its programs, so JAX traces none of them later.
TRACED = 2


class ComparedModel(LanguageModel, Protocol):
    """A language model that has adapters and a sampler, as a `CausalLM` has."""

    name: str
    preset: str | None
    sampler: Sampler

    @property
    def adapters(self) -> Adapters: ...


class Active(Enum):
    """Marks the adapter that is active in the model when the column is made."""

    ADAPTER = "the adapter at work"


@dataclass(frozen=True, slots=True)
class Column:
    """The model, adapter and settings of one column of a comparison.

    Args:
        lm: A `CausalLM`.
        title: The column's title; None names its differences from the other columns.
        adapter: The name of one of `lm.adapters`, or None for the model without one; by default
            the active one.
        sampler: As for `lm.stream`; None takes the model's own.
        max_new_tokens: The most tokens to write; None takes the comparison's number.
        seed: The column's seed; None takes the comparison's, which all such columns share.

    Raises:
        AdapterError: The model has no adapter of that name.
        SettingError: `lm` is no model, or there is no such sampler.
    """

    lm: ComparedModel
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
        if self.adapter_name is not None:
            self.lm.adapters[self.adapter_name]  # an AdapterError that lists those there are
        if self.sampler is not None:
            samplers.get(self.sampler)

    @property
    def adapter_name(self) -> str | None:
        """The name of the adapter it writes with, None for the model without one."""
        return None if isinstance(self.adapter, Active) else self.adapter

    @property
    def facts(self) -> dict[str, str]:
        """The model, adapter and settings in words; titles name the facts that differ."""
        sampler = self.lm.sampler if self.sampler is None else self.sampler
        given = {"max tokens": self.max_new_tokens, "seed": self.seed}
        return {
            "model": Path(self.lm.preset or self.lm.name).name,
            "adapter": self.adapter_name or "no adapter",
            "sampler": sampler if isinstance(sampler, str) else repr(sampler),
            **{name: "" if value is None else f"{name} {value}" for name, value in given.items()},
        }


def titles_of(facts: Sequence[Mapping[str, str]], given: Sequence[str | None]) -> list[str]:
    """Return a title for each column: the given one, or those of its facts that differ.

    Columns without a difference are numbered.
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
    """One column's completion of one prompt so far.

    `reason` is None until the end, and also when the column failed; then `error` says why.
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
        """The mean natural log-probability of its tokens under its own model, before temperature
        and cuts; None without a token."""
        logprobs = [token.logprob for token in list(self.tokens)]
        return math.fsum(logprobs) / len(logprobs) if logprobs else None

    @property
    def perplexity(self) -> float | None:
        """The perplexity of its text under its own model: exp of minus the mean log-probability."""
        mean = self.mean_logprob
        return None if mean is None else math.exp(min(-mean, 700.0))

    @property
    def tokens_per_second(self) -> float:
        """Decoded tokens per second, over the time of this column only."""
        return self.stats.tokens_per_second if self.stats else 0.0


class Writing:
    """A column that is completing one prompt. It works only within `advance`."""

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
        self._events: Events | None = None
        self._clock = WorkClock()
        self._compiling = False
        self._prompt_tokens = 0

    def advance(self) -> bool:
        """Generate the next token; return False at the end. The result keeps an error."""
        self._clock.start()
        try:
            with self._adapter(), one_at_a_time():
                self._next()
        except Exception as error:
            self._fail(error)
        return not self.result.ended

    def close(self) -> None:
        """End the stream at the current token."""
        if self._events is not None:
            self._events.close()
        if not self.result.ended:
            self.result.reason = "cancelled"

    def _adapter(self) -> AbstractContextManager[None]:
        """Activate the adapter only while programs are traced. A stream keeps its first arrays, and
        changing adapters takes as long as several tokens."""
        if len(self.result.tokens) >= TRACED:
            return nullcontext()
        return self._column.lm.adapters.using(self._column.adapter_name)

    def _next(self) -> None:
        events = self._events
        if events is None:
            self._prompt_tokens = self._column.lm.prompt_tokens(self.result.prompt)
            events = self._column.lm.stream(self.result.prompt, **self._arguments)
            self._events = events
        for event in events:
            self._take(event)
            if not isinstance(event, Status):
                return

    def _take(self, event: Event) -> None:
        self._clock.lap("compile" if self._compiling else self._clock.work)
        self._compiling = isinstance(event, Status) and event.stage == "compiling"
        if isinstance(event, Token):
            self._clock.work = "decode"
            self.result.tokens.append(event)
            self.result.stats = self._clock.stats(self._prompt_tokens, len(self.result.tokens))
        elif isinstance(event, Done):
            event = self._timed(event)
            self.result.stats, self.result.tail = event.stats, event.tail
            self.result.reason = event.reason
        self._tell(event)

    def _timed(self, done: Done) -> Done:
        """Return the event with this column's times; the model's clock also counts the others'."""
        told = done.stats
        stats = self._clock.stats(told.prompt_tokens, told.new_tokens, told.reused_tokens)
        return replace(done, stats=stats)

    def _fail(self, error: Exception) -> None:
        self.result.error, self.result.traceback = error, details_of(error)
        self._tell(self.result)
