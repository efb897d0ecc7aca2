"""A download shared by the threads that fetch and the caller who waits.

The caller's thread waits, reports progress, and may leave at any moment: an interrupt or a
`LoadCancelled` of its listener stops the fetching threads at their next chunk, and a stalled
connection never blocks the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

import filelock

from workbench.errors import LoadCancelled
from workbench.presets.hubs.bar import seen_by_somebody
from workbench.storage.progress import INTERVAL, Meter
from workbench.workers import Stop, in_background

T = TypeVar("T")

_WORKERS = 4  # parallel connections: one alone seldom uses the whole bandwidth to a hub
_PATIENCE = 1.0  # seconds a cancelled caller waits for the threads to close their files


class Transfer:
    """The state that both sides share."""

    def __init__(self) -> None:
        self.meter = Meter("downloading")
        self._stopped = Stop()

    def check(self) -> None:
        """Raise LoadCancelled if the caller has left or another thread has failed."""
        self._stopped.check()

    def pause(self, seconds: float) -> None:
        """Wait, but stop if the caller leaves."""
        self._stopped.wait(seconds)
        self.check()

    def stop(self) -> None:
        """Make every further `check` raise."""
        self._stopped.set()

    def each(self, work: Callable[[T], None], items: Iterable[T]) -> None:
        """Call `work` on every item, in several threads; the first error stops them all."""
        queue: SimpleQueue[T] = SimpleQueue()
        for item in items:
            queue.put(item)

        def drain() -> None:
            with suppress(Empty):
                while True:
                    self.check()
                    work(queue.get_nowait())

        threads = [in_background(drain, "download") for _ in range(min(_WORKERS, queue.qsize()))]
        done, _ = wait(threads, return_when="FIRST_EXCEPTION")
        if any(thread.exception() for thread in done):
            self.stop()
            wait(threads)
        _raise_first(threads)


def run(work: Callable[[Transfer], T]) -> T:
    """Call `work` in its own thread and report progress to this thread's listener.

    Without a listener, a bar shows it.

    Raises:
        LoadCancelled: the listener raised it. The bytes fetched so far are kept.
    """
    transfer = Transfer()
    result = in_background(lambda: work(transfer), "download")
    try:
        with seen_by_somebody():
            _watch(result, transfer.meter)
    except BaseException:
        transfer.stop()
        wait([result], _PATIENCE)
        raise
    return result.result()


def _watch(result: Future[T], meter: Meter) -> None:
    while not wait([result], INTERVAL).done:
        meter.report()
    if result.exception() is None and meter.total is not None:
        meter.finish()


@contextmanager
def holding(path: Path, transfer: Transfer) -> Iterator[None]:
    """Hold the lock file `path`; while another process holds it, wait until it is free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path, mode=0o664)
    while not lock.is_locked:
        transfer.check()
        with suppress(filelock.Timeout):
            lock.acquire(timeout=INTERVAL)
    try:
        yield
    finally:
        lock.release()


def _raise_first(results: Iterable[Future[None]]) -> None:
    """Raise the error that stopped the threads, rather than the errors that followed from it."""
    errors = [error for result in results if (error := result.exception()) is not None]
    causes = [error for error in errors if not isinstance(error, LoadCancelled)]
    for error in causes or errors:
        raise error
