"""Which panels a notebook cell has made: running the cell again makes them anew."""

from __future__ import annotations

import sys
import weakref
from typing import Any

_made: dict[str, tuple[str, weakref.WeakSet[Any]]] = {}


def replace_panels(panel: Any) -> None:
    """Close the panels that an earlier execution of the current cell made.

    Their outputs are gone from the page, and ipywidgets would keep them, their runs and their
    model for as long as the kernel lives. Outside a notebook this does nothing.
    """
    cell, execution = _current_cell()
    if not cell:
        return
    before, panels = _made.get(cell, (execution, weakref.WeakSet()))
    if before != execution:
        for old in list(panels):
            old.close()
        panels = weakref.WeakSet()
    panels.add(panel)
    _made[cell] = (execution, panels)


def _current_cell() -> tuple[str, str]:
    """The id of the cell being executed and of this execution, empty where there is none."""
    if "ipykernel.zmqshell" not in sys.modules:
        return "", ""
    from ipykernel.zmqshell import ZMQInteractiveShell

    if not ZMQInteractiveShell.initialized():
        return "", ""
    request = ZMQInteractiveShell.instance().get_parent()
    cell = request.get("metadata", {}).get("cellId", "")
    return cell, request.get("header", {}).get("msg_id", "")
