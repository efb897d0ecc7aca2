"""Delays interrupts (Ctrl-C, the kernel's stop button) until an operation is complete.

Python raises KeyboardInterrupt in the main thread at the next call or loop, even inside a library's
`__exit__`, whose scope then stays open forever. Other threads are never interrupted.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class _Waiting:
    """Replaces the handler of interrupts, and notes that one has come."""

    def __init__(self, before: Callable[..., Any]) -> None:
        self.before = before
        self.noted = False

    def __call__(self, number: int, frame: Any) -> None:
        self.noted = True

    def let_through(self) -> None:
        """Call the previous handler for the interrupt; it usually raises KeyboardInterrupt."""
        if self.noted:
            self.noted = False
            self.before(signal.SIGINT, sys._getframe())


@contextmanager
def held() -> Iterator[None]:
    """Delay an interrupt to the end of the block, or to `let_through` inside it."""
    before = signal.getsignal(signal.SIGINT)
    if not _in_main_thread() or not callable(before) or isinstance(before, _Waiting):
        yield
        return
    waiting = _Waiting(before)
    signal.signal(signal.SIGINT, waiting)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        waiting.let_through()


def let_through() -> None:
    """Raise the interrupt that `held` delays, if there is one. Call it between two steps of long
    work, if the code that uses `held` undoes the work so far."""
    waiting = signal.getsignal(signal.SIGINT)
    if isinstance(waiting, _Waiting) and _in_main_thread():
        waiting.let_through()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
