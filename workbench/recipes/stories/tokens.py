"""The tokenizer of the stories: 2048 SentencePiece pieces with byte fallback, and rows of ids."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice

import numpy as np
import sentencepiece

from workbench.toy_data.stories.generator import stories

PIECES = 2048
START, END = 1, 2
FIRST_WORD_PIECE = 259  # after <unk>, <s>, </s> and the bytes
ECHO_PERIODS = 1, 6.5  # logarithms to base 2; short periods are easy to learn first


def train_tokenizer(seed: int, count: int = 25_000) -> bytes:
    """Return a serialized SentencePiece model, learned from `count` stories of `seed`.

    Laid out as Llama's: `<unk>` 0, `<s>` 1, `</s>` 2, then the 256 bytes; a space before the text.
    """
    lines = (line for story in islice(stories(seed), count) for line in story.split("\n") if line)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=PIECES,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        character_coverage=0.99999,
        input_sentence_size=0,
        num_threads=2,
        minloglevel=2,
    )
    return model.getvalue()


def encoded_stories(model: sentencepiece.SentencePieceProcessor, seed: int) -> Iterator[list[int]]:
    """Yield endless stories as ids, each between `<s>` and `</s>`."""
    for story in stories(seed):
        yield [START, *model.encode(story), END]


def rows(
    model: sentencepiece.SentencePieceProcessor, seed: int, length: int
) -> Iterator[np.ndarray]:
    """Yield endless rows of `length` + 1 ids. Each starts with a story and is filled up with the
    next ones. The rest is dropped, so that the first story is always read from its start."""
    source = encoded_stories(model, seed)
    while True:
        row: list[int] = []
        while len(row) <= length:
            row += next(source)
        yield np.array(row[: length + 1], np.int32)


def echo(rng: np.random.Generator, length: int) -> np.ndarray:
    """Return a row of `length` + 1 random pieces that repeat with a random period. It teaches only
    to look back and copy, which keeps a name through a story."""
    period = int(2 ** rng.uniform(*ECHO_PERIODS))
    pieces = rng.integers(FIRST_WORD_PIECE, PIECES, period)
    return np.resize(pieces, length + 1).astype(np.int32)


def batches(
    model: sentencepiece.SentencePieceProcessor, seed: int, size: int, length: int, echoes: int = 0
) -> Iterator[np.ndarray]:
    """Yield endless int32 arrays (size, length + 1) of `rows`; the first `echoes` are echoes."""
    source = rows(model, seed, length)
    rng = np.random.default_rng(seed)
    while True:
        told = list(islice(source, size - echoes))
        yield np.stack([echo(rng, length) for _ in range(echoes)] + told)
