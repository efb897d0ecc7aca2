"""A run of the listen panel: one transcript."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from workbench.generation.events import Done, Event, Token
from workbench.generation.turn import Turn
from workbench.jobs.generation import JobState
from workbench.tasks.transcription import Segment, Transcription

from ..shared import settings as setting
from ..shared.runs import ENDINGS, Run, token_count
from ..shared.settings import Settings
from .recordings import Recording, clock_text


class Hearing(Turn):
    """A transcription that converts its samples only when its turn comes, as that takes a while."""

    def __init__(self, lm: Any, recording: Recording) -> None:
        self._lm, self._recording = lm, recording
        self._made: Transcription | None = None

    def stream(self, **settings: Any) -> Iterator[Event]:
        """Yield the events of all pieces of the recording."""
        self._made = self._lm.transcription(self._recording.samples, self._recording.rate)
        yield from self._made.stream(**settings)

    @property
    def prompt_tokens(self) -> int:
        """The number of prompt tokens of the decoder."""
        return self._made.prompt_tokens if self._made is not None else 0

    @property
    def segments(self) -> list[Segment]:
        """The transcribed pieces so far."""
        return list(self._made.segments) if self._made is not None else []


class ListenRun(Run):
    """A recording, the sampler's settings and the transcript.

    Args:
        number: The run's number in the panel, from 1.
        lm: The speech model.
        recording: The recording to transcribe.
        settings: The sampler's name and the value of every control.
        on_event: Called with this run and each event of its job, after the run handled it.

    Raises:
        SettingError: The sampler refuses its settings.
    """

    def __init__(
        self,
        number: int,
        lm: Any,
        recording: Recording,
        settings: Settings,
        on_event: Callable[[Run, JobState | Token | Done], None],
    ) -> None:
        self.recording = recording
        self._hearing = Hearing(lm, recording)
        super().__init__(number, lm, "", settings, on_event, turn=self._hearing)

    @property
    def segments(self) -> list[Segment]:
        """The transcribed pieces so far, each with the index of its first token."""
        return self._hearing.segments

    @property
    def passages(self) -> list[tuple[Segment, str]]:
        """Each segment with its text."""
        pieces, segments = list(self._pieces), self.segments
        ends = [segment.first_token for segment in segments[1:]] + [len(pieces)] * bool(segments)
        return [
            (segment, "".join(pieces[segment.first_token : end]).strip())
            for segment, end in zip(segments, ends, strict=True)
        ]

    @property
    def summary(self) -> str:
        """The amounts of audio and text, the speed, and why the run ended."""
        if not self.job.done:
            return ""
        ending = ENDINGS.get(self.job.reason or "", "failed")
        stats = self.job.stats
        if stats is None:
            return ending
        spent = stats.prefill_seconds + stats.decode_seconds
        heard = f"{clock_text(self.recording.seconds)} heard in {spent:.1f} s"
        return " · ".join([token_count(stats.new_tokens), heard, ending])

    @property
    def entry(self) -> dict[str, Any]:
        """This run's line in the panel's history."""
        label = f"Run {self.number}: {self.recording.name}, {self.summary}"
        return {"number": self.number, "label": label}

    def delta(self, offset: int) -> dict[str, Any]:
        """Return a message with the tokens from `offset` on, and all segments."""
        return {**super().delta(offset), "segments": self._segments()}

    def snapshot(self) -> dict[str, Any]:
        """Return everything the page shows of this run."""
        shown = {"recording": self.recording.number, "segments": self._segments()}
        return {**super().snapshot(), **shown}

    def _segments(self) -> list[list[float]]:
        return [
            [round(s.start_seconds, 3), round(s.stop_seconds, 3), s.first_token]
            for s in self.segments
        ]


def code_of(preset: str | None, path: str, settings: Settings) -> str:
    """Return Python code that writes the same transcript of the file at a path."""
    arguments = [setting.quoted(path)]
    if settings["sampler"] != "greedy":
        arguments.append(f"sampler=wb.samplers.{setting.sampler_of(settings)!r}")
    named = {"seed": settings["seed"]} if setting.reads_seed(settings) else {}
    named |= {"max_new_tokens": settings["max_new_tokens"]}
    arguments += [f"{name}={value!r}" for name, value in named.items() if value is not None]
    load = setting.load_code(preset).replace("models.CausalLM.", "models.AudioToText.")
    return f"{load}lm.transcribe({', '.join(arguments)})"
