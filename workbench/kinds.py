"""Kinds of values, and the check that a value is of its kind before anything is made of it.

A flag is no number and a number no flag; numbers are finite; a string is no list. Settings of files
have tables of kinds by key, constructors have annotations: both end in `Kind.check`.
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

from workbench.errors import SettingError, WorkbenchError, shown


@dataclass(frozen=True)
class Kind:
    """What a value has to be: in words, and as a test."""

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


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) <= _LARGEST
    return type(value) is float and math.isfinite(value)


NOTHING = Kind("None", lambda value: value is None)
FLAG = Kind("true or false", lambda value: type(value) is bool)
INTEGER = Kind("an integer", lambda value: type(value) is int)
NUMBER = Kind("a finite number", _is_number)
POSITIVE = Kind("a finite number above 0", lambda value: _is_number(value) and value > 0)
NOT_NEGATIVE = Kind("a finite number of at least 0", lambda value: _is_number(value) and value >= 0)
RATE = Kind("a number in [0, 1)", lambda value: _is_number(value) and 0 <= value < 1)
TEXT = Kind("a string", lambda value: isinstance(value, str))
OBJECT = Kind("an object", lambda value: isinstance(value, Mapping))


def integer(least: int, most: int) -> Kind:
    """Integers of a range."""
    expected = f"an integer from {least} to {most}"
    return Kind(expected, lambda value: type(value) is int and least <= value <= most)


def list_of(item: Kind) -> Kind:
    """Lists, or tuples, whose items are all of a kind."""
    expected = f"a list, each item {item.expected}"
    return Kind(
        expected, lambda value: isinstance(value, list | tuple) and all(map(item.fits, value))
    )


def one_of(*values: Any) -> Kind:
    """One of a few values, of its type."""
    expected = " or ".join(map(repr, values))
    return Kind(expected, lambda value: any(type(v) is type(value) and v == value for v in values))


def checks_types(init: Callable[..., None]) -> Callable[..., None]:
    """Decorates a constructor: it refuses arguments of another kind than their annotations say.

    Raises:
        SettingError: naming the class and the argument.
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs).arguments
        check_arguments(type(self).__name__, init, given)
        init(self, *args, **kwargs)

    return checked


def check_arguments(owner: str, init: Callable[..., None], given: Mapping[str, Any]) -> None:
    """Refuse arguments of another kind than `init` annotates; `owner` names its class.

    Raises:
        SettingError: naming the first.
    """
    for name, kind in _annotated(init).items():
        if name in given:
            kind.check(f"{owner}: {name}", given[name])


@functools.cache
def _annotated(init: Callable[..., None]) -> dict[str, Kind]:
    """The kinds of a function's named arguments; those that may be anything are left out."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = {n for n, p in inspect.signature(init).parameters.items() if p.kind not in variadic}
    hints = {n: hint for n, hint in typing.get_type_hints(init).items() if n in named}
    return {n: of_annotation(hint) for n, hint in hints.items() if hint not in (Any, object)}


_PLAIN = {bool: FLAG, int: INTEGER, float: NUMBER, str: TEXT, type(None): NOTHING}


def of_annotation(hint: Any) -> Kind:
    """The kind that a type annotation describes: plain types, unions, lists, tables, classes."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(Kind.__or__, map(of_annotation, arguments))
    if origin in (list, Sequence):
        return list_of(of_annotation(arguments[0]))
    cls = origin or hint
    return Kind(_named(cls), lambda value: isinstance(value, cls))


def _named(cls: type) -> str:
    return f"a {cls.__name__}" if cls.__module__ != "collections.abc" else cls.__name__.lower()
