"""Ids and texts against `tokenizers` and `sentencepiece`, used directly on the same files."""

import json
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import SLOW

from workbench.tokenizers import LLAMA3_PATTERN, BytePairTokenizer

SNAGS = "'s|'LL| |  |\n|\r\n|\t|12345|é|e\u0301|日|☕|👩\u200d👧|\x00|the| the|=|\u00a0|\u3000|ſ"
SPECIAL = ["<s>", "<|endoftext|>", "<end_of_turn>"]
PIECES = st.sampled_from([*SNAGS.split("|"), *SPECIAL])
TEXTS = st.one_of(st.text(), st.lists(PIECES | st.text(max_size=3)).map("".join))
SHARED = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_ids_of_the_corpus(pair, corpus):
    for text in corpus:
        assert pair.tokenizer(text) == pair.ids(text)
    assert pair.tokenizer(corpus) == [pair.ids(text) for text in corpus]


@SHARED
@given(text=TEXTS)
def test_ids_of_any_text(pair, text):
    assert pair.tokenizer(text) == pair.ids(text)


def test_text_of_ids(pair, corpus):
    for text in corpus:
        ids = pair.ids(text)
        assert pair.tokenizer.detokenize(ids) == pair.text(ids)


def test_text_of_random_ids(pair):
    """Where the library shows no U+FFFD; a run of bytes that is no UTF-8 is the next test's."""
    chance = random.Random(0)
    size = pair.tokenizer.vocabulary_size()
    compared = 0
    for _ in range(2000):
        ids = [chance.randrange(size) for _ in range(chance.randint(1, 6))]
        if "\ufffd" not in pair.text(ids):
            compared += 1
            assert pair.tokenizer.detokenize(ids) == pair.text(ids)
    assert compared > 100


@pytest.mark.parametrize("name", ["gpt2", "llama3.json", "spaced.spm", "keras_hub_gemma.spm"])
def test_text_of_broken_characters(pairs, name):
    """Byte fallback of `tokenizer.json` is left out: it keeps the whole characters of a run."""
    pair = pairs[name]
    chance = random.Random(0)
    size = pair.tokenizer.vocabulary_size()
    for _ in range(2000):
        ids = [chance.randrange(size) for _ in range(chance.randint(1, 12))]
        assert pair.tokenizer.detokenize(ids) == pair.text(ids)


@pytest.mark.parametrize("name", ["spaced", "plain"])
def test_both_files_of_a_model_agree(pairs, corpus, name):
    """`tokenizer.json` and `tokenizer.model`, but for special tokens written in the text."""
    a, b = pairs[f"{name}.json"].tokenizer, pairs[f"{name}.spm"].tokenizer
    for text in corpus:
        if "<s>" not in text:
            assert a(text) == b(text)
            assert a.detokenize(a(text)) == b.detokenize(b(text))


def test_broken_runs_of_bytes_read_alike_from_both_files(pairs):
    a, b = pairs["spaced.json"].tokenizer, pairs["spaced.spm"].tokenizer
    broken = ("c3 a9 ff", "e2 98", "e2 98 41", "ed a0 80", "f0 9f 98 80 80")
    for data in map(bytes.fromhex, broken):
        ids = [b.token_to_id(f"<0x{byte:02X}>") for byte in data]
        assert a.detokenize(ids) == b.detokenize(ids)


@pytest.mark.parametrize("name", ["gpt2", "llama3", "llama", "gemma", "gemma2"])
def test_ids_that_keras_hub_gave(data, kinds, name):
    expected = json.loads((data / "keras_hub_ids.json").read_text(encoding="utf-8"))[name]
    cls = kinds[name.removesuffix("2") if name == "gemma2" else name]
    if issubclass(cls, BytePairTokenizer):
        folder = data / f"keras_hub_{name}"
        tokenizer = cls(folder / "vocabulary.json", folder / "merges.txt")
    else:
        tokenizer = cls(data / f"keras_hub_{cls.__name__.lower()}.spm")
    assert {text: tokenizer(text) for text in expected} == expected


def test_special_tokens_in_a_text(pairs):
    gpt2, gemma, llama = (pairs[name].tokenizer for name in ("gpt2", "plain.spm", "spaced.spm"))
    assert gpt2("a<|endoftext|>b")[1] == gpt2.end_token_id
    turn = gemma.token_to_id("<start_of_turn>")
    assert gemma("<start_of_turn>a") == [turn, *gemma("a")]
    assert llama.start_token_id not in llama("<s>a")  # control tokens are letters in a text
    assert pairs["spaced.json"].tokenizer("<s>a")[0] == llama.start_token_id


def test_whole_words_win_over_merges_where_the_family_says_so():
    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5}
    merges = ["b c", "a b"]  # no way from "a", "bc" to "abc"

    class WholeWords(BytePairTokenizer):
        ignore_merges = True

    assert BytePairTokenizer(vocabulary, merges)("abc") == [0, 4]
    assert WholeWords(vocabulary, merges)("abc") == [5]


def test_prefix_space(greedy_merges):
    plain = BytePairTokenizer(*greedy_merges)
    spaced = BytePairTokenizer(*greedy_merges, add_prefix_space=True)
    assert spaced("the fox") == spaced(" the fox") == plain(" the fox")
    assert spaced("") == []


def test_pattern_of_ones_own(greedy_merges):
    """It travels in the config; the class's own need not."""
    tokenizer = BytePairTokenizer(*greedy_merges, split_pattern=LLAMA3_PATTERN)
    assert tokenizer.get_config()["split_pattern"] == LLAMA3_PATTERN
    assert "split_pattern" not in BytePairTokenizer(*greedy_merges).get_config()
    assert BytePairTokenizer.from_config(tokenizer.get_config()).split_pattern == LLAMA3_PATTERN


@pytest.mark.parametrize("character", ["a", " ", "😀"])
@pytest.mark.parametrize("name", ["llama3", "spaced.spm"])
def test_a_megabyte_of_one_character(pairs, name, character):
    tokenizer = pairs[name].tokenizer
    text = character * (1_000_000 // len(character.encode()))
    start = time.perf_counter()
    ids = tokenizer(text)
    assert time.perf_counter() - start < 5 * SLOW
    assert tokenizer.detokenize(ids) == text
