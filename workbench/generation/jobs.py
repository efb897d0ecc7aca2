"""A generation as a job: started, watched, cancelled and waited for, with or without a front end.

A job works in a thread of its own, so that a notebook cell returns at once. Where background work
cannot reach the page (Colab) it works in the calling thread, and the kernel's interrupt cancels it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import logging
import threading
import time
import traceback
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import PromptError, WorkbenchError
from workbench.generation.events import Done, Event, Reason, Stats, Status, Token

JobStatus = Literal[
    "idle", "queued", "compiling", "running", "stopping", "done", "cancelled", "error"
]
FINAL: frozenset[str] = frozenset({"done", "cancelled", "error"})
POLL_SECONDS = 0.1

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobState:
    """A job has changed its status. `position` counts the jobs ahead of one that is queued."""

    status: JobStatus
    position: int = 0


Observer = Callable[[JobState | Token | Done], None]


class Turn(ABC):
    """What a job can run in place of a prompt: the next reply of a `Chat`."""

    @abstractmethod
    def stream(self, **settings: Any) -> Iterator[Event]:
        """Its events; the settings are those of `CausalLM.stream`."""

    @property
    @abstractmethod
    def prompt_tokens(self) -> int:
        """How many tokens the model is given, once it runs."""


class _Line:
    """The jobs of one model, first come first served: a model serves one at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[GenerationJob] = deque()

    def join(self, job: GenerationJob) -> None:
        with self._changed:
            self._jobs.append(job)

    def leave(self, job: GenerationJob) -> None:
        with self._changed:
            self._jobs.remove(job)
            self._changed.notify_all()

    def position(self, job: GenerationJob) -> int:
        with self._changed:
            return self._jobs.index(job)

    def wait(self) -> None:
        """Returns when somebody leaves, is cancelled, or after a moment."""
        with self._changed:
            self._changed.wait(POLL_SECONDS)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class _Clock:
    """Seconds by kind of work, for a run that ends before the model gives its own figures."""

    def __init__(self) -> None:
        self.work: Literal["prefill", "decode"] = "prefill"
        self._seconds = {"compile": 0.0, "prefill": 0.0, "decode": 0.0}
        self._last = 0.0

    def start(self) -> None:
        self._last = time.monotonic()

    def lap(self, work: str) -> None:
        """The time since the last lap went into `work`."""
        now = time.monotonic()
        self._seconds[work] += now - self._last
        self._last = now

    @property
    def spent(self) -> dict[str, float]:
        return {f"{work}_seconds": seconds for work, seconds in self._seconds.items()}


_lines: weakref.WeakKeyDictionary[Any, _Line] = weakref.WeakKeyDictionary()
_lines_lock = threading.Lock()
_working: weakref.WeakSet[GenerationJob] = weakref.WeakSet()


def _line_of(lm: Any) -> _Line:
    with _lines_lock:
        return _lines.setdefault(lm, _Line())


