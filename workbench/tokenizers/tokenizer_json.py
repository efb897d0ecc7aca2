"""Transformers' `tokenizer.json`: a whole tokenizer as data, run by the `tokenizers` library.

The file's decoder is implemented here, so that text can be decoded token by token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import tokenizers

from workbench.errors import PresetError
from workbench.kinds import checks_types
from workbench.tokenizers.apart import Apart
from workbench.tokenizers.checks import as_text, expect_tokens
from workbench.tokenizers.control import is_mark
from workbench.tokenizers.files import read_bytes, refusing
from workbench.tokenizers.incremental import Piece, TextRule
from workbench.tokenizers.library import LibraryTokenizer, byte_level_piece
from workbench.tokenizers.linear_time import MAX_GROWTH, growth, reads_linearly
from workbench.tokenizers.word_piece import JOINED_BY_SPACES, word_pieces

TOKENIZER_JSON = "tokenizer.json"
READABLE = "ByteLevel, WordPiece or Replace, ByteFallback, Fuse"
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TransformersTokenizer(LibraryTokenizer):
    """A tokenizer read from a `tokenizer.json`, with the ids of Transformers' fast tokenizers.

    `tokenizer_json`: the path of the file, or its bytes. Other files of a folder say which tokens
    start, end and pad a text: `load_transformers_tokenizer` reads them all.
    `prepends_start_token`: by default as the file's post-processor does.

    Added tokens in a text are single ids. The file's truncation, padding and post-processor are not
    used: text is never cut silently, and the preprocessor adds the start token.

    A file can make the library grow a text without end or try every way to split it. If its steps
    and patterns are not known to be safe, texts are tokenised in a separate process, each within
    5 s of CPU time and 512 MB; a text that exceeds this raises `PresetError`.

    Byte fallback differs from the library's in one case. In a run of byte tokens that is not UTF-8,
    whole characters are kept and only the other bytes become U+FFFD, as in SentencePiece. The
    library replaces the whole run, part of which a stream would have shown already.

    Raises:
        SettingError: an argument is invalid.
        PresetError: the file is missing, malformed or cannot be decoded token by token.
    """

    file_assets = (TOKENIZER_JSON,)
    _asset_arguments: ClassVar[tuple[str, ...]] = ("tokenizer_json",)

    @checks_types
    def __init__(
        self,
        tokenizer_json: str | Path | bytes | None = None,
        sequence_length: int | None = None,
        dtype: object = None,
        start_token: str | None = None,
        end_token: str | None = None,
        pad_token: str | None = None,
        extra_stop_tokens: tuple[str, ...] = (),
        prepends_start_token: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(sequence_length, dtype, **kwargs)
        named = (token for token in (start_token, end_token, pad_token) if token is not None)
        expect_tokens("special tokens", named)
        self.start_token = start_token
        self.end_token = end_token
        self.pad_token = pad_token
        self.extra_stop_tokens = tuple(expect_tokens("extra_stop_tokens", extra_stop_tokens))
        self._prepends = prepends_start_token
        self.sentence_piece: bytes | None = None  # the model that the file was made from, if known
        self._data = b""
        self._around: list[int] = []
        self._added: dict[int, tokenizers.AddedToken] = {}
        self._added_marks: frozenset[str] = frozenset()
        if tokenizer_json is not None:
            self.set_tokenizer_json(tokenizer_json)

    def set_tokenizer_json(self, source: str | Path | bytes) -> None:
        """Set the content of a file.

        Raises:
            PresetError: it is missing, malformed or cannot be decoded token by token.
        """
        given = isinstance(source, bytes)
        data, where = (source, TOKENIZER_JSON) if given else (read_bytes(source), source)
        with refusing(str(where)):
            if not reads_linearly(data):
                Apart(data.decode("utf-8"), f"{where}: cannot be read").encode("")
            library = tokenizers.Tokenizer.from_buffer(data)
            library.no_truncation()
            library.no_padding()
            decoder = json.loads(library.decoder.__getstate__()) if library.decoder else {}
        rule, read_piece = _reading(decoder, where)
        self._adopt(library, where)
        self._rule, self._read_piece = rule, read_piece
        self._added = library.get_added_tokens_decoder()
        added = (token.content for token in self._added.values())
        self._added_marks = frozenset(filter(is_mark, added))
        self._data, self._around = data, self._ids("", special=True)

    def _prepends_by_default(self) -> bool:
        """Do as the file's post-processor does."""
        return self.start_token is not None and self.start_token_id in self._around

    @property
    def special_token_ids(self) -> frozenset[int]:
        """The ids that generated text leaves out: also all that the file marks as special."""
        marked = (token_id for token_id, token in self._added.items() if token.special)
        return super().special_token_ids | frozenset(marked)

    @property
    def _marks(self) -> frozenset[str]:
        return self._added_marks

    def tokenize_marked(self, text: str, control: frozenset[str]) -> list[int]:
        """Return token ids of a text in which each added token is one id. The file says which of
        them absorb spaces; `control` is not used."""
        return self._encode(as_text(text))

    def _piece(self, token: str, token_id: int) -> Piece:
        if token_id in self._added and self._read_piece is byte_level_piece:
            return token
        return self._read_piece(token)

    def state(self) -> dict:
        """Return the file's content in the library's current form."""
        return json.loads(self._backend.to_str())

    def save_assets(self, dir_path: str | Path) -> None:
        """Write `tokenizer.json`, byte for byte as it was read, to an existing folder."""
        self._check_vocabulary()
        (Path(dir_path) / TOKENIZER_JSON).write_bytes(self._data)

    def load_assets(self, dir_path: str | Path) -> None:
        """Read `tokenizer.json` from a folder."""
        self.set_tokenizer_json(Path(dir_path) / TOKENIZER_JSON)

    def get_config(self) -> dict:
        """Return the constructor's arguments without the file, which is in the assets."""
        return super().get_config() | {
            "start_token": self.start_token,
            "end_token": self.end_token,
            "pad_token": self.pad_token,
            "extra_stop_tokens": list(self.extra_stop_tokens),
            "prepends_start_token": self._prepends,
        }


