"""How far a load has come: told to whoever listens, who may stop it.

A listener is a function of the `Progress`; it is called in the thread that loads, about ten times
a second, also while nothing arrives. It stops the load by raising `LoadCancelled`. A `Stop` stops
it sooner, before the next tensor, and at the end of the interpreter.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from workbench.workers import Stop

Stage = Literal["downloading", "reading", "building"]

INTERVAL = 0.1  # seconds between two reports
_WINDOW = 5.0  # seconds the rate is averaged over


@dataclass(frozen=True)
class Progress:
    """Where a load is.

    Attributes:
        stage: "downloading" from a hub, "reading" weights, or "building" what needs no weights.
        done: bytes of this stage that are finished, those of an earlier attempt included.
        total: bytes of this stage, None where they are not known.
        file: the file the bytes come from.
        rate: bytes a second over the last seconds, None before it is known.
    """

    stage: Stage
    done: int
    total: int | None
    file: str
    rate: float | None = None


Listener = Callable[[Progress], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_stop: ContextVar[Stop | None] = ContextVar("stop", default=None)


@contextmanager
def listening(callback: Listener) -> Iterator[None]:
    """Loads in the block tell `callback` how far they are. It may raise `LoadCancelled`."""
    token = _listener.set(callback)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def stoppable(stop: Stop) -> Iterator[None]:
    """Loads in the block end with LoadCancelled at the next `check` once `stop` is set."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def check() -> None:
    """Go on, unless the load is to stop: called before each tensor, and between long steps."""
    stop = _stop.get()
    if stop is not None:
        stop.check()


def has_listener() -> bool:
    """Whether anybody is told."""
    return _listener.get() is not None


def report(progress: Progress) -> None:
    """Tell the listener; without one nothing happens. Raises what the listener raises."""
    listener = _listener.get()
    if listener is not None:
        listener(progress)


class Meter:
    """Counts the bytes of one stage. Any thread may `add`; the loading thread reports.

    Args:
        stage: as in `Progress`.
        total: bytes to come, None where they are not known.
        file: what is named until `add` names a file.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        stage: Stage,
        total: int | None = None,
        file: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self._stage, self._file, self._clock = stage, file, clock
        self._done = 0
        self._told = 0
        self._reported = -INTERVAL
        self._counting = threading.Lock()
        self._samples: deque[tuple[float, int]] = deque([(clock(), 0)])

    def add(self, count: int, file: str) -> None:
        """Note `count` more bytes of `file`; negative where some have to come again."""
        with self._counting:
            self._done += count
            self._file = file

    def start_at(self, done: int) -> None:
        """Bytes an earlier attempt left; they count as done and not into the rate."""
        with self._counting:
            self._done += done
            self._samples = deque((moment, before + done) for moment, before in self._samples)

    def report(self) -> None:
        """Tell the listener, unless it was told a moment ago."""
        if self._clock() - self._reported >= INTERVAL:
            self._report()

    def finish(self) -> None:
        """Tell the listener that all is done."""
        with self._counting:
            self._done = self._done if self.total is None else self.total
        self._report()

    def _report(self) -> None:
        with self._counting:
            self._reported = self._clock()
            self._told = max(self._told, self._done)  # what comes twice is not counted twice
            progress = Progress(self._stage, self._told, self.total, self._file, self._rate())
        report(progress)

    def _rate(self) -> float | None:
        now = self._reported
        self._samples.append((now, self._done))
        while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()
        (start, before), (end, done) = self._samples[0], self._samples[-1]
        return max(0, done - before) / (end - start) if end > start else None
