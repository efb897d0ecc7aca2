"""Views: the adapter that one thread uses in a model, in place of the active one.

A view does not change the model: other threads and a running training are not affected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

View = Mapping[int, str | None]
"""By the `id` of an `Adapters` object, the name of its adapter; None for the bare model."""

NO_VIEW: View = MappingProxyType({})

_view: ContextVar[View] = ContextVar("adapters_in_view", default=NO_VIEW)


def view_here() -> View:
    """Return this thread's view."""
    return _view.get()


def see(view: View) -> None:
    """Set this thread's view."""
    _view.set(view)


@contextmanager
def seeing(view: View) -> Iterator[None]:
    """Set this thread's view while the block runs."""
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
