"""Loading a preset as a job: started, watched, cancelled and waited for, with or without a page."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from workbench.errors import LoadCancelled, WorkbenchError, details_of
from workbench.jobs.job import Awaited, needs_foreground
from workbench.storage.progress import Progress, listening, stoppable
from workbench.workers import Stop, Worker

LoadStatus = Literal["idle", "loading", "done", "cancelled", "failed"]
FINAL: frozenset[str] = frozenset({"done", "cancelled", "failed"})


class LoadJob(Awaited):
    """One `from_preset` in a thread of its own.

    Args:
        handle: As for `from_preset`: a built-in name, a hub's handle or a folder.
        dtype: As for `from_preset`; None for what is fast on this machine.
        cls: The class to load, `models.CausalLM` where None.
        on_change: Called without arguments when `status` or `progress` has changed, from the
            thread that loads. What it raises ends the load as failed.

    The load belongs to whoever holds the job. When nobody does any more, at a cancel and at the
    end of the interpreter it stops before the next tensor, and what it has read is freed.

    ```python
    job = LoadJob("stories_tiny_en")
    job.start()
    job.wait()
    lm = job.result
    ```
    """

    what = "load"

    def __init__(
        self,
        handle: str | Path,
        dtype: Any = None,
        cls: type | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.handle = handle
        self.dtype = dtype
        self._load = _Load(handle, dtype, cls, on_change)
        self._finished = self._load.finished
        weakref.finalize(self, self._load.cancelled.set).atexit = False

    def start(self) -> None:
        """Begin, and return at once; where threads cannot update the page, load to the end.

        Raises:
            WorkbenchError: The job was started before.
        """
        self._load.claim()
        if needs_foreground():
            self._load.run()
        else:
            Worker(self._load.run, "workbench-load").start()

    def cancel(self) -> None:
        """Stop before the next tensor. Never blocks; does nothing once it has ended."""
        self._load.cancel()

    @property
    def status(self) -> LoadStatus:
        """Where the load is; see `LoadStatus`."""
        return self._load.status

    @property
    def progress(self) -> Progress | None:
        """What was told last of how far it is."""
        return self._load.progress

    @property
    def result(self) -> Any:
        """The model; None unless the load is done."""
        return self._load.result

    @property
    def error(self) -> BaseException | None:
        """What a load that failed has met."""
        return self._load.error

    @property
    def traceback(self) -> str:
        """Where it met it, as text."""
        return self._load.traceback

    @property
    def done(self) -> bool:
        """True once the model is there, the load was cancelled, or it failed."""
        return self.status in FINAL

    @property
    def stopping(self) -> bool:
        """True between a cancel and the end."""
        return self._load.cancelled.is_set() and not self.done

    def _subject(self) -> str:
        return str(self.handle)

    def _progress(self) -> str:
        now = self.progress
        if now is None or self.done:
            return ""
        return f"{now.stage} {100 * now.done // now.total} %" if now.total else now.stage


class _Load:
    """What the thread of a job does. It does not know the job, so that nothing but their holders
    keeps jobs alive."""

    def __init__(
        self,
        handle: str | Path,
        dtype: Any,
        cls: type | None,
        on_change: Callable[[], None] | None,
    ) -> None:
        self.status: LoadStatus = "idle"
        self.progress: Progress | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.traceback = ""
        self.cancelled = Stop()
        self.finished = threading.Event()
        self._handle, self._dtype, self._cls = handle, dtype, cls
        self._on_change = on_change
        self._lock = threading.Lock()

    def claim(self) -> None:
        """Be under way from now on, once and never again."""
        with self._lock:
            if self.status != "idle":
                raise WorkbenchError(f"a load runs once, and this one is {self.status}: make anew")
            self.status = "loading"

    def cancel(self) -> None:
        """As `LoadJob.cancel`."""
        with self._lock:
            never_started = self.status == "idle"
            if never_started:
                self.status = "cancelled"
        self.cancelled.set()
        if never_started:
            self.finished.set()

    def run(self) -> None:
        """Load, and say how it ended in `status`."""
        try:
            self._tell()
            with listening(self._hear), stoppable(self.cancelled):
                self.result, status = self._read(), "done"
        except (LoadCancelled, KeyboardInterrupt):
            status = "cancelled"
        except BaseException as error:
            status = self._keep(error)
        self._finish(status)

    def _read(self) -> Any:
        cls = self._cls
        if cls is None:
            from workbench import models  # takes seconds: here it keeps nobody waiting

            cls = models.CausalLM
        self.cancelled.check()
        model = cls.from_preset(self._handle, dtype=self._dtype)
        self.cancelled.check()
        return model

    def _hear(self, progress: Progress) -> None:
        self.cancelled.check()
        read = progress.stage == "reading" and progress.done == progress.total
        self.progress = Progress("building", 0, None, "") if read else progress
        self._tell()

    def _keep(self, error: BaseException) -> LoadStatus:
        """Note what went wrong, unless it came of the cancel, which a loader may have reworded."""
        if self.cancelled.is_set():
            return "cancelled"
        self.error, self.traceback = error, details_of(error)
        return "failed"

    def _finish(self, status: LoadStatus) -> None:
        if status != "done" and self.progress is not None:
            gc.collect()  # the layers built so far refer to each other, and hold what was read
        self.status = status
        try:
            self._tell()
        finally:
            self._on_change = None  # which may know the model
            self.finished.set()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change()
