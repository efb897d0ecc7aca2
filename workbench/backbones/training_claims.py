"""Claims on a backbone: while one training runs, nothing else changes the model.

A training claims the backbone from its start until it pauses or ends. Every call that changes the
model, or takes its weights out while it runs, checks for claims first and fails at once instead of
waiting. Calls that only read the model, such as generation and inspection, need no claim.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from workbench.errors import ModelInTrainingError


class Trained(Protocol):
    """A task: a model around a backbone."""

    name: str
    backbone: Any


Owner = TypeVar("Owner", bound=Trained)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class TrainingClaim:
    """One training's claim.

    Attributes:
        told: returns the message for refused calls: what trains, and what to do about it.
        in_line: whether the training waits in a queue; queued trainings may claim together.
    """

    told: Callable[[], str]
    in_line: bool = False


_claims: weakref.WeakKeyDictionary[Any, list[TrainingClaim]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
_own: ContextVar[tuple[Any, ...]] = ContextVar("backbones_trained_here", default=())


def claim(backbone: Any, mine: TrainingClaim) -> None:
    """Claim a backbone. A claim that is held already stays as it is.

    Raises:
        ModelInTrainingError: another training has a claim that excludes this one.
    """
    with _lock:
        held = _claims.setdefault(backbone, [])
        beside = [one for one in held if one is not mine]
        refused = next((one for one in beside if not (one.in_line and mine.in_line)), None)
        if refused is None and mine not in held:
            held.append(mine)
    if refused is not None:
        raise ModelInTrainingError(refused.told())


def release(backbone: Any, mine: TrainingClaim) -> None:
    """Release a claim, if it is held."""
    with _lock:
        held = _claims.get(backbone, [])
        if mine in held:
            held.remove(mine)


def check_unclaimed(backbone: Any) -> None:
    """Refuse a change while another training holds a claim.

    Raises:
        ModelInTrainingError: the backbone is being trained; the message names the training.
    """
    if _is_own(backbone):
        return
    with _lock:
        held = [*_claims.get(backbone, ())]
    if held:
        raise ModelInTrainingError(held[0].told())


@contextmanager
def own_changes(backbone: Any) -> Iterator[None]:
    """Mark changes of the block, in this thread, as made by the training itself."""
    before = _own.get()
    _own.set((*before, backbone))
    try:
        yield
    finally:
        _own.set(before)


def trains_alone(
    method: Callable[Concatenate[Owner, Arguments], Result],
) -> Callable[Concatenate[Owner, Arguments], Result]:
    """Decorate a task's method that takes the weights out of the model while it runs: it claims
    the backbone. Decorated methods that it calls share its claim."""

    @functools.wraps(method)
    def alone(self: Owner, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        backbone = self.backbone
        if _is_own(backbone):
            return method(self, *args, **kwargs)
        told = f"{self.name}.{method.__name__}() is running on this model: wait until it ends"
        mine = TrainingClaim(lambda: told)
        try:
            claim(backbone, mine)
            with own_changes(backbone):
                return method(self, *args, **kwargs)
        finally:
            release(backbone, mine)

    return alone


def _is_own(backbone: Any) -> bool:
    return any(backbone is one for one in _own.get())
