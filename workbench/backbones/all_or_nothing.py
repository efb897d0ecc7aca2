"""Atomic changes of a model: a change completes, or leaves the model as it was.

An error or interrupt during a change restores the model bit by bit: its variables, their values,
the layers that hold them. Arrays never change in place, so the backup holds references to the
arrays, not copies.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from workbench.backbones.training_claims import check_unclaimed
from workbench.interrupts import held
from workbench.keras_internals import SAVED_PARTS, thread_state


class Restorable:
    """Mix-in for parts of a model that are no Keras objects: they are restored with the model."""


_CONTAINERS = (list, set, dict)
_FOLLOWED = (*_CONTAINERS, *SAVED_PARTS, keras.Variable, Restorable)

_locks: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_locks_lock = threading.Lock()


@contextmanager
def all_or_nothing(backbone: keras.Model, *others: Any) -> Iterator[None]:
    """Change a model within the block; if the block fails, restore everything.

    An interrupt waits for the end of the block, or for `interrupts.let_through` inside it. Other
    threads that read the model's arrays or trace its programs wait, see `unchanging`. Replaced
    arrays stay in memory until the end of the block.

    Args:
        backbone: the model to change.
        others: objects that change with it, such as a task or an optimizer, and all they hold.

    Raises:
        ModelInTrainingError: the model is being trained. It is raised at once, without waiting.
    """
    check_unclaimed(backbone)
    with as_a_whole(backbone, *others):
        yield


@contextmanager
def as_a_whole(backbone: keras.Model, *others: Any) -> Iterator[None]:
    """`all_or_nothing` for changes that do not touch the backbone, such as compiling a task: they
    are allowed during training."""
    with unchanging(backbone), held(), put_back(backbone, *others):
        yield


def unchanging(backbone: keras.Model) -> threading.RLock:
    """Return the lock that keeps a model from being changed while it is held."""
    with _locks_lock:
        return _locks.setdefault(backbone, threading.RLock())


def backbone_of(model: Any) -> Any:
    """Return a task's backbone; a backbone itself."""
    return getattr(model, "backbone", model)


@contextmanager
def put_back(*parts: Any) -> Iterator[None]:
    """If the block fails, restore the parts, all they hold, and this thread's open Keras scopes."""
    before = _Before(parts)
    try:
        yield
    except BaseException:
        before.put_back()
        raise


class _Before:
    """A backup of objects and the parts they hold."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self._kept: dict[int, tuple[Any, Any]] = {}
        self._keep_scopes()
        left = [vars(part) for part in parts]
        while left:
            content = left.pop()
            if id(content) not in self._kept:
                values = self._keep(content)
                left += [_content(value) for value in values if isinstance(value, _FOLLOWED)]

    def put_back(self) -> None:
        for content, copy in self._kept.values():
            # Methods of the plain types: those of Keras's tracked containers would refuse.
            if isinstance(content, list):
                list.__setitem__(content, slice(None), copy)
            elif isinstance(content, set):
                set.clear(content)
                set.update(content, copy)
            else:
                dict.clear(content)
                dict.update(content, copy)

    def _keep_scopes(self) -> None:
        """Keep Keras's values and stacks of this thread, but not its counters of names."""
        for value in self._keep(thread_state()):
            if isinstance(value, list):
                self._keep(value)

    def _keep(self, content: Any) -> Collection[Any]:
        """Copy a container, and return its values."""
        copy = dict(content) if isinstance(content, dict) else [*content]
        self._kept[id(content)] = content, copy
        return copy.values() if isinstance(copy, dict) else copy


def _content(value: Any) -> Any:
    """Return a container itself, or the attributes of a part."""
    return value if isinstance(value, _CONTAINERS) else vars(value)
