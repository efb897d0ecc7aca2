"""Which adapter a thread sees in a model, where that is not the one at work for all.

A view is no change of the model: other threads, and what is being trained, do not see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

# Names of adapters, None for the model as it is, by the ids of `Adapters` that are alive.
View = Mapping[int, str | None]

NO_VIEW: View = MappingProxyType({})

_view: ContextVar[View] = ContextVar("adapters_in_view", default=NO_VIEW)


def view_here() -> View:
    """What this thread sees."""
    return _view.get()


def see(view: View) -> None:
    """From here on this thread sees that."""
    _view.set(view)


@contextmanager
def seeing(view: View) -> Iterator[None]:
    """While the block runs, this thread sees that."""
    before = _view.get()
    try:
        _view.set(view)
        yield
    finally:
        try:
            _view.set(before)
        except BaseException:
            _view.set(before)  # an interrupt may have come just before
            raise
