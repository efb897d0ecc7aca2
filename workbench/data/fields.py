"""Names of a record's fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.errors import DataError, SettingError
from workbench.storage.json_files import shown

TEXT, PROMPT, RESPONSE, MESSAGES = "text", "prompt", "response", "messages"
IMAGES, AUDIO, RATE, IDS = "images", "audio", "rate", "token_ids"

NAMES = {
    TEXT: ("text",),
    PROMPT: ("prompt", "prompts"),
    RESPONSE: ("response", "responses", "completion"),
    MESSAGES: ("messages", "conversations"),
    IMAGES: ("images", "image"),
    AUDIO: ("audio",),
    RATE: ("rate", "sampling_rate"),
    IDS: ("token_ids", "input_ids"),
    "encoder_text": ("encoder_text", "prompt", "prompts"),
    "decoder_text": ("decoder_text", "response", "responses", "completion"),
}
"""Our names, and the names records use for them."""

ROLES = {"human": "user", "gpt": "assistant", "function": "tool", "observation": "tool"}
"""Roles in conversations whose messages have `from` and `value`, mapped to ours."""


class Fields:
    """A lookup of fields in records.

    Args:
        columns: our names mapped to the records' names, such as `{"prompt": "question"}`.

    Raises:
        SettingError: a key is not one of our names.
    """

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        unknown = sorted(set(columns or {}) - set(NAMES))
        if unknown:
            raise SettingError(f"columns: expected names among {sorted(NAMES)}, got {unknown}")
        self._names = NAMES | {name: (own,) for name, own in (columns or {}).items()}

    def find(self, record: Mapping[str, Any], name: str) -> Any:
        """Return a record's value under any of the field's names; None if there is none."""
        found = (record[key] for key in self._names[name] if key in record)
        return next((value for value in found if value is not None), None)

    def need(self, record: Mapping[str, Any], name: str) -> Any:
        """Return a record's value under any of the field's names.

        Raises:
            DataError: there is no value.
        """
        value = self.find(record, name)
        if value is None:
            wanted = " or ".join(map(repr, self._names[name]))
            raise DataError(
                f"expected {wanted}, got {shown(sorted(map(str, record)))}. "
                f"read_examples(..., columns={{{name!r}: ...}}) says what your data calls it."
            )
        return value

    def text(self, record: Mapping[str, Any], name: str) -> str:
        """Return a record's text under any of the field's names.

        Raises:
            DataError: there is no value, or it is not a string.
        """
        value = self.need(record, name)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str):
            raise DataError(f"{name}: expected a string, got {type(value).__name__}")
        return str(value)

    def pictures(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return a record's pictures, as `workbench.images.open_image` reads them."""
        images = self.find(record, IMAGES)
        if images is None:
            return ()
        several = isinstance(images, list | tuple) or np.ndim(_array(images)) > 3
        return tuple(map(_content, images if several else (images,)))

    def sound(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record's recording, as `workbench.audio.open_audio` reads it, and its sampling
        rate or None."""
        audio, rate = self.need(record, AUDIO), self.find(record, RATE)
        if isinstance(audio, Mapping) and audio.get("array") is not None:
            return {AUDIO: _samples(audio["array"]), RATE: audio.get("sampling_rate", rate)}
        return {AUDIO: _content(audio), RATE: rate}

    def messages(self, value: Any) -> list[dict[str, Any]]:
        """Return messages with `role` and `content`, from either such messages or those with
        `from` and `value`.

        Raises:
            DataError: the value is not a list of messages.
        """
        if not isinstance(value, list | tuple | np.ndarray) or not all(
            isinstance(turn, Mapping) for turn in value
        ):
            raise DataError(
                "messages: expected a list of {'role': ..., 'content': ...}, got "
                f"{type(value).__name__}"
            )
        return [_turn(turn) for turn in value]


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    if "role" in turn or "from" not in turn:
        return {key: value for key, value in turn.items() if value is not None}
    role = turn["from"]
    return {
        "role": ROLES.get(role, role) if isinstance(role, str) else role,
        "content": turn.get("value"),
    }


def _content(source: Any) -> Any:
    """Return the path or bytes of a picture or recording that `datasets` has not decoded."""
    if isinstance(source, Mapping) and not set(source) - {"bytes", "path"}:
        return source["path"] if source.get("bytes") is None else source["bytes"]
    return source


def _samples(values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:  # rows of different lengths
        raise DataError(f"{AUDIO}: expected samples, got lists of different lengths") from None


def _array(images: Any) -> Any:
    return images if isinstance(images, np.ndarray) else None
