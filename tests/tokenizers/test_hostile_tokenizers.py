"""A tokenizer's file tells native code what to do: it gets 5 seconds, 512 MB, and no more."""

import dataclasses
import json
import time

import psutil
import pytest
import sentencepiece
import tokenizers
from tokenizers import Regex, models, pre_tokenizers

from workbench.errors import PresetError, PromptError
from workbench.tokenizers import (
    GPT2_PATTERN,
    BytePairTokenizer,
    SentencePieceTokenizer,
    TransformersTokenizer,
    apart,
    checks,
)
from workbench.tokenizers.linear_time import is_linear
from workbench.tokenizers.patterns import PATTERNS

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
DOUBLE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
ADDED = {"id": 9, "content": "ab", "special": False, "normalized": True}
ADDED |= {"single_word": False, "lstrip": False, "rstrip": False}
FALLBACK = [{"type": "ByteFallback"}, {"type": "Fuse"}]
VOCABULARY = {"a": 0, "b": 1, " ": 2, "x": 3}
WORD_PIECE = {"type": "WordPiece", "unk_token": "b", "continuing_subword_prefix": "##"}


def normalizers(*steps):
    return {"normalizer": {"type": "Sequence", "normalizers": list(steps)}}


def split(pattern):
    return {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": pattern}} | KEEP}


KEEP = {"behavior": "Isolated", "invert": False}


def file(**changes):
    """A small `tokenizer.json`, some of its parts exchanged."""
    parts = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer"))
    parts |= {"version": "1.0", "added_tokens": [], "post_processor": None, "decoder": BYTES}
    parts["model"] = {"type": "BPE", "vocab": VOCABULARY, "merges": []}
    return json.dumps(parts | changes).encode()


@pytest.fixture
def quick_limits(monkeypatch):
    """A second and 256 MB, so that a refusal takes no longer than it must."""
    quick = dataclasses.replace(apart._PROGRAM, cpu_seconds=1, memory=256 << 20)
    monkeypatch.setattr(apart, "_PROGRAM", quick)


REFUSED_TEXTS = {
    "doubles 20 times": (normalizers(*[DOUBLE] * 20), "a"),
    "doubles 32 times": (normalizers(*[DOUBLE] * 32), "a"),
    "grows by bytes": (
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [BYTES] * 28}},
        "é",
    ),
    "quadratic pattern": (split(r"\s+$"), " " * 60_000 + "x"),
    "nested quantifier": (split("(a+)+b"), "a" * 40),
    "pattern of a normalizer": (
        normalizers({"type": "Replace", "pattern": {"Regex": r"\s+$"}, "content": ""}),
        " " * 60_000 + "x",
    ),
    "endless words": (
        {"model": WORD_PIECE | {"max_input_chars_per_word": 10**9, "vocab": VOCABULARY}},
        "a" * 400_000,
    ),
    "long pieces": (
        {
            "model": {
                "type": "Unigram",
                "unk_id": 0,
                "vocab": [["?", 0.0], ["b", -1.0], ["a" * 10_000, -1.0]],
            }
        },
        "a" * 300_000,
    ),
}


@pytest.mark.parametrize(("changes", "text"), REFUSED_TEXTS.values(), ids=REFUSED_TEXTS)
def test_a_text_is_refused_and_the_next_one_works(quick_limits, changes, text):
    tokenizer = TransformersTokenizer(file(**changes))
    before = psutil.Process().memory_info().rss
    with pytest.raises(PresetError, match=r"tokenizer.json: cannot split this text: .+") as caught:
        tokenizer.tokenize(text)
    assert len(str(caught.value)) < 300
    assert psutil.Process().memory_info().rss - before < 100 << 20
    assert tokenizer.tokenize("b") == [1]


def test_what_a_tokenizer_puts_in_front_of_every_text_counts(quick_limits):
    prepend = {"type": "Prepend", "prepend": "a"}
    tokenizer = TransformersTokenizer(file(**normalizers(prepend, *[DOUBLE] * 32)))
    for text in (" ", "b"):
        with pytest.raises(PresetError, match="cannot split this text"):
            tokenizer.tokenize(text)
    assert tokenizer.tokenize("") == []


REFUSED_FILES = {
    "added tokens are normalised": file(**normalizers(*[DOUBLE] * 32), added_tokens=[ADDED]),
    "the key is escaped": file(**normalizers(*[DOUBLE] * 32), added_tokens=[ADDED]).replace(
        b'"normalizer"', rb'"normali\u007aer"'
    ),
    "the key comes twice": file(added_tokens=[ADDED]).replace(
        b'"normalizer": null',
        b'"normalizer": {"type": "NFC"}, "normalizer": '
        + json.dumps(normalizers(*[DOUBLE] * 32)["normalizer"]).encode(),
    ),
    "tokens grow when they are read": file(
        decoder={"type": "Sequence", "decoders": [DOUBLE] * 32 + FALLBACK}
    ),
    "a token of 20,000 characters": file(
        model={"type": "BPE", "vocab": {"a" * 20_000: 0}, "merges": []}
    ),
}


