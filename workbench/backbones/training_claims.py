"""Who trains a backbone: while somebody does, nobody else changes it.

Whoever trains claims the backbone, from the start until it rests. Every call that changes a model,
or takes its weights out while it works, asks first and is refused at once: it never waits. Reading
a model, as generating and inspecting do, asks nobody.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from workbench.errors import ModelInTrainingError

Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class TrainingClaim:
    """One training's claim.

    Attributes:
        told: who trains what, and what to do about it, as those who are refused read it.
        in_line: it waits for its turn, so others that do may have claims beside it.
    """

    told: Callable[[], str]
    in_line: bool = False


_claims: weakref.WeakKeyDictionary[Any, list[TrainingClaim]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
_own: ContextVar[tuple[Any, ...]] = ContextVar("backbones_trained_here", default=())


def claim(backbone: Any, mine: TrainingClaim) -> None:
    """Claim a backbone; nothing happens where it is claimed by `mine` already.

    Raises:
        ModelInTrainingError: somebody has a claim that this one cannot be beside.
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
    """Give a claim back, if it is held."""
    with _lock:
        held = _claims.get(backbone, [])
        if mine in held:
            held.remove(mine)


def check_unclaimed(backbone: Any) -> None:
    """Ask before a change.

    Raises:
        ModelInTrainingError: somebody trains the backbone; the message says who.
    """
    if _is_own(backbone):
        return
    with _lock:
        held = [*_claims.get(backbone, ())]
    if held:
        raise ModelInTrainingError(held[0].told())


@contextmanager
def own_changes(backbone: Any) -> Iterator[None]:
    """What the block changes in this thread, the training changes itself."""
    before = _own.get()
    _own.set((*before, backbone))
    try:
        yield
    finally:
        _own.set(before)


def trains_alone(method: Method) -> Method:
    """Decorates a task's method that takes the weights out of the model while it works: it claims
    the backbone meanwhile. One that calls another does so under its own claim."""

    @functools.wraps(method)
    def alone(self: Any, *args: Any, **kwargs: Any) -> Any:
        backbone = self.backbone
        if _is_own(backbone):
            return method(self, *args, **kwargs)
        told = f"{self.name}.{method.__name__}() is at work on this model: wait for its end"
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
