"""The part of the tune panel before a run: a model, data, and settings that a person changes."""

from __future__ import annotations

import functools
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import traitlets

from workbench.errors import LoadCancelled, SettingError, WorkbenchError
from workbench.storage.progress import stoppable
from workbench.tuning.settings import TuneSettings
from workbench.workers import Stop, Worker

from ..shared.model_panel import ModelPanel, wait_for
from ..shared.settings import Settings
from . import settings as setting
from .data import data_text, example_view
from .source import TuneSource

VIEW = {"log": False, "smoothing": 0.8}
MOST_SMOOTHING = 0.99


def _dict() -> traitlets.Dict:
    return traitlets.Dict().tag(sync=True)


class TuneBase(ModelPanel):
    """Model, data and settings: everything known before a run starts.

    Args:
        lm: A `CausalLM`, or the handle of a preset, which is loaded in the background.
        data: Anything that `workbench.data.sources.read_examples` reads; read in the background.
        validation: A share of the examples, separate examples, or None.
        settings: The fields of `TuneSettings`.
    """

    data = _dict()
    form = traitlets.List().tag(sync=True)
    values = _dict()
    problems = _dict()
    estimate = _dict()
    view = traitlets.Any(VIEW).tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)

    changes_model: ClassVar = True
    commands: ClassVar = {"set": ("values",), "example": ("number",)}

    def __init__(
        self, lm: Any, data: Any, validation: Any, name: str, settings: Mapping[str, Any]
    ) -> None:
        shared = validation is None or isinstance(validation, int | float)
        given = {**settings, "validation": validation} if shared else settings
        self._shared, self._name = shared, name
        self._settings = self._initial = setting.merge(setting.DEFAULTS, given)
        self._asked_prompts = "sample_prompts" in settings
        self._source = TuneSource(data, None if shared else validation)
        self._read = threading.Event()
        self._given_up = Stop()
        self._pace_known: tuple[float, int] | None = None  # seconds of a step, and its rows
        super().__init__(lm)
        self._refresh_settings()

    @property
    def settings(self) -> Settings:
        """The settings of the next run. Assign some to change them."""
        return dict(self._settings)

    @settings.setter
    def settings(self, values: Mapping[str, Any]) -> None:
        with self._lock:
            merged = setting.merge(self._settings, values)
            self._check_fits(merged)
            self._settings, self.problems = merged, {}
            self._asked_prompts |= "sample_prompts" in values
            self._refresh_settings()

    @property
    def busy(self) -> bool:
        """True while a run is queued, running or paused."""
        return False

    def describe(self) -> list[str]:
        """Return heading, data and settings as lines of text."""
        heading = " · ".join(value for value in self.heading.values() if value)
        return [
            f"{heading} ({self.status})",
            f"Data: {data_text(self.data)}",
            f"Settings: {setting.summary_of(self._settings)}",
        ]

    # -- model and data -----------------------------------------------------------------

    def adopt(self, lm: Any) -> None:
        """Take over the loaded model, and read the data with it."""
        self.heading = {**self.heading, "name": f"LoRA fine-tune · {self.heading['name']}"}
        self._refresh_settings()
        self._begin_reading()

    def when_loaded(self, wish: Callable[[], None]) -> bool:
        """Keep `wish` until model and data are loaded; retry what failed."""
        if self._lm is None:
            return super().when_loaded(wish)
        if self._source.examples is not None:
            self.drop_wish()
            return False
        self._wish = wish
        if self._read.is_set():
            self._begin_reading()
        return True

    def wait_loaded(self, deadline: float | None = None) -> bool:
        """Block until model and data are read; return False at the deadline of monotonic time."""
        if not super().wait_loaded(deadline):
            return False
        try:
            return self._lm is None or wait_for(self._read, deadline)
        except KeyboardInterrupt:
            self.stop_loading()
            return True

    def stop_loading(self) -> None:
        """Stop waiting for the model and the data. Never blocks."""
        with self._lock:
            super().stop_loading()
            if self.status == "reading":
                self._given_up.set()
                self.status = "idle"
                self._read.set()

    def _begin_reading(self) -> None:
        self._read.clear()
        self._given_up = Stop()
        self.error, self.status = None, "reading"
        if self.foreground:
            self._read_data(self._given_up)
        else:
            work = functools.partial(self._read_data, self._given_up)
            Worker(work, "workbench-data").start()

    def _read_data(self, given_up: Stop) -> None:
        try:
            with stoppable(given_up):
                self._source.read(self._lm)
            self._adopt_data(given_up)
            if self._wish is not None:
                self._wish()
        except LoadCancelled:
            return
        except KeyboardInterrupt:  # in the foreground
            self.stop_loading()
        except Exception as error:
            if given_up.is_set():  # another thread may be reading by now
                return
            self.status = "failed"
            self.show_exception(error, traceback.format_exc())
        self._read.set()

    def _adopt_data(self, given_up: Stop) -> None:
        with self._lock, self.hold_sync():
            given_up.check()
            self.status = "idle"
            self._suggest_prompts()
            self._refresh_settings()

    def _suggest_prompts(self) -> None:
        if self._asked_prompts:
            return
        prompts = {"sample_prompts": self._source.prompts()}
        self._initial, self._settings = {**self._initial, **prompts}, {**self._settings, **prompts}

    # -- settings -----------------------------------------------------------------------

    @property
    def tune_settings(self) -> TuneSettings:
        """The settings for a `TrainingJob`."""
        return TuneSettings.of({name: self._settings[name] for name in setting.NAMES})

    def _check_fits(self, values: Settings) -> None:
        """Raise a WorkbenchError if the data cannot be used with these settings."""
        if self._source.examples is not None:
            self._source.facts(values)

    def _refresh_settings(self) -> None:
        with self._lock, self.hold_sync():
            self.form = setting.form_of(self._lm, self._settings, self._shared)
            self.values = setting.shown_values(self._settings, self._lm)
            if self._source.examples is not None and self._lm is not None:
                self.data = self._source.facts(self._settings)
                self.estimate = self._estimate()
            self._write_code()

    def _estimate(self) -> Settings:
        """Return steps, memory and time of the next run; the time only once it is measured."""
        from workbench.tuning.memory import estimate_training  # a panel shows without it

        asked = self._source.planned(self._settings, self.tune_settings)
        steps, seconds = asked.steps, None
        if self._pace_known is not None:
            seconds, rows = self._pace_known
            seconds = steps * seconds * asked.batch_size * asked.accumulate / rows
        memory = estimate_training(self._lm, asked, self._source.longest(self._settings))
        return {"steps": steps, "seconds": seconds, "memory_bytes": memory.total}

    def _write_code(self) -> None:
        """Keep `code` in step with what is shown."""

    # -- what the page asks for ---------------------------------------------------------

    def _call(self, command: str, arguments: dict[str, Any]) -> None:
        """Answer every command, even one that changes nothing: the page checks for a kernel."""
        super()._call(command, arguments)
        self.send({"type": "done"})

    def _on_set(self, values: object) -> None:
        """Take over valid settings that a person typed; show an error for each other one."""
        given = setting.check_page_values(values)
        if self.busy:
            return
        merged, problems = setting.sort_out(self._settings, given)
        try:
            self._check_fits(merged)
        except WorkbenchError as error:
            merged = self._settings
            problems = {**problems, next(iter(given)): str(error)}
        with self.hold_sync():
            kept = {name: text for name, text in self.problems.items() if name not in given}
            self.problems = {**kept, **problems}
            self._asked_prompts |= "sample_prompts" in given
            self._settings = merged
            self._refresh_settings()

    def _on_example(self, number: object) -> None:
        examples = self._source.examples
        if examples is None or type(number) is not int or not 0 <= number < len(examples):
            raise SettingError(f"there is no example {str(number)[:20]}")
        shown = self._source.used(self._settings)[number : number + 1]
        self.send(example_view(number, shown[0], self._lm.preprocessor.tokenizer))


def check_view(value: object) -> Settings:
    """Return how the page draws the loss, {"log": bool, "smoothing": 0 to 0.99}, or raise a
    SettingError."""
    if not isinstance(value, dict) or set(value) != set(VIEW) or type(value["log"]) is not bool:
        raise SettingError(f"view must be a dictionary of {', '.join(VIEW)}")
    smoothing = value["smoothing"]
    if type(smoothing) not in (int, float) or not 0 <= smoothing <= MOST_SMOOTHING:
        raise SettingError(f"smoothing must be a number from 0 to {MOST_SMOOTHING}")
    return {"log": value["log"], "smoothing": float(smoothing)}
