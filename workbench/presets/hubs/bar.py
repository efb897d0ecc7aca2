"""A progress bar in the notebook or terminal for downloads without a listener."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from workbench.storage.progress import Progress, has_listener, listening


@contextmanager
def seen_by_somebody() -> Iterator[None]:
    """Show a progress bar for downloads in the block, unless there is a listener."""
    if has_listener():
        yield
        return
    bar = _Bar()
    try:
        with listening(bar):
            yield
    finally:
        bar.close()


class _Bar:
    """A listener that draws a bar from the first bytes on, in a terminal or notebook."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __call__(self, progress: Progress) -> None:
        if self._bar is None and progress.total is not None and progress.done < progress.total:
            units = {"unit": "B", "unit_scale": True, "unit_divisor": 1000}
            # None: a terminal or a notebook, not a log file
            self._bar = tqdm(total=progress.total, initial=progress.done, disable=None, **units)
        if self._bar is not None:
            self._bar.set_description(progress.file, refresh=False)
            self._bar.update(progress.done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
