"""The one door to memory: work that would not fit is refused before it begins, and what runs out
of memory in spite of that ends in the same named error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.errors import MemoryTooSmallError
from workbench.memory.free_memory import free_memory, limit

SMALL = 32_000_000  # bytes below which nobody asks
_SIGNS = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")


def admit(what: str, needed: int, advice: str) -> None:
    """Refuse work that would take more than 90 % of the free memory.

    Args:
        what: the work, for the message.
        needed: bytes it takes beside all that is there already.
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
    """While the block runs, or the function that this decorates, memory that runs out is an error
    of our own. `what` was going on, for the message.

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
    """What the error says, in a line; Keras puts several around it, in colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:200]


def _is_exhaustion(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _SIGNS)


def gigabytes(size: float) -> str:
    """Bytes in GB, or in MB below a tenth of one."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
