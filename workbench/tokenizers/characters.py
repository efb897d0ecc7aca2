"""A token for each character, for models that read single words."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from workbench.errors import PresetError
from workbench.kinds import checks_types
from workbench.tokenizers.checks import expect, expect_tokens
from workbench.tokenizers.files import read_text
from workbench.tokenizers.incremental import Piece
from workbench.tokenizers.tokenizer import Tokenizer

VOCABULARY = "vocabulary.txt"
PRINTABLE = string.digits + string.ascii_letters + string.punctuation
"""The 94 printable characters of ASCII: digits, small letters, capitals, punctuation."""


class CharacterTokenizer(Tokenizer):
    """The end token, then the characters, then the start and the padding; as PARSeq's own code
    (Bautista and Atienza 2022).

    A text loses its white space, is decomposed (NFKD) and stripped of all that is not ASCII; where
    the vocabulary has one case only, it takes that case; characters that the vocabulary lacks are
    dropped, and so is what follows the first `max_label_length`.

    `vocabulary`: the characters in the order of their ids, or the path of a file with one a line.
    `remove_whitespace`, `normalize_unicode`: whether the first two things are done.
    `max_label_length`: characters of a text that are kept.

    >>> PARSeqTokenizer("0123456789abc").tokenize("B 2 b é")
    [12, 3, 12]
    """

    start_token = "[B]"
    end_token = "[E]"
    pad_token = "[P]"
    file_assets = (VOCABULARY,)
    _asset_arguments: ClassVar[tuple[str, ...]] = ("vocabulary",)

    @checks_types
    def __init__(
        self,
        vocabulary: str | Path | Iterable[str] | None = PRINTABLE,
        remove_whitespace: bool = True,
        normalize_unicode: bool = True,
        max_label_length: int = 25,
        sequence_length: int | None = None,
        dtype: object = None,
        **kwargs: object,
    ) -> None:
        super().__init__(sequence_length, dtype, **kwargs)
        whole = type(max_label_length) is int and max_label_length > 0
        expect("max_label_length", whole, "a positive integer", max_label_length)
        self.remove_whitespace, self.normalize_unicode = remove_whitespace, normalize_unicode
        self.max_label_length = max_label_length
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def set_vocabulary(self, vocabulary: str | Path | Iterable[str]) -> None:
        """Takes the characters from a string, a list or a file, or raises `PresetError`.

        A string ending in `.txt` is the path of a file.
        """
        named = isinstance(vocabulary, Path) or str(vocabulary).endswith(".txt")
        where = vocabulary if named else "vocabulary"
        given = list(vocabulary) if isinstance(vocabulary, str) else vocabulary
        characters = expect_tokens("vocabulary", _lines(vocabulary) if named else given)
        if not characters or any(len(character) != 1 for character in characters):
            wrong = [item for item in characters if len(item) != 1]
            raise PresetError.at(where, "vocabulary", "single characters", wrong)
        if len(set(characters)) < len(characters):
            raise PresetError.at(where, "vocabulary", "each character once", "".join(characters))
        self._loaded = "".join(characters)
        self._tokens = [self.end_token, *characters, self.start_token, self.pad_token]
        self._ids = {token: index for index, token in enumerate(self._tokens)}
        self._unknown = re.compile(f"[^{re.escape(self._loaded)}]")
        self._pieces.clear()

    @property
    def vocabulary(self) -> str:
        """The characters, in the order of their ids."""
        return self._backend

    def clean(self, text: str) -> str:
        """What of a text the tokens stand for."""
        known = self._backend
        if self.remove_whitespace:
            text = re.sub(r"\s+", "", text)
        if self.normalize_unicode:
            text = re.sub("[^!-~]", "", unicodedata.normalize("NFKD", text))
        if known == known.lower():
            text = text.lower()
        elif known == known.upper():
            text = text.upper()
        return self._unknown.sub("", text)[: self.max_label_length]

    def _encode(self, text: str) -> list[int]:
        return [self._ids[character] for character in self.clean(text)]

    def _piece(self, token_id: int) -> Piece:
        return self._token_of(token_id)

    def _id_of(self, token: str) -> int | None:
        self._check_vocabulary()
        return self._ids.get(token)

    def _token_of(self, token_id: int) -> str | None:
        self._check_vocabulary()
        return self._tokens[token_id] if 0 <= token_id < len(self._tokens) else None

    def vocabulary_size(self) -> int:
        """The characters, the end, the start and the padding."""
        return len(self._backend) + 3

    def save_assets(self, dir_path: str | Path) -> None:
        """Writes `vocabulary.txt` into an existing folder."""
        lines = "".join(f"{character}\n" for character in self._backend)
        (Path(dir_path) / VOCABULARY).write_text(lines, encoding="utf-8", newline="\n")

    def load_assets(self, dir_path: str | Path) -> None:
        """Reads `vocabulary.txt` from a folder."""
        self.set_vocabulary(Path(dir_path) / VOCABULARY)

    def get_config(self) -> dict:
        """The arguments of the constructor, without the vocabulary: that is in the assets.

        KerasHub's class has no `sequence_length`, so it is written only where it is used.
        """
        own = {
            "remove_whitespace": self.remove_whitespace,
            "normalize_unicode": self.normalize_unicode,
            "max_label_length": self.max_label_length,
        }
        config = super().get_config() | own
        return {k: v for k, v in config.items() if k != "sequence_length" or v is not None}


def _lines(path: str | Path) -> list[str]:
    """The lines of a file, one character each; what KerasHub reads of it."""
    return [line.rstrip() for line in read_text(path).removesuffix("\n").split("\n")]
