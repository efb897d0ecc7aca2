"""Tokenizers from the metadata of GGUF files, beside the libraries on the same vocabularies."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tokenizers
from both_formats import sentence_piece_metadata

from workbench.errors import PresetError
from workbench.formats.gguf_file import read_header
from workbench.formats.gguf_tokenizer import has_tokenizer, read_tokenizer
from workbench.tokenizers import TransformersTokenizer

DATA = Path(__file__).parents[1] / "data" / "tokenizers"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


# How the `tokenizer.json` of a release that files name cuts a text.
REFERENCES = {
    "gpt-2": {**BYTE_LEVEL, "use_regex": True},
    "falcon": [
        {"type": "Punctuation", "behavior": "Contiguous"},
        {**BYTE_LEVEL, "use_regex": True},
        {"type": "Digits", "individual_digits": False},
        split("[0-9][0-9][0-9]"),
    ],
    "bloom": [split(" ?[^(\\s|[.,!?…。，、।۔،])]+"), {**BYTE_LEVEL, "use_regex": False}],
    "smollm": [{"type": "Digits", "individual_digits": True}, {**BYTE_LEVEL, "use_regex": True}],
    "llama-bpe": [
        split(
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
            "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
        ),
        {**BYTE_LEVEL, "use_regex": False},
    ],
    "qwen2": [
        split(
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
            "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
        ),
        {**BYTE_LEVEL, "use_regex": False},
    ],
    "tekken": [
        split(
            "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
            "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}"
            "\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
            "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
        ),
        {**BYTE_LEVEL, "use_regex": False},
    ],
}
CASES = [*(f"a{text}" for text in ("Bc DEf", "1234567", "№12 ½", "x's I'LL", "!?)(", "日本。語"))]


def byte_pair_metadata(greedy_merges, pre="gpt-2", **changed):
    """The tokenizer as a file says it; `changed` keys replace or, being None, remove."""
    vocabulary, merges = greedy_merges
    tokens = sorted(vocabulary, key=vocabulary.get)
    types = np.array([3 if token.startswith("<|") else 1 for token in tokens], np.int32)
    values = {
        "model": "gpt2",
        "pre": pre,
        "tokens": tokens,
        "token_type": types,
        "merges": [" ".join(merge) for merge in merges],
        "bos_token_id": vocabulary["<|begin_of_text|>"],
        "eos_token_id": vocabulary["<|end_of_text|>"],
        **changed,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in values.items() if value is not None}


@pytest.mark.parametrize("pre", REFERENCES)
def test_byte_level_ids(pre, greedy_merges, corpus):
    tokenizer = read_tokenizer("model.gguf", byte_pair_metadata(greedy_merges, pre))
    vocabulary, merges = greedy_merges
    steps = REFERENCES[pre]
    steps = {"type": "Sequence", "pretokenizers": steps} if isinstance(steps, list) else steps
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges}
    model["ignore_merges"] = pre in ("llama-bpe", "tekken")
    oracle = tokenizers.Tokenizer.from_str(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [],
                "normalizer": {"type": "NFC"} if pre == "qwen2" else None,
                "pre_tokenizer": steps,
                "post_processor": None,
                "decoder": {**BYTE_LEVEL, "use_regex": True},
                "model": model,
            }
        )
    )
    oracle.add_special_tokens([token for token in vocabulary if token.startswith("<|")])
    for text in [*corpus, *CASES]:
        ids = oracle.encode(text, add_special_tokens=False).ids
        assert tokenizer(text) == ids, text
        assert tokenizer.detokenize(ids) == oracle.decode(ids, skip_special_tokens=False)


def test_each_way_of_splitting_is_another(greedy_merges, corpus):
    """So that the test above can tell them apart."""
    texts = [*corpus, *CASES]
    every = [read_tokenizer("f", byte_pair_metadata(greedy_merges, pre)) for pre in REFERENCES]
    ids = [str([tokenizer(text) for text in texts]) for tokenizer in every]
    assert len(set(ids)) == len(ids)


def test_special_tokens(greedy_merges):
    vocabulary, _ = greedy_merges
    metadata = byte_pair_metadata(
        greedy_merges,
        "llama-bpe",
        eot_token_id=vocabulary["<|eot_id|>"],
        padding_token_id=vocabulary["<|endoftext|>"],
    )
    metadata["tokenizer.chat_template"] = "{{ messages }}<|end_header_id|>"
    tokenizer = read_tokenizer("model.gguf", metadata)
    assert tokenizer.start_token == "<|begin_of_text|>" and tokenizer.end_token == "<|end_of_text|>"
    assert tokenizer.pad_token == "<|endoftext|>"
    ends = [vocabulary["<|end_of_text|>"], vocabulary["<|eot_id|>"]]
    assert list(tokenizer.stop_token_ids) == ends
    assert tokenizer.chat_template == "{{ messages }}<|end_header_id|>"
    ids = tokenizer("<|eot_id|>x")
    assert ids == [vocabulary["<|eot_id|>"], vocabulary["x"]]
    assert tokenizer.decoder().push(ids[0]) == ""


def test_the_start_token_is_put_where_the_file_or_its_kind_says(greedy_merges):
    def starts(pre, **changed):
        metadata = byte_pair_metadata(greedy_merges, pre, **changed)
        return read_tokenizer("f", metadata).prepends_start_token

    assert starts("llama-bpe") and not starts("gpt-2")
    assert starts("gpt-2", add_bos_token=True) and not starts("llama-bpe", add_bos_token=False)


def test_rows_without_a_token_have_none(greedy_merges):
    metadata = byte_pair_metadata(greedy_merges)
    metadata["tokenizer.ggml.tokens"] += ["[PAD]", "[PAD]"]
    types = metadata["tokenizer.ggml.token_type"]
    metadata["tokenizer.ggml.token_type"] = np.append(types, [5, 5])
    tokenizer = read_tokenizer("model.gguf", metadata)
    assert not tokenizer.has_token("[PAD]") and tokenizer.vocabulary_size() == len(types)


def test_a_file_that_does_not_say_how_it_splits_is_read_with_a_warning(greedy_merges):
    with pytest.warns(UserWarning, match="tokenizer.ggml.pre is missing"):
        read_tokenizer("model.gguf", byte_pair_metadata(greedy_merges, pre=None))


FAULTS = {
    "model": "unigram",
    "pre": "a-split-of-tomorrow",
    "tokens": "abc",
    "token_type": np.zeros(3, np.int32),
    "merges": ["ab"],
    "bos_token_id": 10**6,
    "eos_token_id": -1,
    "eot_token_id": "<|eot_id|>",
    "add_bos_token": 1,
}


@pytest.mark.parametrize("key", FAULTS)
def test_faults_name_their_key(key, greedy_merges):
    with pytest.raises(PresetError, match=rf"model.gguf: tokenizer\.ggml\.{key}"):
        read_tokenizer("model.gguf", byte_pair_metadata(greedy_merges, **{key: FAULTS[key]}))


def test_merges_of_tokens_that_are_none_are_refused(greedy_merges):
    with pytest.raises(PresetError, match=r"model.gguf: tokenizer\.ggml\.merges"):
        read_tokenizer("model.gguf", byte_pair_metadata(greedy_merges, merges=["Q QQQQQ"]))


def test_a_token_twice_and_a_template_of_numbers_are_refused(greedy_merges):
    metadata = byte_pair_metadata(greedy_merges)
    metadata["tokenizer.ggml.tokens"][0] = metadata["tokenizer.ggml.tokens"][1]
    with pytest.raises(PresetError, match="each token once"):
        read_tokenizer("model.gguf", metadata)
    metadata = byte_pair_metadata(greedy_merges) | {"tokenizer.chat_template": 5}
    with pytest.raises(PresetError, match=r"tokenizer\.chat_template: expected a string"):
        read_tokenizer("model.gguf", metadata)


def test_a_file_may_hold_no_tokenizer():
    assert not has_tokenizer({}) and not has_tokenizer({"tokenizer.ggml.model": "none"})


# SentencePiece.


@pytest.mark.parametrize("name", ["plain", "spaced"])
def test_sentence_piece_ids(name, corpus):
    """Control tokens in a text are what a folder's `tokenizer.json` makes of them."""
    file = DATA / f"{name}.spm"
    tokenizer = read_tokenizer("model.gguf", sentence_piece_metadata(file))
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(file))
    folder = TransformersTokenizer(DATA / f"{name}.json")
    marks = [token["content"] for token in folder.state()["added_tokens"]]
    for text in corpus:
        marked = any(mark in text for mark in marks)
        ids = folder(text) if marked else oracle.encode(text)
        assert tokenizer(text) == ids, text
        if not marked:
            assert tokenizer.detokenize(ids) == oracle.decode(ids)


