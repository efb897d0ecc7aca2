"""What every job on a model has: a place in the model's line, a thread, waiting, cancelling.

A backbone serves one job at a time, first come first served, whether it writes or trains. A job
works in a thread of its own, so that a notebook cell returns at once. Where background work cannot
reach the page (Colab) it works in the calling thread, and the kernel's interrupt cancels it.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
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
    """A job has changed its status. `position` counts the jobs ahead of one that is queued."""

    status: JobStatus
    position: int = 0


def needs_foreground() -> bool:
    """True on Colab, where updates from background threads do not reach the page."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:  # there is no package `google` at all
        return False


class _Line:
    """The jobs of one backbone, first come first served: it serves one at a time."""

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
        """Returns when somebody leaves, is cancelled, or after a moment."""
        with self._changed:
            self._changed.wait(POLL_SECONDS)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _Lines:
    """The lines of several backbones for one job, which works when it is first in each of them.

    They are joined at one moment, so any two jobs stand in the same order wherever they meet, and
    no job waits for one that waits for it.
    """

    _joining = threading.Lock()

    def __init__(self, lines: list[_Line]) -> None:
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


def _line_of(lm: Any) -> _Line | _Lines:
    if isinstance(lm, tuple):
        return _Lines(list(dict.fromkeys(map(_line_of, lm))))
    with _lines_lock:
        return _lines.setdefault(getattr(lm, "backbone", lm), _Line())


def _name_of(lm: Any) -> str:
    """Its preset's name, or its own; a job takes anything that streams, even if it has neither."""
    name = getattr(lm, "preset", None) or getattr(lm, "name", None) or type(lm).__name__
    return Path(name).name


class Awaited(ABC):
    """What is started, and waited for with the kernel's interrupt as a way to cancel it.

    A kind of it sets `_finished` when it has come to rest.
    """

    what = "job"
    status: Any
    done: Any
    _finished: threading.Event

    error: BaseException | None

    @abstractmethod
    def cancel(self) -> None:
        """Stop soon; never blocks."""

    def __repr__(self) -> str:
        """What it works on, its status, and how far it is, on one line."""
        told = [self.status, self._progress()]
        if self.error is not None:
            told.append(f"{type(self.error).__name__}: {self.error}".splitlines()[0])
        return f"<{type(self).__name__} {self._subject()}: {', '.join(filter(None, told))}>"

    def _subject(self) -> str:
        """What it works on."""
        return ""

    def _progress(self) -> str:
        """How far it is, empty where there is nothing to say."""
        return ""

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until it has ended or `timeout` seconds have passed; True if it has ended.

        An interrupt (Ctrl-C, the kernel's stop button) cancels it, keeps what it has made and
        returns; a second one gets through.

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
        # Short waits of our own: an interrupt gets in between, which Thread.join() forbids.
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._finished.wait(POLL_SECONDS):
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return self.done


class Job(Awaited):
    """One piece of work of one model. A kind of job says what `_do` does.

    Args:
        lm: The model, or a tuple of several. Two jobs on one backbone run one after the other, in
            the order they were started; one on several waits until all of them are free. A job sees
            the adapters that the thread sees which starts it.
        on_event: Called with every event, one at a time, in order, from the thread that works.
            What it raises is logged once and never stops the job.
    """

    thread_name = "workbench-job"

    def __init__(self, lm: Any, on_event: Callable[[Any], None] | None) -> None:
        self.error: BaseException | None = None
        self.traceback = ""
        self._lm = lm
        self._observer = on_event
        self._status: JobStatus = "idle"
        self._observer_failed = False
        self._lock = threading.Lock()
        self._cancelled = Stop()
        self._finished = threading.Event()  # set once it has ended, or is paused
        self._line = _line_of(lm)

    # -- what a user does ---------------------------------------------------------------

    def start(self) -> None:
        """Begins, and returns at once; where threads cannot update the page it runs to the end.

        Raises:
            WorkbenchError: The job was started before.
        """
        self._claim()
        self._begin()

    def cancel(self) -> None:
        """Stops after the step at work, at once when still queued. Never blocks."""
        with self._lock:
            nobody_works = self._status in ("idle", "paused")
            if nobody_works:
                self._status = "cancelled"
            self._cancelled.set()
        self._line.wake()
        if nobody_works:
            self._finish("cancelled")

    # -- what a user sees ---------------------------------------------------------------

    @property
    def status(self) -> JobStatus:
        """Where the job is; see `JobStatus`."""
        if self._cancelled.is_set() and self._status not in FINAL:
            return "stopping"
        return self._status

    @property
    def done(self) -> bool:
        """True once the job is done, cancelled or ended by an error."""
        return self._status in FINAL

    @property
    def position(self) -> int:
        """How many jobs of this model are ahead of this one; 0 when none, or when it has ended."""
        return self._line.position(self) if self._status == "queued" else 0

    # -- how it works -------------------------------------------------------------------

    def _subject(self) -> str:
        models = self._lm if isinstance(self._lm, tuple) else (self._lm,)
        return ", ".join(dict.fromkeys(map(_name_of, models)))

    @abstractmethod
    def _do(self) -> JobStatus:
        """The work, once the model is free, and how it came to rest. It calls `_enter` first."""

    @staticmethod
    def _in_foreground() -> bool:
        """Whether to work in the calling thread."""
        return needs_foreground()

    def _stop_asked(self) -> bool:
        """Whether the work is to end after the step under way."""
        return self._cancelled.is_set()

    def _stopped(self) -> JobStatus:
        """The status of a job whose work ends because it was asked to."""
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
        """False when asked to stop in the queue."""
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
        self.error, self.traceback = error, details_of(error)

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
