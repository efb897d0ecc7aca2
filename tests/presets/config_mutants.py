"""Settings with one value changed, and what the loader makes of a preset before its layers."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import keras
from gguf_files import ARRAY, BOOL, FLOAT32, INT32, STRING, UINT32, assembled, entry, info, text

from workbench.presets.load import load_task, open_preset

VALUES = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 2**31, 2**63, 10**30, -0.0, 0.5, 1.0, 2.5, 1e300),
    *("", "false", "true", "12", "relu", "x" * 3000, "\ud800", "\x00"),
    *([], [1], [None], [True], ["full_attention"], [[]], {}, {"a": 1}, {"factor": True}),
)
"""What is put in the place of a value; a few more are made of the value itself."""


NONE_BY_ZERO = ("expert_count", "sliding_window")
"""Settings that say with a zero that the model has no such thing."""


@dataclass(frozen=True)
class Mutant:
    """A changed copy; `before` and `after` are the values at `path`."""

    value: Any
    path: tuple[Any, ...]
    before: Any
    after: Any

    @property
    def fits(self) -> bool:
        """Whether the new value is possible by itself: what refuses it may name what it does not
        fit."""
        kinds = {type(self.before), type(self.after)}
        if type(self.after) is int:
            if self.after == 0 and str(self.path[-1]).endswith(NONE_BY_ZERO):
                return True
            return kinds == {int} and 0 < self.after < 2**20
        return len(kinds) == 1 or self.after is None or self._is_token or self._is_each_layers

    @property
    def _is_token(self) -> bool:
        """Whether it is a token, as a string or as an object."""
        return str(self.path[-1]).endswith("_token") and isinstance(self.after, str | dict)

    @property
    def _is_each_layers(self) -> bool:
        """Whether it is a list with a number for each layer, as GGUF files have."""
        return type(self.before) in (int, float) and self.after in ([1], [self.before])

    @property
    def changes_a_flag(self) -> bool:
        """Whether a flag became something else, or something else a flag; null is left out, for it
        says what a missing key says."""
        kinds = {type(self.before), type(self.after)}
        return len(kinds) == 2 and bool in kinds and type(None) not in kinds


def value_mutants(value, seed):
    """Copies of a JSON value without end, each with one value changed."""
    chance = random.Random(seed)
    places = list(_places(value))
    while True:
        path, before = chance.choice(places)
        after = chance.choice((*VALUES, *_alike(before)))
        yield Mutant(_with(value, path, after), path, before, after)


def _places(value, path=()):
    if path:
        yield path, value
    # The first of a list's values stand for all.
    keys = (
        value if isinstance(value, dict) else range(min(len(value), 2)) if _is_list(value) else ()
    )
    for key in keys:
        yield from _places(value[key], (*path, key))


def _alike(value):
    """The same value in the wrong type, nearly the same value, and one too many."""
    yield from (str(value), [value], {"value": value})
    if isinstance(value, int | float):
        yield from (float(value), int(value), bool(value), value + 1, -value, value == 1)
    if _is_list(value):
        yield from (value[1:], [*value, *value[:1]], dict(enumerate(map(str, value))))


def _is_list(value):
    return isinstance(value, list)


def _with(value, path, after):
    if not path:
        return after
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(copy[path[0]], path[1:], after)
    return copy


class _Reached(Exception):
    """A backbone's configuration was made and checked; its layers would be next."""


def _stop(*args, **kwargs):
    raise _Reached


def stop_before_layers(monkeypatch):
    """From now on a backbone ends when it would make its first layer."""
    for name in ("RandomNormal", "TruncatedNormal"):
        monkeypatch.setattr(keras.initializers, name, _stop)


def meaning(path):
    """All that the production loader makes of a preset before its layers, as plain values.

    Raises:
        PresetError: it refuses the preset.
    """
    with suppress(_Reached):
        load_task(path, object, load_weights=False)
    preset = open_preset(path, object)
    task, head = preset.task(), preset.head()
    found = {
        "family": preset.family.name,
        "backbone": preset.backbone_arguments(),
        "quantization": preset.quantization,
        "head": head and (head.arguments, head.labels),
        "task": task and {k: v for k, v in task.config.items() if k in settings_of(preset)},
    }
    if preset.has_tokenizer():
        found["preprocessor"] = preset.preprocessor_arguments()
    return plain(found)


def settings_of(preset):
    """The names of a task's own settings."""
    return preset.family.task.setting_arguments


def plain(value):
    """A value whose flags equal no number, and whose objects are what they say of themselves."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bytes):
        return value
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if hasattr(value, "tokenize"):
        return [plain(value.get_config()), _of_tokenizer(value)]
    return plain(value.get_config())


_TOKENS = ("start_token", "end_token", "pad_token", "stop_token_ids", "prepends_start_token")


def _of_tokenizer(tokenizer):
    own = {name: getattr(tokenizer, name) for name in (*_TOKENS, "chat_template")}
    return plain({**own, "ids": tokenizer.tokenize("The cat sat, é.")})


# GGUF


def gguf_bytes(metadata, tensors, golden):
    """A file that says this, with the tensors of a golden one. None where the format has no place
    for a value."""
    entries = [_entry(key, value) for key, value in metadata.items()]
    if None in entries:
        return None
    start = min(entry.begin for entry in tensors.values())
    infos = [info(n, e.shape, offset=e.begin - start) for n, e in tensors.items()]
    return assembled(entries, infos, golden[start:])


def _entry(key, value):
    if isinstance(value, list):
        return _array(key, value)
    if isinstance(value, float) and abs(value) > 3e38:
        return None
    if type(value) is int and not -(2**31) <= value < 2**32:
        return None
    kinds = {bool: (BOOL, "?"), int: (UINT32, "I"), float: (FLOAT32, "f")}
    if isinstance(value, str):
        return entry(key, STRING, text(value)) if value.isprintable() else None
    if type(value) not in kinds:
        return None
    kind, code = (INT32, "i") if type(value) is int and value < 0 else kinds[type(value)]
    return entry(key, kind, struct.pack("<" + code, value))


def _array(key, values):
    if all(isinstance(value, str) for value in values):
        if not all(value.isprintable() for value in values):
            return None
        packed = struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values))
        return entry(key, ARRAY, packed)
    single = [_entry("", value) for value in values]
    if None in single or len({type(value) for value in values}) > 1 or list in map(type, values):
        return None
    head = len(text("")) + 4
    (kind,) = struct.unpack("<I", single[0][head - 4 : head])
    payload = b"".join(one[head:] for one in single)
    return entry(key, ARRAY, struct.pack("<IQ", kind, len(values)) + payload)


def listed(metadata):
    """Metadata as JSON has it: arrays as lists."""
    return json.loads(json.dumps(metadata, default=lambda array: array.tolist()))
