"""Read what the `sentencepiece` library does not show of a model file.

Files are protocol buffers (github.com/google/sentencepiece, "sentencepiece_model.proto"); the
numbers here are that schema's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

UNIGRAM, BPE = 1, 2
_PIECE = 1 << 3 | 2  # the key of a piece: field 1, as bytes
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_IS_SYMBOL = bytes((3 << 3, USER_DEFINED))  # the kind of a piece: field 3, as a number


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The pieces of a model, and how it normalises text.

    Attributes:
        pieces: text, score and kind of each piece, in the order of ids.
        algorithm: `UNIGRAM`, `BPE` or another number.
        byte_fallback: whether an unknown character becomes its bytes.
        space_after: whether words include the space after them instead of the one before.
        character_map: a compiled table of characters to replace; empty for none.
        prefixes: whether a text gets a space in front.
        collapses: whether runs of spaces become one, and spaces at both ends are removed.
        marks_spaces: whether a space becomes U+2581.
        maps_back: whether a table changes decoded text.
    """

    pieces: tuple[tuple[str, float, int], ...]
    algorithm: int
    byte_fallback: bool
    space_after: bool
    character_map: bytes
    prefixes: bool
    collapses: bool
    marks_spaces: bool
    maps_back: bool

    def of_kind(self, *kinds: int) -> dict[str, float]:
        """Return pieces of some kinds, with their scores."""
        return {piece: score for piece, score, kind in self.pieces if kind in kinds}


def read_model(proto: bytes) -> ModelFile:
    """Read a file that the library has accepted; nothing is checked again."""
    fields = list(_fields(proto))
    trainer, normalizer, back = (_message(fields, number) for number in (2, 3, 5))
    pieces = (dict(_fields(value)) for number, value in fields if number == 1)
    return ModelFile(
        pieces=tuple((p[1].decode(), _float(p.get(2)), p.get(3, NORMAL)) for p in pieces),
        algorithm=trainer.get(3, UNIGRAM),
        byte_fallback=bool(trainer.get(35, 0)),
        space_after=bool(trainer.get(24, 0)),
        character_map=normalizer.get(2, b""),
        prefixes=bool(normalizer.get(3, 1)),
        collapses=bool(normalizer.get(4, 1)),
        marks_spaces=bool(normalizer.get(5, 1)),
        maps_back=bool(back.get(2)),
    )


def user_defined(proto: bytes) -> list[str]:
    """Return the symbols that a model finds in a text before it splits."""
    pieces = (value for number, value in _fields(proto) if number == 1 and _IS_SYMBOL in value)
    return [p[1].decode() for p in map(dict, map(_fields, pieces)) if p.get(3) == USER_DEFINED]


def longest_replacement(proto: bytes) -> int:
    """Return the length in bytes of a model's longest replacement for characters; 0 for no table.

    A table is the size of a trie in four bytes, the trie, and texts that each end in a NUL.
    """
    normalizer = _message(list(_fields(proto[_pieces_end(proto) :])), 3)
    table = normalizer.get(2, b"")
    texts = table[4 + int.from_bytes(table[:4], "little") :]
    return max(map(len, texts.split(b"\0")))


def _pieces_end(proto: bytes) -> int:
    """Find the end of the leading pieces, which may be many, without reading them."""
    place, end = 0, len(proto) - 1
    while place < end and proto[place] == _PIECE and proto[place + 1] < 0x80:
        place += 2 + proto[place + 1]
    return place


def _message(fields: list[tuple[int, Any]], wanted: int) -> dict[int, Any]:
    """Return the fields of a nested message; the last value of a repeated field wins."""
    return {k: v for number, value in fields if number == wanted for k, v in _fields(value)}


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and values of a message's fields."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = divmod(key, 8)
        if wire == 0:
            value, place = _varint(data, place)
        else:
            size = {1: 8, 5: 4}.get(wire)
            if size is None:
                size, place = _varint(data, place)
            value, place = data[place : place + size], place + size
        yield number, value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; return it and its end."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place


def _float(data: bytes | None) -> float:
    return 0.0 if data is None else struct.unpack("<f", data)[0]
