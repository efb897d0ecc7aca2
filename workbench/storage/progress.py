"""Reports the progress of a load to a listener, who may stop it.

A listener is a function of the `Progress`. The loading thread calls it about ten times a second,
also while no bytes arrive. It stops the load by raising `LoadCancelled`. A `Stop` works sooner,
before the next tensor, and also when the interpreter exits.
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
    """The progress of a load.

    Attributes:
        stage: "downloading" from a hub, "reading" weights, or "building" without weights.
        done: finished bytes of this stage, including those of earlier attempts.
        total: bytes of this stage; None if unknown.
        file: the file the bytes come from.
        rate: bytes per second over the last seconds; None before it is known.
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
    """Report the progress of loads in the block to `callback`, which may raise `LoadCancelled`."""
    token = _listener.set(callback)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def stoppable(stop: Stop) -> Iterator[None]:
    """End loads in the block with LoadCancelled at the next `check` once `stop` is set."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def check() -> None:
    """Raise LoadCancelled if the load must stop; called before each tensor and between long
    steps."""
    stop = _stop.get()
    if stop is not None:
        stop.check()


def has_listener() -> bool:
    """Return whether there is a listener."""
    return _listener.get() is not None


def report(progress: Progress) -> None:
    """Tell the listener, if any. Raises whatever the listener raises."""
    listener = _listener.get()
    if listener is not None:
        listener(progress)


class Meter:
    """Counts the bytes of one stage. Any thread may `add`; the loading thread reports.

    Args:
        stage: as in `Progress`.
        total: bytes to come; None if unknown.
        file: the file name until `add` gives one.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        stage: Stage,
        total: int | None = None,
        file: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self._stage: Stage = stage
        self._file, self._clock = file, clock
        self._done = 0
        self._told = 0
        self._reported = -INTERVAL
        self._counting = threading.Lock()
        self._samples: deque[tuple[float, int]] = deque([(clock(), 0)])

    def add(self, count: int, file: str) -> None:
        """Count `count` more bytes of `file`; negative if some must be fetched again."""
        with self._counting:
            self._done += count
            self._file = file

    def start_at(self, done: int) -> None:
        """Add the bytes of an earlier attempt; they count as done but not in the rate."""
        with self._counting:
            self._done += done
            self._samples = deque((moment, before + done) for moment, before in self._samples)

    def report(self) -> None:
        """Tell the listener, unless it was told very recently."""
        if self._clock() - self._reported >= INTERVAL:
            self._report()

    def finish(self) -> None:
        """Tell the listener that the stage is done."""
        with self._counting:
            self._done = self._done if self.total is None else self.total
        self._report()

    def _report(self) -> None:
        with self._counting:
            self._reported = self._clock()
            self._told = max(self._told, self._done)  # bytes fetched twice count once
            progress = Progress(self._stage, self._told, self.total, self._file, self._rate())
        report(progress)

    def _rate(self) -> float | None:
        now = self._reported
        self._samples.append((now, self._done))
        while len(self._samples) > 2 and now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()
        (start, before), (end, done) = self._samples[0], self._samples[-1]
        return max(0, done - before) / (end - start) if end > start else None
