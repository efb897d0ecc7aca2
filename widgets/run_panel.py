"""A panel that writes with a model: the sampler's controls, one run at a time streamed out, and
those before it to come back to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import traitlets

from workbench.errors import SettingError
from workbench.generation.events import Done, Token
from workbench.jobs.generation import JobState

from . import settings as setting
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


def _setting(name: str) -> traitlets.Any:
    return traitlets.Any(setting.DEFAULTS[name]).tag(sync=True)


class RunPanel(KeepsRuns, ModelPanel):
    """The controls, the run that is shown or under way, and the history of runs.

    A subclass makes a run in `new_run` once `check_ready` has found what it needs, says in
    `bring_back` and `forget` what it keeps beside runs and settings, and in `code_now` what the
    panel does as Python. `ended` is called at the end of a run, and `find` says which runs the page
    may ask about.

    Args:
        lm: A `CausalLM`, or the handle of a preset.
        settings: Those that differ from `defaults`.
        **traits: Those of the subclass.

    Raises:
        SettingError: A setting is unknown or out of its range.
    """

    defaults: ClassVar[setting.Settings] = setting.DEFAULTS

    sampler = _setting("sampler")
    temperature = _setting("temperature")
    top_k = _setting("top_k")
    top_p = _setting("top_p")
    min_p = _setting("min_p")
    repetition_penalty = _setting("repetition_penalty")
    max_new_tokens = _setting("max_new_tokens")
    seed = _setting("seed")
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

    # -- what a user does ---------------------------------------------------------------

    def start(self) -> None:
        """Begin a run, in the background, with what the panel holds and the settings of now.

        While the model is loading this is done once it is there.

        Raises:
            PromptError: What the model is to read is missing.
            WorkbenchError: A run is under way.
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
        """Bring back run `number`: what it read, its settings and its text.

        Raises:
            SettingError: There is no such run.
            WorkbenchError: A run is under way.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            run = self.past_run(number)
            self.settings = run.settings
            self.bring_back(run)
            self.put(run)
            self._write_code()

    def reset(self) -> None:
        """Forget the runs, and put the settings back to where they were at first.

        Raises:
            WorkbenchError: A run is under way.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            self.forget()
            self._history, self._number, self.runs = [], 0, []
            self.settings = self._initial
            self._write_code()

    # -- what a user sees ---------------------------------------------------------------

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
        """The last runs, oldest first, each with what it read, `settings`, `text` and `summary`."""
        return list(self._history)

    @property
    def text(self) -> str:
        """What the run that is shown has written."""
        return self._run.text if self._run else ""

    @property
    def tokens(self) -> list[Token]:
        """The tokens of the run that is shown."""
        return self._run.job.tokens if self._run else []

    # -- what a subclass uses -----------------------------------------------------------

    def adopt(self, lm: Any) -> None:
        """The controls reach as far as the model does."""
        self.form = setting.form_of(lm.max_length)
        self._write_code()

    @classmethod
    def check_setting(cls, name: str, value: object) -> Any:
        """The value of a setting, or a SettingError."""
        return setting.check(name, value)

    def check_ready(self) -> None:
        """A PromptError where the panel has nothing to begin a run with."""

    def new_run(self, number: int) -> Run:
        """A run of what the panel holds now."""
        raise NotImplementedError

    def kept(self, runs: list[Run]) -> list[Run]:
        """Those of the runs, oldest first, that stay in the history."""
        return runs[-HISTORY:]

    def bring_back(self, run: Run) -> None:
        """The panel holds again what the run has read."""

    def forget(self) -> None:
        """The panel holds nothing to read, and shows no run."""

    def code_now(self, preset: str | None) -> str:
        """Python that does what the panel shows, with the model of a preset."""
        raise NotImplementedError

    def begin(self, run: Run) -> None:
        """Show a run that is about to start."""
        self._number, self._run, self._sent, self._pace = run.number, run, 0, Pace()
        with self.hold_sync():
            self.error, self.status, self.position = None, "queued", 0
            self.output = run.snapshot()

    def ended(self, run: Run) -> None:
        """The history has one more; called with all traits held back until it returns."""
        self.runs = [past.entry for past in self._history if past.job.done]
        self._write_code()

    def find(self, number: object) -> Run:
        """The run of that number which the page may ask about, or a SettingError."""
        return self.past_run(number)

    def put(self, run: Run | None) -> None:
        """Show a run that has ended, or none."""
        with self.hold_sync():
            self._run, self.error = run, None
            self.output = {} if run is None else run.snapshot()
            idle = "idle" if self._lm is not None else self.status
            self.status = idle if run is None else STATUS[run.job.status]

    def on_event(self, run: Run, event: JobState | Token | Done) -> None:
        """Where a run says what happens, from the thread that works."""
        if isinstance(event, JobState):
            self._show_state(run, event)
        elif isinstance(event, Token):
            self._publish(run)

    def tell(self, content: dict[str, Any]) -> None:
        """A message to the page."""
        super().send(content)

    @classmethod
    def _check_settings(cls, values: Mapping[str, object]) -> setting.Settings:
        """Every setting checked before any is used."""
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
