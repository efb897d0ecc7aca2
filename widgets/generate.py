"""The generate panel: a prompt, a sampler's controls, and the text as it is written."""

from __future__ import annotations

import functools
import threading
import time
import traceback
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from workbench.errors import SettingError, WorkbenchError
from workbench.generation.events import Done, Token
from workbench.generation.jobs import POLL_SECONDS, JobState, needs_foreground

from . import settings as setting
from .model import check_model, heading_of
from .pace import Pace, Throttle
from .panel import Panel, page_source
from .runs import Run

COUNTED_PROMPT = 20_000  # characters; longer prompts are counted when they run
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


class GeneratePanel(Panel):
    """Watch a model write, and move the sampler's controls while it does.

    Args:
        lm: A `CausalLM`, or the handle of a preset, which is loaded in the background.
        prompt: What the prompt box holds at first.
        **settings: `sampler` ("greedy", "random", "top_k", "top_p"), `temperature`, `top_k`,
            `top_p`, `min_p`, `repetition_penalty`, `max_new_tokens`, `seed`.

    Raises:
        SettingError: A setting is unknown or out of its range.

    All that a person does on the page can be done from Python, on the same object:

    ```python
    panel = wb.generate("stories_tiny_en", prompt="Once upon a time")
    panel.temperature = 0.5
    panel.start()
    panel.wait()
    print(panel.text)
    ```
    """

    _esm = page_source(
        "dom.js", "chrome.js", "tokens.js", "controls.js", "status.js", "parts.js", "generate.js"
    )
    _css = page_source("panel.css", "generate.css")

    prompt = traitlets.Any("").tag(sync=True)
    sampler = _setting("sampler")
    temperature = _setting("temperature")
    top_k = _setting("top_k")
    top_p = _setting("top_p")
    min_p = _setting("min_p")
    repetition_penalty = _setting("repetition_penalty")
    max_new_tokens = _setting("max_new_tokens")
    seed = _setting("seed")
    show = traitlets.Any("probability").tag(sync=True)

    status = traitlets.Unicode("idle").tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)
    heading = traitlets.Dict().tag(sync=True)
    form = traitlets.Dict().tag(sync=True)
    prompt_tokens = traitlets.Int(None, allow_none=True).tag(sync=True)
    output = traitlets.Dict().tag(sync=True)
    runs = traitlets.List().tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)
    foreground = traitlets.Bool(False).tag(sync=True)

    page_writes: ClassVar = {
        "prompt": setting.check_prompt,
        "show": setting.check_view,
        **{name: functools.partial(setting.check, name) for name in setting.DEFAULTS},
    }
    commands: ClassVar = {
        "start": ("prompt", "settings"),
        "cancel": (),
        "sync": (),
        "alternatives": ("run", "index"),
        "restore": ("run",),
        "reset": (),
    }

    def __init__(self, lm: Any, prompt: str = "", **settings: Any) -> None:
        self._initial = {**setting.DEFAULTS, **setting.check_all(settings)}
        self._handle = str(lm) if isinstance(lm, str | Path) else None
        if self._handle is None:
            check_model(lm)
        self._lm: Any = None
        self._history: list[Run] = []
        self._run: Run | None = None
        self._number = self._sent = 0
        self._pace = Pace()
        self._syncs = Throttle(SYNC_EVERY)
        self._loaded = threading.Event()
        self._start_when_loaded = False
        super().__init__(
            prompt=setting.check_prompt(prompt),
            foreground=needs_foreground(),
            form=setting.form_of(None),
            **self._initial,
        )
        if self._handle is None:
            self._adopt(lm)
        else:
            self._load()

    # -- what a user does ---------------------------------------------------------------

    def start(self) -> None:
        """Write from the prompt and the settings as they are now, in the background.

        While the model is loading this is done once it is there.

        Raises:
            WorkbenchError: A run is under way.
        """
        with self._lock:
            if self._lm is None:
                self._start_when_loaded = True
                if self._loaded.is_set():  # loading failed before: try again
                    self._load()
                return
            self._refuse_when_busy()
            run = self._begin()
        run.job.start()

    def cancel(self) -> None:
        """Stop after the token at work and keep the text. Never blocks."""
        with self._lock:
            self._start_when_loaded = False
            if self.busy:
                self._run.job.cancel()
                if not self._run.job.done:
                    self.status = "stopping"

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the model is loaded and the run has ended; False after `timeout` seconds.

        An interrupt cancels the run, as in `GenerationJob.wait`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._loaded.wait(POLL_SECONDS):
            if deadline is not None and time.monotonic() >= deadline:
                return False
        if self._run is None:
            return True
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        return self._run.job.wait(left)

    def reset(self) -> None:
        """Forget the runs and put the settings back to where they were at first.

        Raises:
            WorkbenchError: A run is under way.
        """
        with self._lock, self.hold_sync():
            self._refuse_when_busy()
            self._history, self._run, self._number = [], None, 0
            self.error, self.runs, self.output = None, [], {}
            self.status = "idle" if self._lm is not None else self.status
            self.settings = self._initial

    def restore(self, number: int) -> None:
        """Bring back run `number`: its prompt, its settings and its text.

        Raises:
            SettingError: There is no such run.
            WorkbenchError: A run is under way.
        """
        with self._lock, self.hold_sync():
            self._refuse_when_busy()
            self._run = self._find(number)
            self.prompt, self.settings = self._run.prompt, self._run.settings
            self.error, self.output = None, self._run.snapshot()
            self.status = STATUS[self._run.job.status]
            self._write_code()

    def release(self) -> None:
        """Cancel what runs. Text and history stay readable after `close()`."""
        self.cancel()

    # -- what a user sees ---------------------------------------------------------------

    @property
    def lm(self) -> Any:
        """The model; None while it is loading."""
        return self._lm

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
        """The completion of the run that is shown, without its prompt."""
        return self._run.text if self._run else ""

    @property
    def tokens(self) -> list[Token]:
        """The tokens of the run that is shown."""
        return self._run.job.tokens if self._run else []

    @property
    def history(self) -> list[Run]:
        """The last runs, oldest first, each with `prompt`, `settings`, `text` and `summary`."""
        return list(self._history)

    @property
    def busy(self) -> bool:
        """True while a run is queued or under way."""
        return self._run is not None and not self._run.job.done

    def describe(self) -> list[str]:
        """Heading, prompt and completion, as lines of text."""
        heading = " · ".join(value for value in self.heading.values() if value)
        lines = [f"{heading} ({self.status})", f"Prompt: {self.prompt}"]
        if self._run is not None:
            lines += [f"Completion: {self.text}", self._run.summary]
        return lines

    # -- loading ------------------------------------------------------------------------

    def _load(self) -> None:
        self._loaded.clear()
        with self.hold_sync():
            self.error, self.status = None, "loading"
            self.heading = {"name": Path(self._handle).name}
        if self.foreground:
            self._load_now()
        else:
            threading.Thread(target=self._load_now, name="workbench-load", daemon=True).start()

    def _load_now(self) -> None:
        try:
            from workbench import models

            self._adopt(check_model(models.CausalLM.from_preset(self._handle)))
            if self._start_when_loaded:
                self.start()
        except Exception as error:
            self.status = "failed"
            self.show_exception(error, traceback.format_exc())
        finally:
            self._loaded.set()

    def _adopt(self, lm: Any) -> None:
        with self._lock, self.hold_sync():
            self._lm = lm
            self.heading = heading_of(lm)
            self.form = setting.form_of(lm.max_length)
            self.status = "idle"
            self._count_prompt()
            self._write_code()
        if self._handle is None:
            self._loaded.set()

    # -- a run --------------------------------------------------------------------------

    def _begin(self) -> Run:
        run = Run(self._number + 1, self._lm, self.prompt, self.settings, self._on_event)
        self._number, self._run, self._sent, self._pace = run.number, run, 0, Pace()
        self._history = [*self._history, run][-HISTORY:]
        with self.hold_sync():
            self.error, self.status, self.position = None, "queued", 0
            self.output = run.snapshot()
            self._write_code()
        return run

    def _on_event(self, run: Run, event: JobState | Token | Done) -> None:
        if isinstance(event, JobState):
            self._show_state(run, event)
        elif isinstance(event, Token):
            self._publish(run)

    def _publish(self, run: Run) -> None:
        what = self._pace.due(run.size)
        if what is None:
            return
        with self._lock:
            if what == "snapshot":
                self.output = run.snapshot()
            else:
                self.send(run.delta(self._sent))
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
            self.runs = [{**past.entry} for past in self._history if past.job.done]
            if run.job.error is not None:
                self.show_exception(run.job.error, run.job.traceback)

    def _refuse_when_busy(self) -> None:
        if self.busy:
            raise WorkbenchError("the panel is generating: cancel() or wait() first")

    def _find(self, number: object) -> Run:
        for run in self._history:
            if type(number) is int and run.number == number:
                return run
        raise SettingError(f"there is no run {str(number)[:20]}")

    # -- what the page asks for ---------------------------------------------------------

    def _on_start(self, prompt: object, settings: object) -> None:
        if not isinstance(settings, dict):
            raise SettingError("settings must be a dictionary")
        checked = {"prompt": setting.check_prompt(prompt), **setting.check_all(settings)}
        if self.busy or self.status == "loading":
            return
        with self.hold_sync():
            for name, value in checked.items():
                self.set_trait(name, value)
        self.start()

    def _on_cancel(self) -> None:
        self.cancel()

    def _on_reset(self) -> None:
        self.reset()

    def _on_restore(self, run: object) -> None:
        self.restore(run)

    def _on_sync(self) -> None:
        if not self._syncs.ready():
            return
        snapshot = self._run.snapshot() if self._run is not None else {}
        if snapshot == self.output:
            self.send_state("output")  # an assignment that changes nothing would send nothing
        self.output = snapshot
        self._sent = len(snapshot.get("pieces", ()))
        self.send({"type": "synced"})

    def _on_alternatives(self, run: object, index: object) -> None:
        if type(index) is not int:
            raise SettingError("index must be a whole number")
        items = self._find(run).alternatives(index)
        self.send({"type": "alternatives", "run": run, "index": index, "items": items})

    # -- traits -------------------------------------------------------------------------

    @traitlets.validate("prompt", "show", *setting.DEFAULTS)
    def _check_trait(self, proposal: traitlets.Bunch) -> Any:
        return self.page_writes[proposal["trait"].name](proposal["value"])

    @traitlets.observe("prompt")
    def _count_prompt(self, change: traitlets.Bunch | None = None) -> None:
        counted = self._lm is not None and len(self.prompt) <= COUNTED_PROMPT
        self.prompt_tokens = len(self._lm.preprocessor.prompt_ids(self.prompt)) if counted else None

    @traitlets.observe("prompt", *setting.DEFAULTS)
    def _write_code(self, change: traitlets.Bunch | None = None) -> None:
        shown = self._run or self
        preset = self._lm.preset if self._lm is not None else self._handle
        self.code = setting.code_of(preset, shown.prompt, shown.settings)


def generate(lm: Any, prompt: str = "", **settings: Any) -> GeneratePanel:
    """A panel that writes with a model; see `GeneratePanel` for the arguments.

    ```python
    wb.generate("stories_tiny_en", prompt="Once upon a time", temperature=0.6)
    ```
    """
    return GeneratePanel(lm, prompt, **settings)
