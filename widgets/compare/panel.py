"""The compare panel: several models, adapters or samplers complete the same prompts at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from workbench.errors import SettingError
from workbench.generation.events import Token
from workbench.jobs.column import Result
from workbench.jobs.comparison import ColumnEvent, Row
from workbench.jobs.comparison_table import write_table
from workbench.jobs.generation import JobState

from ..shared import settings as setting
from ..shared.pace import Pace, Throttle
from ..shared.pages import page, style
from ..shared.past_runs import KeepsRuns
from ..shared.run_panel import HISTORY, STATUS, SYNC_EVERY
from . import columns as parts
from .base import CompareBase, check_prompts
from .export import format_of, free_name, table_path
from .runs import ComparisonRun
from .static import figures_text, table_html


class ComparePanel(KeepsRuns, CompareBase):
    """Watch several columns write at once, and see where they differ.

    Args:
        *columns: `CausalLM`s, handles of presets as for `GeneratePanel`, which are loaded one
            after another, or `Column`s.
        adapters: Names of adapters of the model, or None for the model without one: a column for
            each.
        samplers: Names of samplers, or samplers: a column for each, in every combination.
        prompts: One text or several.
        max_new_tokens: The most tokens of a completion.
        seed: The seed of all columns, so that differences come from the column.

    Raises:
        SettingError: There are fewer than two columns or more than 8, or a setting is impossible.
        AdapterError: The model has no adapter of that name.

    Everything on the page can also be done from Python, on the same object:

    ```python
    panel = wb.compare(lm, adapters=["pirate", None], prompts=["The captain", "A fox"])
    panel.start()
    panel.wait()
    panel.results[0][1].text  # of the first prompt, the second column
    panel.to_csv("comparison.csv")
    ```
    """

    _esm = page("compare/panel.js")
    _css = style("compare")

    position = traitlets.Int(0).tag(sync=True)
    output = traitlets.Dict().tag(sync=True)
    past = traitlets.List().tag(sync=True)
    runs = traitlets.List().tag(sync=True)

    commands: ClassVar = {
        "start": ("prompts", "settings"),
        "cancel": (),
        "sync": (),
        "alternatives": ("run", "prompt", "column", "index"),
        "sampler": ("column", "values"),
        "table": ("format",),
        "save": ("format", "path"),
        "restore": ("run",),
        "reset": (),
    }

    def __init__(
        self,
        *columns: Any,
        adapters: Sequence[str | None] | None = None,
        samplers: Sequence[Any] | None = None,
        prompts: str | Sequence[str] = "",
        max_new_tokens: int = setting.DEFAULTS["max_new_tokens"],
        seed: int = setting.DEFAULTS["seed"],
    ) -> None:
        self._history: list[ComparisonRun] = []
        self._run: ComparisonRun | None = None
        self._number, self._sent, self._whole = 0, [0], False
        self._pace, self._syncs = Pace(), Throttle(SYNC_EVERY)
        places = parts.places_of(columns, adapters, samplers)
        super().__init__(places, prompts, {"max_new_tokens": max_new_tokens, "seed": seed})

    # -- actions ------------------------------------------------------------------------

    def start(self) -> None:
        """Complete all prompts in all columns, in the background.

        While models are loading, the run starts after the load.

        Raises:
            WorkbenchError: A run is in progress.
        """
        with self._lock:
            if self.when_loaded(self.start):
                return
            self.refuse_when_busy()
            titles = parts.titles_now(self._columns)
            columns = [c.titled(title) for c, title in zip(self._columns, titles, strict=True)]
            run = ComparisonRun(
                self._number + 1, columns, self.prompts, self.settings, self._on_event
            )
            self._history = [*self._history, run][-HISTORY:]
            self._begin(run)
        run.job.start()

    def restore(self, number: int) -> None:
        """Restore run `number`: its prompts, settings and texts.

        Raises:
            SettingError: There is no such run.
            WorkbenchError: A run is in progress.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            run = self.past_run(number)
            self.prompts = run.prompts
            self.set_settings(run.settings)
            self._put(run)

    def reset(self) -> None:
        """Forget the runs, and reset the settings to their first values.

        Raises:
            WorkbenchError: A run is in progress.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            self._history, self._number, self.runs = [], 0, []
            self.reference, self.show = 0, "differences"
            self.set_settings({**self._initial, "columns": [c.initial for c in self._columns]})
            self._put(None)

    def to_csv(self, path: str | Path) -> None:
        """Write the table to a file; see `ComparisonJob.to_csv`."""
        self._shown_run().job.to_csv(path)

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        return self._shown_run().job.to_markdown()

    # -- state --------------------------------------------------------------------------

    @property
    def results(self) -> tuple[tuple[Result, ...], ...]:
        """The results of the run shown: a row per prompt, with a result per column."""
        return self._run.job.results if self._run is not None else ()

    def table(self) -> list[Row]:
        """Return the results as plain rows; see `ComparisonJob.table`."""
        return self._run.job.table() if self._run is not None else []

    @property
    def history(self) -> list[ComparisonRun]:
        """The last runs, oldest first, each with `prompts`, `settings`, `job` and `summary`."""
        return list(self._history)

    def describe(self) -> list[str]:
        """Return heading, prompts and each column's text as lines of text."""
        lines = super().describe()
        if self._run is None:
            return [*lines, *(f"Prompt: {prompt}" for prompt in self.prompts)]
        for row, endings in zip(self.results, self._run.endings, strict=True):
            lines.append(f"Prompt: {row[0].prompt}")
            for result, ending in zip(row, endings, strict=True):
                said = " · ".join(filter(None, [figures_text(result), ending]))
                lines += [f"{result.title}: {result.error or result.text}", f"  {said}"]
        return lines

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        if self._run is not None:
            data["text/html"] = table_html(
                super().describe()[0], self.results, self._run.endings, self.reference
            )
        return data, metadata

    # -- a run --------------------------------------------------------------------------

    def _begin(self, run: ComparisonRun) -> None:
        self._number, self._run, self._sent, self._pace = run.number, run, run.counts, Pace()
        with self.hold_sync():
            self.error, self.status, self.position = None, "queued", 0
            self.output, self.past = run.snapshot(), []

    def _put(self, run: ComparisonRun | None) -> None:
        with self.hold_sync():
            self._run, self.error = run, None
            self.output = {} if run is None else run.snapshot()
            self.past = [] if run is None else run.past()
            idle = "idle" if self._lm is not None else self.status
            self.status = idle if run is None else STATUS[run.job.status]

    def _shown_run(self) -> ComparisonRun:
        if self._run is None:
            raise SettingError("there is no table yet: start() a run first")
        return self._run

    def _on_event(self, run: ComparisonRun, event: JobState | ColumnEvent) -> None:
        """Take an event of a run; called on the run's thread."""
        if isinstance(event, JobState):
            self._show_state(run, event)
            return
        # A column that ends has more to say than its last tokens.
        self._whole |= not isinstance(event.event, Token)
        if run.now != self.output["now"]:
            self._publish_whole(run)
        elif what := self._pace.due(run.size):
            self._publish(run, what)

    def _publish(self, run: ComparisonRun, what: str) -> None:
        if what == "snapshot" or self._whole:
            self._publish_whole(run)
            return
        with self._lock:
            self.send(run.delta(self._sent))
            self._sent = run.counts
            self._set_streaming(run)

    def _publish_whole(self, run: ComparisonRun) -> None:
        with self._lock, self.hold_sync():
            if run.now != self.output["now"]:
                self.past = run.past()
            self.output = run.snapshot()
            self._sent, self._whole = run.counts, False
            self._set_streaming(run)

    def _set_streaming(self, run: ComparisonRun) -> None:
        if run.job.status != "stopping":
            self.status = "streaming"

    def _show_state(self, run: ComparisonRun, state: JobState) -> None:
        with self._lock, self.hold_sync():
            self.position = state.position
            working = "streaming" if any(run.counts) else "prefill"
            self.status = STATUS.get(state.status) or working
            if not run.job.done:
                return
            self.output, self.past = run.snapshot(), run.past()
            self.runs = [past.entry for past in self._history if past.job.done]
            if run.job.error is not None:
                self.show_exception(run.job.error, run.job.traceback)

    # -- what the page asks for ---------------------------------------------------------

    def _call(self, command: str, arguments: dict[str, Any]) -> None:
        """Answer every command, even one that changes nothing: the page checks for a kernel."""
        super()._call(command, arguments)
        self.send({"type": "done"})

    def _on_start(self, prompts: object, settings: object) -> None:
        texts = check_prompts(prompts)
        checked = setting.check_page_settings(settings)
        if set(checked) != set(parts.SHARED):
            raise SettingError(f"settings must be {' and '.join(parts.SHARED)}")
        if self.busy or self.status == "loading":
            return
        with self.hold_sync():
            self.prompts = texts
            for name, value in checked.items():
                self.set_trait(name, value)
        self.start()

    def _on_cancel(self) -> None:
        self.cancel()

    def _on_sync(self) -> None:
        if not self._syncs.ready():
            return
        self.send_state(("status", "output", "past"))
        if self._run is not None and not self._run.job.done:
            self._publish_whole(self._run)
        self.send({"type": "synced"})

    def _on_alternatives(self, run: object, prompt: object, column: object, index: object) -> None:
        if type(index) is not int:
            raise SettingError("index must be a whole number")
        items = self.past_run(run).cell(prompt, column).alternatives(index)
        place = {"run": run, "prompt": prompt, "column": column, "index": index}
        self.send({"type": "alternatives", **place, "items": items})

    def _on_sampler(self, column: object, values: object) -> None:
        if not self.busy:
            self.set_sampler(column, **setting.check_page_settings(values))

    def _on_table(self, format: object) -> None:
        form = format_of(format)
        text = form.write(self.table())
        name = free_name(form.suffix)
        self.send({"type": "table", "format": format, "text": text, "path": name})

    def _on_save(self, format: object, path: object) -> None:
        form = format_of(format)
        named = table_path(path, form)
        write_table(named, form.write(self._shown_run().job.table()))
        self.send({"type": "saved", "path": str(named)})

    def _on_restore(self, run: object) -> None:
        self.restore(run)

    def _on_reset(self) -> None:
        self.reset()


def compare(
    *columns: Any,
    adapters: Sequence[str | None] | None = None,
    samplers: Sequence[Any] | None = None,
    prompts: str | Sequence[str] = "",
    max_new_tokens: int = setting.DEFAULTS["max_new_tokens"],
    seed: int = setting.DEFAULTS["seed"],
) -> ComparePanel:
    """Return a panel that completes prompts in several columns; see `ComparePanel`'s arguments.

    ```python
    wb.compare(lm, adapters=["pirate", None], prompts=["The captain", "Once upon a time"])
    wb.compare(lm, samplers=["greedy", wb.samplers.TopPSampler(p=0.9)], prompts="A fox")
    wb.compare(lm, "stories_tiny_en", prompts="A fox")
    ```
    """
    return ComparePanel(
        *columns,
        adapters=adapters,
        samplers=samplers,
        prompts=prompts,
        max_new_tokens=max_new_tokens,
        seed=seed,
    )
