"""Byte-level BPE: text is split by the family's pattern, then bytes are merged pair by pair."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from workbench.errors import PresetError, SettingError, shown
from workbench.kinds import checks_types
from workbench.tokenizers.checks import expect_tokens
from workbench.tokenizers.control import is_mark
from workbench.tokenizers.files import read_json, read_text, refusing
from workbench.tokenizers.incremental import Piece
from workbench.tokenizers.library import LibraryTokenizer, byte_level_piece
from workbench.tokenizers.patterns import GPT2_PATTERN

VOCABULARY = "vocabulary.json"
MERGES = "merges.txt"


class BytePairTokenizer(LibraryTokenizer):
    """Byte-level BPE from a vocabulary and merges, with the ids of the family's reference.

    `vocabulary`: token to id, or the path of a JSON file of that.
    `merges`: rules "a b" or pairs, first ones first, or the path of a file with one rule a line.
    Rules whose parts or result the vocabulary lacks are dropped with one warning. A byte
    the vocabulary lacks is dropped from the text, as KerasHub does; real vocabularies have all.
    `add_prefix_space`: a text that does not begin with a space gets one.
    `unsplittable_tokens`: found in the text before anything else, each one id; by default the
    special tokens.
    `split_pattern`: an Oniguruma pattern; by default the class's. With one that is not known
    (`patterns.PATTERNS`) texts are split in a process of its own, within 5 s and 512 MB each.

    A subclass sets `ignore_merges` where a whole word of the vocabulary wins over its merges, and
    `composes` where characters are composed (Unicode's form NFC) first.

    >>> vocabulary = {"f": 0, "o": 1, "x": 2, "ox": 3}
    >>> BytePairTokenizer(vocabulary, merges=["o x"]).tokenize("fox")
    [0, 3]
    """

    split_pattern: str = GPT2_PATTERN
    ignore_merges: bool = False
    composes: bool = False
    file_assets = (VOCABULARY, MERGES)
    _asset_arguments: ClassVar[tuple[str, ...]] = ("vocabulary", "merges")

    @checks_types
    def __init__(
        self,
        vocabulary: str | Path | dict[str, int] | None = None,
        merges: str | Path | Iterable[str | Sequence[str]] | None = None,
        sequence_length: int | None = None,
        add_prefix_space: bool = False,
        unsplittable_tokens: Iterable[str] | None = None,
        dtype: object = None,
        split_pattern: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(sequence_length, dtype, **kwargs)
        self.add_prefix_space = add_prefix_space
        if split_pattern is not None:
            self.split_pattern = split_pattern
        tokens = self.special_tokens if unsplittable_tokens is None else unsplittable_tokens
        self.unsplittable_tokens = expect_tokens("unsplittable_tokens", tokens)
        self.vocabulary: dict[str, int] = {}
        self.merges: list[str] = []
        if (vocabulary is None) != (merges is None):
            raise SettingError("vocabulary and merges: expected both or neither")
        if vocabulary is not None:
            self.set_vocabulary_and_merges(vocabulary, merges)

    def set_vocabulary_and_merges(
        self,
        vocabulary: str | Path | dict[str, int],
        merges: str | Path | Iterable[str | Sequence[str]],
    ) -> None:
        """Takes both from data or files, or raises `PresetError`."""
        where = vocabulary if isinstance(vocabulary, str | Path) else "vocabulary"
        tokens = _vocabulary(vocabulary)
        rules = _merges(merges, tokens)
        missing = [token for token in self.unsplittable_tokens if token not in tokens]
        if missing:
            raise PresetError(f"{where}: lacks the unsplittable tokens {missing}")
        self._adopt(self._build(tokens, rules), where)
        self.vocabulary = tokens
        self.merges = [" ".join(rule) for rule in rules]

    def _build(self, tokens: dict[str, int], rules: list[tuple[str, str]]) -> tokenizers.Tokenizer:
        with refusing("split_pattern"):
            split = pre_tokenizers.Split(Regex(self.split_pattern), "isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        with refusing("vocabulary"):
            model = models.BPE(tokens, rules, ignore_merges=self.ignore_merges)
        library = tokenizers.Tokenizer(model)
        if self.composes:
            library.normalizer = normalizers.NFC()
        library.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
        library.decoder = decoders.ByteLevel()
        library.add_special_tokens(
            [AddedToken(token, normalized=False) for token in self.unsplittable_tokens]
        )
        return library

    def _encode(self, text: str) -> list[int]:
        if self.add_prefix_space and text and not text.startswith(" "):
            text = " " + text
        return super()._encode(text)

    @property
    def _marks(self) -> frozenset[str]:
        return frozenset(filter(is_mark, self.unsplittable_tokens))

    def _piece(self, token_id: int) -> Piece:
        token = self._token_of(token_id)
        return token if token in self.unsplittable_tokens else byte_level_piece(token)

    def save_assets(self, dir_path: str | Path) -> None:
        """Writes `vocabulary.json` and `merges.txt` into an existing folder."""
        self._check_vocabulary()
        folder = Path(dir_path)
        rules = "".join(f"{rule}\n" for rule in self.merges)
        (folder / VOCABULARY).write_text(json.dumps(self.vocabulary), encoding="utf-8")
        (folder / MERGES).write_text(rules, encoding="utf-8", newline="\n")

    def load_assets(self, dir_path: str | Path) -> None:
        """Reads `vocabulary.json` and `merges.txt` from a folder."""
        folder = Path(dir_path)
        self.set_vocabulary_and_merges(folder / VOCABULARY, folder / MERGES)

    def get_config(self) -> dict:
        """The arguments of the constructor; a pattern that is not the class's is one of them."""
        config = super().get_config() | {
            "add_prefix_space": self.add_prefix_space,
            "unsplittable_tokens": self.unsplittable_tokens,
        }
        if self.split_pattern != type(self).split_pattern:
            config["split_pattern"] = self.split_pattern
        return config


def _vocabulary(source: str | Path | dict[str, int]) -> dict[str, int]:
    where = source if isinstance(source, str | Path) else "vocabulary"
    tokens = source if isinstance(source, dict) else read_json(source)
    ids = set()
    for token, token_id in tokens.items():
        if type(token_id) is not int or token_id < 0 or token_id in ids:
            raise PresetError.at(where, shown(token), "a free id of its own", token_id)
        ids.add(token_id)
    return dict(tokens)


def _merges(
    source: str | Path | Iterable[str | Sequence[str]], tokens: dict[str, int]
) -> list[tuple[str, str]]:
    with refusing("merges"):
        rules = _rules(source)
        kept = [(a, b) for a, b in rules if a in tokens and b in tokens and a + b in tokens]
    if len(kept) < len(rules):
        warnings.warn(
            f"{len(rules) - len(kept)} of {len(rules)} merges need tokens that the vocabulary "
            "lacks and are dropped",
            stacklevel=5,
        )
    return kept


def _rules(source: str | Path | Iterable[str | Sequence[str]]) -> list[Sequence[str]]:
    """The pairs, without the line that names a file's version."""
    if isinstance(source, str | Path):
        source = [line.rstrip() for line in read_text(source).split("\n") if line.strip()]
    rules = [rule.split(" ") if isinstance(rule, str) else rule for rule in source]
    return rules[1:] if rules and rules[0][0] == "#version:" else rules
