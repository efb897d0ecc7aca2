"""Decode token ids one by one, without ever returning half a character.

A token is a *piece* of text: `bytes` if it may hold part of a character (byte-level BPE, byte
fallback), `str` if it is whole text. Decoding a whole text runs this same decoder to the end, so
streamed and whole texts agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Piece = bytes | str | None

# An incomplete character at the end of a buffer (Unicode 16, table 3-7).
INCOMPLETE = re.compile(
    rb"(?:[\xc2-\xdf]|\xe0[\xa0-\xbf]?|[\xe1-\xec\xee\xef][\x80-\xbf]?|\xed[\x80-\x9f]?"
    rb"|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3][\x80-\xbf]{0,2}|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?)\Z"
)
ESCAPED_BYTES = {0xDC00 + byte: "\ufffd" for byte in range(0x80, 0x100)}


@dataclass(frozen=True, slots=True)
class TextRule:
    """How pieces are joined.

    `bad_bytes`: bytes that are not UTF-8 become one U+FFFD for each ill-formed sequence ("replace",
    as in byte-level BPE) or for each byte ("surrogateescape", as in SentencePiece).
    `leading_spaces`: how many pieces lose their leading space while the text is still empty: 0 for
    none, 1 for the space that SentencePiece puts before a text, infinity to strip all.
    """

    bad_bytes: Literal["replace", "surrogateescape"] = "replace"
    leading_spaces: float = 0


class IncrementalDecoder:
    """Joins pieces into text. The work per token does not grow with the text.

    `pieces(id)` returns the piece of a token, None for an id without a token, which adds nothing.
    Ids in `skip` are ignored.

    >>> pieces = [b"caf", b"\\xc3", b"\\xa9"]
    >>> decoder = IncrementalDecoder(pieces.__getitem__, TextRule(), skip=frozenset())
    >>> [decoder.push(0), decoder.push(1), decoder.push(2), decoder.flush()]
    ['caf', '', 'é', '']
    """

    def __init__(
        self, pieces: Callable[[int], Piece], rule: TextRule, skip: frozenset[int]
    ) -> None:
        self._pieces = pieces
        self._bad_bytes = rule.bad_bytes
        self._spaces = rule.leading_spaces
        self._skip = skip
        self._pending = b""

    def push(self, token_id: int) -> str:
        """Return the text that a token adds, empty while the bytes of a character are incomplete.

        Bytes are held back only while they can still become a valid character.
        """
        piece = None if token_id in self._skip else self._pieces(token_id)
        if piece is None:
            return ""
        if isinstance(piece, bytes):
            return self._after(self._complete(piece))
        before = self.flush()
        return before + self._after(self._without_leading_space(piece))

    def flush(self) -> str:
        """Return bytes still held back, as U+FFFD. Call it once, at the end or when cancelled."""
        held, self._pending = self._pending, b""
        return self._after(self._decode(held))

    def _complete(self, piece: bytes) -> str:
        data = self._pending + piece
        tail = INCOMPLETE.search(data)
        end = tail.start() if tail else len(data)
        self._pending = data[end:]
        return self._decode(data[:end])

    def _decode(self, data: bytes) -> str:
        return data.decode("utf-8", self._bad_bytes).translate(ESCAPED_BYTES)

    def _without_leading_space(self, text: str) -> str:
        if self._spaces and text.startswith(" "):
            self._spaces -= 1
            return text[1:]
        return text

    def _after(self, delta: str) -> str:
        if delta:
            self._spaces = 0
        return delta
