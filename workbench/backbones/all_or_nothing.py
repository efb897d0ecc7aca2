"""A model changes as a whole or not at all.

Whatever stops a change on its way, an error as well as an interrupt, leaves the model as it was,
bit by bit: its variables, their values, the layers that hold them. An array never changes in
place, so keeping what a model was takes references to its arrays and no copies of them.
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


class Content:
    """Mix-in of what belongs to a model without being Keras's: it is put back with the model."""


_CONTAINERS = (list, set, dict)
_FOLLOWED = (*_CONTAINERS, *SAVED_PARTS, keras.Variable, Content)

_locks: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_locks_lock = threading.Lock()


@contextmanager
def all_or_nothing(backbone: keras.Model, *others: Any) -> Iterator[None]:
    """While the block runs, the model is changed: when it fails, everything is put back.

    An interrupt waits for the end of the block, or for `interrupts.let_through` inside it. Other
    threads that read the model's arrays, or trace a program of it, wait for the end, see
    `unchanging`. The arrays that are replaced stay in memory until the end.

    Args:
        backbone: the model that is changed.
        others: objects that are changed with it, such as a task or an optimizer; what they hold
            belongs to it.

    Raises:
        ModelInTrainingError: somebody trains the model; at once.
    """
    check_unclaimed(backbone)
    with as_a_whole(backbone, *others):
        yield


@contextmanager
def as_a_whole(backbone: keras.Model, *others: Any) -> Iterator[None]:
    """`all_or_nothing` for what leaves the backbone as it is, such as how a task is compiled: that
    may be beside a training."""
    with unchanging(backbone), held(), put_back(backbone, *others):
        yield


def unchanging(backbone: keras.Model) -> threading.RLock:
    """The lock to hold while a model must be one thing: nobody changes it then."""
    with _locks_lock:
        return _locks.setdefault(backbone, threading.RLock())


@contextmanager
def put_back(*parts: Any) -> Iterator[None]:
    """When the block fails, its parts and all they hold are put back, and the scopes that Keras
    has open in this thread."""
    before = _Before(parts)
    try:
        yield
    except BaseException:
        before.put_back()
        raise


class _Before:
    """What objects, and the parts they hold, were at a moment."""

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
            if isinstance(content, list):
                list.__setitem__(content, slice(None), copy)
            else:
                kind = set if isinstance(content, set) else dict
                kind.clear(content)
                kind.update(content, copy)

    def _keep_scopes(self) -> None:
        """Of what Keras keeps by thread, the values and the stacks; its counters of names go on."""
        for value in self._keep(thread_state()):
            if isinstance(value, list):
                self._keep(value)

    def _keep(self, content: Any) -> Collection[Any]:
        """Copies a container, whose values it returns."""
        mapping = isinstance(content, dict)
        copy = dict(content) if mapping else [*content]
        self._kept[id(content)] = content, copy
        return copy.values() if mapping else copy


def _content(value: Any) -> Any:
    """A container, or the attributes of a part."""
    return value if isinstance(value, _CONTAINERS) else vars(value)
