"""The training part of the tune panel: runs one at a time, and streams figures to the page."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from workbench.errors import SettingError, WorkbenchError
from workbench.jobs.job import JobState
from workbench.tuning.events import Event, Sample

from ..shared.pace import Pace, Throttle
from ..shared.past_runs import KeepsRuns
from . import settings as setting
from .base import TuneBase
from .runs import TuneRun

if TYPE_CHECKING:
    from workbench.tuning.job import TrainingJob

HISTORY = 8  # runs
SYNC_EVERY = 0.2  # seconds
SAMPLES_EVERY = 0.5
STATUS = {
    "queued": "queued",
    "compiling": "compiling",
    "running": "running",
    "paused": "paused",
    "stopping": "stopping",
    "done": "done",
    "cancelled": "stopped",
    "error": "failed",
}


class TuneTraining(KeepsRuns, TuneBase):
    """Starts, pauses, stops, shows and restores runs.

    `shown_now` is called when the panel shows another run, or when the shown run has ended.
    """

    doing: ClassVar = "training"

    run = traitlets.Dict().tag(sync=True)
    past = traitlets.List().tag(sync=True)
    runs = traitlets.List().tag(sync=True)
    samples = traitlets.Dict().tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)

    commands: ClassVar = {
        **TuneBase.commands,
        "start": (),
        "pause": (),
        "resume": (),
        "cancel": (),
        "sync": ("run", "rows", "marks"),
        "keep_best": (),
        "restore": ("run",),
    }

    def __init__(
        self,
        lm: Any,
        data: Any,
        validation: Any,
        name: str,
        folder: str | Path | None,
        settings: dict[str, Any],
    ) -> None:
        self._folder = None if folder is None else Path(os.path.expanduser(folder))
        self._history: list[TuneRun] = []
        self._run: TuneRun | None = None
        self._number = 0
        self._sent = (0, 0)  # steps and validations sent to the page
        self._pace = Pace()
        self._syncs = Throttle(SYNC_EVERY)
        self._rounds = Throttle(SAMPLES_EVERY)
        self._samples_behind = False
        super().__init__(lm, data, validation, name, settings)

    # -- actions ------------------------------------------------------------------------

    def start(self) -> None:
        """Train with the current settings, in the background.

        While model and data are loading, the run starts after the load.

        Raises:
            SettingError: The settings do not fit the model or the data.
            WorkbenchError: A run is in progress.
        """
        with self._lock:
            if self.when_loaded(self.start):
                return
            self.refuse_when_busy()
            run = self._new_run()
            self._history = [*self._history, run][-HISTORY:]
            before = self._run
            self._begin(run)
        try:
            run.job.start()
        except WorkbenchError:
            with self._lock:
                self._history.remove(run)
                self._show(before)
            raise

    def pause(self) -> None:
        """Pause after the current step; the model is free meanwhile. Never blocks."""
        with self._lock:
            if self.busy and self.status in ("queued", "compiling", "running"):
                self.status = "pausing"
                self._run.job.pause()

    def resume(self) -> None:
        """Continue after a pause.

        Raises:
            WorkbenchError: The run is not paused, or its model cannot be trained now.
        """
        with self._lock:
            if self._run is None or self._run.job.status != "paused":
                raise WorkbenchError("there is no paused run to resume")
            self.error, self.status = None, "queued"
        try:
            self._run.job.resume()
        except WorkbenchError:
            self.status = "paused"
            raise

    def cancel(self) -> None:
        """Stop after the current step and keep the adapter so far in the model; or stop loading
        model and data."""
        with self._lock:
            self.stop_loading()
            if not self.busy:
                return
            self.status = "stopping"
        self._run.job.cancel()

    def keep_best(self) -> None:
        """Restore the adapter with the lowest validation loss in the model.

        Raises:
            WorkbenchError: A run is in progress, or no run has measured a validation loss.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            if self._run is None or self._run.best is None:
                raise WorkbenchError("there is no best step: train with a validation share first")
            self._run.job.keep_best()
            self._lm.adapters.use(self._run.name)
            self._run.kept = True
            self._show(self._run)

    def restore(self, number: int) -> None:
        """Restore run `number`: its settings, its curves, and its adapter in the model.

        Raises:
            SettingError: There is no such run.
            WorkbenchError: A run is in progress.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            run = self.past_run(number)
            if run.name in self._lm.adapters:
                self._lm.adapters.use(run.name)
            self.settings = run.settings
            self._show(run)

    # -- what a user sees --------------------------------------------------------------

    @property
    def job(self) -> TrainingJob | None:
        """The job of the run shown, or None."""
        return self._run.job if self._run is not None else None

    @property
    def history(self) -> list[TuneRun]:
        """The last runs, oldest first, each with `settings`, `job` and `best`."""
        return list(self._history)

    # -- a run --------------------------------------------------------------------------

    def _new_run(self) -> TuneRun:
        from workbench.tuning.job import TrainingJob  # a panel shows without it

        run = TuneRun(self._number + 1, self._free_name(), self.settings)
        run.job = TrainingJob(
            self._lm,
            self._source.examples,
            self._source.held_out or self._settings["validation"],
            name=run.name,
            folder=self._folder and self._folder / run.name,
            on_event=functools.partial(self._on_event, run),
            **{name: self._settings[name] for name in setting.NAMES},
        )
        run.steps = run.job.settings.steps
        return run

    def _free_name(self) -> str:
        names = (f"{self._name}-{number}" for number in range(2, 10_000))
        taken = self._lm.adapters
        return next(name for name in (self._name, *names) if name not in taken)

    def _begin(self, run: TuneRun) -> None:
        self._number, self._pace = run.number, Pace()
        with self.hold_sync():
            self.error, self.status, self.position = None, "queued", 0
            self._show(run, "queued")

    def _show(self, run: TuneRun | None, status: str | None = None) -> None:
        """Show a run on the panel, or no run."""
        self._run = run
        self._sent = (0, 0) if run is None else (run.count, len(run.validation))
        with self.hold_sync():
            self.past = [past.figures() for past in self._history if past is not run]
            self.run = {} if run is None else run.snapshot()
            self.samples = {} if run is None else run.shown_samples()
            self.runs = [past.entry for past in self._history]
            self.status = status or ("idle" if run is None else STATUS[run.job.status])
            self.shown_now()

    def shown_now(self) -> None:
        """Handle that the panel shows another run, or that the shown run has ended."""

    def _on_event(self, run: TuneRun, event: Event | JobState) -> None:
        """Take an event of a run; called on the run's thread."""
        run.take(event)
        with self._lock:
            if run is not self._run:
                return
            if isinstance(event, JobState):
                self._show_state(run, event)
                return
            self._samples_behind |= isinstance(event, Sample)
            self._publish(run)

    def _publish(self, run: TuneRun) -> None:
        what = self._pace.due(run.size)
        if what == "snapshot":
            self.run = run.snapshot()
        elif what == "delta":
            self._tell_points(run, *self._sent)
        if what is not None:
            self._sent = (run.count, len(run.validation))
        if self._samples_behind and self._rounds.ready():
            self._samples_behind = False
            self.samples = run.shown_samples()

    def _tell_points(self, run: TuneRun, row: int, mark: int) -> None:
        message, rows = run.delta(row, mark)
        self.send(message, buffers=[rows])

    def _show_state(self, run: TuneRun, state: JobState) -> None:
        with self.hold_sync():
            self.position = state.position
            if self.status == "pausing" and state.status in ("running", "compiling"):
                return
            if state.status not in ("paused", "done", "cancelled", "error"):
                self.status = STATUS[state.status]
                return
            self._learn_pace(run)
            if run.name in self._lm.adapters:
                run.trained = self._lm.adapters[run.name].parameters
            self._show(run, STATUS[state.status])
            self._refresh_settings()
            if run.job.error is not None:
                self.show_exception(run.job.error, run.job.traceback)

    def _learn_pace(self, run: TuneRun) -> None:
        if run.seconds_per_step is not None:
            asked = run.settings
            self._pace_known = (run.seconds_per_step, asked["batch_size"] * asked["accumulate"])

    # -- what the page asks for ---------------------------------------------------------

    def _try(self, action: Callable[..., object], *arguments: Any) -> None:
        """Do what a person asked for, and show an error in one sentence if it fails."""
        try:
            action(*arguments)
        except WorkbenchError as error:
            self.show_error(str(error))

    def _on_start(self) -> None:
        if not self.busy and self.status not in ("loading", "reading") and not self.problems:
            self._try(self.start)

    def _on_pause(self) -> None:
        self.pause()

    def _on_resume(self) -> None:
        if self._run is not None and self._run.job.status == "paused":
            self._try(self.resume)

    def _on_cancel(self) -> None:
        self.cancel()

    def _on_keep_best(self) -> None:
        self._try(self.keep_best)

    def _on_restore(self, run: object) -> None:
        self._try(self.restore, self.past_run(run).number)

    def _on_sync(self, run: object, rows: object, marks: object) -> None:
        """Send what follows this many steps and validations of a run, or all of another run."""
        if not all(type(number) is int and number >= 0 for number in (run, rows, marks)):
            raise SettingError("run, rows and marks must be whole numbers")
        if not self._syncs.ready():
            return
        self.send_state(("status", "position"))  # a run may end while a page is being opened
        shown = self._run
        if shown is not None and self._samples_behind:
            self._samples_behind = False
            self.samples = shown.shown_samples()
        if shown is not None and (run != shown.number or rows > shown.count):
            self.run = shown.snapshot()
            self.send_state(("run", "samples", "past"))
        elif shown is not None and (rows < shown.count or marks < len(shown.validation)):
            self._tell_points(shown, rows, marks)
