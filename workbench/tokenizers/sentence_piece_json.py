"""Write a SentencePiece model as a `tokenizer.json`, for programs that read no other file.

A BPE model's file has no merges: any two pieces whose concatenation is a piece may be merged, best
score first. Of two overlapping merges SentencePiece takes the leftmost, the `tokenizers` library
the one listed first. So the result is tested on texts before it is returned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from workbench.tokenizers import sentence_piece_file as spm
from workbench.tokenizers.sentence_piece import SPACE, SentencePieceTokenizer
from workbench.tokenizers.sentence_piece_file import ModelFile

LONGEST_RUN = 100  # of spaces, in the test texts
BYTE_NAME = "<(?=0x[0-9A-F]{2}>)"
ONLY_BYTE_NAME = r"\A<(?=0x[0-9A-F]{2}>\z)"


def sentence_piece_json(tokenizer: SentencePieceTokenizer) -> str | None:
    """Write the model as the content of a `tokenizer.json` that gives SentencePiece's ids.

    User-defined symbols are one id anywhere in a text, as in SentencePiece. Two things differ.
    Control pieces and the tokenizer's special tokens are one id in a text too, as always in
    Transformers, and the text after one is tokenised separately. If a model replaces characters by
    a table (`nmt_nfkc`; Llama 2, Mistral, Phi-3 and Gemma have none), the library applies it by
    grapheme, which differs for a few, such as half-width katakana with a voicing mark.

    Returns:
        The content, or None if ids would differ: unused pieces, words that include the space after
        them, algorithms other than BPE and unigram, or different ids for the test texts.
    """
    proto = tokenizer.model_bytes

    model = spm.read_model(proto)
    if not _can_be_written(model):
        return None
    library = tokenizers.Tokenizer(_bpe(model) if model.algorithm == spm.BPE else _unigram(model))
    library.normalizer = normalizers.Sequence(list(_normalizers(model)))
    library.decoder = _decoder(model)
    symbols = model.of_kind(spm.USER_DEFINED)
    splits = [pre_tokenizers.Split(Regex(p), "isolated") for p in _patterns(model, symbols)]
    if splits:
        library.pre_tokenizer = pre_tokenizers.Sequence(splits)
    if not model.prefixes:
        library.add_tokens([AddedToken(symbol, normalized=True) for symbol in symbols])
    if not _agrees(library, proto, model):
        return None
    special = [*model.of_kind(spm.CONTROL, spm.UNKNOWN), *tokenizer.special_tokens]
    library.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return library.to_str(pretty=True)


def marked_json(model: ModelFile, marks: Iterable[AddedToken], longest_first: bool = False) -> str:
    """Write a BPE model as the content of a `tokenizer.json` in Transformers' way: each mark is one
    id anywhere in a text, and the text between marks is tokenised separately.

    `marks`: pieces of the model, with flags for the white space that each takes.
    `longest_first`: whether merges with equal scores are ordered by the longest first part.
    """
    library = tokenizers.Tokenizer(models.BPE(**_bpe_options(model)))
    library.normalizer = normalizers.Sequence(list(_normalizers(model)))
    library.decoder = _decoder(model)
    content = json.loads(library.to_str())
    ids = {piece: i for i, (piece, _, kind) in enumerate(model.pieces) if kind != spm.UNUSED}
    merges = _merges(model, spm.NORMAL, spm.USER_DEFINED)
    if longest_first:
        words = model.of_kind(spm.NORMAL, spm.USER_DEFINED)
        merges.sort(key=lambda pair: (-words["".join(pair)], *(-len(part) for part in pair)))
    content["model"] |= {"vocab": ids, "merges": merges}
    content["added_tokens"] = [_entry(mark, ids) for mark in marks]
    return json.dumps(content, ensure_ascii=False)


def _entry(mark: AddedToken, ids: dict[str, int]) -> dict[str, Any]:
    """Return a mark's entry in `added_tokens`."""
    keys = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    return {"id": ids[mark.content], **{key: getattr(mark, key) for key in keys}}


