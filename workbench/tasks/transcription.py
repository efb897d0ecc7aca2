"""The text of a recording of any length: read piece by piece, yielded as one event stream."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.audio import SampleRange, cut_at_pauses
from workbench.generation.arguments import DEFAULT_ALTERNATIVES, AnySampler, StopIds
from workbench.generation.clock import Work, WorkClock
from workbench.generation.events import Done, Event, Events, Reason, Stage, Status, Token
from workbench.generation.turn import Turn
from workbench.preprocessing.audio_to_text_preprocessor import AudioToTextPreprocessor


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a recording, in seconds, and the index of the first token of its text."""

    start_seconds: float
    stop_seconds: float
    first_token: int


class Transcription(Turn):
    """A transcription to run, from `AudioToText.transcription`.

    `segments` grows while `stream` runs: a segment is added before its first token. Run one stream
    at a time.

    Args:
        samples: the recording, float32 (samples,).
        reader: the model's preprocessor.
        listen: returns the events for one piece, from its samples, the number of samples that
            programs are made for, and the settings.
    """

    def __init__(
        self,
        samples: np.ndarray,
        reader: AudioToTextPreprocessor,
        listen: Callable[..., Events],
    ) -> None:
        self._samples, self._reader, self._listen = samples, reader, listen
        self._rate = reader.audio_converter.sampling_rate
        self.pieces = cut_at_pauses(samples, self._rate)
        self.segments: list[Segment] = []

    @property
    def seconds(self) -> float:
        """The length of the recording in seconds."""
        return len(self._samples) / self._rate

    @property
    def prompt_tokens(self) -> int:
        """The number of tokens the decoder reads before each piece's text, over all pieces."""
        return len(self._reader.target_ids()) * len(self.pieces)

    def stream(  # pyright: ignore[reportIncompatibleMethodOverride]  # the settings by name
        self,
        *,
        max_length: int | None = None,
        max_new_tokens: int | None = None,
        stop_token_ids: StopIds = "auto",
        sampler: AnySampler | None = None,
        seed: int | None = None,
        alternatives: int = DEFAULT_ALTERNATIVES,
    ) -> Events:
        """Yield the events of all pieces and one `Done`. Closing the iterator cancels after the
        current step.

        Args:
            max_length: limit of tokens in a piece's text, the start token included.
            max_new_tokens: limit of tokens in the whole text.
            stop_token_ids, sampler, seed, alternatives: as `CausalLM.stream`.

        Yields:
            `Status` when the kind of work changes, a `Token` per token, a `Done` at the end.
        """
        settings = {
            "max_length": max_length,
            "stop_token_ids": stop_token_ids,
            "sampler": sampler,
            "seed": seed,
            "alternatives": alternatives,
        }
        text = _Text()
        self.segments = []
        for piece in self.pieces:
            left = None if max_new_tokens is None else max_new_tokens - text.count
            if left is not None and left <= 0 and text.count:
                text.reason = "length"
                break
            yield from self._hear(piece, text, left, settings)
        yield text.done(self.prompt_tokens)

    def _hear(
        self, piece: SampleRange, text: _Text, left: int | None, settings: dict[str, Any]
    ) -> Iterator[Event]:
        """Yield the events for a piece, without its `Done`.

        All pieces use the programs for the longest piece, so the shorter last one needs no
        compilation. Its own token limit is therefore counted here.
        """
        start, stop = piece.start, piece.stop
        self.segments.append(Segment(start / self._rate, stop / self._rate, text.count))
        room = max(map(len, self.pieces))
        unsaid = left is None and settings["max_length"] is None
        most = self._reader.most_tokens(len(piece)) if unsaid else None
        text.begin()
        events = self._listen(self._samples[start:stop], room, max_new_tokens=left, **settings)
        made = 0
        with contextlib.closing(events):
            for event in events:
                if isinstance(event, Done):
                    text.end(event.reason, event.tail)
                    return
                yield text.take(event)
                made += isinstance(event, Token)
                if most is not None and made == most < self._reader.most_tokens(room):
                    text.end("length")
                    return


class _Text:
    """The text so far and its time."""

    def __init__(self) -> None:
        self.reason: Reason = "stop"
        self.count = 0
        self._parts: list[str] = []
        self._tail = ""  # text that no token has carried yet
        self._gap = ""  # white space between the pieces
        self._clock = WorkClock()

    def begin(self) -> None:
        """Begin a piece: a space comes before its first word."""
        self._clock.work = "prefill"
        so_far = "".join(self._parts) + self._tail
        self._gap = " " if so_far and not so_far[-1].isspace() else ""

    def take(self, event: Status | Token) -> Event:
        """Count an event and return it with the text to show."""
        self._clock.lap(self._clock.work)
        if isinstance(event, Status):
            self._clock.work = _WORK[event.stage]
            return event
        self._clock.work = "decode"
        self.count += 1
        said = event.text
        if said:
            gap = "" if said[0].isspace() else self._gap
            said, self._tail, self._gap = self._tail + gap + said, "", ""
        self._parts.append(said)
        return replace(event, text=said)

    def end(self, reason: Reason, tail: str = "") -> None:
        """End a piece."""
        self._tail += tail
        if reason != "stop":
            self.reason = reason

    def done(self, prompt_tokens: int) -> Done:
        """Return the `Done` event of the whole text."""
        stats = self._clock.stats(prompt_tokens, self.count)
        return Done(self.reason, "".join(self._parts) + self._tail, stats, self._tail)


# The kind of work after each status, for the clock.
_WORK: dict[Stage, Work] = {"compiling": "compile", "prefill": "prefill", "streaming": "decode"}
