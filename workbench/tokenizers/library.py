"""What is common to tokenizers that run on the `tokenizers` library, and byte-level text."""

from __future__ import annotations

import tokenizers

from workbench.tokenizers.files import refusing
from workbench.tokenizers.tokenizer import Tokenizer


class LibraryTokenizer(Tokenizer):
    """A tokenizer whose work is done by a `tokenizers.Tokenizer`."""

    _size = 0

    def _adopt(self, library: tokenizers.Tokenizer, where: object) -> None:
        self._loaded = library
        self._size = 1 + max(library.get_vocab(with_added_tokens=True).values(), default=-1)
        self._pieces.clear()
        self.check_special_tokens(where)

    def _encode(self, text: str) -> list[int]:
        with refusing(f"{type(self).__name__} cannot split this text"):
            return self._backend.encode(text, add_special_tokens=False).ids

    def _id_of(self, token: str) -> int | None:
        return self._backend.token_to_id(token)

    def _token_of(self, token_id: int) -> str | None:
        return self._backend.id_to_token(token_id)

    def library_json(self) -> str:
        """The whole tokenizer as a `tokenizer.json`."""
        return self._backend.to_str(pretty=True)

    def vocabulary_size(self) -> int:
        """One more than the largest token id."""
        self._check_vocabulary()
        return self._size


def _printable_bytes() -> dict[str, int]:
    """The byte behind each character of a byte-level vocabulary (GPT-2's table).

    Bytes that print stand for themselves; the others, in order, for U+0100 and on.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }


BYTE_OF = _printable_bytes()


def byte_level_piece(token: str) -> bytes:
    """The bytes a byte-level token stands for; a token outside that alphabet is itself."""
    try:
        return bytes(BYTE_OF[character] for character in token)
    except KeyError:
        return token.encode("utf-8")
