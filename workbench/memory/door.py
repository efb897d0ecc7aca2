"""Guards memory: work that would not fit is refused before it begins, and work that still runs out
of memory ends in the same named error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.errors import MemoryTooSmallError
from workbench.memory.free_memory import free_memory, limit

SMALL = 32_000_000  # smaller needs are not checked
_SIGNS = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")


def admit(what: str, needed: int, advice: str) -> None:
    """Refuse work that needs more than 90 % of the free memory.

    Args:
        what: the work, for the message.
        needed: bytes it takes in addition to those already in use.
        advice: what to do instead, in a sentence.

    Raises:
        MemoryTooSmallError: it does not fit.
    """
    if needed < SMALL:
        return
    free = free_memory()
    usable = limit(free)
    if needed <= usable:
        return
    raise MemoryTooSmallError(
        f"{what} needs {gigabytes(needed)} of memory beside what is in use; free here are "
        f"{gigabytes(free)}, of which {gigabytes(usable)} may be used. {advice}"
    )


@contextmanager
def names_exhaustion(what: str) -> Iterator[None]:
    """Turn exhausted memory in a block or decorated function into our own error. `what` names the
    work for the message.

    Raises:
        MemoryTooSmallError: the memory of the machine or of its accelerator ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_exhaustion(error):
            raise
        raise MemoryTooSmallError(
            f"{what}: the memory ran out ({_reason(error)}). Free some, such as models that are "
            "no longer needed, or take less at a time: a shorter text, a smaller batch, a model in "
            '"int8" or a smaller one'
        ) from error


def _reason(error: BaseException) -> str:
    """Return the error's message as one line; Keras wraps it in several coloured lines."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:200]


def _is_exhaustion(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _SIGNS)


def gigabytes(size: float) -> str:
    """Format bytes in GB, or in MB below 0.1 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
