"""SentencePiece models, run by the `sentencepiece` library."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import sentencepiece

from workbench.errors import PresetError
from workbench.kinds import checks_types
from workbench.tokenizers.checks import expect
from workbench.tokenizers.control import is_mark
from workbench.tokenizers.files import read_bytes, refusing
from workbench.tokenizers.incremental import Piece, TextRule
from workbench.tokenizers.sentence_piece_file import longest_replacement, user_defined
from workbench.tokenizers.tokenizer import Tokenizer

VOCABULARY = "vocabulary.spm"
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
LONGEST_PIECE = 1024  # characters; all lengths are tried at each position of a text
LONGEST_REPLACEMENT = 64  # bytes; NFKC turns a character into up to 33


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model. Its file says whether to put a space before a text (Llama 2: yes,
    Gemma: no), whether unknown characters fall back to bytes, and how to normalise text.

    `proto`: the path of a model file, or its bytes.
    `add_bos`, `add_eos`: put the model's start or end token around every text.

    User-defined symbols of the model, such as Gemma's `<start_of_turn>`, are one id anywhere in a
    text. Control tokens such as `<s>` are not: in a text they are read as letters.

    Raises:
        SettingError: an argument is invalid, or the model lacks the token for `add_bos`/`add_eos`.
        PresetError: the file is missing or no SentencePiece model, or lacks special tokens.

    ```python
    tokenizer = SentencePieceTokenizer("vocabulary.spm")
    tokenizer.detokenize(tokenizer("the quick brown fox"))
    ```
    """

    file_assets = (VOCABULARY,)
    _asset_arguments: ClassVar[tuple[str, ...]] = ("proto",)

    @checks_types
    def __init__(
        self,
        proto: str | Path | bytes | None = None,
        sequence_length: int | None = None,
        dtype: object = None,
        add_bos: bool = False,
        add_eos: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(sequence_length, dtype, **kwargs)
        self.add_bos = add_bos
        self.add_eos = add_eos
        self.proto: bytes | None = None
        self._tokens: list[str] = []
        self._symbols: frozenset[str] | None = (
            None  # found when first needed: it takes time in a large model
        )
        if proto is not None:
            self.set_proto(proto)

    def set_proto(self, proto: str | Path | bytes) -> None:
        """Set the model from its file or bytes.

        Raises:
            PresetError: the file is missing or no SentencePiece model, or lacks special tokens.
        """
        data, where = (proto, "proto") if isinstance(proto, bytes) else (read_bytes(proto), proto)
        with refusing(f"{where}: no SentencePiece model"):
            model = sentencepiece.SentencePieceProcessor()
            model.LoadFromSerializedProto(data)
            tokens = model.id_to_piece(list(range(model.vocab_size())))
            rule = TextRule("surrogateescape", _leading_spaces(model, tokens))
            replacement = longest_replacement(data)
        _expect_at_most(where, "piece", LONGEST_PIECE, max(map(len, tokens), default=0))
        _expect_at_most(where, "replacement of a character", LONGEST_REPLACEMENT, replacement)
        expect("add_bos", not self.add_bos or model.bos_id() >= 0, "a model with <s>", where)
        expect("add_eos", not self.add_eos or model.eos_id() >= 0, "a model with </s>", where)
        self._loaded, self._tokens, self._rule, self.proto = model, tokens, rule, data
        self._pieces.clear()
        self._symbols = None
        self.check_special_tokens(where)

    def _encode(self, text: str) -> list[int]:
        with refusing(f"{type(self).__name__} cannot split this text"):
            return self._backend.encode(text, add_bos=self.add_bos, add_eos=self.add_eos)

    @property
    def _marks(self) -> frozenset[str]:
        if self._symbols is None:
            model, symbols = self._backend, filter(is_mark, user_defined(self.model_bytes))
            control = (token for i, token in enumerate(self._tokens) if model.is_control(i))
            self._symbols = frozenset(control).union(symbols)
        return self._symbols

    def _encode_between(self, text: str) -> list[int]:
        return self._backend.encode(text)  # without start and end tokens: it is part of a text

    @property
    def model_bytes(self) -> bytes:
        """The model file's bytes.

        Raises:
            PresetError: there is no model yet.
        """
        self._check_vocabulary()
        return self.proto or b""

    def _piece(self, token: str, token_id: int) -> Piece:
        model = self._backend
        if model.is_control(token_id):
            return ""
        if model.is_byte(token_id):
            return bytes.fromhex(token[3:5])
        if model.is_unknown(token_id):
            return model.decode([token_id]).encode("utf-8")  # as bytes: their leading space is kept
        return token.replace(SPACE, " ")

    def is_unused(self, token_id: int) -> bool:
        """Whether the model never uses this piece."""
        return self._backend.is_unused(token_id)

    def _id_of(self, token: str) -> int | None:
        token_id = self._backend.piece_to_id(token)  # the unknown token's if there is none
        return token_id if self._tokens[token_id] == token else None

    def _token_of(self, token_id: int) -> str | None:
        return self._tokens[token_id]

    def vocabulary_size(self) -> int:
        """Return the number of the model's pieces."""
        self._check_vocabulary()
        return len(self._tokens)

    def save_assets(self, dir_path: str | Path) -> None:
        """Write `vocabulary.spm` to an existing folder."""
        (Path(dir_path) / VOCABULARY).write_bytes(self._backend.serialized_model_proto())

    def load_assets(self, dir_path: str | Path) -> None:
        """Read `vocabulary.spm` from a folder."""
        self.set_proto(Path(dir_path) / VOCABULARY)

    def get_config(self) -> dict:
        """Return the constructor's arguments without the model, which is in the assets."""
        return super().get_config() | {
            "proto": None,
            "add_bos": self.add_bos,
            "add_eos": self.add_eos,
        }


def _expect_at_most(where: object, what: str, most: int, longest: int) -> None:
    """Refuse models with which the library, which cannot be interrupted, would run without end."""
    if longest > most:
        raise PresetError.at(where, f"longest {what}", f"at most {most}", longest)


def _leading_spaces(model: sentencepiece.SentencePieceProcessor, tokens: list[str]) -> float:
    """Find how many pieces lose a space at the start of a text. The library does not show the
    model's flags, so decode two lone spaces: both, one or none remain."""
    if SPACE in tokens:
        space = tokens.index(SPACE)
        return {2: 0, 1: 1, 0: math.inf}[len(model.decode([space, space]))]
    spaced = next((i for i, token in enumerate(tokens) if token.startswith(SPACE)), None)
    return 0 if spaced is None or model.decode([spaced]).startswith(" ") else 1
