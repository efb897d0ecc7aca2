"""The base of tokenizers that run on the `tokenizers` library, and byte-level text."""

from __future__ import annotations

import tokenizers

from workbench.tokenizers.apart import Apart
from workbench.tokenizers.checks import check_tokens
from workbench.tokenizers.files import refusing
from workbench.tokenizers.linear_time import is_linear
from workbench.tokenizers.tokenizer import Tokenizer

_CANNOT_SPLIT = "cannot split this text"


class LibraryTokenizer(Tokenizer):
    """A tokenizer that wraps a `tokenizers.Tokenizer`."""

    _size = 0
    _apart: Apart | None = None  # tokenises texts if the library's work has no known bound

    def _adopt(self, library: tokenizers.Tokenizer, where: object) -> None:
        vocabulary = library.get_vocab(with_added_tokens=True)
        check_tokens(where, vocabulary)
        what = f"{where}: {_CANNOT_SPLIT}"
        self._apart = None if is_linear(library) else Apart(library.to_str(), what)
        self._loaded = library
        self._size = 1 + max(vocabulary.values(), default=-1)
        self._pieces.clear()
        self.check_special_tokens(where)

    def _encode(self, text: str) -> list[int]:
        return self._ids(text, special=False)

    def _ids(self, text: str, special: bool) -> list[int]:
        library = self._backend
        if self._apart is not None:
            return self._apart.encode(text, special)
        with refusing(f"{type(self).__name__}: {_CANNOT_SPLIT}"):
            return library.encode(text, add_special_tokens=special).ids

    def _id_of(self, token: str) -> int | None:
        return self._backend.token_to_id(token)

    def _token_of(self, token_id: int) -> str | None:
        return self._backend.id_to_token(token_id)

    def library_json(self) -> str:
        """Return the whole tokenizer as the content of a `tokenizer.json`."""
        return self._backend.to_str(pretty=True)

    def vocabulary_size(self) -> int:
        """Return one more than the largest token id."""
        self._check_vocabulary()
        return self._size


def _printable_bytes() -> dict[str, int]:
    """Return the byte for each character of a byte-level vocabulary (GPT-2's table).

    Printable bytes stand for themselves; the others, in order, are the characters from U+0100.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }


BYTE_OF = _printable_bytes()


def byte_level_piece(token: str) -> bytes:
    """Return a byte-level token's bytes; a token outside that alphabet is its own text."""
    try:
        return bytes(BYTE_OF[character] for character in token)
    except KeyError:
        return token.encode("utf-8")
