"""The preset browser: find a preset that fits this machine, load it, and use its panel."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from workbench.errors import SettingError, WorkbenchError
from workbench.jobs.generation import needs_foreground
from workbench.jobs.loading import LoadJob

from ..shared.cells import owned
from ..shared.pace import Throttle
from ..shared.pages import page, style
from ..shared.panel import Panel
from .opening import open_panel
from .preset_rows import (
    absence_of,
    check_dtype,
    check_name,
    dtype_choices,
    line_of,
    machine,
    row_of,
)

if TYPE_CHECKING:
    from workbench.presets.catalog import PresetInfo

PROGRESS_EVERY = 0.2  # seconds
SYNC_EVERY = 0.2  # seconds
PRINTED = 12  # presets, where no page shows the panel


class BrowsePanel(Panel):
    """Search the presets, see which fit this machine, load one.

    Args:
        presets: The presets to show; None for the whole catalog.
        dtype: The dtype for loading, and for the columns "needs" and "fits here": "auto",
            "float32", "bfloat16", "int8" or "int4".

    Raises:
        SettingError: There is no such dtype.

    The page searches, filters and sorts by itself. The loaded model is `panel.model`; its panel
    opens below the browser as `panel.below`. Also from Python:

    ```python
    panel = wb.browse()
    panel.load("stories_tiny_en")
    panel.wait()
    panel.below.prompt = "Once upon a time"
    panel.below.start()
    ```
    """

    _esm = page("browse/panel.js")
    _css = style("browse")

    rows = traitlets.List().tag(sync=True)
    dtypes = traitlets.List().tag(sync=True)
    machine = traitlets.Dict().tag(sync=True)
    dtype = traitlets.Any("auto").tag(sync=True)
    selected = traitlets.Any("").tag(sync=True)
    status = traitlets.Unicode("idle").tag(sync=True)
    loading = traitlets.Unicode("").tag(sync=True)
    progress = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    loaded = traitlets.Unicode("").tag(sync=True)
    opened = traitlets.Unicode("").tag(sync=True)
    foreground = traitlets.Bool(False).tag(sync=True)

    commands: ClassVar = {"load": ("name", "dtype"), "cancel": (), "sync": ()}

    def __init__(self, presets: Sequence[PresetInfo] | None = None, dtype: str = "auto") -> None:
        from workbench.presets import catalog

        check_dtype(dtype)
        shown = catalog.presets() if presets is None else presets
        self._presets = {info.name: info for info in shown}
        self.page_writes = {"selected": self._check_selected, "dtype": check_dtype}
        self.model: Any = None
        self.below: Panel | None = None
        self._job: LoadJob | None = None
        self._progress = Throttle(PROGRESS_EVERY)
        self._syncs = Throttle(SYNC_EVERY)
        super().__init__(
            rows=[row_of(info) for info in self._presets.values()],
            dtypes=dtype_choices(),
            machine=machine(),
            dtype=dtype,
            foreground=needs_foreground(),
        )

    # -- actions ------------------------------------------------------------------------

    def select(self, name: str) -> None:
        """Open the card of a preset; an empty name closes it.

        Raises:
            SettingError: The preset is not shown.
        """
        self.selected = name

    def load(self, name: str | None = None) -> None:
        """Load a preset in the background, by default the selected one.

        Raises:
            SettingError: The preset is not shown, or its family is not supported yet.
            WorkbenchError: Another load is in progress.
        """
        with self._lock:
            info = self._find(name or self.selected)
            if self.busy:
                raise WorkbenchError("the panel is loading: cancel() or wait() first")
            job = self._begin(info)
        job.start()

    def cancel(self) -> None:
        """Stop the load; a model loaded before stays. Never blocks."""
        with self._lock:
            if self.busy:
                self._job.cancel()
                self.status = "stopping"

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the load has ended; return False after `timeout` seconds. An interrupt
        cancels the load."""
        return self._job is None or self._job.wait(timeout)

    def release(self) -> None:
        """Stop the load and close the panel below. The model stays in `model`."""
        self.cancel()
        self._close_below()

    # -- state --------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """True while a preset is being loaded."""
        return self._job is not None and not self._job.done

    def describe(self) -> list[str]:
        """Return the number of presets and the first ones, as lines of text."""
        infos = list(self._presets.values())
        head = f"Presets: {len(infos)} ({self.status})"
        lines = [head, *(line_of(info, self.dtype) for info in infos[:PRINTED])]
        if len(infos) > PRINTED:
            lines.append(f"and {len(infos) - PRINTED} more: wb.presets() lists them all")
        return [*lines, f"Loaded: {self.loaded}"] if self.loaded else lines

    # -- a load -------------------------------------------------------------------------

    def _find(self, name: object) -> PresetInfo:
        """Return a preset that can be loaded, or raise a SettingError."""
        info = self._presets[check_name(name, self._presets)]
        if not info.supported:
            raise SettingError(f"{info.name}: {absence_of(info)}")
        return info

    def _begin(self, info: PresetInfo) -> LoadJob:
        dtype = None if self.dtype == "auto" else self.dtype
        job = self._job = LoadJob(info.name, dtype, on_change=lambda: self._follow(job))
        with self.hold_sync():
            self.selected = self.loading = info.name
            self.error, self.progress, self.status = None, None, "loading"
        return job

    def _follow(self, job: LoadJob) -> None:
        with self._lock:
            if job.done:
                self._end(job)
            elif job.progress is not None and self._progress.ready():
                self.progress = vars(job.progress)

    def _end(self, job: LoadJob) -> None:
        try:
            if job.status == "done":
                self._adopt(job.result, self._presets[self.loading])
        except Exception as error:
            self._fail(error, traceback.format_exc())
            return
        if job.error is not None:
            self._fail(job.error, job.traceback)
            return
        with self.hold_sync():
            self.machine, self.progress, self.status = machine(), None, job.status

    def _fail(self, error: BaseException, details: str) -> None:
        with self.hold_sync():
            self.machine, self.progress, self.status = machine(), None, "failed"
            self.show_exception(error, details)

    def _adopt(self, model: Any, info: PresetInfo) -> None:
        """Take over the model and open its panel; close the previous one."""
        self.model = model
        self._close_below()
        if self.comm is None:  # closed while it loaded
            return
        with owned():
            self.below = open_panel(model, info)
        with self.hold_sync():
            self.loaded = self.loading
            self.opened = "" if self.below is None else self.below.model_id

    def _close_below(self) -> None:
        if self.below is not None:
            self.opened = ""
            self.below.close()

    # -- what the page asks for ---------------------------------------------------------

    def _on_load(self, name: object, dtype: object) -> None:
        self._find(name)
        check_dtype(dtype)
        if self.busy:
            return
        self.dtype = dtype
        self.load(name)

    def _on_cancel(self) -> None:
        self.cancel()

    def _on_sync(self) -> None:
        if self._syncs.ready():
            self.send_state(("status", "progress"))
            self.send({"type": "synced"})

    # -- traits -------------------------------------------------------------------------

    def _check_selected(self, value: object) -> str:
        return "" if value == "" else check_name(value, self._presets)

    @traitlets.validate("selected", "dtype")
    def _check_trait(self, proposal: traitlets.Bunch) -> Any:
        return self.page_writes[proposal["trait"].name](proposal["value"])


def browse(presets: Sequence[PresetInfo] | None = None, dtype: str = "auto") -> BrowsePanel:
    """Return a searchable table of presets that shows what fits this machine; see `BrowsePanel`.

    ```python
    wb.browse()
    ```
    """
    return BrowsePanel(presets, dtype)
