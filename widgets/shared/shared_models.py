"""Shares models between panels: one load and one model for all panels of the same preset.

A new panel claims a preset before the panel that it replaces releases it. So a cell that runs again
reuses the load or the model of its previous run, without a second copy.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.jobs.loading import LoadJob

_lock = threading.Lock()
_shared: weakref.WeakValueDictionary[Any, _SharedModel] = weakref.WeakValueDictionary()


class Claim:
    """A panel's share of a preset's load, and then of its model.

    All claims on a preset share one model, unless the preset's folder has changed since the load,
    or the model has changed: its weights, adapters or sampler. The load stops when its last claim
    is released.

    Args:
        handle: As for `from_preset`.
        own: Whether the panel changes the model, and so does not share it.
    """

    def __init__(self, handle: str, own: bool = False) -> None:
        self._tell: Callable[[Claim], None] | None = None
        key = None if own else (handle, *_files_of(handle))
        with _lock:
            self._model = _SharedModel(handle) if own else _current(key)
            self._model.claims.add(self)

    @property
    def job(self) -> LoadJob:
        """The load, which other claims may share."""
        return self._model.job

    @property
    def lm(self) -> Any:
        """The model; None until it is loaded."""
        return self.job.result

    def begin(self, tell: Callable[[Claim], None]) -> None:
        """Load the model, unless another claim has started the load.

        When the load ends, `tell` is called once with this claim: in the loading thread, or before
        this method returns. After a release it is not called.
        """
        self._tell = tell
        self._model.begin(self)

    def hear(self) -> None:
        """Handle the end of the load."""
        with _lock:
            tell, self._tell = self._tell, None
        if tell is not None:
            tell(self)

    def release(self) -> None:
        """Release the model. Never blocks."""
        with _lock:
            self._tell = None
            self._model.claims.discard(self)
            unclaimed = not self._model.claims
            if unclaimed:
                _forget(self._model)
        if unclaimed:
            self.job.cancel()


class _SharedModel:
    """One load and its model, kept as long as there are claims on it."""

    def __init__(self, handle: str) -> None:
        self.job = LoadJob(handle, on_change=self._follow)
        self.claims: weakref.WeakSet[Claim] = weakref.WeakSet()
        self._begun = False
        self._loaded: list[weakref.ref[Any]] | None = None  # its parts, once they are known

    @property
    def is_as_loaded(self) -> bool:
        """Whether another panel may share it: it is loading, or unchanged since the load."""
        if self._loaded is None:
            return True
        now = _parts(self.job.result)
        return len(now) == len(self._loaded) and all(
            loaded() is part for loaded, part in zip(self._loaded, now, strict=True)
        )

    def begin(self, claim: Claim) -> None:
        """Start the load for the first claim; notify the others at its end, or at once."""
        with _lock:
            begun, self._begun = self._begun, True
        if not begun:
            self.job.start()
        elif self.job.done:
            claim.hear()

    def _follow(self) -> None:
        if not self.job.done:
            return
        if self.job.status == "done":
            self._loaded = [weakref.ref(part) for part in _parts(self.job.result)]
        with _lock:
            if self.job.status != "done":
                _forget(self)
            claims = list(self.claims)
        for claim in claims:
            claim.hear()


def _current(key: tuple[Any, ...]) -> _SharedModel:
    """Return the model that others have claimed, if it is still unchanged; otherwise a new one."""
    found = _shared.get(key)
    if found is None or not found.is_as_loaded:
        found = _shared[key] = _SharedModel(key[0])
    return found


def _forget(model: _SharedModel) -> None:
    """Stop sharing this model: later claims get a new one."""
    for key in [key for key, value in _shared.items() if value is model]:
        del _shared[key]


def _files_of(handle: str) -> list[tuple[str, int, int]]:
    """Return the files of a preset folder with values that show whether they change later."""
    path = Path(os.path.expanduser(handle)).absolute()
    try:
        files = list(path.iterdir()) if path.is_dir() else [path]
        found = [(file, file.stat()) for file in files]
    except (OSError, ValueError):
        return []
    return sorted((str(file), facts.st_ino, facts.st_mtime_ns) for file, facts in found)


def _parts(lm: Any) -> list[Any]:
    """Return the objects that any change of the model replaces; jax arrays are immutable."""
    return [lm.sampler, *(weight.value for weight in lm.weights)]
