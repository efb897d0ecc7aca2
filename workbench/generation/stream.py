"""Turns the loop's arrays into events: each row's tokens as text, with their alternatives."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from workbench.errors import SettingError
from workbench.generation.clock import WorkClock
from workbench.generation.events import Alternative, Done, Events, Reason, Status, Token
from workbench.generation.loop import drive
from workbench.generation.prefix import Prefix
from workbench.generation.programs import Output, Programs
from workbench.generation.request import Request
from workbench.generation.search import is_search, search_ids
from workbench.generation.stop_sequences import StopSequences
from workbench.tokenizers import Tokenizer


class Row:
    """One row of a batch, decoded to text token by token."""

    def __init__(self, index: int, request: Request, tokenizer: Tokenizer) -> None:
        self.index, self.request, self.tokenizer = index, request, tokenizer
        self.decoder = tokenizer.decoder(request.prompts[index].tolist())
        self.stops = StopSequences(request.stop_sequences)
        self.parts: list[str] = []
        self.count = 0
        self.finished = False

    def token(self, output: Output) -> Token:
        """Return the event of this row's next token."""
        token = int(output.token[self.index])
        text = self.stops.push(self.decoder.push(token))
        self.parts.append(text)
        self.count += 1
        self.finished = self.stops.found or bool(output.finished[self.index])
        alternatives = zip(
            output.alternatives[self.index].tolist(),
            output.alternative_logprobs[self.index].tolist(),
            strict=True,
        )
        return Token(
            id=token,
            text=text,
            logprob=float(output.logprob[self.index]),
            alternatives=tuple(
                Alternative(other, self.tokenizer.token_text(other), logprob)
                for other, logprob in alternatives
            ),
            row=self.index,
        )

    def done(self, last: int, clock: WorkClock, reused: int) -> Done:
        """Return the event that ends this row, whose last token was `last`."""
        tail = "" if self.stops.found else self.stops.push(self.decoder.flush())
        tail += self.stops.flush()
        stopped = self.stops.found or last in self.request.stop_ids
        reason: Reason = "stop" if stopped else "length"
        stats = clock.stats(self.request.prompt_tokens(self.index), self.count, reused)
        return Done(reason, "".join(self.parts) + tail, stats, tail, self.index)


def stream_events(
    programs: Programs, request: Request, tokenizer: Tokenizer, prefix: Prefix | None = None
) -> Events:
    """Run a request and yield its events; every row ends in exactly one `Done`.

    A `prefix` requires a request of one prompt; the run reuses the tokens that the prefix holds.

    Raises:
        SettingError: the sampler cannot stream. Raised at once, before the first event.
    """
    if is_search(request):
        raise SettingError(
            f"stream: {type(request.sampler).__name__} knows the text only when it is done: "
            "expected a sampler that draws token by token. Use generate() instead."
        )
    # A decoder's cache depends on its source, so no other source can reuse it.
    return _events(programs, request, tokenizer, None if request.source else prefix)


def _events(
    programs: Programs, request: Request, tokenizer: Tokenizer, prefix: Prefix | None
) -> Events:
    if not request.prompts:
        return
    clock = WorkClock()
    items = drive(programs, request, clock, prefix)
    yield from events_of(items, request, tokenizer, clock, prefix)


def events_of(
    items: Iterable[Status | Output],
    request: Request,
    tokenizer: Tokenizer,
    clock: WorkClock,
    prefix: Prefix | None = None,
) -> Events:
    """Turn what `drive` or `read_again` yields into events."""
    rows = [Row(index, request, tokenizer) for index in range(len(request.prompts))]
    for item in items:
        if isinstance(item, Status):
            yield item
            continue
        for row in rows:
            if row.finished:
                continue
            event = row.token(item)
            yield event
            if row.finished:
                reused = 0 if prefix is None else prefix.reused
                yield row.done(event.id, clock, reused)
        if all(row.finished for row in rows):  # only this loop knows stop sequences
            return


def collect_texts(programs: Programs, request: Request, tokenizer: Tokenizer) -> list[str]:
    """Run a request to its end and return each row's completion; a stop sequence ends a row."""
    if is_search(request):
        rows = zip(request.prompts, search_ids(programs, request), strict=True)
        return [_searched(prompt, made, request, tokenizer) for prompt, made in rows]
    events = _events(programs, request, tokenizer, None)
    done = {event.row: event.text for event in events if isinstance(event, Done)}
    return [done[row] for row in range(len(request.prompts))]


def _searched(prompt: np.ndarray, made: np.ndarray, request: Request, tokenizer: Tokenizer) -> str:
    decoder = tokenizer.decoder(prompt.tolist())
    text = "".join(map(decoder.push, made.tolist())) + decoder.flush()
    stops = StopSequences(request.stop_sequences)
    return stops.push(text) + stops.flush()


def collect_ids(programs: Programs, request: Request) -> list[np.ndarray]:
    """Run a request to its end and return each row's new token ids, int32, with its stop token."""
    if is_search(request):
        return search_ids(programs, request)
    return ids_of(drive(programs, request, WorkClock()), request)


def ids_of(items: Iterable[Status | Output], request: Request) -> list[np.ndarray]:
    """Return each row's new token ids, int32, with its stop token, from what `drive` yields."""
    made: list[list[int]] = [[] for _ in request.prompts]
    finished = np.zeros(len(made), bool)
    for item in items:
        if isinstance(item, Status):
            continue
        for row, token in enumerate(item.token.tolist()):
            if not finished[row]:
                made[row].append(token)
        finished |= item.finished
    return [np.array(ids, np.int32) for ids in made]
