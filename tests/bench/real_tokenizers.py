"""Published tokenizers beside their libraries and beside the ids published with them.

    python tests/bench/real_tokenizers.py FOLDER...

In each folder, and below: a `ggml-vocab-NAME.gguf` with texts (`.inp`) and ids (`.out`), as in
llama.cpp's `models`, is compared with those ids. A `tokenizer.json` is read as it is and, where it
fits, as a family's class; a `*.model` (or `.model.v3`) as SentencePiece and as the file that is
exported for Transformers. Both are compared with the library itself on 10,000 mixed texts.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import sentencepiece
import tokenizers

import workbench as wb
from workbench.errors import PresetError
from workbench.formats.gguf_file import read_header
from workbench.formats.gguf_tokenizer import read_tokenizer
from workbench.tokenizers import (
    SentencePieceTokenizer,
    Tokenizer,
    TransformersTokenizer,
    to_byte_pair,
)
from workbench.tokenizers.sentence_piece_file import CONTROL, UNKNOWN, read_model
from workbench.tokenizers.sentence_piece_json import sentence_piece_json

sys.path.append(str(Path(__file__).parents[1] / "tokenizers"))
from mixed_texts import mixed_texts

COUNT = 10_000
BETWEEN = "\n__ggml_vocab_test__\n"
CLASSES = ("GPT2", "Llama3", "Qwen", "Qwen3", "Bloom")
Row = tuple[str, int | str, int | str]
Ids = Callable[[list[str]], list[list[int]]]


def suites(folder: Path) -> Iterator[Row]:
    """Vocabularies with their own texts and ids."""
    for file in sorted(folder.rglob("ggml-vocab-*.gguf")):
        texts, ids = Path(f"{file}.inp"), Path(f"{file}.out")
        if not texts.is_file():
            continue
        try:
            tokenizer = read_tokenizer(file.name, read_header(file).metadata)
        except PresetError as error:
            yield file.stem, "refused", str(error)[:120]
            continue
        lines = ids.read_text().split("\n")
        expected = [[int(token) for token in line.split()] for line in lines]
        given = texts.read_bytes().decode().split(BETWEEN)
        yield file.stem, len(given), differing(tokenizer(given), expected[: len(given)])


def files(folder: Path) -> Iterator[Row]:
    """`tokenizer.json` files, and the classes they become."""
    for file in sorted(folder.rglob("tokenizer.json")):
        library = tokenizers.Tokenizer.from_file(str(file))
        library.no_truncation()
        library.no_padding()
        tokenizer = TransformersTokenizer(file)
        where = str(file.relative_to(folder))
        yield compared(where, tokenizer, by_library(library))
        for name in CLASSES:
            cls = getattr(wb.models, f"{name}Tokenizer")
            try:
                converted = to_byte_pair(tokenizer, cls)
            except PresetError:
                continue
            yield compared(f"{where} as {cls.__name__}", converted, by_library(library))


def models(folder: Path) -> Iterator[Row]:
    """SentencePiece models, and the `tokenizer.json` written of them."""
    for file in sorted({*folder.rglob("*.model"), *folder.rglob("*.model.v*")}):
        tokenizer = SentencePieceTokenizer(file)
        oracle = sentencepiece.SentencePieceProcessor(model_file=str(file))
        where = str(file.relative_to(folder))
        yield compared(where, tokenizer, oracle.encode)
        written = sentence_piece_json(tokenizer)
        if written is None:
            yield f"{where} as tokenizer.json", "refused", ""
            continue
        apart = read_model(tokenizer.proto).of_kind(CONTROL, UNKNOWN)  # a tokenizer.json finds them
        again = TransformersTokenizer(written.encode())
        yield compared(f"{where} as tokenizer.json", again, oracle.encode, frozenset(apart))


def by_library(library: tokenizers.Tokenizer) -> Ids:
    def ids(texts: list[str]) -> list[list[int]]:
        return [row.ids for row in library.encode_batch(texts, add_special_tokens=False)]

    return ids


def compared(
    name: str, tokenizer: Tokenizer, oracle: Ids, without: frozenset[str] = frozenset()
) -> Row:
    """How many mixed texts there were, and how many got other ids."""
    words = [tokenizer.token_text(i) for i in range(tokenizer.vocabulary_size())]
    texts = mixed_texts(COUNT, words)
    texts = [text for text in texts if not any(token in text for token in without)]
    return name, len(texts), differing(tokenizer(texts), oracle(texts))


def differing(ids: list[list[int]], expected: list[list[int]]) -> int:
    return sum(a != b for a, b in zip(ids, expected, strict=True))


def main() -> None:
    """Prints a table."""
    warnings.simplefilter("ignore")
    print(f"{'tokenizer':90} {'texts':>8} other ids")
    for folder in map(Path, sys.argv[1:]):
        for kind in (suites, files, models):
            for name, count, wrong in kind(folder):
                print(f"{name:90} {count:>8} {wrong}", flush=True)


if __name__ == "__main__":
    main()
