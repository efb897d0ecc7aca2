"""Attributes that check what they are given, at construction and ever after: an impossible value
never reaches the compiler."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real

from workbench.errors import SettingError, shown

LARGEST = 3.4e38  # a setting travels as float32
KINDS = {float: Real, int: Integral, bool: bool}


class Setting:
    """A number or a truth value that a sampler holds; setting it to anything else raises
    `SettingError` and leaves the old value."""

    def __init__(
        self,
        kind: type[float] | type[int] | type[bool],
        expected: str,
        holds: Callable[[float], bool] = lambda value: True,
        optional: bool = False,
    ) -> None:
        self._kind, self._expected, self._holds, self._optional = kind, expected, holds, optional

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, sampler: object | None, owner: type) -> object:
        if sampler is None:
            return self
        if self._name not in vars(sampler):
            raise AttributeError(f"{owner.__name__} has no value for {self._name}")
        return vars(sampler)[self._name]

    def __set__(self, sampler: object, value: object) -> None:
        if not self._allows(value):
            name = f"{type(sampler).__name__}: {self._name}"
            raise SettingError(f"{name}: expected {self._expected}, got {shown(value)}")
        vars(sampler)[self._name] = value if value is None else self._kind(value)

    def _allows(self, value: object) -> bool:
        if value is None or isinstance(value, bool):
            return self._optional if value is None else self._kind is bool
        return isinstance(value, KINDS[self._kind]) and self._holds(value)


def positive_integer(optional: bool = False) -> Setting:
    """A whole number from 1 on, small enough for int32."""
    expected = "None or an integer from 1 on" if optional else "an integer from 1 on"
    return Setting(int, expected, lambda value: 1 <= value < 2**31, optional)


def within_vocabulary(sampler: object, name: str, vocabulary_size: int) -> None:
    """Raise `SettingError` if the setting `name` asks for more tokens than there are."""
    wanted = vars(sampler)[name]
    if wanted is not None and wanted > vocabulary_size:
        raise SettingError(
            f"{type(sampler).__name__}: {name}: expected at most {vocabulary_size}, the size of "
            f"the vocabulary, got {wanted}"
        )
