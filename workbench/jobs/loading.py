"""Loading as a background job: start, watch, cancel and wait for it, with or without a page."""

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
    """Runs one `from_preset` in its own thread.

    Args:
        handle: As for `from_preset`: a built-in name, a hub's handle or a folder.
        dtype: As for `from_preset`; None for the fastest on this machine.
        cls: The class to load; None for `models.CausalLM`.
        on_change: Called without arguments when `status` or `progress` has changed, from the
            loading thread. If it raises, the load fails.

    The load stops before the next tensor, and frees what it has read, at a cancel, at the end of
    the interpreter, and when no reference to the job remains.

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
        """Start and return at once; where threads cannot update the page, load to the end.

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
        """The status of the load; see `LoadStatus`."""
        return self._load.status

    @property
    def progress(self) -> Progress | None:
        """The last reported progress, or None."""
        return self._load.progress

    @property
    def result(self) -> Any:
        """The model; None unless the load is done."""
        return self._load.result

    @property
    def error(self) -> BaseException | None:
        """The error the load failed with, or None."""
        return self._load.error

    @property
    def traceback(self) -> str:
        """The traceback of the error, as text."""
        return self._load.traceback

    @property
    def done(self) -> bool:
        """True once the model is there, the load was cancelled, or it failed."""
        return self.status in FINAL

    @property
    def stopping(self) -> bool:
        """True from a cancel until the load has ended."""
        return self._load.cancelled.is_set() and not self.done

    def _subject(self) -> str:
        return str(self.handle)

    def _progress(self) -> str:
        now = self.progress
        if now is None or self.done:
            return ""
        return f"{now.stage} {100 * now.done // now.total} %" if now.total else now.stage


class _Load:
    """The work of a job's thread. It has no reference to the job, so it does not keep the job
    alive."""

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
        """Mark the load as started; this works only once."""
        with self._lock:
            if self.status != "idle":
                raise WorkbenchError(f"a load runs once, and this one is {self.status}: make anew")
            self.status = "loading"

    def cancel(self) -> None:
        """Cancel the load, as `LoadJob.cancel`."""
        with self._lock:
            never_started = self.status == "idle"
            if never_started:
                self.status = "cancelled"
        self.cancelled.set()
        if never_started:
            self.finished.set()

    def run(self) -> None:
        """Load, and set `status` to the outcome."""
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
            from workbench import models  # takes seconds, so import it in this thread

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
        """Keep the error, unless the cancel caused it; a loader may have reworded that one."""
        if self.cancelled.is_set():
            return "cancelled"
        self.error, self.traceback = error, details_of(error)
        return "failed"

    def _finish(self, status: LoadStatus) -> None:
        if status != "done" and self.progress is not None:
            gc.collect()  # the layers built so far refer to each other and hold the tensors read
        self.status = status
        try:
            self._tell()
        finally:
            self._on_change = None  # it may hold a reference to the model
            self.finished.set()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change()
