"""Convert a Transformers tokenizer to a family's class, so that KerasHub can read saved presets."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from workbench.errors import PresetError
from workbench.tokenizers.byte_pair import BytePairTokenizer
from workbench.tokenizers.incremental import Piece
from workbench.tokenizers.patterns import GPT2_PATTERN
from workbench.tokenizers.sentence_piece import SentencePieceTokenizer
from workbench.tokenizers.tokenizer_json import TransformersTokenizer
from workbench.tokenizers.word_piece import LONGEST_WORD, WordPieceTokenizer

BytePair = TypeVar("BytePair", bound=BytePairTokenizer)
WordPiece = TypeVar("WordPiece", bound=WordPieceTokenizer)
SentencePiece = TypeVar("SentencePiece", bound=SentencePieceTokenizer)

PROBES = ("a b", " a", "a  b\n\tc", "Ångström ﬁ ①", "e\u0301", "日本語 ☕", "x\x00y")


def to_byte_pair(tokenizer: TransformersTokenizer, cls: type[BytePair]) -> BytePair:
    """Convert to a `BytePairTokenizer` class that gives equal ids for every text.

    Raises:
        PresetError: ids could differ. The message lists the reasons: another split pattern than
            the class's, a normaliser, model options, added tokens that take spaces with them.
    """
    state = tokenizer.state()
    model, added = state["model"], state["added_tokens"]
    problems = [*_model_problems(model, cls), *_text_problems(state, cls)]
    problems += [
        f"added token {token['content']!r} is not plain text"
        for token in added
        if token["lstrip"] or token["rstrip"] or token["single_word"] or token["normalized"]
    ]
    if problems:
        raise PresetError(f"not exact as {cls.__name__}: {'; '.join(problems[:20])}")
    vocabulary = model["vocab"] | {token["content"]: token["id"] for token in added}
    return cls(
        vocabulary,
        model["merges"],
        sequence_length=tokenizer.sequence_length,
        unsplittable_tokens=[token["content"] for token in added],
    )


def _model_problems(model: dict, cls: type[BytePairTokenizer]) -> list[str]:
    wanted = {
        "type": "BPE",
        "byte_fallback": False,
        "dropout": None,
        "ignore_merges": cls.ignore_merges,
    }
    found = {"ignore_merges": False, "byte_fallback": False, "dropout": None} | model
    problems = [
        f"model {key}: expected {value}, got {found[key]}"
        for key, value in wanted.items()
        if found[key] != value
    ]
    affixes = ("continuing_subword_prefix", "end_of_word_suffix")
    return problems + [f"model {key}: {model[key]!r}" for key in affixes if model.get(key)]


def _text_problems(state: dict, cls: type[BytePairTokenizer]) -> list[str]:
    pattern = _split_pattern(state["pre_tokenizer"])
    checks = {
        "normalizer": ({"type": "NFC"} if cls.composes else None, state["normalizer"]),
        "decoder": ("ByteLevel", (state["decoder"] or {}).get("type")),
        "split pattern": (cls.split_pattern, pattern),
    }
    return [
        f"{what}: expected {wanted}, got {found}"
        for what, (wanted, found) in checks.items()
        if wanted != found
    ]


def _split_pattern(pre_tokenizer: dict | None) -> str | None:
    """Return the pattern of a byte-level pre-tokenizer, None for another kind."""
    match pre_tokenizer:
        case {"type": "ByteLevel", "use_regex": True, "add_prefix_space": False}:
            return GPT2_PATTERN
        case {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": pattern},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False},
            ],
        }:
            return pattern
    return None


def to_word_piece(tokenizer: TransformersTokenizer, cls: type[WordPiece]) -> WordPiece:
    """Convert to a `WordPieceTokenizer` class that gives equal ids for every text.

    Raises:
        PresetError: ids could differ. The message lists the reasons: another normaliser or
            splitting than BERT's, model options, added tokens missing from the vocabulary.
    """
    state = tokenizer.state()
    model, before = state["model"], state["normalizer"] or {}
    options = {key: before.get(key) for key in ("clean_text", "lowercase", "handle_chinese_chars")}
    accents = before.get("strip_accents")
    checks = {
        "model": ("WordPiece", model["type"]),
        "longest word": (LONGEST_WORD, model.get("max_input_chars_per_word")),
        "normalizer": ("BertNormalizer", before.get("type")),
        "clean_text": (True, options["clean_text"]),
        "splitting": ("BertPreTokenizer", (state["pre_tokenizer"] or {}).get("type")),
        "numbering": (list(range(len(model["vocab"]))), sorted(model["vocab"].values())),
    }
    problems = [f"{what}: expected {a}, got {b}" for what, (a, b) in checks.items() if a != b]
    added = [token["content"] for token in state["added_tokens"]]
    problems += [f"added token {token!r}" for token in added if token not in model["vocab"]]
    if problems:
        raise PresetError(f"not exact as {cls.__name__}: {'; '.join(problems[:20])}")
    return cls(
        sorted(model["vocab"], key=model["vocab"].__getitem__),
        sequence_length=tokenizer.sequence_length,
        lowercase=options["lowercase"],
        strip_accents=options["lowercase"] if accents is None else accents,
        split_on_cjk=options["handle_chinese_chars"],
        suffix_indicator=model["continuing_subword_prefix"],
        oov_token=model["unk_token"],
        special_tokens=added,
        special_tokens_in_strings=bool(added),
    )


def to_sentence_piece(
    tokenizer: TransformersTokenizer, proto: str | Path | bytes, cls: type[SentencePiece]
) -> SentencePiece:
    """Load the folder's `tokenizer.model` (`proto`) as a `SentencePieceTokenizer` class.

    Three things differ in any case: special tokens written in a text, which `tokenizer.json` reads
    as one id and SentencePiece as letters unless they are user-defined symbols; a text right after
    one of them; and rare texts where the two libraries break ties between merges differently.

    Raises:
        PresetError: tokens differ, or a few texts with spaces, line ends, accents and compatibility
            characters give other ids.
    """
    result = cls(proto, sequence_length=tokenizer.sequence_length)
    problems = [*_token_problems(tokenizer, result), *_id_problems(tokenizer, result)]
    if problems:
        raise PresetError(f"not the same as {cls.__name__}: {'; '.join(problems[:20])}")
    return result


def _token_problems(a: TransformersTokenizer, b: SentencePieceTokenizer) -> list[str]:
    sizes = a.vocabulary_size(), b.vocabulary_size()
    if sizes[0] > sizes[1]:
        return [f"{sizes[0]} and {sizes[1]} tokens"]
    return [
        f"token {token_id}: {a.token_text(token_id)!r} and {b.token_text(token_id)!r}"
        for token_id in range(sizes[1])
        if not _is_same_token(token_id, a, b)
    ]


def _is_same_token(token_id: int, a: TransformersTokenizer, b: SentencePieceTokenizer) -> bool:
    """Unused pieces, such as padding rows, need no token in the other tokenizer."""
    piece = a.piece(token_id)
    if piece is None:
        return b.is_unused(token_id)
    same_name = a.id_to_token(token_id) == b.id_to_token(token_id)
    return same_name or _as_bytes(piece) == _as_bytes(b.piece(token_id))


def _id_problems(a: TransformersTokenizer, b: SentencePieceTokenizer) -> list[str]:
    return [f"ids of {text!r}" for text in PROBES if a.tokenize(text) != b.tokenize(text)]


def _as_bytes(piece: Piece) -> bytes | None:
    return piece.encode("utf-8") if isinstance(piece, str) else piece
