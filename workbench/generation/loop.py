"""The host-driven loop: one compiled step after another, stoppable between any two of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import jax

from workbench.generation.events import Status
from workbench.generation.prefix import Prefix
from workbench.generation.programs import Output, Programs, Run
from workbench.generation.request import Request
from workbench.memory.door import names_exhaustion

_looks_ahead: ContextVar[bool] = ContextVar("looks_ahead", default=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """A stream that is advanced in the block computes there, and nothing of it after the block.

    Streams that take turns need it for their times: otherwise the step that one has dispatched
    ahead would be computed during the turn of another.
    """
    token = _looks_ahead.set(False)
    try:
        yield
    finally:
        _looks_ahead.reset(token)


@dataclass
class Clock:
    """Seconds since `lap` was last called go to what the work was; `spent` sums them."""

    spent: dict[str, float] = field(
        default_factory=lambda: {"compile": 0, "prefill": 0, "decode": 0}
    )
    _last: float = field(default_factory=time.perf_counter)

    def lap(self, work: str) -> None:
        """Book the time since the last lap."""
        now = time.perf_counter()
        self.spent[work] += now - self._last
        self._last = now


def drive(
    programs: Programs, request: Request, clock: Clock, prefix: Prefix | None = None
) -> Iterator[Status | Output]:
    """Yield a `Status` whenever the work changes, and an `Output` of host arrays per token.

    A step is dispatched before its predecessor is read, so the device never waits for the
    caller. Only a step that has to compile, or under `one_at_a_time`, waits until the token before
    it is handed out.
    """
    with names_exhaustion("generating"):
        run = Run(programs, request, prefix)
        made: list[int] = []
        try:
            for item in _drive(run, request, clock):
                if prefix is not None and isinstance(item, Output):
                    made.append(int(item.token[0]))
                yield item
        finally:
            run.keep(made)


def _drive(run: Run, request: Request, clock: Clock) -> Iterator[Status | Output]:
    pending = yield from _dispatch(run.prefill, run.prefill_compiles(), clock)
    yield Status("prefill")
    longest = int((request.limits - [len(ids) for ids in request.prompts]).max())
    work = "prefill"
    for made in range(1, longest + 1):
        last, ahead = made == longest, None
        compiles = not last and run.step_compiles()
        if not last and not compiles and _looks_ahead.get():
            ahead = run.step()
        output = jax.device_get(pending)
        clock.lap(work)
        if made == 1:
            yield Status("streaming")
        yield output
        if last or output.finished.all():
            return
        if compiles:
            ahead = yield from _dispatch(run.step, True, clock)
            yield Status("streaming")
        elif ahead is None:
            ahead = run.step()
        pending, work = ahead, "decode"


def _dispatch(program: Callable[[], Output], compiles: bool, clock: Clock) -> Iterator[Status]:
    """Start a program; XLA compiles inside the call, the computation goes on after it."""
    if compiles:
        yield Status("compiling")
    output = program()
    if compiles:
        clock.lap("compile")
    return output