def test_padding_rows_typed_as_the_unknown_token_stay_out(corpus):
    file = DATA / "spaced.spm"
    metadata = sentence_piece_metadata(file)
    plain = read_tokenizer("model.gguf", dict(metadata))
    for key, more in (("scores", [0, 0]), ("token_type", [2, 2])):
        values = metadata[f"tokenizer.ggml.{key}"]
        metadata[f"tokenizer.ggml.{key}"] = np.append(values, np.array(more, values.dtype))
    metadata["tokenizer.ggml.tokens"] += ["[PAD1]", "[PAD2]"]
    padded = read_tokenizer("model.gguf", metadata)
    assert [padded(text) for text in corpus] == [plain(text) for text in corpus]


def test_sentence_piece_models_start_unless_the_file_says_otherwise():
    file = DATA / "spaced.spm"
    assert read_tokenizer("f", sentence_piece_metadata(file)).prepends_start_token
    metadata = sentence_piece_metadata(file, add_bos_token=False)
    assert not read_tokenizer("f", metadata).prepends_start_token


@pytest.mark.parametrize(
    ("key", "value"), [("scores", None), ("scores", np.float32([1, 2])), ("tokens", None)]
)
def test_faults_of_sentence_piece_tables(key, value):
    metadata = sentence_piece_metadata(DATA / "spaced.spm", **{key: value})
    with pytest.raises(PresetError, match=rf"tokenizer\.ggml\.{key}"):
        read_tokenizer("model.gguf", metadata)


