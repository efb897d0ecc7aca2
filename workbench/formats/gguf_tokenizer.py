"""Reads the tokenizer in the metadata of a GGUF file.

`tokenizer.ggml.model` is "llama" for a SentencePiece model written piece by piece, and "gpt2" for
byte-level BPE. Both become the same object as the `tokenizer.json` of the same model, so both give
a text the same ids. A GGUF file lacks a few facts of that file; they follow from its architecture
(`_spaces_taken`, `_respelled`).
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tokenizers
from tokenizers import AddedToken, models, normalizers, pre_tokenizers

from workbench.errors import PresetError
from workbench.formats.gguf_splits import SPLITS, Split
from workbench.kinds import FLAG, NOTHING, TEXT, Kind, integer
from workbench.storage.json_files import shown
from workbench.tokenizers import TransformersTokenizer
from workbench.tokenizers.files import refusing
from workbench.tokenizers.sentence_piece import SPACE
from workbench.tokenizers.sentence_piece_file import ModelFile
from workbench.tokenizers.sentence_piece_json import marked_json

_GGML = "tokenizer.ggml."
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_MOST_CUT = 1 << 28  # characters in all splits of pieces into two; Gemma 3 has 11 million
_STOPS = ("eot_token_id", "eom_token_id")


def has_tokenizer(metadata: Mapping[str, Any]) -> bool:
    """Return whether the file holds a tokenizer; some hold only weights."""
    return metadata.get(_GGML + "model", "none") not in ("none", "no_vocab")


def token_count(metadata: Mapping[str, Any]) -> int:
    """Return the number of tokens that the file lists."""
    tokens = metadata.get(_GGML + "tokens")
    return len(tokens) if isinstance(tokens, list) else 0


def read_tokenizer(file: str, metadata: Mapping[str, Any]) -> TransformersTokenizer:
    """Return the tokenizer of a file with its special tokens and chat template.

    Generation ends at the end token, `eot_token_id`, `eom_token_id` and the token with which the
    chat template ends a turn.

    Args:
        file: the file's name, for messages.
        metadata: the metadata from `read_header`.

    Raises:
        PresetError: there is no tokenizer, its kind or its way to split text is unknown, or its
            tables are inconsistent.
    """
    table = _Table(file, metadata)
    kind = table.text("model", "none")
    if kind == "llama":
        tokenizer = _sentence_piece(table)
    elif kind == "gpt2":
        tokenizer = _byte_pair(table)
    else:
        raise table.error("model", "llama (SentencePiece) or gpt2 (byte-level BPE)", kind)
    tokenizer.start_token = table.token("bos_token_id")
    tokenizer.end_token = table.token("eos_token_id")
    tokenizer.pad_token = table.token("padding_token_id")
    stops = (table.token(key) for key in _STOPS)
    tokenizer.extra_stop_tokens = tuple(token for token in stops if token is not None)
    tokenizer.chat_template = _chat_template(file, metadata)
    tokenizer.check_special_tokens(file)
    return tokenizer


class _Table:
    """The tokenizer's keys, and its tokens with their types."""

    def __init__(self, file: str, metadata: Mapping[str, Any]) -> None:
        self.file = file
        self._values = metadata
        self.architecture = str(metadata.get("general.architecture", ""))
        self.is_gemma = self.architecture.startswith("gemma")
        self.tokens = self.strings("tokens")
        self.types = self._types()

    def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(_GGML + key, default)

    def flag(self, key: str, default: bool) -> bool:
        return self._of_kind(FLAG, key, default)

    def text(self, key: str, default: str) -> str:
        return self._of_kind(TEXT, key, default)

    def _of_kind(self, kind: Kind, key: str, default: Any) -> Any:
        value = self.get(key, default)
        kind.check(f"{self.file}: {_GGML}{key}", value, PresetError)
        return value

    def strings(self, key: str) -> list[str]:
        values = self.get(key)
        if not isinstance(values, list) or not values:
            raise self.error(key, "a list of strings", values)
        return values

    def numbers(self, key: str) -> np.ndarray:
        """Return one number per token."""
        values = self.get(key)
        numbers = isinstance(values, np.ndarray) and values.dtype.kind in "iuf"
        if not numbers or values.size != len(self.tokens):
            expected = f"{len(self.tokens)} numbers, one of each of the tokens"
            raise self.error(key, expected, values)
        return values

    def index(self, key: str) -> int | None:
        """Return an id, or None if the file names none."""
        return self._of_kind(integer(0, len(self.tokens) - 1) | NOTHING, key, None)

    def token(self, key: str) -> str | None:
        """Return the token of an id, or None if the file names none."""
        index = self.index(key)
        return None if index is None or self.types[index] == _UNUSED else self.tokens[index]

    def error(self, key: str, expected: object, got: object) -> PresetError:
        return PresetError.at(self.file, _GGML + key, expected, shown(got))

    def _types(self) -> np.ndarray:
        if self.get("token_type") is None:
            return np.full(len(self.tokens), _NORMAL)
        return self.numbers("token_type")