def needs_foreground() -> bool:
    """True on Colab, where updates from background threads do not reach the page."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:  # there is no package `google` at all
        return False


class GenerationJob:
    """One completion of one prompt, written in the background.

    Args:
        lm: A causal language model, anything with `stream` as `CausalLM.stream`.
        prompt: The text to continue; for models that read more than text a dict, as for
            `lm.stream`; or `Chat.turn(...)`: the reply to write.
        sampler: As for `lm.stream`; None takes the model's own.
        max_new_tokens: The most tokens to write; None leaves it to `max_length`.
        max_length: The most tokens of prompt and completion together.
        stop_token_ids: "auto" for the tokenizer's own, None for none, or a tuple of ids.
        seed: Makes the run repeatable; None draws a fresh one.
        on_event: Called with every `JobState`, `Token` and `Done`, one at a time, in order, from
            the thread that works. What it raises is logged once and never stops the job.

    Raises:
        PromptError: The prompt is neither a string, nor a dict, nor a turn.

    Two jobs on one model run one after the other, in the order they were started. After a cancel,
    an interrupt or an error the text written so far is kept.

    ```python
    job = GenerationJob(lm, "Once upon a time", max_new_tokens=64, seed=7)
    job.start()
    job.wait()
    print(job.text)
    ```
    """

    def __init__(
        self,
        lm: Any,
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
        self.prompt = prompt
        self.tokens: list[Token] = []
        self.reason: Reason | None = None
        self.error: BaseException | None = None
        self.traceback = ""
        self._lm = lm
        self._arguments = {
            "sampler": sampler,
            "max_new_tokens": max_new_tokens,
            "max_length": max_length,
            "stop_token_ids": stop_token_ids,
            "seed": seed,
        }
        self._observer = on_event
        self._status: JobStatus = "idle"
        self._stats: Stats | None = None
        self._tail = ""
        self._prompt_size: int | None = None
        self._clock = _Clock()
        self._observer_failed = False
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._finished = threading.Event()
        self._line = _line_of(lm)

    # -- what a user does ---------------------------------------------------------------

    def start(self) -> None:
        """Begins, and returns at once; where threads cannot update the page it runs to the end.

        Raises:
            WorkbenchError: The job was started before.
        """
        if needs_foreground():
            self.run()
            return
        self._claim()
        threading.Thread(target=self._work, name="workbench-generation", daemon=True).start()

    def run(self) -> str:
        """Generates in the calling thread and returns the text; an interrupt cancels."""
        self._claim()
        self._work()
        return self.text

    def cancel(self) -> None:
        """Stops after the step at work, at once when still queued. Never blocks."""
        with self._lock:
            never_started = self._status == "idle"
            if never_started:
                self._status = "cancelled"
        self._cancelled.set()
        self._line.wake()
        if never_started:
            self._finish("cancelled")

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until the job has ended or `timeout` seconds have passed; True if it has ended.

        An interrupt (Ctrl-C, the kernel's stop button) cancels the job, keeps its text and
        returns; a second one gets through.
        """
        if self._status == "idle":
            raise WorkbenchError("the job was never started: call start() before wait()")
        try:
            return self._wait(timeout)
        except KeyboardInterrupt:
            self.cancel()
            return self._wait(None)

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

    @property
    def text(self) -> str:
        """The completion so far, without the prompt."""
        return "".join(token.text for token in list(self.tokens)) + self._tail

    @property
    def stats(self) -> Stats | None:
        """Counts and times, once there is a token; those of the model when it has finished."""
        if self._stats is not None or not self.tokens:
            return self._stats
        return Stats(
            prompt_tokens=self._prompt_tokens(),
            new_tokens=len(self.tokens),
            **self._clock.spent,
        )

    # -- how it works -------------------------------------------------------------------

    def _claim(self) -> None:
        with self._lock:
            if self._status != "idle":
                raise WorkbenchError(f"a job runs once, and this one is {self._status}: make anew")
            self._status = "queued"
        self._line.join(self)
        _working.add(self)

    def _wait(self, timeout: float | None) -> bool:
        # Short waits of our own: an interrupt gets in between, which Thread.join() forbids.
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._finished.wait(POLL_SECONDS):
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return True

    def _work(self) -> None:
        try:
            status = self._generate() if self._await_turn() else "cancelled"
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
        """False when cancelled in the queue."""
        told = 0
        while not self._cancelled.is_set():
            position = self._line.position(self)
            if position == 0:
                return True
            if position != told:
                self._enter("queued", position)
                told = position
            self._line.wait()
        return False

    def _generate(self) -> JobStatus:
        self._enter("running")
        self._clock.start()
        with contextlib.closing(self._events()) as events:
            for event in events:
                self._take(event)
                if self._cancelled.is_set() and self.reason is None:
                    return "cancelled"
        return "done"

    def _events(self) -> Iterator[Event]:
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

    def _enter(self, status: JobStatus, position: int = 0) -> None:
        if self._status == status != "queued":
            return
        self._status = status
        self._tell(JobState(status, position))

    def _keep(self, error: BaseException) -> None:
        self.error = error
        self.traceback = "".join(traceback.format_exception(error))
        # The frames hold the model's arrays; the text of the traceback is enough.
        traceback.clear_frames(error.__traceback__)

    def _finish(self, status: JobStatus) -> None:
        if status == "cancelled":
            self.reason = "cancelled"
        self._status = status
        self._tell(JobState(status))
        _working.discard(self)
        self._finished.set()

    def _tell(self, event: JobState | Token | Done) -> None:
        if self._observer is None:
            return
        try:
            self._observer(event)
        except Exception:
            if not self._observer_failed:
                _logger.exception("the observer of a generation job failed; the job goes on")
            self._observer_failed = True


@atexit.register
def _stop_all() -> None:
    """The interpreter must not be taken down under a thread that is inside XLA."""
    working = list(_working)
    for job in working:
        job.cancel()
    for job in working:
        job.wait(5)
