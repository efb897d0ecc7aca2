"""Check what a user passes to a tokenizer: texts, ids, settings."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from workbench.errors import PresetError, PromptError, SettingError, shown

LONGEST_TEXT = 1 << 24  # characters; the library needs about 250 bytes for each token
LONGEST_TOKEN = 1 << 14


def as_text(value: object, what: str = "prompt") -> str:
    """Return a string or UTF-8 bytes as a string.

    Raises:
        PromptError: it is no UTF-8 text, or longer than 16,777,216 characters.
    """
    if isinstance(value, str | bytes) and len(value) > LONGEST_TEXT:
        expected = f"a text of at most {LONGEST_TEXT} characters"
        raise PromptError(f"{what}: expected {expected}, got {len(value)}; split it")
    try:
        if isinstance(value, bytes):
            return value.decode("utf-8")
        if isinstance(value, str):
            value.encode("utf-8")
            return value
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise PromptError(f"{what}: not text at position {error.start}: {error.reason}") from error
    raise PromptError(f"{what}: expected a string, got {type(value).__name__}")


def check_tokens(where: object, tokens: Iterable[str]) -> None:
    """Refuse a vocabulary with an absurdly long token.

    Raises:
        PresetError: a token is longer than 16,384 characters.
    """
    longest = max(map(len, tokens), default=0)
    if longest > LONGEST_TOKEN:
        expected = f"tokens of at most {LONGEST_TOKEN} characters"
        raise PresetError.at(where, "vocabulary", expected, longest)


def as_rows(inputs: Any) -> tuple[list[list[int]], bool]:
    """Return checked rows of ids, and whether `inputs` was a batch.

    Raises:
        SettingError: an id is no non-negative integer.
    """
    if isinstance(inputs, list | tuple):
        batched = bool(inputs) and isinstance(inputs[0], Iterable)
    else:
        array = np.asarray(inputs)
        inputs, batched = np.atleast_1d(array).tolist(), array.ndim > 1
    return [_indices(row) for row in inputs] if batched else [_indices(inputs)], batched


def _indices(row: object) -> list[int]:
    if not isinstance(row, Iterable):
        raise SettingError(f"ids: expected a row of integers, got {shown(row)}")
    return [index_of(value) for value in row]


def index_of(value: Any) -> int:
    """Return an id as a Python integer.

    Raises:
        SettingError: it is no non-negative integer.
    """
    try:
        index = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        index = -1
    if index < 0:
        raise SettingError(f"id: expected a non-negative integer, got {shown(value)}")
    return index


def integer_dtype(dtype: Any) -> str:
    """Return the name of an integer dtype, given also as a serialised Keras policy; None is int32.

    Raises:
        SettingError: it is no integer type.
    """
    if isinstance(dtype, dict):  # a serialized DTypePolicy
        config = dtype.get("config")
        dtype = config.get("name") if isinstance(config, dict) else "unknown"
    try:
        found = np.dtype("int32" if dtype is None else dtype)
    except TypeError:
        found = np.dtype(object)
    expect("dtype", found.kind in "iu", "an integer type", dtype)
    return found.name


def expect(key: str, fits: object, expected: str, got: object) -> None:
    """Raise `SettingError` unless a setting `fits`."""
    if not fits:
        raise SettingError(f"{key}: expected {expected}, got {shown(got)}")


def expect_tokens(key: str, tokens: Any) -> list[str]:
    """Return the tokens as a list.

    Raises:
        SettingError: they are no list, or other iterable, of strings. One string is none.
    """
    several = isinstance(tokens, Iterable) and not isinstance(tokens, str | bytes | Mapping)
    expect(key, several, "a list of strings", tokens)
    found = list(tokens)
    strings = [token for token in found if isinstance(token, str)]
    wrong = [token for token in found if not isinstance(token, str)]
    expect(key, not wrong, "strings", wrong)
    return strings