def _chat_template(file: str, metadata: Mapping[str, Any]) -> str | None:
    template = metadata.get("tokenizer.chat_template")
    if template is not None and not isinstance(template, str):
        raise PresetError.at(file, "tokenizer.chat_template", "a string", shown(template))
    return template or None


# Byte-level BPE.


def _byte_pair(table: _Table) -> TransformersTokenizer:
    split = _split(table)
    ids = {token: i for i, token in enumerate(table.tokens) if table.types[i] != _UNUSED}
    _expect_once(table, ids, table.types)
    with refusing(f"{table.file}: {_GGML}merges"):
        model = models.BPE(ids, list(_merges(table)), ignore_merges=split.ignore_merges)
        library = tokenizers.Tokenizer(model)
        if split.composes:
            library.normalizer = normalizers.NFC()
        library.pre_tokenizer = pre_tokenizers.Sequence(list(split.steps()))
        library.decoder = tokenizers.decoders.ByteLevel()
        marks = list(_marks(table, zip(table.tokens, table.types.tolist(), strict=True)))
        library.add_special_tokens([mark for mark in marks if mark.special])
        library.add_tokens([mark for mark in marks if not mark.special])
        data = library.to_str().encode()
    starts = table.flag("add_bos_token", split.starts)
    return TransformersTokenizer(data, prepends_start_token=starts)


def _split(table: _Table) -> Split:
    name = table.text("pre", "")
    if not name:
        warnings.warn(
            f"{table.file}: {_GGML}pre is missing, so how the tokenizer splits text is a guess",
            stacklevel=2,
        )
        name = "default"
    if name not in SPLITS:
        raise table.error("pre", f"one of {', '.join(SPLITS)}", name)
    return SPLITS[name]


def _merges(table: _Table) -> Iterator[tuple[str, str]]:
    for merge in table.strings("merges"):
        first, _, second = merge.partition(" ")
        if not first or not second:
            raise table.error("merges", "two tokens with a space between", merge)
        yield first, second


def _expect_once(table: _Table, different: Collection[str], types: np.ndarray) -> None:
    if len(different) != np.count_nonzero(types != _UNUSED):
        raise table.error("tokens", "each token once", "one of them twice")


def _marks(table: _Table, pieces: Iterable[tuple[str, int]]) -> Iterator[AddedToken]:
    """Yield the tokens that are found in a text before any splitting."""
    for token, kind in pieces:
        if token and kind in (_UNKNOWN, _CONTROL, _USER_DEFINED):
            left, right = _spaces_taken(table, token)
            special = kind != _USER_DEFINED
            yield AddedToken(token, lstrip=left, rstrip=right, normalized=False, special=special)


def _spaces_taken(table: _Table, token: str) -> tuple[bool, bool]:
    """Return whether a token absorbs the white space before and after it, as Microsoft's tokens
    do."""
    if table.architecture != "phi3":
        return False, False
    if table.text("pre", "") == "dbrx":  # Phi-4
        return True, True
    return False, token not in ("<unk>", "<s>", "<|endoftext|>")


