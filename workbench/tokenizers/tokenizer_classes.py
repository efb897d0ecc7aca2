"""From the tokenizer a Transformers folder gives to the class of a family, where that is exact."""

from __future__ import annotations

from workbench.errors import PresetError
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


def as_family_class(tokenizer: Tokenizer, cls: type[Tokenizer]) -> Tokenizer:
    """The same tokenizer as a family's class, with its chat template.

    Args:
        tokenizer: as loaded.
        cls: the family's class; of a SentencePiece one the folder must have had the model.

    Raises:
        PresetError: as `cls` it would give other ids.
    """
    if isinstance(tokenizer, cls):
        return tokenizer
    converted = _converted(tokenizer, cls)
    converted.chat_template = tokenizer.chat_template
    return converted


def _converted(tokenizer: Tokenizer, cls: type[Tokenizer]) -> Tokenizer:
    if isinstance(tokenizer, SentencePieceTokenizer) and issubclass(cls, SentencePieceTokenizer):
        return cls(tokenizer.proto, sequence_length=tokenizer.sequence_length)
    if isinstance(tokenizer, TransformersTokenizer):
        if issubclass(cls, BytePairTokenizer):
            return to_byte_pair(tokenizer, cls)
        if issubclass(cls, WordPieceTokenizer):
            return to_word_piece(tokenizer, cls)
        if tokenizer.sentence_piece is not None:
            return to_sentence_piece(tokenizer, tokenizer.sentence_piece, cls)
    raise PresetError(f"a {type(tokenizer).__name__} cannot be made a {cls.__name__}")
