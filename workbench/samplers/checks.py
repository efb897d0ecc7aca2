"""Attributes that check what they are set to, at construction and ever after: an impossible value
never reaches the compiler."""

from __future__ import annotations

from typing import Generic, Self, TypeVar, overload

from workbench.errors import SettingError
from workbench.kinds import NOTHING
from workbench.samplers.settings import SETTINGS, Setting

T = TypeVar("T", float, int, bool, int | None)


class Checked(Generic[T]):
    """An attribute of a sampler that holds a setting. Setting it to an impossible value raises
    `SettingError` and leaves the old one.

    Args:
        setting: the row of the table.
        optional: whether None is a value.
    """

    def __init__(self, setting: Setting, optional: bool = False) -> None:
        self._setting = setting
        self._values = NOTHING | setting.values if optional else setting.values

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, sampler: None, owner: type) -> Self: ...
    @overload
    def __get__(self, sampler: object, owner: type) -> T: ...
    def __get__(self, sampler: object | None, owner: type) -> Self | T:
        if sampler is None:
            return self
        if self._name not in vars(sampler):
            raise AttributeError(f"{owner.__name__} has no value for {self._name}")
        return vars(sampler)[self._name]

    def __set__(self, sampler: object, value: object) -> None:
        self._values.check(f"{type(sampler).__name__}: {self._name}", value)
        held = vars(sampler)
        held[self._name] = None if value is None else self._setting.check(value)


def number(name: str) -> Checked[float]:
    """The attribute for the setting `name`, a float."""
    return Checked(SETTINGS[name])


def number_above_low(name: str) -> Checked[float]:
    """The attribute for the setting `name`, a float above its least value."""
    return Checked(SETTINGS[name].above_low())


def integer(name: str) -> Checked[int]:
    """The attribute for the setting `name`, an int."""
    return Checked(SETTINGS[name])


def optional_integer(name: str) -> Checked[int | None]:
    """The attribute for the setting `name`, an int or None."""
    return Checked(SETTINGS[name], optional=True)


def flag(name: str) -> Checked[bool]:
    """The attribute for the setting `name`, a bool."""
    return Checked(SETTINGS[name])


def within_vocabulary(sampler: object, name: str, vocabulary_size: int) -> None:
    """Raise `SettingError` if the attribute `name` asks for more tokens than there are."""
    wanted = vars(sampler)[name]
    if wanted is not None and wanted > vocabulary_size:
        raise SettingError(
            f"{type(sampler).__name__}: {name}: expected at most {vocabulary_size}, the size of "
            f"the vocabulary, got {wanted}"
        )
