"""The base of the inspect panel: reads and writes one text at a time and shows the results. It
drops an answer if something newer was requested meanwhile."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import traitlets

from workbench.errors import PromptError, SettingError
from workbench.generation.events import Done, Token
from workbench.jobs.generation import GenerationJob, JobState

from ..shared.controls import setting_traits
from ..shared.model import check_model
from ..shared.model_panel import ModelPanel
from ..shared.settings import Settings, check_text
from . import settings as setting
from .branches import Branch, Tree
from .jobs import Writing
from .shown import distribution_of, reading_of
from .views import InspectViews, ViewJob

BUSY = frozenset({"queued", "reading", "compiling", "prefill", "streaming", "stopping"})
ENDINGS = {"done": "done", "cancelled": "stopped", "error": "failed"}
KEPT_INSPECTIONS = 8  # of branches; the others are read again when shown
KEPT_DISTRIBUTIONS = 64  # of an inspection


class InspectBase(setting_traits(setting.DEFAULTS), InspectViews, ModelPanel):
    """The traits of the panel, the tree of branches and the jobs."""

    text = traitlets.Unicode().tag(sync=True)
    colour = traitlets.Unicode("probability").tag(sync=True)
    tab = traitlets.Unicode("distribution").tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)
    form = traitlets.Dict().tag(sync=True)
    reading = traitlets.Dict().tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)
    distribution = traitlets.Dict().tag(sync=True)
    tree = traitlets.List().tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)

    page_writes: ClassVar = {
        "text": functools.partial(check_text, "text"),
        "colour": functools.partial(setting.check_choice, "colour", setting.COLOURS),
        "tab": functools.partial(setting.check_choice, "tab", setting.TABS),
        **{name: functools.partial(setting.check, name) for name in setting.DEFAULTS},
    }

    def __init__(self, lm: Any, **traits: Any) -> None:
        self.shown_key = 0
        self._tree = Tree()
        self._shown: Branch | None = None
        self._recent: list[Branch] = []
        self._job: ViewJob | GenerationJob | None = None
        self._looking: ViewJob | None = None
        self._wanted: tuple[Any, int] = (None, 0)
        self._ending = "done"
        self._known: weakref.WeakKeyDictionary[Any, dict[int, Any]] = weakref.WeakKeyDictionary()
        if not isinstance(lm, str | Path):
            check_inspects(check_model(lm))
        super().__init__(lm, form=setting.form_of(None), **traits)

    @property
    def inspection(self) -> Any:
        """The `Inspection` of the branch that is shown, or None."""
        return None if self._shown is None else self._shown.inspection

    @property
    def busy(self) -> bool:
        """True while a text is being read or written."""
        return self.status in BUSY

    @property
    def settings(self) -> Settings:
        """The value of every control. Assign some to change them."""
        return {name: getattr(self, name) for name in setting.DEFAULTS}

    @settings.setter
    def settings(self, values: Settings) -> None:
        checked = setting.check_all(values)
        with self._lock, self.hold_sync():
            for name, value in checked.items():
                self.set_trait(name, value)

    def adopt(self, lm: Any) -> None:
        """Set the controls' ranges to those of the loaded model."""
        self.form = setting.form_of(lm.max_length)
        self._write_code()

    def _adopt_model(self, lm: Any) -> None:
        super()._adopt_model(check_inspects(lm))

    # -- reading and writing ------------------------------------------------------------

    def _begin(self, job: ViewJob | GenerationJob) -> ViewJob | GenerationJob:
        """Make this the panel's current job and cancel the previous one; the caller starts it."""
        if self._job is not None and not self._job.done:
            self._job.cancel()
        self._job = job
        with self.hold_sync():
            self.error, self.status, self.position = None, "queued", 0
        return job

    def _reader(self, branch: Branch | None, inputs: str | Sequence[int]) -> ViewJob:
        """Return the job that reads a branch by its ids, or a text, which begins a new tree."""
        lm = self._lm
        what = inputs if isinstance(inputs, str) else np.array(inputs, np.int32)
        read = functools.partial(self._on_read, branch)
        return self._begin(ViewJob(lm, lambda: lm.inspect(what), read))

    def _writer(self, branch: Branch) -> GenerationJob:
        """Return the job that continues a branch; the branch is read at its end."""
        return self._begin(Writing(self._lm, branch, self.settings, self._on_write).job)

    def _on_read(self, branch: Branch | None, job: ViewJob, state: JobState) -> None:
        with self._lock, self.hold_sync():
            if self._job is not job:
                return
            self.position = state.position
            if state.status == "done":
                self._keep(branch, job.answer)
                self.status, self._ending = self._ending, "done"
            elif job.done:
                self.status, self._ending = ENDINGS[state.status], "done"
            else:
                self.status = "queued" if state.status == "queued" else "reading"
            if job.error is not None:
                self.show_exception(job.error, job.traceback)

    def _on_write(self, writing: Writing, event: JobState | Token | Done) -> None:
        with self._lock, self.hold_sync():
            if self._job is not writing.job:
                return
            if isinstance(event, JobState):
                self.position = event.position
            if writing.job.done:
                job = self._written(writing)
            else:
                self.status = writing.status
                self._publish(writing)
                return
        job.start()

    def _written(self, writing: Writing) -> ViewJob:
        """Handle the end of writing a branch, also after a failure; return the job to read it."""
        job, branch = writing.job, writing.branch
        self.reading = reading_of(branch, self.shown_key, False)
        reader = self._reader(branch, branch.ids)
        self._ending = ENDINGS[job.status]
        if job.error is not None:
            self.show_exception(job.error, job.traceback)
        return reader

    def _publish(self, writing: Writing) -> None:
        what = writing.due() if writing.job.tokens else None
        if what == "snapshot":
            self.reading = reading_of(writing.branch, self.shown_key, False)
            writing.sent()
        elif what == "delta":
            self.send(writing.delta())

    def _keep(self, branch: Branch | None, inspection: Any) -> None:
        """Keep and show the inspection of a branch or of a new text."""
        place = self.place
        if branch is None:
            branch, place = self._tree.plant(), len(inspection.ids)
            self._recent = []
        branch.take(inspection)
        self._recent = [*(kept for kept in self._recent if kept is not branch), branch]
        for old in self._recent[:-KEPT_INSPECTIONS]:
            old.inspection = None
        self._recent = self._recent[-KEPT_INSPECTIONS:]
        self._show(branch, place)

    def _grow(self, place: object, token_id: object) -> Branch:
        """Return a new branch that leaves the shown one at a place with a token."""
        if self.inspection is None:
            raise PromptError("no text has been read yet: read one first")
        check_branches(self._lm)
        size = self._lm.backbone.config.vocabulary_size
        if not _is_whole(place, 1, len(self._shown.ids)):
            raise SettingError(
                f"place: expected a whole number from 1 to {len(self._shown.ids)}, got {place!r}"
            )
        if not _is_whole(token_id, 0, size - 1):
            raise SettingError(
                f"token_id: expected a whole number from 0 to {size - 1}, got {token_id!r}"
            )
        piece = self.inspection.piece(int(token_id))
        return self._tree.grow(self._shown, int(place), int(token_id), piece)

    def _find(self, branch: Branch | int) -> Branch:
        return self._tree.find(branch.number if isinstance(branch, Branch) else branch)

    # -- showing ------------------------------------------------------------------------

    def _show(self, branch: Branch, place: int) -> None:
        """Show what is known of a branch, and choose a place in it."""
        with self.hold_sync():
            self.drop_views()
            self._shown, self.shown_key = branch, self.shown_key + 1
            self.reading = reading_of(branch, self.shown_key, branch.inspection is not None)
            self.tree = self._tree.entries()
            self.place = min(place, len(branch.ids))
            self._look()
            self._write_code()

    @traitlets.observe("place")
    def _choose(self, change: traitlets.Bunch) -> None:
        if self._shown is not None:
            self._look()
            self._write_code()

    def _look(self) -> None:
        """Get the distribution at the chosen place, and cancel the previous request."""
        place = self.place
        source = self._shown.source(place) if place > 0 else None
        if self._looking is not None:
            if not self._looking.done and self._wanted == (source, place):
                return
            self._looking.cancel()
        self._looking, self._wanted = None, (source, place)
        found = {} if source is None else self._known.get(source, {}).get(place)
        if found is None:
            told = functools.partial(self._on_look, source, place)
            self._looking = ViewJob(self._lm, lambda: distribution_of(source, place), told)
            self._looking.start()
        else:
            self.distribution = {"key": self.shown_key, **found} if found else {}

    def _on_look(self, source: Any, place: int, job: ViewJob, state: JobState) -> None:
        with self._lock, self.hold_sync():
            if self._looking is not job:
                return
            if state.status == "done":
                known = self._known.setdefault(source, {})
                if len(known) >= KEPT_DISTRIBUTIONS:
                    del known[next(iter(known))]
                known[place] = job.answer
                self.distribution = {"key": self.shown_key, **job.answer}
            elif job.error is not None:
                self.show_exception(job.error, job.traceback)

    # -- traits -------------------------------------------------------------------------

    @traitlets.validate("place")
    def _check_place(self, proposal: traitlets.Bunch) -> int:
        return self._place_of(proposal["value"])

    def _place_of(self, value: object) -> int:
        most = 0 if self._shown is None else len(self._shown.ids)
        if not _is_whole(value, 0, most):
            raise SettingError(f"place: expected a whole number from 0 to {most}, got {value!r}")
        return int(value)

    @traitlets.validate("text", "colour", "tab", *setting.DEFAULTS)
    def _check(self, proposal: traitlets.Bunch) -> Any:
        return self.page_writes[proposal["trait"].name](proposal["value"])

    @traitlets.observe("text", *setting.DEFAULTS)
    def _reword(self, change: traitlets.Bunch) -> None:
        self._write_code()

    def _write_code(self) -> None:
        preset = self._lm.preset if self._lm is not None else self._handle
        root = self._shown is None or self._shown.parent is None
        inputs = self.text if root else self._shown.ids
        self.code = setting.read_code(preset, inputs, self.place, self.settings)


def check_inspects(lm: Any) -> Any:
    """Return the model itself, or raise a SettingError if it cannot be looked into."""
    from workbench.tasks.inspecting import Inspects  # a panel shows without it

    if not isinstance(lm, Inspects):
        raise SettingError(f"{lm.name} writes no text: load a preset of a language model")
    return lm


def check_branches(lm: Any) -> None:
    """Raise a PromptError if the model cannot continue a text from its tokens alone."""
    from workbench.tasks.seq2seq_lm import Seq2SeqLM  # a panel shows without it

    if isinstance(lm, Seq2SeqLM):
        raise PromptError(
            f"{lm.name} writes beside a text that its encoder reads: the tokens alone do not say "
            "how it goes on, so its text cannot branch"
        )


def _is_whole(value: object, least: int, most: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and least <= value <= most
