"""Threads that work behind a notebook cell, and stop when the interpreter ends.

A thread that is inside XLA while the interpreter is taken down hangs or aborts the process. So the
interpreter waits for workers, as for every thread that is no daemon, and they see by their `Stop`
that it does. It is only afterwards that JAX closes its backends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from workbench.errors import LoadCancelled

T = TypeVar("T")


class Worker(threading.Thread):
    """A thread that the interpreter waits for. What takes long in `work` looks at a `Stop`."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(target=work, name=name, daemon=False)


class Stop(threading.Event):
    """Whether work is to stop: because somebody has set it, or because the interpreter ends."""

    def is_set(self) -> bool:
        """True once it was set, and at the end of the interpreter."""
        return super().is_set() or _interpreter_ends()

    def check(self) -> None:
        """Raises LoadCancelled once the work is to stop."""
        if self.is_set():
            raise LoadCancelled


def _interpreter_ends() -> bool:
    """Whether nothing is left that the interpreter waits for but workers."""
    if threading.main_thread().is_alive():
        return False
    living = [thread for thread in threading.enumerate() if thread.is_alive()]
    return all(thread.daemon or isinstance(thread, Worker) for thread in living)


def in_background(work: Callable[[], T], name: str) -> Future[T]:
    """Call `work`, which stays away from JAX, in a thread that no exit has to wait for."""
    result: Future[T] = Future()

    def body() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=body, name=name, daemon=True).start()
    return result
