"""The tune panel: fine-tune a model with LoRA, and watch it learn."""

from __future__ import annotations

import functools
import os
import traceback
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from workbench.errors import SettingError, WorkbenchError
from workbench.workers import Worker

from ..shared.pages import page, style
from ..shared.paths import page_path
from . import settings as setting
from .base import check_view
from .export import Format, check_path, format_of, formats_for, size_of
from .static import drawing_of
from .training import TuneTraining

NO_EXPORTS = {"formats": [], "busy": "", "done": None}


class TunePanel(TuneTraining):
    """Train a LoRA adapter and watch it learn.

    Args:
        lm: A `CausalLM`, or the handle of a preset. A handle's model is loaded in the background
            and not shared with other panels, because training changes it.
        data: The training data: anything that `workbench.data.sources.read_examples` reads. The
            panel shows an error if they cannot be read.
        validation: The share or the number of held-out examples; separate examples; or None.
        name: The adapter's name in `lm.adapters`; later runs get a number.
        folder: Where checkpoints go, a folder for each run; None for none.
        **settings: Those of `workbench.tuning.settings.TuneSettings`, but alpha defaults to 16,
            steps to 200, and `sample_prompts` to some from the data.

    Raises:
        SettingError: A setting is unknown or impossible.

    Everything on the page can also be done from Python, on the same object:

    ```python
    panel = wb.tune("stories_tiny_en", stories, steps=100)
    panel.start()
    panel.wait()
    panel.export("adapters/pirates", "peft")
    ```
    """

    _esm = page("tune/panel.js")
    _css = style("tune")

    exports = traitlets.Dict(NO_EXPORTS).tag(sync=True)
    shown = traitlets.Any([]).tag(sync=True)

    page_writes: ClassVar = {"view": check_view, "shown": lambda value: check_shown(value)}
    commands: ClassVar = {
        **TuneTraining.commands,
        "export": ("format", "path"),
        "reset": (),
    }

    def __init__(
        self,
        lm: Any,
        data: Any,
        validation: Any = 0.1,
        *,
        name: str = "default",
        folder: str | Path | None = None,
        **settings: Any,
    ) -> None:
        self._writing = ""
        super().__init__(lm, data, validation, name, folder, settings)

    # -- actions ------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget all runs, and reset the settings. The adapters stay in `lm.adapters`.

        Raises:
            WorkbenchError: A run is in progress.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            self._history, self._number = [], 0
            self.shown = []
            self.settings = self._initial
            self._show(None)

    def export(self, path: str | Path, format: str = "peft") -> Path:
        """Save the adapter of the run shown; the call returns when it is written.

        Args:
            path: Where to save. An adapter saved there before is replaced; other files stay.
            format: "peft" (a folder), "keras_hub" (a file ending in .lora.h5) or "preset" (the
                whole model with the adapter in its weights).

        Raises:
            SettingError: There is no such format, or the path does not fit it.
            WorkbenchError: There is no adapter to save, or it cannot be written.
        """
        kind = format_of(format)
        target = check_path(kind, Path(os.path.expanduser(path)))
        self._write(kind, target, self._claim(kind))
        return target

    # -- state --------------------------------------------------------------------------

    def figure(self) -> Any:
        """Return a `matplotlib.figure.Figure` of the run shown.

        Raises:
            WorkbenchError: There is no run.
        """
        if self._run is None:
            raise WorkbenchError("there is no run to draw: start() first")
        return self._run.job.figure()

    def describe(self) -> list[str]:
        """Return heading, data, settings and the figures of the runs as lines of text."""
        lines = super().describe()
        for run in self._history:
            lines.append(f"Run {run.number}: {setting.summary_of(run.settings)}; {run.summary}")
        if self._run is not None and self._run.samples:
            sample = self._run.samples[-1]
            lines.append(f"Sample at step {sample['step']}: {sample['text']}")
        return lines

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        if self._run is not None and self._run.count:
            data["text/html"] += drawing_of(self.figure(), f"Loss of run {self._run.number}")
        return data, metadata

    def refuse_when_busy(self) -> None:
        """Raise a WorkbenchError while a run is in progress or a file is being written."""
        super().refuse_when_busy()
        if self._writing:
            raise WorkbenchError("the panel is writing a file: try again in a moment")

    # -- files --------------------------------------------------------------------------

    def shown_now(self) -> None:
        """Update the files to save and the code, when the run shown has changed or ended."""
        self.exports = self._exports()
        self._write_code()

    def _exports(self, done: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what can be saved now, what is being saved, and what was saved."""
        formats = [] if self._run is None or not self._run.count else formats_for(self._run.name)
        return {"formats": formats, "busy": self._writing, "done": done}

    def _claim(self, kind: Format) -> str:
        """Return the name of the adapter to save, and claim the model until `_write` ends."""
        with self._lock:
            self.refuse_when_busy()
            if self._run is None or self._run.name not in self._lm.adapters:
                raise WorkbenchError("there is no trained adapter to write: start() first")
            self._writing = kind.label
            self.exports = self._exports()
            return self._run.name

    def _write(self, kind: Format, target: Path, name: str) -> None:
        done = None
        try:
            kind.write(self._lm, name, target)
            done = {"path": str(target), "bytes": size_of(target), "format": kind.name}
        finally:
            with self._lock:
                self._writing = ""
                self.exports = self._exports(done)

    def _write_quietly(self, kind: Format, target: Path, name: str) -> None:
        try:
            self._write(kind, target, name)
        except Exception as error:
            self.show_exception(error, traceback.format_exc())

    def _write_code(self) -> None:
        preset = self._lm.preset if self._lm is not None else self._handle
        run = self._run
        values = self._settings if run is None else run.settings
        validation = self._source.validation or values["validation"]
        name = self._name if run is None else run.name
        self.code = setting.tune_code(preset, self._source.data, validation, values, name)

    # -- what the page asks for ---------------------------------------------------------

    def _on_reset(self) -> None:
        self._try(self.reset)

    def _on_export(self, format: object, path: object) -> None:
        kind = format_of(format)
        self.error = None
        self._try(self._export_for_page, kind, path)

    def _export_for_page(self, kind: Format, path: object) -> None:
        target = check_path(kind, page_path(path))
        arguments = (kind, target, self._claim(kind))
        if self.foreground:
            self._write_quietly(*arguments)
        else:
            Worker(functools.partial(self._write_quietly, *arguments), "workbench-export").start()

    # -- traits -------------------------------------------------------------------------

    @traitlets.validate("view", "shown")
    def _check_trait(self, proposal: traitlets.Bunch) -> Any:
        return self.page_writes[proposal["trait"].name](proposal["value"])


def check_shown(value: object) -> list[int]:
    """Return the numbers of the runs whose curves are drawn over those of the run shown."""
    whole = isinstance(value, list | tuple) and all(type(number) is int for number in value)
    if not whole or len(value) > 100:
        raise SettingError("shown must be a list of the numbers of runs")
    return list(value)


def tune(
    lm: Any,
    data: Any,
    validation: Any = 0.1,
    *,
    name: str = "default",
    folder: str | Path | None = None,
    **settings: Any,
) -> TunePanel:
    """Return a panel that fine-tunes a model; see `TunePanel` for the arguments.

    ```python
    wb.tune("stories_tiny_en", stories, steps=100, sample_prompts=["The captain"])
    ```
    """
    return TunePanel(lm, data, validation, name=name, folder=folder, **settings)