@pytest.mark.parametrize("data", REFUSED_FILES.values(), ids=REFUSED_FILES)
def test_a_file_is_refused(quick_limits, data):
    before = psutil.Process().memory_info().rss
    with pytest.raises(PresetError, match=r"^tokenizer.json: ") as caught:
        TransformersTokenizer(data)
    assert len(str(caught.value)) < 300
    assert psutil.Process().memory_info().rss - before < 100 << 20


def test_a_pattern_in_a_config_is_no_exception(quick_limits):
    tokenizer = BytePairTokenizer({"x": 0, "Ġ": 1}, [], split_pattern=r"\s+$")
    with pytest.raises(PresetError, match="more than 1 s"):
        tokenizer.tokenize(" " * 60_000 + "x")
    assert tokenizer.tokenize("x") == [0]


def test_more_tokens_than_a_text_can_have(quick_limits):
    tokenizer = TransformersTokenizer(file(**normalizers(*[DOUBLE] * 12)))
    expected = "expected at most 1088 tokens for 1 characters, got 4096"
    with pytest.raises(PresetError, match=expected):
        tokenizer.tokenize("a")


def test_an_unknown_pattern_gives_the_same_ids(greedy_merges, corpus):
    known = BytePairTokenizer(*greedy_merges)
    apart = BytePairTokenizer(*greedy_merges, split_pattern=f"(?:{GPT2_PATTERN})")
    assert apart._apart is not None and known._apart is None
    assert apart.tokenize(corpus) == known.tokenize(corpus)


def test_known_tokenizers_run_in_the_kernel(tokenizer):
    assert getattr(tokenizer, "_apart", None) is None


def seconds(pattern, text):
    """Of this thread's own work: what else runs on the machine counts little."""
    library = tokenizers.Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    library.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    took = []
    for _ in range(5):
        start = time.thread_time()
        library.encode(text)
        took.append(time.thread_time() - start)
    return min(took)


LINEAR = 32  # what a linear pattern's cost stays below
TEXTS = [
    " ",
    "A",
    "a",
    "1",
    "\n",
    " \n",
    "'",
    "'S",
    "中",
    "Aa",
    "A1",
    "̀",
    "ʰ",
    "-",
    "/\n",
    "\t ",
    "。 ",
    "ǅ",
]


def cost(pattern):
    """How much longer the worst of long runs takes than an eighth of it: linear 8, quadratic 64."""
    runs = ((text * 2_000, text * 16_000 + "x") for text in TEXTS)
    return max(seconds(pattern, long) / max(seconds(pattern, short), 1e-3) for short, long in runs)


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_known_patterns_are_linear(pattern):
    assert min(cost(pattern) for _ in range(3)) < LINEAR


def test_that_measure_finds_what_is_not_linear():
    assert seconds(r"\s+$", " " * 16_000 + "x") / seconds(r"\s+$", " " * 2_000) > LINEAR


def test_steps_that_are_not_known_are_not_linear():
    for changes, _ in REFUSED_TEXTS.values():
        assert not is_linear(tokenizers.Tokenizer.from_buffer(file(**changes)))
    assert is_linear(tokenizers.Tokenizer.from_buffer(file()))


def trained(tmp_path, rules):
    """A SentencePiece model whose normaliser has some rules of its own."""
    table, model = tmp_path / "rules.tsv", tmp_path / "grows"
    table.write_text(rules)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox jumps"] * 9),
        model_prefix=str(model),
        vocab_size=40,
        hard_vocab_limit=False,
        normalization_rule_tsv=str(table),
        minloglevel=3,
    )
    return model.with_suffix(".model").read_bytes()


def test_a_sentence_piece_model_that_grows_texts(tmp_path):
    short = trained(tmp_path, "61\t" + " ".join(["61"] * 30))
    assert SentencePieceTokenizer(short).tokenize("a")
    with pytest.raises(PresetError, match="replacement of a character: expected at most 64"):
        SentencePieceTokenizer(trained(tmp_path, "61\t" + " ".join(["61"] * 65)))


def test_a_sentence_piece_model_with_a_long_piece(data):
    plain = (data / "plain.spm").read_bytes()
    piece = b"\x0a\x81\x08" + b"x" * 1025  # field 1, its length, the text
    hostile = plain + b"\x0a\x84\x08" + piece
    with pytest.raises(PresetError, match="longest piece: expected at most 1024, got 1025"):
        SentencePieceTokenizer(hostile)


def test_a_text_beyond_every_limit(tokenizer, monkeypatch):
    monkeypatch.setattr(checks, "LONGEST_TEXT", 100)
    with pytest.raises(PromptError, match="at most 100 characters, got 101"):
        tokenizer.tokenize("a" * 101)
