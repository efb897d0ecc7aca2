"""A panel that generates with a model: the sampler's controls, one streaming run at a time, and
past runs to restore."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import traitlets

from workbench.errors import SettingError
from workbench.generation.events import Done, Token
from workbench.jobs.generation import JobState

from . import settings as setting
from .controls import setting_traits
from .model_panel import ModelPanel
from .pace import Pace, Throttle
from .past_runs import KeepsRuns
from .runs import Run

HISTORY = 20  # runs
SYNC_EVERY = 0.2  # seconds
STATUS = {
    "queued": "queued",
    "compiling": "compiling",
    "done": "done",
    "cancelled": "stopped",
    "error": "failed",
}


class RunPanel(setting_traits(setting.DEFAULTS), KeepsRuns, ModelPanel):
    """The controls, the run that is shown or in progress, and the history of runs.

    A subclass checks its inputs in `check_ready`, makes a run in `new_run`, restores and clears its
    inputs in `bring_back` and `forget`, and gives the panel's Python code in `code_now`. `ended` is
    called at the end of a run, and `find` returns a run that the page may ask about.

    Args:
        lm: A `CausalLM`, or the handle of a preset.
        settings: The settings that differ from `defaults`.
        **traits: The subclass's traits.

    Raises:
        SettingError: A setting is unknown or out of its range.
    """

    defaults: ClassVar[setting.Settings] = setting.DEFAULTS

    show = traitlets.Any("probability").tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)
    form = traitlets.Dict().tag(sync=True)
    output = traitlets.Dict().tag(sync=True)
    runs = traitlets.List().tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)

    page_writes: ClassVar = {
        "show": setting.check_view,
        **{name: functools.partial(setting.check, name) for name in setting.DEFAULTS},
    }
    resent: ClassVar[tuple[str, ...]] = ()  # traits a page that missed something is given again
    commands: ClassVar = {
        "cancel": (),
        "sync": (),
        "alternatives": ("run", "index"),
        "restore": ("run",),
        "reset": (),
    }

    def __init__(self, lm: Any, settings: Mapping[str, object], **traits: Any) -> None:
        self._initial = {**self.defaults, **self._check_settings(settings)}
        self._history: list[Run] = []
        self._run: Run | None = None
        self._number = self._sent = 0
        self._pace = Pace()
        self._syncs = Throttle(SYNC_EVERY)
        super().__init__(lm, form=setting.form_of(None), **self._initial, **traits)

    # -- actions ------------------------------------------------------------------------

    def start(self) -> None:
        """Start a run in the background, with the panel's inputs and current settings.

        While the model is loading, the run starts after the load.

        Raises:
            PromptError: The model's input is missing.
            WorkbenchError: A run is in progress.
        """
        with self._lock:
            self.check_ready()
            if self.when_loaded(self.start):
                return
            self.refuse_when_busy()
            run = self.new_run(self._number + 1)
            self._history = self.kept([*self._history, run])
            self.begin(run)
            self._write_code()
        run.job.start()

    def restore(self, number: int) -> None:
        """Restore run `number`: its inputs, settings and text.

        Raises:
            SettingError: There is no such run.
            WorkbenchError: A run is in progress.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            run = self.past_run(number)
            self.settings = run.settings
            self.bring_back(run)
            self.put(run)
            self._write_code()

    def reset(self) -> None:
        """Forget the runs, and reset the settings to their first values.

        Raises:
            WorkbenchError: A run is in progress.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            self.forget()
            self._history, self._number, self.runs = [], 0, []
            self.settings = self._initial
            self._write_code()

    # -- state --------------------------------------------------------------------------

    @property
    def settings(self) -> setting.Settings:
        """The sampler's name and the value of every control. Assign some to change them."""
        return {name: getattr(self, name) for name in setting.DEFAULTS}

    @settings.setter
    def settings(self, values: setting.Settings) -> None:
        checked = self._check_settings(values)
        with self._lock, self.hold_sync():
            for name, value in checked.items():
                self.set_trait(name, value)

    @property
    def history(self) -> list[Run]:
        """The last runs, oldest first, each with its inputs, `settings`, `text` and `summary`."""
        return list(self._history)

    @property
    def text(self) -> str:
        """The text of the run that is shown."""
        return self._run.text if self._run else ""

    @property
    def tokens(self) -> list[Token]:
        """The tokens of the run that is shown."""
        return self._run.job.tokens if self._run else []

    # -- what a subclass uses -----------------------------------------------------------

    def adopt(self, lm: Any) -> None:
        """Set the controls' ranges to those of the loaded model."""
        self.form = setting.form_of(lm.max_length)
        self._write_code()

    @classmethod
    def check_setting(cls, name: str, value: object) -> Any:
        """Return the value of a setting, or raise a SettingError."""
        return setting.check(name, value)

    def check_ready(self) -> None:
        """Raise a PromptError if the panel lacks the input for a run."""

    def new_run(self, number: int) -> Run:
        """Return a run of the panel's current inputs."""
        raise NotImplementedError

    def kept(self, runs: list[Run]) -> list[Run]:
        """Return the runs that stay in the history, oldest first."""
        return runs[-HISTORY:]

    def bring_back(self, run: Run) -> None:
        """Restore the run's inputs in the panel."""

    def forget(self) -> None:
        """Clear the panel's inputs and show no run."""

    def code_now(self, preset: str | None) -> str:
        """Return Python code that does what the panel shows, with the model of a preset."""
        raise NotImplementedError

    def begin(self, run: Run) -> None:
        """Show a run that is about to start."""
        self._number, self._run, self._sent, self._pace = run.number, run, 0, Pace()
        with self.hold_sync():
            self.error, self.status, self.position = None, "queued", 0
            self.output = run.snapshot()

    def ended(self, run: Run) -> None:
        """Handle a new run in the history. Trait changes are sent after it returns."""
        self.runs = [past.entry for past in self._history if past.job.done]
        self._write_code()

    def find(self, number: object) -> Run:
        """Return the run with that number for the page, or raise a SettingError."""
        return self.past_run(number)

    def put(self, run: Run | None) -> None:
        """Show a run that has ended, or no run."""
        with self.hold_sync():
            self._run, self.error = run, None
            self.output = {} if run is None else run.snapshot()
            idle = "idle" if self._lm is not None else self.status
            self.status = idle if run is None else STATUS[run.job.status]

    def on_event(self, run: Run, event: JobState | Token | Done) -> None:
        """Take an event of a run; called on the run's thread."""
        if isinstance(event, JobState):
            self._show_state(run, event)
        elif isinstance(event, Token):
            self._publish(run)

    def tell(self, content: dict[str, Any]) -> None:
        """Send a message to the page."""
        super().send(content)

    @classmethod
    def _check_settings(cls, values: Mapping[str, object]) -> setting.Settings:
        """Return the settings after checking all of them."""
        return {name: cls.check_setting(name, value) for name, value in values.items()}

    def _publish(self, run: Run) -> None:
        what = self._pace.due(run.size)
        if what is None:
            return
        with self._lock:
            if what == "snapshot":
                self.output = run.snapshot()
            else:
                self.tell(run.delta(self._sent))
            self._sent = run.count
            if run.job.status != "stopping":
                self.status = "streaming"

    def _show_state(self, run: Run, state: JobState) -> None:
        with self._lock, self.hold_sync():
            self.position = state.position
            self.status = STATUS.get(state.status) or ("streaming" if run.count else "prefill")
            if not run.job.done:
                return
            self.output = run.snapshot()
            self.ended(run)
            if run.job.error is not None:
                self.show_exception(run.job.error, run.job.traceback)

    # -- what the page asks for ---------------------------------------------------------

    def _on_cancel(self) -> None:
        self.cancel()

    def _on_sync(self) -> None:
        if not self._syncs.ready():
            return
        snapshot = self._run.snapshot() if self._run is not None else {}
        if snapshot == self.output:
            self.send_state("output")  # an assignment that changes nothing would send nothing
        self.output = snapshot
        self._sent = len(snapshot.get("pieces", ()))
        self.send_state(("status", "position", *self.resent))
        self.tell({"type": "synced"})

    def _on_alternatives(self, run: object, index: object) -> None:
        if type(index) is not int:
            raise SettingError("index must be a whole number")
        items = self.find(run).alternatives(index)
        self.tell({"type": "alternatives", "run": run, "index": index, "items": items})

    def _on_reset(self) -> None:
        self.reset()

    def _on_restore(self, run: object) -> None:
        self.restore(run)

    # -- traits -------------------------------------------------------------------------

    @traitlets.validate("show", *setting.DEFAULTS)
    def _check_control(self, proposal: traitlets.Bunch) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        return setting.check_view(value) if name == "show" else self.check_setting(name, value)

    @traitlets.observe(*setting.DEFAULTS)
    def _write_code(self, change: traitlets.Bunch | None = None) -> None:
        self.code = self.code_now(self._lm.preset if self._lm is not None else self._handle)
