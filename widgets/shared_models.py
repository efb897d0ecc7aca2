"""Models that panels are given by name: one load and one model for all that ask for the same.

A panel claims a preset before the one that it replaces lets go of it. So a cell that is run again
goes on with the load, or with the model, of the run before, and does not make another copy.
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
    """What a panel holds of a preset: a share of its load, then of its model.

    It is shared with the claims of other panels on the same preset, unless a folder has been
    written to since it was loaded, or the model is no longer as it was loaded: its weights, its
    adapters or its sampler are others. The load stops when its last claim is released.

    Args:
        handle: As for `from_preset`.
        own: The model is to be changed, so share it with nobody.
    """

    def __init__(self, handle: str, own: bool = False) -> None:
        self._tell: Callable[[Claim], None] | None = None
        key = None if own else (handle, *_files_of(handle))
        with _lock:
            self._model = _SharedModel(handle) if own else _current(key)
            self._model.claims.add(self)

    @property
    def job(self) -> LoadJob:
        """The load, which may be that of others, too."""
        return self._model.job

    @property
    def lm(self) -> Any:
        """The model; None until it is there."""
        return self.job.result

    def begin(self, tell: Callable[[Claim], None]) -> None:
        """Load the model, unless another claim has begun to.

        `tell` is called once, with this claim, when the load has ended: in the thread that loads,
        or before this returns. After a release it is not called.
        """
        self._tell = tell
        self._model.begin(self)

    def hear(self) -> None:
        """The load has ended."""
        with _lock:
            tell, self._tell = self._tell, None
        if tell is not None:
            tell(self)

    def release(self) -> None:
        """Let go of the model. Never blocks."""
        with _lock:
            self._tell = None
            self._model.claims.discard(self)
            unclaimed = not self._model.claims
            if unclaimed:
                _forget(self._model)
        if unclaimed:
            self.job.cancel()


class _SharedModel:
    """One load and its model, for as long as there are claims on it."""

    def __init__(self, handle: str) -> None:
        self.job = LoadJob(handle, on_change=self._follow)
        self.claims: weakref.WeakSet[Claim] = weakref.WeakSet()
        self._begun = False
        self._loaded: list[weakref.ref[Any]] | None = None  # its parts, once they are known

    @property
    def is_as_loaded(self) -> bool:
        """Whether another panel may have it: it is on its way, or nobody has changed it."""
        if self._loaded is None:
            return True
        now = _parts(self.job.result)
        return len(now) == len(self._loaded) and all(
            loaded() is part for loaded, part in zip(self._loaded, now, strict=True)
        )

    def begin(self, claim: Claim) -> None:
        """Load for the first claim; the others are told when it has ended, or at once."""
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
    """The model that others have claimed, if it is as it would be loaded now; or a new one."""
    found = _shared.get(key)
    if found is None or not found.is_as_loaded:
        found = _shared[key] = _SharedModel(key[0])
    return found


def _forget(model: _SharedModel) -> None:
    """Whoever asks for it from now on gets another one."""
    for key in [key for key, value in _shared.items() if value is model]:
        del _shared[key]


def _files_of(handle: str) -> list[tuple[str, int, int]]:
    """The files of a preset that is no name, told apart from those that may lie there later."""
    path = Path(os.path.expanduser(handle)).absolute()
    try:
        files = list(path.iterdir()) if path.is_dir() else [path]
        found = [(file, file.stat()) for file in files]
    except (OSError, ValueError):
        return []
    return sorted((str(file), facts.st_ino, facts.st_mtime_ns) for file, facts in found)


def _parts(lm: Any) -> list[Any]:
    """What is another object as soon as somebody changes the model: jax arrays never change."""
    return [lm.sampler, *(weight.value for weight in lm.weights)]
