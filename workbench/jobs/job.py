"""The base of jobs on a model: a place in the model's queue, a thread, waiting, cancelling.

A backbone serves one job at a time, first come first served, whether the job generates or trains.
A job works in its own thread, so a notebook cell returns at once. Where background work cannot
update the page (Colab), it works in the calling thread, and the kernel's interrupt cancels it.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.backbones.views import View, seeing, view_here
from workbench.errors import WorkbenchError, details_of
from workbench.memory.door import names_exhaustion
from workbench.workers import Stop, Worker

JobStatus = Literal[
    "idle", "queued", "compiling", "running", "stopping", "paused", "done", "cancelled", "error"
]
FINAL: frozenset[str] = frozenset({"done", "cancelled", "error"})
POLL_SECONDS = 0.1

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobState:
    """The new status of a job. `position` is the number of jobs ahead of a queued one."""

    status: JobStatus
    position: int = 0


def needs_foreground() -> bool:
    """Return True on Colab, where updates from background threads do not reach the page."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:  # there is no package `google` at all
        return False


class _Line:
    """The queue of one backbone, which serves one job at a time, first come first served."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()

    def join(self, job: Job) -> None:
        with self._changed:
            self._jobs.append(job)

    def leave(self, job: Job) -> None:
        with self._changed:
            self._jobs.remove(job)
            self._changed.notify_all()

    def position(self, job: Job) -> int:
        with self._changed:
            return self._jobs.index(job)

    def wait(self) -> None:
        """Return when a job leaves or is cancelled, or after a moment."""
        with self._changed:
            self._changed.wait(POLL_SECONDS)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _Lines:
    """The queues of several backbones for one job, which works when it is first in each of them.

    A job joins all its queues at once, so any two jobs have the same order in all of them, and a
    deadlock is impossible.
    """

    _joining = threading.Lock()

    def __init__(self, lines: Sequence[_Line]) -> None:
        self._lines = lines
        self._longest = lines[0]

    def join(self, job: Job) -> None:
        with self._joining:
            for line in self._lines:
                line.join(job)

    def leave(self, job: Job) -> None:
        for line in self._lines:
            line.leave(job)

    def position(self, job: Job) -> int:
        positions = [line.position(job) for line in self._lines]
        self._longest = self._lines[positions.index(max(positions))]
        return max(positions)

    def wait(self) -> None:
        self._longest.wait()

    def wake(self) -> None:
        for line in self._lines:
            line.wake()


_lines: weakref.WeakKeyDictionary[Any, _Line] = weakref.WeakKeyDictionary()
_lines_lock = threading.Lock()


def _line_of(lm: object) -> _Line | _Lines:
    if isinstance(lm, tuple):
        return _Lines(list(dict.fromkeys(map(_own_line_of, lm))))
    return _own_line_of(lm)


def _own_line_of(lm: object) -> _Line:
    with _lines_lock:
        return _lines.setdefault(getattr(lm, "backbone", lm), _Line())


def _name_of(lm: object) -> str:
    """Return the model's preset name or its own name; a model may lack both."""
    name = getattr(lm, "preset", None) or getattr(lm, "name", None) or type(lm).__name__
    return Path(name).name


