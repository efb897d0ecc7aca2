"""A panel over one language model, which it loads in the background when it is given a handle."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import traitlets

from workbench.generation.jobs import POLL_SECONDS, needs_foreground

from .model import check_model, heading_of
from .panel import Panel


class ModelPanel(Panel):
    """A panel with a heading and a status, and a model that may still be on its way.

    A subclass says in `adopt` what becomes possible once the model is there. What a user asks for
    before is kept with `when_loaded` and done then.

    Args:
        lm: A `CausalLM`, or the handle of a preset.
        **traits: Those of the subclass.
    """

    status = traitlets.Unicode("idle").tag(sync=True)
    heading = traitlets.Dict().tag(sync=True)
    foreground = traitlets.Bool(False).tag(sync=True)

    def __init__(self, lm: Any, **traits: Any) -> None:
        self._handle = str(lm) if isinstance(lm, str | Path) else None
        if self._handle is None:
            check_model(lm)
        self._lm: Any = None
        self._loaded = threading.Event()
        self._wish: Callable[[], None] | None = None
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
        """Heading and status, as a line of text."""
        heading = " · ".join(value for value in self.heading.values() if value)
        return [f"{heading} ({self.status})"]

    def load_model(self) -> Any:
        """The model of the handle, in the thread that loads."""
        from workbench import models  # not needed to show a panel

        return check_model(models.CausalLM.from_preset(self._handle))

    def adopt(self, lm: Any) -> None:
        """The model is there; called once, with all traits held back until it returns."""

    def when_loaded(self, wish: Callable[[], None]) -> bool:
        """Keep `wish` for when the model is there; False when it is. A failed load is retried."""
        if self._lm is not None:
            return False
        self._wish = wish
        if self._loaded.is_set():
            self._load()
        return True

    def drop_wish(self) -> None:
        """Do nothing once the model is there."""
        self._wish = None

    def wait_loaded(self, deadline: float | None) -> bool:
        """Block until loading has ended; False at the deadline, in seconds of monotonic time."""
        while not self._loaded.wait(POLL_SECONDS):
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return True

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
            self._adopt_model(self.load_model())
            if self._wish is not None:
                self._wish()
        except Exception as error:
            self.status = "failed"
            self.show_exception(error, traceback.format_exc())
        finally:
            self._loaded.set()

    def _adopt_model(self, lm: Any) -> None:
        with self._lock, self.hold_sync():
            self._lm = lm
            self.heading = heading_of(lm)
            self.status = "idle"
            self.adopt(lm)
