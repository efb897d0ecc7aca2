"""Threads that work behind a notebook cell, and end before the interpreter does.

A thread that is inside XLA while the interpreter is taken down hangs or aborts the process. So at
exit all of them are asked to stop, and waited for however long their step takes.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Worker(threading.Thread):
    """A thread that the end of the interpreter stops and waits for.

    Args:
        work: What it does.
        name: Its name.
        stop: Called at exit, from another thread; it makes `work` end soon, and never blocks.
    """

    def __init__(
        self, work: Callable[[], None], name: str, stop: Callable[[], None] | None = None
    ) -> None:
        super().__init__(target=work, name=name, daemon=True)
        self.stop = stop

    def start(self) -> None:
        """Begin, and return at once."""
        stop_first()
        super().start()

    def run(self) -> None:
        """Do the work, and keep nothing of it alive."""
        try:
            super().run()
        finally:
            self.stop = None


def stop_first() -> None:
    """Have the workers stop before anything registered so far: JAX closes its backends at exit.

    A worker that has imported JAX calls it once more.
    """
    atexit.unregister(_stop_all)
    atexit.register(_stop_all)


def _stop_all() -> None:
    while workers := [t for t in threading.enumerate() if isinstance(t, Worker) and t.is_alive()]:
        for stop in filter(None, [worker.stop for worker in workers]):
            stop()
        for worker in workers:
            worker.join()


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
