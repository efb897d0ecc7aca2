"""A panel that writes with a model: the sampler's controls, and one run at a time streamed out."""

from __future__ import annotations

import functools
import time
from typing import Any, ClassVar

import traitlets

from workbench.errors import SettingError, WorkbenchError
from workbench.generation.events import Done, Token
from workbench.generation.jobs import JobState

from . import settings as setting
from .model_panel import ModelPanel
from .pace import Pace, Throttle
from .runs import Run

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


class RunPanel(ModelPanel):
    """The controls, and the run that is shown or under way.

    A subclass makes a `Run` and gives it to `begin`; `ended` is called with it at its end, and
    `find` says which runs the page may ask about.
    """

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

    page_writes: ClassVar = {
        "show": setting.check_view,
        **{name: functools.partial(setting.check, name) for name in setting.DEFAULTS},
    }
    resent: ClassVar[tuple[str, ...]] = ()  # traits a page that missed something is given again
    commands: ClassVar = {"cancel": (), "sync": (), "alternatives": ("run", "index")}

    def __init__(self, lm: Any, **traits: Any) -> None:
        self._run: Run | None = None
        self._number = self._sent = 0
        self._pace = Pace()
        self._syncs = Throttle(SYNC_EVERY)
        super().__init__(lm, form=setting.form_of(None), **traits)

    # -- what a user does ---------------------------------------------------------------

    def cancel(self) -> None:
        """Stop after the token at work and keep the text. Never blocks."""
        with self._lock:
            self.drop_wish()
            if self.busy:
                self._run.job.cancel()
                if not self._run.job.done:
                    self.status = "stopping"

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the model is loaded and the run has ended; False after `timeout` seconds.

        An interrupt cancels the run, as in `GenerationJob.wait`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self.wait_loaded(deadline):
            return False
        if self._run is None:
            return True
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return self._run.job.wait(left)

    def release(self) -> None:
        """Cancel what runs. What was written stays readable after `close()`."""
        self.cancel()

    # -- what a user sees ---------------------------------------------------------------

    @property
    def settings(self) -> setting.Settings:
        """The sampler's name and the value of every control. Assign some to change them."""
        return {name: getattr(self, name) for name in setting.DEFAULTS}

    @settings.setter
    def settings(self, values: setting.Settings) -> None:
        checked = setting.check_all(values)
        with self._lock, self.hold_sync():
            for name, value in checked.items():
                self.set_trait(name, value)

    @property
    def text(self) -> str:
        """What the run that is shown has written."""
        return self._run.text if self._run else ""

    @property
    def tokens(self) -> list[Token]:
        """The tokens of the run that is shown."""
        return self._run.job.tokens if self._run else []

    @property
    def busy(self) -> bool:
        """True while a run is queued or under way."""
        return self._run is not None and not self._run.job.done

    # -- what a subclass uses -----------------------------------------------------------

    def adopt(self, lm: Any) -> None:
        """The controls reach as far as the model does."""
        self.form = setting.form_of(lm.max_length)

    def begin(self, run: Run) -> None:
        """Show a run that is about to start."""
        self._number, self._run, self._sent, self._pace = run.number, run, 0, Pace()
        with self.hold_sync():
            self.error, self.status, self.position = None, "queued", 0
            self.output = run.snapshot()

    def ended(self, run: Run) -> None:
        """The run shown has ended; called with all traits held back until it returns."""

    def find(self, number: object) -> Run:
        """The run of that number, or a SettingError."""
        raise SettingError(f"there is no run {str(number)[:20]}")

    def put(self, run: Run | None) -> None:
        """Show a run that has ended, or none."""
        with self.hold_sync():
            self._run, self.error = run, None
            self.output = {} if run is None else run.snapshot()
            idle = "idle" if self._lm is not None else self.status
            self.status = idle if run is None else STATUS[run.job.status]

    def refuse_when_busy(self) -> None:
        """A WorkbenchError while a run is under way."""
        if self.busy:
            raise WorkbenchError("the panel is generating: cancel() or wait() first")

    def on_event(self, run: Run, event: JobState | Token | Done) -> None:
        """Where a run says what happens, from the thread that works."""
        if isinstance(event, JobState):
            self._show_state(run, event)
        elif isinstance(event, Token):
            self._publish(run)

    def tell(self, content: dict[str, Any]) -> None:
        """A message to the page."""
        super().send(content)

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
        if self.resent:
            self.send_state(self.resent)
        self.tell({"type": "synced"})

    def _on_alternatives(self, run: object, index: object) -> None:
        if type(index) is not int:
            raise SettingError("index must be a whole number")
        items = self.find(run).alternatives(index)
        self.tell({"type": "alternatives", "run": run, "index": index, "items": items})
