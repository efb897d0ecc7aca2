"""Background threads of notebook cells, which stop when the interpreter ends.

A thread that is inside XLA during the interpreter's shutdown hangs or aborts the process. So the
interpreter waits for workers, as for every thread that is not a daemon, and their `Stop` tells them
that it waits. JAX closes its backends only afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from workbench.errors import LoadCancelled

T = TypeVar("T")


class Worker(threading.Thread):
    """A thread that the interpreter waits for. Long `work` has to check a `Stop`."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(target=work, name=name, daemon=False)


class Stop(threading.Event):
    """A signal to stop work: it is set by a caller, or by the end of the interpreter."""

    def is_set(self) -> bool:
        """Return True once it was set, and at the end of the interpreter."""
        return super().is_set() or _interpreter_ends()

    def check(self) -> None:
        """Raise LoadCancelled if the work has to stop."""
        if self.is_set():
            raise LoadCancelled


def _interpreter_ends() -> bool:
    """Return whether the interpreter waits only for workers now."""
    if threading.main_thread().is_alive():
        return False
    living = [thread for thread in threading.enumerate() if thread.is_alive()]
    return all(thread.daemon or isinstance(thread, Worker) for thread in living)


def in_background(work: Callable[[], T], name: str) -> Future[T]:
    """Call `work`, which must not use JAX, in a thread that the interpreter does not wait for."""
    result: Future[T] = Future()

    def body() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=body, name=name, daemon=True).start()
    return result