# SentencePiece. A family's class reads only the library's format, protocol buffers
# (github.com/google/sentencepiece, "sentencepiece_model.proto"), so pieces are written in it.

_VARINT, _BYTES, _FLOAT = 0, 2, 5
_BPE = 2


def _sentence_piece(table: _Table) -> TransformersTokenizer:
    model = _model(table)
    pieces = ((piece, kind) for piece, _, kind in model.pieces)
    longest_first = table.is_gemma and _USER_DEFINED in table.types
    with refusing(f"{table.file}: {_GGML}tokens"):
        data = marked_json(model, _marks(table, pieces), longest_first).encode()
    starts = table.flag("add_bos_token", True)
    tokenizer = TransformersTokenizer(data, prepends_start_token=starts)
    tokenizer.sentence_piece = _proto(table, model)
    return tokenizer


def _model(table: _Table) -> ModelFile:
    scores = table.numbers("scores").astype(np.float32)
    if not np.isfinite(scores).all():
        raise table.error("scores", "finite numbers", "others")
    tokens, types = table.tokens, _piece_types(table)
    cut = sum(len(token) ** 2 for token in tokens)
    if cut > _MOST_CUT:
        raise table.error("tokens", f"lengths whose squares make at most {_MOST_CUT}", cut)
    if table.is_gemma:
        tokens, scores = _respelled(tokens), np.arange(0, -len(tokens), -1, dtype=np.float32)
        scores[types == _USER_DEFINED] = 0
    pieces = tuple(zip(tokens, scores.tolist(), types.tolist(), strict=True))
    _expect_once(table, {piece for piece, _, kind in pieces if kind != _UNUSED}, types)
    return ModelFile(
        pieces,
        algorithm=_BPE,
        byte_fallback=True,
        space_after=False,
        character_map=b"",
        prefixes=table.flag("add_space_prefix", True),
        collapses=table.flag("remove_extra_whitespaces", False),
        marks_spaces=True,
        maps_back=False,
    )


def _respelled(tokens: list[str]) -> list[str]:
    """Restore the spelling of Gemma's pieces: its files write runs of spaces literally, and the
    scores do not give the merge order (symbols come first, then the order of ids)."""
    return [token if token.strip(" ") else SPACE * len(token) for token in tokens]


def _proto(table: _Table, model: ModelFile) -> bytes:
    pieces = b"".join(_field(1, _piece(*piece)) for piece in model.pieces)
    trainer = _number(3, _BPE) + _number(4, len(table.tokens)) + _number(35, 1) + _names(table)
    normalizer = (
        _field(1, b"identity")
        + _number(3, model.prefixes)
        + _number(4, model.collapses)
        + _number(5, 1)
    )
    return pieces + _field(2, trainer) + _field(3, normalizer)


def _piece_types(table: _Table) -> np.ndarray:
    """Return the types in the library's form: exactly one piece is the unknown one. Files also give
    that type to table rows without a token."""
    known = (table.types >= _NORMAL) & (table.types <= _BYTE)
    types = np.where(known, table.types, _NORMAL)
    unknown = table.index("unknown_token_id")
    unknown = int(np.argmax(types == _UNKNOWN)) if unknown is None else unknown
    types[types == _UNKNOWN] = _UNUSED
    types[unknown] = _UNKNOWN
    return types


def _names(table: _Table) -> bytes:
    """Encode which pieces are the unknown, first, last and padding tokens, as far as the file
    states it."""
    keys = ("unknown_token_id", "bos_token_id", "eos_token_id", "padding_token_id")
    named = zip((45, 46, 47, 48), map(table.token, keys), strict=True)
    return b"".join(_field(number, token.encode()) for number, token in named if token)


def _piece(token: str, score: float, kind: int) -> bytes:
    return (
        _field(1, token.encode())
        + bytes([2 << 3 | _FLOAT])
        + struct.pack("<f", score)
        + (_number(3, kind))
    )


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(int(value))


def _varint(value: int) -> bytes:
    """Encode an integer with seven bits per byte, lowest first; the eighth bit says that more
    follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
