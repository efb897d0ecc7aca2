"""A panel of one language model; given a handle, it loads the model in the background."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from workbench.jobs.generation import POLL_SECONDS, needs_foreground

from .model import check_model, heading_of
from .panel import Panel
from .shared_models import Claim


class ModelPanel(Panel):
    """A panel with a heading, a status, and a model that may still be loading.

    A subclass takes over the loaded model in `adopt`. `when_loaded` keeps what a user asks for
    earlier and does it then. A subclass that changes its model sets `changes_model`; the others
    share it, see `shared_models.Claim`.

    Args:
        lm: A `CausalLM`, or the handle of a preset.
        others: Handles of more presets, loaded one after the other.
        **traits: The subclass's traits.
    """

    changes_model: ClassVar[bool] = False

    status = traitlets.Unicode("idle").tag(sync=True)
    heading = traitlets.Dict().tag(sync=True)
    foreground = traitlets.Bool(False).tag(sync=True)

    def __init__(self, lm: Any, others: Iterable[str] = (), **traits: Any) -> None:
        self._handle = str(lm) if isinstance(lm, str | Path) else None
        if self._handle is None:
            check_model(lm)
        self._lm: Any = None
        self._loaded = threading.Event()
        self._wish: Callable[[], None] | None = None
        self._claims: dict[str, Claim] = {}
        self._handles = () if self._handle is None else (self._handle, *others)
        self._claim_presets()
        super().__init__(foreground=needs_foreground(), **traits)
        if self._handle is None:
            self._adopt_model(lm)
            self._loaded.set()
        else:
            self._load()

    @property
    def lm(self) -> Any:
        """The model; None while it is loading."""
        return self._lm

    def describe(self) -> list[str]:
        """Return heading and status as a line of text."""
        heading = " · ".join(value for value in self.heading.values() if value)
        return [f"{heading} ({self.status})"]

    def choose_model(self, lms: dict[str, Any]) -> Any:
        """Return the panel's model from the loaded ones, which are given by handle."""
        return lms[self._handle]

    def adopt(self, lm: Any) -> None:
        """Take over the loaded model; called once. Trait changes are sent after it returns."""

    def when_loaded(self, wish: Callable[[], None]) -> bool:
        """Keep `wish` until the model is loaded; return False if it already is. Restart a load that
        failed or was stopped."""
        if self._lm is not None:
            return False
        self._wish = wish
        if self._loaded.is_set():
            self._load()
        return True

    def drop_wish(self) -> None:
        """Forget the wish that waits for the model."""
        self._wish = None

    def stop_loading(self) -> None:
        """Stop waiting for the model. The load stops, unless another panel waits for it. Never
        blocks."""
        with self._lock:
            self.drop_wish()
            if not self._loaded.is_set():
                self.status = "idle"
                self._let_go()

    def wait_loaded(self, deadline: float | None) -> bool:
        """Block until loading has ended; return False at the deadline, in seconds of monotonic
        time. An interrupt stops the load."""
        try:
            return wait_for(self._loaded, deadline)
        except KeyboardInterrupt:
            self.stop_loading()
            return True

    def release(self) -> None:
        """Stop the load, or leave the model to the other panels that share it."""
        self.stop_loading()
        self._let_go()

    def _claim_presets(self) -> None:
        """Claim the presets that are not claimed yet, before the replaced panel releases them."""
        for handle in self._handles:
            if handle not in self._claims:
                self._claims[handle] = Claim(handle, own=self.changes_model)

    def _let_go(self) -> None:
        for claim in self._claims.values():
            claim.release()
        self._claims = {}
        self._loaded.set()

    def _load(self) -> None:
        self._loaded.clear()
        self.error, self.status = None, "loading"
        self._claim_presets()
        self._load_next()

    def _load_next(self) -> None:
        for handle, claim in self._claims.items():
            if claim.lm is None:
                self.heading = {"name": Path(handle).name}
                self._begin_load(claim)
                return
        self._end_load()

    def _begin_load(self, claim: Claim) -> None:
        claim.begin(self._follow)

    def _follow(self, claim: Claim) -> None:
        """Handle the end of a preset's load."""
        with self._lock:
            if claim not in self._claims.values():  # closed or stopped meanwhile
                return
            if claim.job.status == "done":
                self._load_next()
            elif claim.job.error is not None:
                self._claims = {handle: c for handle, c in self._claims.items() if c is not claim}
                self._fail(claim.job.error, claim.job.traceback)
            else:
                self.stop_loading()

    def _end_load(self) -> None:
        try:
            lms = {handle: check_model(claim.lm) for handle, claim in self._claims.items()}
            self._adopt_model(self.choose_model(lms))
            if self._wish is not None:
                self._wish()
        except Exception as error:
            if self._lm is None:  # it is no model for this panel
                self._let_go()
            self._fail(error, traceback.format_exc())
        finally:
            self._loaded.set()

    def _fail(self, error: BaseException, details: str) -> None:
        self.status = "failed"
        self.show_exception(error, details)
        self._loaded.set()

    def _adopt_model(self, lm: Any) -> None:
        with self._lock, self.hold_sync():
            self._lm = lm
            self.heading = heading_of(lm)
            self.status = "idle"
            self.adopt(lm)


def wait_for(event: threading.Event, deadline: float | None) -> bool:
    """Block until the event; return False at the deadline, in seconds of monotonic time."""
    while not event.wait(POLL_SECONDS):
        if deadline is not None and time.monotonic() >= deadline:
            return False
    return True
