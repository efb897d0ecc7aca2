"""One token for each character, for models that read single words in images."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

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
    """Character tokens in the order of PARSeq's code (Bautista and Atienza 2022): end token,
    characters, start token, padding.

    White space is removed; characters are decomposed (NFKD) and non-ASCII ones dropped. If the
    vocabulary has only one case, text takes that case. Characters missing from the vocabulary are
    dropped, and text is cut to `max_label_length` characters.

    `vocabulary`: the characters in the order of their ids, or the path of a file with one a line.
    `remove_whitespace`, `normalize_unicode`: whether to do the first two steps.
    `max_label_length`: characters of a text to keep.

    Raises:
        SettingError: an argument is invalid.
        PresetError: the vocabulary is missing or malformed.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(sequence_length, dtype, **kwargs)
        whole = type(max_label_length) is int and max_label_length > 0
        expect("max_label_length", whole, "a positive integer", max_label_length)
        self.remove_whitespace, self.normalize_unicode = remove_whitespace, normalize_unicode
        self.max_label_length = max_label_length
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def set_vocabulary(self, vocabulary: str | Path | Iterable[str]) -> None:
        """Set the characters from a string, a list or a file. A string ending in `.txt` is a path.

        Raises:
            PresetError: the file is missing, or an item is not a single character, or is repeated.
        """
        where: str | Path = "vocabulary"
        if isinstance(vocabulary, Path) or (
            isinstance(vocabulary, str) and vocabulary.endswith(".txt")
        ):
            where, given = vocabulary, _lines(vocabulary)
        else:
            given = list(vocabulary) if isinstance(vocabulary, str) else vocabulary
        characters = expect_tokens("vocabulary", given)
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
        """Return the part of a text that the tokens encode."""
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

    def _piece(self, token: str, token_id: int) -> Piece:
        return token

    def _id_of(self, token: str) -> int | None:
        self._check_vocabulary()
        return self._ids.get(token)

    def _token_of(self, token_id: int) -> str | None:
        self._check_vocabulary()
        return self._tokens[token_id] if 0 <= token_id < len(self._tokens) else None

    def vocabulary_size(self) -> int:
        """Return the number of tokens: characters, end, start and padding."""
        return len(self._backend) + 3

    def save_assets(self, dir_path: str | Path) -> None:
        """Write `vocabulary.txt` to an existing folder."""
        lines = "".join(f"{character}\n" for character in self._backend)
        (Path(dir_path) / VOCABULARY).write_text(lines, encoding="utf-8", newline="\n")

    def load_assets(self, dir_path: str | Path) -> None:
        """Read `vocabulary.txt` from a folder."""
        self.set_vocabulary(Path(dir_path) / VOCABULARY)

    def get_config(self) -> dict:
        """Return the constructor's arguments without the vocabulary, which is in the assets.

        KerasHub's class has no `sequence_length`, so it is included only if it is set.
        """
        own = {
            "remove_whitespace": self.remove_whitespace,
            "normalize_unicode": self.normalize_unicode,
            "max_label_length": self.max_label_length,
        }
        config = super().get_config() | own
        return {k: v for k, v in config.items() if k != "sequence_length" or v is not None}


def _lines(path: str | Path) -> list[str]:
    """Read a file of one character a line, as KerasHub does."""
    return [line.rstrip() for line in read_text(path).removesuffix("\n").split("\n")]
