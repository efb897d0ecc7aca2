"""Kinds of values, and the check that a value is of its kind before it is used.

Flags and numbers are different kinds; numbers are finite; a string is not a list. A NumPy scalar
counts as the value it holds. Settings of files have tables of kinds by key, constructors have
annotations, calls name the kinds of their arguments: all use `Kind.check`.
"""

from __future__ import annotations

import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import SettingError, WorkbenchError, shown


@dataclass(frozen=True)
class Kind:
    """A kind of values: its description, and its test."""

    expected: str
    fits: Callable[[Any], bool]

    def check(self, where: str, value: Any, error: type[WorkbenchError] = SettingError) -> None:
        """Raise `error` for a value of another kind; `where` is the file or class, and the key."""
        if not self.fits(value):
            raise error(f"{where}: expected {self.expected}, got {shown(value)}")

    def __or__(self, other: Kind) -> Kind:
        expected = f"{self.expected} or {other.expected}"
        return Kind(expected, lambda value: self.fits(value) or other.fits(value))


_LARGEST = 2**1000  # a float can still hold it


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if _is_integer(value):
        return abs(value) <= _LARGEST
    return isinstance(value, float | np.floating) and math.isfinite(value)


NOTHING = Kind("None", lambda value: value is None)
FLAG = Kind("true or false", lambda value: isinstance(value, bool | np.bool_))
INTEGER = Kind("an integer", _is_integer)
NUMBER = Kind("a finite number", _is_number)
POSITIVE = Kind("a finite number above 0", lambda value: _is_number(value) and value > 0)
NOT_NEGATIVE = Kind("a finite number of at least 0", lambda value: _is_number(value) and value >= 0)
RATE = Kind("a number in [0, 1)", lambda value: _is_number(value) and 0 <= value < 1)
TEXT = Kind("a string", lambda value: isinstance(value, str))
OBJECT = Kind("an object", lambda value: isinstance(value, Mapping))


def integer(least: int, most: float = math.inf) -> Kind:
    """Return the kind of integers from `least` to `most`."""
    span = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
    return Kind(f"an integer {span}", lambda value: _is_integer(value) and least <= value <= most)


def list_of(item: Kind) -> Kind:
    """Return the kind of lists or tuples whose items are all of one kind."""
    expected = f"a list, each item {item.expected}"
    return Kind(
        expected, lambda value: isinstance(value, list | tuple) and all(map(item.fits, value))
    )


def one_of(*values: Any) -> Kind:
    """Return the kind of these values, with their types."""
    expected = " or ".join(map(repr, values))
    return Kind(expected, lambda value: any(type(v) is type(value) and v == value for v in values))


def checks_types(init: Callable[..., None]) -> Callable[..., None]:
    """Decorate a constructor to refuse arguments that do not fit their annotations. It gets NumPy's
    scalars as Python's, which can be saved.

    Raises:
        SettingError: naming the class and the argument.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs)
        check_arguments(type(self).__name__, init, given.arguments)
        init(*given.args, **given.kwargs)

    return checked


def plain(value: Any) -> Any:
    """Return the value, a NumPy scalar as its Python value."""
    return value.item() if isinstance(value, np.generic) else value


def check_arguments(owner: str, init: Callable[..., None], given: dict[str, Any]) -> None:
    """Refuse arguments that do not fit the annotations of `init`, and make NumPy's scalars plain;
    `owner` names the class.

    Raises:
        SettingError: naming the first.
    """
    given.update({name: plain(value) for name, value in given.items()})
    for name, kind in _annotated(init).items():
        if name in given:
            kind.check(f"{owner}: {name}", given[name])


@functools.cache
def _annotated(init: Callable[..., None]) -> dict[str, Kind]:
    """Return the kinds of a function's plain arguments; the function checks objects itself."""
    hints = typing.get_type_hints(init)
    named = {name: hints[name] for name in inspect.signature(init).parameters if name in hints}
    kinds = {name: of_annotation(hint) for name, hint in named.items()}
    return {name: kind for name, kind in kinds.items() if kind is not None}


_PLAIN = {bool: FLAG, int: INTEGER, float: NUMBER, str: TEXT, type(None): NOTHING}


def of_annotation(hint: Any) -> Kind | None:
    """Return the kind of a type annotation of plain values, unions and lists of them; None for any
    other."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [of_annotation(part) for part in arguments]
        known = [kind for kind in kinds if kind is not None]
        return functools.reduce(Kind.__or__, known) if len(known) == len(kinds) else None
    item = of_annotation(arguments[0]) if origin in (list, tuple, Sequence) else None
    return None if item is None else list_of(item)
