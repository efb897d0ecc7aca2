"""Tracks which panels a notebook cell has made; running the cell again replaces them."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_made: dict[str, tuple[str, weakref.WeakSet[Any]]] = {}
_owned: ContextVar[bool] = ContextVar("owned", default=False)


@contextmanager
def owned() -> Iterator[None]:
    """Assign panels made in the block to another panel, which closes them, and not to a cell.

    They are made when a load ends, and the current cell may then be any cell.
    """
    token = _owned.set(True)
    try:
        yield
    finally:
        _owned.reset(token)


def replace_panels(panel: Any) -> None:
    """Close the panels that an earlier execution of the current cell made.

    The page no longer shows them, but ipywidgets would keep them, their runs and their model as
    long as the kernel lives. Outside a notebook this does nothing.
    """
    cell, execution = _current_cell()
    if not cell or _owned.get():
        return
    before, panels = _made.get(cell, (execution, weakref.WeakSet()))
    if before != execution:
        for old in list(panels):
            old.close()
        panels = weakref.WeakSet()
    panels.add(panel)
    _made[cell] = (execution, panels)


def _current_cell() -> tuple[str, str]:
    """Return the ids of the running cell and of this execution, empty if there is none."""
    if "ipykernel.zmqshell" not in sys.modules:
        return "", ""
    from ipykernel.zmqshell import ZMQInteractiveShell

    if not ZMQInteractiveShell.initialized():
        return "", ""
    request = ZMQInteractiveShell.instance().get_parent()
    cell = request.get("metadata", {}).get("cellId", "")
    return cell, request.get("header", {}).get("msg_id", "")
