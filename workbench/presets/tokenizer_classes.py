"""From the tokenizer a Transformers folder gives to the class of a family, where that is exact."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import PresetError
from workbench.presets.paths import has_file, preset_file
from workbench.tokenizers import (
    BytePairTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    TransformersTokenizer,
    WordPieceTokenizer,
    to_byte_pair,
    to_sentence_piece,
    to_word_piece,
)

SENTENCE_PIECE = "tokenizer.model"


def as_family_class(
    tokenizer: Tokenizer, cls: type[Tokenizer], folder: Path | None = None
) -> Tokenizer:
    """The same tokenizer as a family's class, with its chat template.

    Args:
        tokenizer: as loaded.
        cls: the family's class.
        folder: the Transformers folder it came from, whose `tokenizer.model` a SentencePiece
            class needs; None where there is none any more.

    Raises:
        PresetError: as `cls` it would give other ids.
    """
    if isinstance(tokenizer, cls):
        return tokenizer
    converted = _converted(tokenizer, cls, folder)
    converted.chat_template = tokenizer.chat_template
    return converted


def _converted(tokenizer: Tokenizer, cls: type[Tokenizer], folder: Path | None) -> Tokenizer:
    if isinstance(tokenizer, SentencePieceTokenizer) and issubclass(cls, SentencePieceTokenizer):
        return cls(tokenizer.proto, sequence_length=tokenizer.sequence_length)
    if isinstance(tokenizer, TransformersTokenizer):
        if issubclass(cls, BytePairTokenizer):
            return to_byte_pair(tokenizer, cls)
        if issubclass(cls, WordPieceTokenizer):
            return to_word_piece(tokenizer, cls)
        if folder is not None and has_file(folder, SENTENCE_PIECE):
            proto = preset_file(folder, SENTENCE_PIECE)
            return to_sentence_piece(tokenizer, proto, cls)
    raise PresetError(f"a {type(tokenizer).__name__} cannot be made a {cls.__name__}")