def _can_be_written(model: ModelFile) -> bool:
    """Whether the library can run the model. To it, a character that is no piece is unknown even
    within a piece."""
    words = model.of_kind(spm.NORMAL)
    return (
        model.algorithm in (spm.BPE, spm.UNIGRAM)
        and model.marks_spaces
        and not (model.space_after or model.maps_back or model.of_kind(spm.UNUSED))
        and bool(words)
        and (model.algorithm == spm.UNIGRAM or set("".join(words)) <= words.keys())
    )


def _bpe(model: ModelFile) -> models.BPE:
    """Make the BPE model. With a prefix, symbols are split off first and found as whole words."""
    ids = {piece: index for index, (piece, _, _) in enumerate(model.pieces)}
    whole_words = model.prefixes and bool(model.of_kind(spm.USER_DEFINED))
    merges = _merges(model, spm.NORMAL)
    return models.BPE(ids, merges, ignore_merges=whole_words, **_bpe_options(model))


def _bpe_options(model: ModelFile) -> dict[str, Any]:
    unknown = next(iter(model.of_kind(spm.UNKNOWN)))
    return {"unk_token": unknown, "fuse_unk": True, "byte_fallback": model.byte_fallback}


def _merges(model: ModelFile, *kinds: int) -> list[tuple[str, str]]:
    """List every merge of two pieces into a third, of some kinds, best score first, then by ids."""
    words = model.of_kind(*kinds)
    ids = {piece: index for index, (piece, _, _) in enumerate(model.pieces)}
    merges = []
    for word in sorted(words, key=words.__getitem__, reverse=True):  # equal scores stay in order
        pairs = [
            (a, b)
            for cut in range(1, len(word))
            if (a := word[:cut]) in words and (b := word[cut:]) in words
        ]
        merges += sorted(pairs, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
    return merges


def _unigram(model: ModelFile) -> models.Unigram:
    """Make the unigram model. To the library every piece is a word: a symbol, split off first, must
    win over words within it, and other kinds must not lower the least score, from which the
    library computes that of unknown tokens."""
    least = min(model.of_kind(spm.NORMAL).values())
    score_of = {spm.USER_DEFINED: 0.0}
    return models.Unigram(
        [
            (piece, score if kind == spm.NORMAL else score_of.get(kind, least))
            for piece, score, kind in model.pieces
        ],
        unk_id=[kind for _, _, kind in model.pieces].index(spm.UNKNOWN),
        byte_fallback=model.byte_fallback,
    )


def _normalizers(model: ModelFile) -> Iterator[normalizers.Normalizer]:
    if model.character_map:
        yield normalizers.Precompiled(model.character_map)
    if model.collapses:
        yield normalizers.Replace(Regex(rf"\A +|[ {SPACE}]+\z"), "")
        yield normalizers.Replace(Regex(" {2,}"), " ")
    if model.prefixes:
        yield normalizers.Prepend(SPACE)
    yield normalizers.Replace(" ", SPACE)


def _patterns(model: ModelFile, symbols: dict[str, float]) -> Iterator[str]:
    """Yield patterns to split off: symbols, and byte names that the library would read as bytes."""
    if model.prefixes and symbols:
        yield "|".join(sorted(map(re.escape, symbols), key=len, reverse=True))
        if model.algorithm == spm.BPE:
            yield ONLY_BYTE_NAME
    if model.algorithm == spm.UNIGRAM:
        yield BYTE_NAME


def _decoder(model: ModelFile) -> decoders.Decoder:
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if model.prefixes or model.collapses:
        steps.append(decoders.Strip(" ", 1, 0))
    return decoders.Sequence(steps)


def _agrees(library: tokenizers.Tokenizer, proto: bytes, model: ModelFile) -> bool:
    """Whether ids equal SentencePiece's for every piece, joined pieces, and runs of spaces."""
    pieces = [piece.replace(SPACE, " ") for piece in model.of_kind(spm.NORMAL, spm.USER_DEFINED)]
    texts = [*pieces, *("".join(pieces[i : i + 20]) for i in range(0, len(pieces), 20))]
    texts += [f"{a}{' ' * n}{b}" for n in range(LONGEST_RUN) for a in ("", "a") for b in ("", "b")]
    ids = sentencepiece.SentencePieceProcessor(model_proto=proto).encode(texts)
    return ids == [row.ids for row in library.encode_batch(texts, add_special_tokens=False)]
