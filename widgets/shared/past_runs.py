"""The shared part of panels with a history: one run is shown or in progress; find past ones."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from workbench.errors import SettingError, WorkbenchError


class KeepsRuns:
    """Mix-in before `ModelPanel` for a history of runs, each with a `number` and a `job`.

    `_history` holds them, oldest first; `_run` is the one shown, or None.
    """

    doing: ClassVar[str] = "generating"
    _history: list[Any]
    _run: Any

    @property
    def busy(self) -> bool:
        """True while a run is queued, running or paused."""
        return self._run is not None and not self._run.job.done

    def refuse_when_busy(self) -> None:
        """Raise a WorkbenchError while a run is in progress."""
        if self.busy:
            raise WorkbenchError(f"the panel is {self.doing}: cancel() or wait() first")

    def cancel(self) -> None:
        """Stop after the current token and keep the text, or stop loading. Never blocks."""
        with self._lock:
            self.stop_loading()
            if self.busy:
                self._run.job.cancel()
                if not self._run.job.done:
                    self.status = "stopping"

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the model is loaded and the run has ended or is paused. Return False if it is
        paused, or after `timeout` seconds.

        An interrupt stops the load, or cancels the run as in `Job.wait`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self.wait_loaded(deadline):
            return False
        if self._run is None:
            return True
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return self._run.job.wait(left)

    def release(self) -> None:
        """Cancel the run or the load. Results stay after `close()`."""
        self.cancel()
        super().release()

    def past_run(self, number: object) -> Any:
        """Return the past run with that number, or raise a SettingError."""
        for run in self._history:
            if type(number) is int and run.number == number:
                return run
        raise SettingError(f"there is no run {str(number)[:20]}")
