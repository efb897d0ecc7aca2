"""WordPiece, as BERT splits words: the longest piece of the vocabulary first, then the rest."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import ClassVar

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from workbench.errors import PresetError
from workbench.kinds import checks_types
from workbench.tokenizers.checks import expect_tokens
from workbench.tokenizers.files import read_text, refusing
from workbench.tokenizers.incremental import Piece, TextRule
from workbench.tokenizers.library import LibraryTokenizer

VOCABULARY = "vocabulary.txt"
LONGEST_WORD = 100  # characters; a longer word is unknown, as in BERT's own code

JOINED_BY_SPACES = TextRule("replace", leading_spaces=1)


class WordPieceTokenizer(LibraryTokenizer):
    """WordPiece from a vocabulary, with the ids of BERT's own code (Devlin et al. 2019).

    A text is cleaned of control characters and split at white space, at punctuation and around
    Chinese characters. Its spaces are lost: text from ids has one before every word.

    `vocabulary`: the tokens in the order of their ids, or the path of a file with one a line.
    `lowercase`, `strip_accents`: what is done to a text first.
    `split`: False takes a text as one word.
    `split_on_cjk`: whether a Chinese character is a word of its own.
    `suffix_indicator`: what pieces within a word begin with.
    `oov_token`: stands for a word that the vocabulary cannot spell.
    `special_tokens`: more of them than the class names.
    `special_tokens_in_strings`: special tokens written in a text are single ids.

    >>> vocabulary = ["[UNK]", "the", "fox", "##es"]
    >>> WordPieceTokenizer(vocabulary, lowercase=True).tokenize("The foxes!")
    [1, 2, 3, 0]
    """

    file_assets = (VOCABULARY,)
    _asset_arguments: ClassVar[tuple[str, ...]] = ("vocabulary",)
    _rule = JOINED_BY_SPACES

    @checks_types
    def __init__(
        self,
        vocabulary: str | Path | Iterable[str] | None = None,
        sequence_length: int | None = None,
        lowercase: bool = False,
        strip_accents: bool = False,
        split: bool = True,
        split_on_cjk: bool = True,
        suffix_indicator: str = "##",
        oov_token: str = "[UNK]",
        special_tokens: Iterable[str] | None = None,
        special_tokens_in_strings: bool = False,
        dtype: object = None,
        **kwargs: object,
    ) -> None:
        super().__init__(sequence_length, dtype, **kwargs)
        more = expect_tokens("special_tokens", [] if special_tokens is None else special_tokens)
        self.lowercase, self.strip_accents = lowercase, strip_accents
        self.split, self.split_on_cjk = split, split_on_cjk
        self.suffix_indicator, self.oov_token = suffix_indicator, oov_token
        self.special_tokens_in_strings = special_tokens_in_strings
        self._more_tokens = more
        self.vocabulary: list[str] = []
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def set_vocabulary(self, vocabulary: str | Path | Iterable[str]) -> None:
        """Takes the tokens from data or a file, or raises `PresetError`."""
        named = isinstance(vocabulary, str | Path)
        where = vocabulary if named else "vocabulary"
        tokens = expect_tokens("vocabulary", _lines(vocabulary) if named else vocabulary)
        if self.oov_token not in tokens:
            raise PresetError(f"{where}: lacks the token {self.oov_token!r} for unknown words")
        self._adopt(self._build(tokens), where)
        self.vocabulary = tokens

    def _build(self, tokens: list[str]) -> tokenizers.Tokenizer:
        with refusing("vocabulary"):
            model = models.WordPiece(
                {token: index for index, token in enumerate(tokens)},
                unk_token=self.oov_token,
                continuing_subword_prefix=self.suffix_indicator,
                max_input_chars_per_word=LONGEST_WORD,
            )
        library = tokenizers.Tokenizer(model)
        library.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=self.split and self.split_on_cjk,
            strip_accents=self.strip_accents,
            lowercase=self.lowercase,
        )
        library.decoder = decoders.WordPiece(self.suffix_indicator, cleanup=False)
        if self.split:
            library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        if self.special_tokens_in_strings:
            known = [token for token in self.special_tokens if token in tokens]
            library.add_special_tokens([AddedToken(t, normalized=False) for t in known])
        return library

    @property
    def special_tokens(self) -> list[str]:
        """The special tokens the vocabulary must have."""
        return list(dict.fromkeys([*super().special_tokens, *self._more_tokens]))

    def _piece(self, token_id: int) -> Piece:
        return word_piece(self.suffix_indicator, self._token_of(token_id))

    def save_assets(self, dir_path: str | Path) -> None:
        """Writes `vocabulary.txt` into an existing folder."""
        self._check_vocabulary()
        lines = "".join(f"{token}\n" for token in self.vocabulary)
        (Path(dir_path) / VOCABULARY).write_text(lines, encoding="utf-8", newline="\n")

    def load_assets(self, dir_path: str | Path) -> None:
        """Reads `vocabulary.txt` from a folder."""
        self.set_vocabulary(Path(dir_path) / VOCABULARY)

    def get_config(self) -> dict:
        """The arguments of the constructor, without the vocabulary: that is in the assets."""
        own = {
            "vocabulary": None,
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
            "split": self.split,
            "suffix_indicator": self.suffix_indicator,
            "oov_token": self.oov_token,
            "special_tokens": self._more_tokens or None,
            "special_tokens_in_strings": self.special_tokens_in_strings,
        }
        if not self.split_on_cjk:
            own["split_on_cjk"] = False
        return super().get_config() | own


def word_piece(prefix: str, token: str) -> Piece:
    """What a token adds to a text: a piece within a word joins it, others come after a space."""
    if token.startswith(prefix) and len(token) > len(prefix):
        return token.removeprefix(prefix)
    return f" {token}"


def word_pieces(prefix: str) -> partial[Piece]:
    """`word_piece` for the pieces of one vocabulary."""
    return partial(word_piece, prefix)


def _lines(path: str | Path) -> list[str]:
    """The lines of a file, their ends dropped as KerasHub does."""
    return [line.rstrip() for line in read_text(path).removesuffix("\n").split("\n")]
