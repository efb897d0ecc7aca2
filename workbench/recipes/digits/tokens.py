"""The tokenizer of the digits, laid out as Llama's: a piece for each digit, and bytes."""

from __future__ import annotations

import io
from itertools import product

import sentencepiece

from workbench.toy_data.digits.phones import WORDS

START, END = 1, 2
PIECES = 320


def train_tokenizer() -> bytes:
    """Return a serialized SentencePiece model: `<unk>` 0, `<s>` 1, `</s>` 2, 256 bytes, then pieces
    learned from pairs of digits, with all ten words."""
    model = io.BytesIO()
    lines = [f"{first} {second}" for first, second in product(WORDS, WORDS)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=PIECES,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()
