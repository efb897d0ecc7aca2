"""Loading a preset as a job: started, watched, cancelled and waited for, with or without a page."""

from __future__ import annotations

import atexit
import threading
import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from workbench.errors import LoadCancelled, WorkbenchError
from workbench.jobs import Awaited, needs_foreground
from workbench.presets.progress import Progress, listening

LoadStatus = Literal["idle", "loading", "done", "cancelled", "failed"]
FINAL: frozenset[str] = frozenset({"done", "cancelled", "failed"})

_working: weakref.WeakSet[LoadJob] = weakref.WeakSet()


class LoadJob(Awaited):
    """One `from_preset` in a thread of its own.

    Args:
        handle: As for `from_preset`: a built-in name, a hub's handle or a folder.
        dtype: As for `from_preset`; None for what is fast on this machine.
        cls: The class to load, `models.CausalLM` where None.
        on_change: Called without arguments when `status` or `progress` has changed, from the
            thread that loads. What it raises ends the load as failed.

    A cancel takes effect at the next report of progress, about ten times a second while bytes
    arrive; what is being built at that moment is built and dropped. Nothing stays half loaded.

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
        self.status: LoadStatus = "idle"
        self.progress: Progress | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.traceback = ""
        self._cls = cls
        self._on_change = on_change
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._finished = threading.Event()

    def start(self) -> None:
        """Begin, and return at once; where threads cannot update the page, load to the end.

        Raises:
            WorkbenchError: The job was started before.
        """
        with self._lock:
            if self.status != "idle":
                raise WorkbenchError(f"a load runs once, and this one is {self.status}: make anew")
            self.status = "loading"
        _working.add(self)
        if needs_foreground():
            self._work()
        else:
            threading.Thread(target=self._work, name="workbench-load", daemon=True).start()

    def cancel(self) -> None:
        """Stop at the next report of progress. Never blocks; does nothing once it has ended."""
        with self._lock:
            never_started = self.status == "idle"
            if never_started:
                self.status = "cancelled"
        self._cancelled.set()
        if never_started:
            self._finished.set()

    @property
    def done(self) -> bool:
        """True once the model is there, the load was cancelled, or it failed."""
        return self.status in FINAL

    @property
    def stopping(self) -> bool:
        """True between a cancel and the end."""
        return self._cancelled.is_set() and not self.done

    def _subject(self) -> str:
        return str(self.handle)

    def _progress(self) -> str:
        now = self.progress
        if now is None or self.done:
            return ""
        return f"{now.stage} {100 * now.done // now.total} %" if now.total else now.stage

    def _work(self) -> None:
        try:
            self._tell()
            with listening(self._hear):
                result = self._load()
            self._stop_if_asked()
            self.result, status = result, "done"
        except (LoadCancelled, KeyboardInterrupt):
            status = "cancelled"
        except BaseException as error:
            status = self._keep(error)
        self._finish(status)

    def _load(self) -> Any:
        cls = self._cls
        if cls is None:
            from workbench import models  # takes seconds: here it keeps nobody waiting

            cls = models.CausalLM
        self._stop_if_asked()
        return cls.from_preset(self.handle, dtype=self.dtype)

    def _hear(self, progress: Progress) -> None:
        self._stop_if_asked()
        read = progress.stage == "reading" and progress.done == progress.total
        self.progress = Progress("building", 0, None, "") if read else progress
        self._tell()

    def _stop_if_asked(self) -> None:
        if self._cancelled.is_set():
            raise LoadCancelled

    def _keep(self, error: BaseException) -> LoadStatus:
        """Note what went wrong, unless it came of the cancel, which a loader may have reworded."""
        if self._cancelled.is_set():
            return "cancelled"
        self.error = error
        self.traceback = "".join(traceback.format_exception(error))
        # The frames hold the arrays read so far; the text of the traceback is enough.
        traceback.clear_frames(error.__traceback__)
        return "failed"

    def _finish(self, status: LoadStatus) -> None:
        self.status = status
        _working.discard(self)
        try:
            self._tell()
        finally:
            self._finished.set()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change()


@atexit.register
def _stop_all() -> None:
    """The interpreter must not be taken down under a thread that is inside XLA."""
    working = list(_working)
    for job in working:
        job.cancel()
    for job in working:
        job.wait(5)