def _reading(decoder: dict, where: object) -> tuple[TextRule, Callable[[str], Piece]]:
    """Translate a file's decoder; see `READABLE`."""
    steps = _steps(decoder)
    kinds = [step["type"] for step in steps]
    if steps and not growth(decoder) <= MAX_GROWTH:
        expected = f"steps known to write at most {MAX_GROWTH} bytes for one"
        raise PresetError.at(where, "decoder", expected, kinds)
    if kinds == ["ByteLevel"]:
        return TextRule(), byte_level_piece
    if kinds == ["WordPiece"]:
        return JOINED_BY_SPACES, word_pieces(steps[0]["prefix"])
    replaced = []
    while steps and steps[0]["type"] == "Replace" and "String" in steps[0]["pattern"]:
        step = steps.pop(0)
        replaced.append((step["pattern"]["String"], step["content"]))
    spaces = 0
    if steps and steps[-1] == {"type": "Strip", "content": " ", "start": 1, "stop": 0}:
        steps.pop()
        spaces = 1
    if [step["type"] for step in steps] != ["ByteFallback", "Fuse"]:
        raise PresetError.at(where, "decoder", READABLE, kinds)
    return TextRule("surrogateescape", spaces), partial(_fallback_piece, tuple(replaced))


def _steps(decoder: dict) -> list[dict]:
    if decoder.get("type") == "Sequence":
        return [step for part in decoder["decoders"] for step in _steps(part)]
    return [decoder] if decoder else []


def _fallback_piece(replaced: tuple[tuple[str, str], ...], token: str) -> Piece:
    found = BYTE_TOKEN.fullmatch(token)
    if found is None:
        for old, new in replaced:
            token = token.replace(old, new)
        return token
    byte = int(found[1], 16)
    return bytes([byte]) if byte >= 0x80 else chr(byte)  # ASCII is whole text