def test_scores_that_are_no_numbers_are_refused():
    metadata = sentence_piece_metadata(DATA / "spaced.spm")
    metadata["tokenizer.ggml.scores"][3] = np.nan
    with pytest.raises(PresetError, match="finite numbers"):
        read_tokenizer("model.gguf", metadata)


def test_pieces_too_long_to_be_cut_everywhere_are_refused():
    metadata = sentence_piece_metadata(DATA / "spaced.spm")
    metadata["tokenizer.ggml.tokens"][-1] = "x" * 20_000
    with pytest.raises(PresetError, match=r"tokenizer\.ggml\.tokens: expected lengths"):
        read_tokenizer("model.gguf", metadata)


def test_a_piece_twice_is_refused():
    metadata = sentence_piece_metadata(DATA / "spaced.spm")
    metadata["tokenizer.ggml.tokens"][-1] = metadata["tokenizer.ggml.tokens"][-2]
    with pytest.raises(PresetError, match="each token once"):
        read_tokenizer("model.gguf", metadata)


# Published vocabularies with their ids, where a copy is at hand.

SUITES = os.environ.get("WORKBENCH_GGUF_VOCABULARIES")
NAMES = ("falcon", "gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2", "starcoder")


@pytest.mark.skipif(SUITES is None, reason="WORKBENCH_GGUF_VOCABULARIES names no folder")
@pytest.mark.parametrize("name", NAMES)
def test_published_vocabularies(name):
    """The `models` folder of llama.cpp: vocabularies with texts (.inp) and their ids (.out)."""
    path = Path(SUITES) / f"ggml-vocab-{name}.gguf"
    tokenizer = read_tokenizer(path.name, read_header(path).metadata)
    texts = Path(f"{path}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    lines = Path(f"{path}.out").read_text().split("\n")
    for text, line in zip(texts, lines, strict=False):
        assert tokenizer(text) == [int(token) for token in line.split()], text
