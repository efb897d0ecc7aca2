"""SentencePiece models, run by the `sentencepiece` library."""

from __future__ import annotations

import math
from itertools import compress
from pathlib import Path
from typing import ClassVar

import sentencepiece

from workbench.errors import PresetError
from workbench.kinds import checks_types
from workbench.tokenizers.checks import expect
from workbench.tokenizers.files import read_bytes, refusing
from workbench.tokenizers.incremental import Piece, TextRule
from workbench.tokenizers.sentence_piece_file import longest_replacement
from workbench.tokenizers.tokenizer import Tokenizer

VOCABULARY = "vocabulary.spm"
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
LONGEST_PIECE = 1024  # characters; at each place of a text all lengths are tried
LONGEST_REPLACEMENT = 64  # bytes; Unicode's form NFKC makes up to 33 of a character


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model; its file says whether a text gets a space in front (Llama 2: yes,
    Gemma: no), whether unknown characters fall back to bytes, and how text is normalised.

    `proto`: the path of a model file, or its bytes.
    `add_bos`, `add_eos`: put the model's own first and last token around every text.

    Symbols that the model lists as user-defined, such as Gemma's `<start_of_turn>`, are one id
    wherever they stand in a text. Control tokens such as `<s>` are not: in a text they are letters.

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
        **kwargs: object,
    ) -> None:
        super().__init__(sequence_length, dtype, **kwargs)
        self.add_bos = add_bos
        self.add_eos = add_eos
        self.proto: bytes | None = None
        self._tokens: list[str] = []
        self._control_symbols: frozenset[str] = frozenset()
        if proto is not None:
            self.set_proto(proto)

    def set_proto(self, proto: str | Path | bytes) -> None:
        """Takes a model from its file or bytes, or raises `PresetError`."""
        data, where = (proto, "proto") if isinstance(proto, bytes) else (read_bytes(proto), proto)
        with refusing(f"{where}: no SentencePiece model"):
            model = sentencepiece.SentencePieceProcessor()
            model.LoadFromSerializedProto(data)
            tokens = model.id_to_piece(list(range(model.vocab_size())))
            controls = model.is_control(list(range(len(tokens))))
            rule = TextRule("surrogateescape", _leading_spaces(model, tokens))
            replacement = longest_replacement(data)
        _expect_at_most(where, "piece", LONGEST_PIECE, max(map(len, tokens), default=0))
        _expect_at_most(where, "replacement of a character", LONGEST_REPLACEMENT, replacement)
        expect("add_bos", not self.add_bos or model.bos_id() >= 0, "a model with <s>", where)
        expect("add_eos", not self.add_eos or model.eos_id() >= 0, "a model with </s>", where)
        self._loaded, self._tokens, self._rule, self.proto = model, tokens, rule, data
        self._control_symbols = frozenset(compress(tokens, controls))
        self._pieces.clear()
        self.check_special_tokens(where)

    def _encode(self, text: str) -> list[int]:
        with refusing(f"{type(self).__name__} cannot split this text"):
            return self._backend.encode(text, add_bos=self.add_bos, add_eos=self.add_eos)

    def control_tokens(self, template: str | None = None) -> frozenset[str]:
        """Those of every tokenizer, and the model's own control symbols."""
        self._check_vocabulary()
        return super().control_tokens(template) | self._control_symbols

    def _encode_between(self, text: str) -> list[int]:
        return self._backend.encode(text)  # a part of a text has no first or last token

    def _piece(self, token_id: int) -> Piece:
        model, token = self._backend, self._tokens[token_id]
        if model.is_control(token_id):
            return ""
        if model.is_byte(token_id):
            return bytes.fromhex(token[3:5])
        if model.is_unknown(token_id):
            return model.decode([token_id]).encode("utf-8")  # bytes keep their leading space
        return token.replace(SPACE, " ")

    def _id_of(self, token: str) -> int | None:
        token_id = self._backend.piece_to_id(token)  # the unknown token's where there is none
        return token_id if self._tokens[token_id] == token else None

    def _token_of(self, token_id: int) -> str | None:
        return self._tokens[token_id]

    def vocabulary_size(self) -> int:
        """The number of pieces of the model."""
        self._check_vocabulary()
        return len(self._tokens)

    def save_assets(self, dir_path: str | Path) -> None:
        """Writes `vocabulary.spm` into an existing folder."""
        (Path(dir_path) / VOCABULARY).write_bytes(self._backend.serialized_model_proto())

    def load_assets(self, dir_path: str | Path) -> None:
        """Reads `vocabulary.spm` from a folder."""
        self.set_proto(Path(dir_path) / VOCABULARY)

    def get_config(self) -> dict:
        """The arguments of the constructor, without the model: that is in the assets."""
        return super().get_config() | {
            "proto": None,
            "add_bos": self.add_bos,
            "add_eos": self.add_eos,
        }


def _expect_at_most(where: object, what: str, most: int, longest: int) -> None:
    """What is longer makes of a text so much, or is looked for at so many places, that the
    library, which nothing can interrupt, does not end."""
    if longest > most:
        raise PresetError.at(where, f"longest {what}", f"at most {most}", longest)


def _leading_spaces(model: sentencepiece.SentencePieceProcessor, tokens: list[str]) -> float:
    """How many pieces lose a space at the start of a text: the library is asked, because it
    does not show the model's own flags. Two lone spaces give back both, one, or none."""
    if SPACE in tokens:
        space = tokens.index(SPACE)
        return {2: 0, 1: 1, 0: math.inf}[len(model.decode([space, space]))]
    spaced = next((i for i, token in enumerate(tokens) if token.startswith(SPACE)), None)
    return 0 if spaced is None or model.decode([spaced]).startswith(" ") else 1
