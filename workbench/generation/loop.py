"""The host-driven loop: runs one compiled step after another and can stop between any two."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

from workbench.generation.clock import Work, WorkClock
from workbench.generation.events import Status
from workbench.generation.prefix import Prefix
from workbench.generation.programs import Output, Programs, Run
from workbench.generation.request import Request
from workbench.memory.door import names_exhaustion

_looks_ahead: ContextVar[bool] = ContextVar("looks_ahead", default=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Inside the block, a stream dispatches no step ahead, so it computes only inside the block.

    Streams that take turns need this to measure their times. Otherwise the step that one stream
    has dispatched ahead runs during the turn of another.
    """
    token = _looks_ahead.set(False)
    try:
        yield
    finally:
        _looks_ahead.reset(token)


def drive(
    programs: Programs, request: Request, clock: WorkClock, prefix: Prefix | None = None
) -> Generator[Status | Output, None, None]:
    """Yield a `Status` whenever the work changes, and an `Output` of host arrays per token.

    The loop dispatches a step before it reads the step before, so the device never waits for the
    caller. A step that has to compile, and every step under `one_at_a_time`, waits until the
    previous token is yielded.
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


def _drive(run: Run, request: Request, clock: WorkClock) -> Iterator[Status | Output]:
    pending = yield from _dispatch(run.prefill, run.prefill_compiles(), clock)
    yield Status("prefill")
    longest = int((request.limits - [len(ids) for ids in request.prompts]).max())
    work: Work = "prefill"
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


def _dispatch(
    program: Callable[[], Output], compiles: bool, clock: WorkClock
) -> Generator[Status, None, Output]:
    """Start a program: XLA compiles during the call, and the device computes after it."""
    if compiles:
        yield Status("compiling")
    output = program()
    if compiles:
        clock.lap("compile")
    return output
