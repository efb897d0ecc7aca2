"""The inspect panel: a text token by token, the model's distribution at each place, what a
sampler's settings keep of it, and branches with other tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from workbench.errors import WorkbenchError
from workbench.jobs.generation import GenerationJob

from ..shared.pace import Throttle
from ..shared.pages import page, style
from ..shared.settings import check_text
from . import settings as setting
from .base import InspectBase
from .branches import Branch, Tree
from .shown import printed, table_of
from .views import InspectViews

SYNC_EVERY = 0.2  # seconds


class InspectPanel(InspectBase):
    """Look into a text: how likely each token was, its alternatives, which of them the sampler's
    settings keep, and how the text continues from another token.

    Args:
        lm: A `CausalLM`, or the handle of a preset, as for `GeneratePanel`.
        text: The first text to read, in the background.
        **settings: `temperature`, `top_k` (0 is off), `top_p` (1 is off), `min_p` (0 is off);
            `max_new_tokens`, the length of a branch; `seed`.

    Raises:
        SettingError: A setting is unknown or out of its range; the model writes no text.

    A place is the index of a token, 0 to T for a text of T tokens; T is the token that would come
    next. Everything on the page can also be done from Python:

    ```python
    panel = wb.inspect("stories_tiny_en", "Once upon a time")
    panel.wait()
    panel.place = 2
    token = panel.inspection.distribution(2).ids[1]  # the second likeliest
    branch = panel.branch(2, token)
    panel.wait()
    print(branch.text)
    panel.go_to(branch.parent)
    ```
    """

    _esm = page("inspect/panel.js")
    _css = style("inspect")

    commands: ClassVar = {
        **InspectViews.commands,
        "start": ("text",),
        "choose": ("key", "place"),
        "branch": ("key", "place", "token", "settings"),
        "go": ("branch",),
        "delete": ("branch",),
        "cancel": (),
        "sync": (),
        "reset": (),
    }

    def __init__(self, lm: Any, text: str = "", **settings: Any) -> None:
        self._initial = {**setting.DEFAULTS, **setting.check_all(settings)}
        self._syncs = Throttle(SYNC_EVERY)
        super().__init__(lm, text=check_text("text", text), **self._initial)
        if self.text:
            self.read()

    # -- actions ------------------------------------------------------------------------

    def read(self, text: str | None = None) -> None:
        """Read a text, by default the one in the box, in the background, and drop all branches.

        While the model is loading, it reads after the load. It replaces a text that is still being
        read.

        Raises:
            WorkbenchError: A branch is being written.
        """
        with self._lock:
            if isinstance(self._job, GenerationJob):
                self.refuse_when_busy()
            if text is not None:
                self.text = text
            if self.when_loaded(self.read):
                return
            job = self._reader(None, self.text)
        job.start()

    def start(self) -> None:
        """Do the same as `read()`."""
        self.read()

    def branch(self, place: int, token_id: int) -> Branch:
        """Replace the token at a place of the text shown, continue by `max_new_tokens` with the
        current settings, in the background, and then read the result.

        Raises:
            SettingError: There is no such place or token, or there are too many branches.
            PromptError: Nothing has been read yet.
            WorkbenchError: A text is being read or written.
        """
        with self._lock:
            self.refuse_when_busy()
            branch = self._grow(place, token_id)
            self._show(branch, branch.place)
            job = self._writer(branch) if self.max_new_tokens else self._reader(branch, branch.ids)
        job.start()
        return branch

    def go_to(self, branch: Branch | int) -> None:
        """Show a branch, given itself or by its number. It is read again if its inspection was
        dropped.

        Raises:
            SettingError: There is no such branch.
            WorkbenchError: A text is being read or written.
        """
        with self._lock:
            self.refuse_when_busy()
            found = self._find(branch)
            self._show(found, min(self.place, len(found.ids)))
            job = None if found.inspection is not None else self._reader(found, found.ids)
        if job is not None:
            job.start()

    def delete(self, branch: Branch | int) -> None:
        """Delete a branch and all that leave it. If one of them is shown, show its parent.

        Raises:
            SettingError: There is no such branch, or it is the text itself.
            WorkbenchError: A text is being read or written.
        """
        with self._lock:
            self.refuse_when_busy()
            found = self._find(branch)
            self._tree.cut(found)
            self._recent = [kept for kept in self._recent if self._tree.holds(kept)]
            self.tree = self._tree.entries()
            gone = not self._tree.holds(self._shown)
        if gone:
            self.go_to(found.parent)

    def reset(self) -> None:
        """Forget all texts, and reset the settings to their first values.

        Raises:
            WorkbenchError: A text is being read or written.
        """
        with self._lock, self.hold_sync():
            self.refuse_when_busy()
            self.drop_views()
            self.place = 0
            self._tree, self._shown, self._recent = Tree(), None, []
            self.shown_key += 1
            self.reading, self.distribution, self.tree, self.error = {}, {}, [], None
            self.settings = self._initial
            self.status = "idle" if self._lm is not None else self.status
            self._write_code()

    def cancel(self) -> None:
        """Stop writing after the current token and keep the text; or stop waiting to read, or stop
        loading. Never blocks."""
        with self._lock:
            self.stop_loading()
            if self.busy:
                self._job.cancel()
                if not self._job.done:
                    self.status = "stopping"

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the model is loaded and all texts are read and written; return False after
        `timeout` seconds. An interrupt stops the loading or the writing."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self.wait_loaded(deadline):
            return False
        waited: list[Any] = []
        while (jobs := [job for job in (self._job, self._looking) if job is not None]) != waited:
            for job in jobs:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not job.wait(left):
                    return False
            waited = jobs
        return True

    # -- state --------------------------------------------------------------------------

    @property
    def branches(self) -> list[Branch]:
        """The text and its branches, each under the one it leaves."""
        return list(self._tree)

    @property
    def shown(self) -> Branch | None:
        """The branch that is shown; None before the first text."""
        return self._shown

    def refuse_when_busy(self) -> None:
        """Raise a WorkbenchError while a text is being read or written."""
        if self.busy:
            raise WorkbenchError(f"the panel is {self.status}: cancel() or wait() first")

    def describe(self) -> list[str]:
        """Return the heading, and a table with each token's probability, entropy and rank."""
        lines = super().describe()
        if self.inspection is None:
            return [*lines, f"Text: {self.text}"] if self.text else lines
        return [*lines, *table_of(self._shown)]

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs)
        if self.inspection is not None:
            data["text/html"] = printed(super().describe()[0], self._shown)
        return data, metadata

    def release(self) -> None:
        """Cancel the job or the load. Inspections stay after `close()`."""
        self.drop_views()
        if self._looking is not None:
            self._looking.cancel()
        self.cancel()
        super().release()

    # -- what the page asks for ---------------------------------------------------------

    def _on_start(self, text: object) -> None:
        checked = check_text("text", text)
        if not self.busy and self.status != "loading":
            self.read(checked)

    def _on_choose(self, key: object, place: object) -> None:
        if self._shown is not None and key == self.shown_key:
            self.place = self._place_of(place)

    def _on_branch(self, key: object, place: object, token: object, settings: object) -> None:
        checked = setting.check_all(settings)
        if self.busy or key != self.shown_key:
            return
        self.settings = checked
        self._try(lambda: self.branch(place, token))

    def _on_go(self, branch: object) -> None:
        if not self.busy:
            self._try(lambda: self.go_to(branch))

    def _on_delete(self, branch: object) -> None:
        if not self.busy:
            self._try(lambda: self.delete(branch))

    def _on_cancel(self) -> None:
        self.cancel()

    def _on_reset(self) -> None:
        self.reset()

    def _on_sync(self) -> None:
        if self._syncs.ready():
            self.send_state(("status", "reading", "distribution", "tree", "place"))
            self.send({"type": "synced"})

    def _try(self, action: Callable[[], object]) -> None:
        """Do what a person asked for, and show the reason if it fails."""
        try:
            action()
        except WorkbenchError as error:
            self.show_error(str(error))


def inspect(lm: Any, text: str = "", **settings: Any) -> InspectPanel:
    """Return a panel that looks into a text; see `InspectPanel` for the arguments.

    ```python
    wb.inspect("stories_tiny_en", "Once upon a time", temperature=0.8, top_p=0.9)
    ```
    """
    return InspectPanel(lm, text, **settings)