class Awaited(ABC):
    """Background work that can be waited for; the kernel's interrupt cancels it.

    A subclass sets `_finished` when the work has ended or is paused.
    """

    what = "job"
    _finished: threading.Event

    @property
    @abstractmethod
    def status(self) -> str:
        """The current status."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether it has ended."""

    @property
    @abstractmethod
    def error(self) -> BaseException | None:
        """The error it failed with, or None."""

    @abstractmethod
    def cancel(self) -> None:
        """Stop soon, without blocking."""

    def __repr__(self) -> str:
        """Return its subject, status and progress on one line."""
        told = [self.status, self._progress()]
        if self.error is not None:
            told.append(f"{type(self.error).__name__}: {self.error}".splitlines()[0])
        return f"<{type(self).__name__} {self._subject()}: {', '.join(filter(None, told))}>"

    def _subject(self) -> str:
        """Return what it works on."""
        return ""

    def _progress(self) -> str:
        """Return its progress in words, or an empty string."""
        return ""

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it has ended or `timeout` seconds have passed. Return True if it has ended.

        An interrupt (Ctrl-C, the kernel's stop button) cancels it, keeps its result so far and
        returns; a second one raises KeyboardInterrupt.

        Raises:
            WorkbenchError: It was never started.
        """
        if self.status == "idle":
            raise WorkbenchError(f"the {self.what} was never started: call start() before wait()")
        try:
            return self._wait(timeout)
        except KeyboardInterrupt:
            self.cancel()
            return self._wait(None)

    def _wait(self, timeout: float | None) -> bool:
        # Short waits let an interrupt through, which Thread.join() does not.
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._finished.wait(POLL_SECONDS):
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return self.done


class Job(Awaited):
    """A piece of work on a model. Subclasses implement `_do`.

    Args:
        lm: The model, or a tuple of several. Two jobs on one backbone run one after the other, in
            the order they were started; one on several waits until all of them are free. A job uses
            the adapters that are active in the thread that starts it.
        on_event: Called with every event, one at a time, in order, from the job's thread. An error
            it raises is logged once and never stops the job.
    """

    thread_name = "workbench-job"

    def __init__(self, lm: object, on_event: Callable[[Any], None] | None) -> None:
        self._error: BaseException | None = None
        self.traceback = ""
        self._lm = lm
        self._observer = on_event
        self._status: JobStatus = "idle"
        self._observer_failed = False
        self._lock = threading.Lock()
        self._cancelled = Stop()
        self._finished = threading.Event()  # set once it has ended, or is paused
        self._line = _line_of(lm)

    # -- actions ------------------------------------------------------------------------

    def start(self) -> None:
        """Start and return at once; where threads cannot update the page, run to the end.

        Raises:
            WorkbenchError: The job was started before.
        """
        self._claim()
        self._begin()

    def cancel(self) -> None:
        """Stop after the current step, or at once if still queued. Never blocks."""
        with self._lock:
            nobody_works = self._status in ("idle", "paused")
            if nobody_works:
                self._status = "cancelled"
            self._cancelled.set()
        self._line.wake()
        if nobody_works:
            self._finish("cancelled")

    # -- state --------------------------------------------------------------------------

    @property
    def status(self) -> JobStatus:
        """Where the job is; see `JobStatus`."""
        if self._cancelled.is_set() and self._status not in FINAL:
            return "stopping"
        return self._status

    @property
    def error(self) -> BaseException | None:
        """The error the work failed with, or None."""
        return self._error

    @property
    def done(self) -> bool:
        """True once the job is done, cancelled or ended by an error."""
        return self._status in FINAL

    @property
    def position(self) -> int:
        """The number of jobs of this model ahead of this one; 0 after its end."""
        return self._line.position(self) if self._status == "queued" else 0

    # -- how it works -------------------------------------------------------------------

    def _subject(self) -> str:
        models = self._lm if isinstance(self._lm, tuple) else (self._lm,)
        return ", ".join(dict.fromkeys(map(_name_of, models)))

    @abstractmethod
    def _do(self) -> JobStatus:
        """Do the work once the model is free, and return the final status. Calls `_enter` first."""

    @staticmethod
    def _in_foreground() -> bool:
        """Return whether to work in the calling thread."""
        return needs_foreground()

    def _stop_asked(self) -> bool:
        """Return whether the work must stop after the current step."""
        return self._cancelled.is_set()

    def _stopped(self) -> JobStatus:
        """Return the status of a job that stops on request."""
        return "cancelled"

    def _claim(self) -> None:
        with self._lock:
            if self._status != "idle":
                raise WorkbenchError(f"a job runs once, and this one is {self._status}: make anew")
            self._status = "queued"
        self._line.join(self)

    def _begin(self) -> None:
        if self._in_foreground():
            self._work()
        else:
            view = view_here()
            Worker(lambda: self._work_seeing(view), self.thread_name).start()

    def _work_seeing(self, view: View) -> None:
        with seeing(view):
            self._work()

    def _work(self) -> None:
        try:
            with names_exhaustion("this run"):
                status = self._do() if self._await_turn() else self._stopped()
        except KeyboardInterrupt:
            self._cancelled.set()
            status = "cancelled"
        except BaseException as error:
            self._keep(error)
            status = "error"
        finally:
            self._line.leave(self)
        self._finish(status)

    def _await_turn(self) -> bool:
        """Wait in the queue; return False if asked to stop there."""
        told = 0
        while not self._stop_asked():
            position = self._line.position(self)
            if position == 0:
                return True
            if position != told:
                self._enter("queued", position)
                told = position
            self._line.wait()
        return False

    def _enter(self, status: JobStatus, position: int = 0) -> None:
        if self._status == status != "queued":
            return
        self._status = status
        self._tell(JobState(status, position))

    def _keep(self, error: BaseException) -> None:
        self._error, self.traceback = error, details_of(error)

    def _finish(self, status: JobStatus) -> None:
        self._status = status
        self._tell(JobState(status))
        self._finished.set()

    def _tell(self, event: Any) -> None:
        if self._observer is None:
            return
        try:
            self._observer(event)
        except Exception:
            if not self._observer_failed:
                _logger.exception("the observer of a job failed; the job goes on")
            self._observer_failed = True
