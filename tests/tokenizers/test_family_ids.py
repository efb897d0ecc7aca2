"""Every family's tokenizer class beside the library itself, on ten thousand texts of all scripts.

The oracle of a byte-level class is a `tokenizer.json` as the family publishes it, on a small
vocabulary whose merges go across words, so that a text cut elsewhere gets other ids.
"""

import json
import random
import unicodedata

import pytest
import sentencepiece
import tokenizers
from mixed_texts import mixed_texts

import workbench as wb
from workbench.tokenizers import (
    SentencePieceTokenizer,
    TransformersTokenizer,
    WordPieceTokenizer,
    to_byte_pair,
)

COUNT = 10_000
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
USER_DEFINED = 4


def split(pattern):
    """A text cut by a pattern and then made bytes, as files write it."""
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, {**BYTE_LEVEL, "use_regex": False}]}


GPT2 = {**BYTE_LEVEL, "use_regex": True}
LLAMA3 = split(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
)
QWEN = split(
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
)
BLOOM = split(" ?[^(\\s|[.,!?…。，、।۔،])]+")
BYTE_PAIR = {
    "Bart": GPT2,
    "Bloom": BLOOM,
    "Falcon": GPT2,  # KerasHub's Falcon is the RefinedWeb model, with GPT-2's way
    "GPT2": GPT2,
    "Llama3": LLAMA3,
    "OPT": GPT2,
    "Qwen": QWEN,
    "Qwen3": QWEN,
    "Qwen3Moe": QWEN,
    "QwenMoe": QWEN,
}
SENTENCE_PIECE = {
    "Gemma": "plain",
    "Gemma3": "plain",
    "Llama": "spaced",
    "Mistral": "spaced",
    "Mixtral": "spaced",
    "Phi3": "spaced",
    "T5Gemma": "plain",
}
NAMES = [*BYTE_PAIR, *SENTENCE_PIECE, "Bert"]


def class_of(name):
    return getattr(wb.models, f"{name}Tokenizer")


@pytest.fixture(scope="module", params=NAMES)
def family(request, greedy_merges, data):
    """A family's tokenizer, and the library's reading of the same vocabulary: texts to ids."""
    name = request.param
    if name in BYTE_PAIR:
        content = byte_level_file(name, *greedy_merges)
        oracle = tokenizers.Tokenizer.from_str(json.dumps(content))
        model = content["model"]
        return class_of(name)(model["vocab"], model["merges"]), oracle
    if name in SENTENCE_PIECE:
        proto = sentence_piece_model(name, data)
        oracle = sentencepiece.SentencePieceProcessor(model_proto=proto)
        return class_of(name)(proto), oracle
    return bert()


def byte_level_file(name, vocabulary, merges):
    """`tokenizer.json` of a family, its special tokens at the end of the vocabulary."""
    cls = class_of(name)
    special = list(dict.fromkeys(filter(None, cls().special_tokens)))
    more = [token for token in special if token not in vocabulary]
    vocabulary = vocabulary | {token: len(vocabulary) + i for i, token in enumerate(more)}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": vocabulary[token], "content": token, **flags, "special": True}
            for token in special
        ],
        "normalizer": {"type": "NFC"} if BYTE_PAIR[name] is QWEN else None,
        "pre_tokenizer": BYTE_PAIR[name],
        "post_processor": None,
        "decoder": GPT2,
        "model": {
            "type": "BPE",
            "vocab": vocabulary,
            "merges": merges,
            "ignore_merges": name == "Llama3",
        },
    }


def sentence_piece_model(name, data):
    """The small model, and what special tokens it lacks as symbols."""
    proto = (data / f"{SENTENCE_PIECE[name]}.spm").read_bytes()
    known = sentencepiece.SentencePieceProcessor(model_proto=proto)
    pieces = {known.id_to_piece(i) for i in range(known.vocab_size())}
    for token in class_of(name)().special_tokens:
        if token not in pieces:
            piece = bytes([0x0A, len(token)]) + token.encode() + bytes([0x18, USER_DEFINED])
            proto += bytes([0x0A, len(piece)]) + piece
    return proto


def bert():
    """Letters, word ends and a few words, and BERT's file on them."""
    letters = [chr(i) for i in range(0x21, 0x7F)] + list("éßאбя日本語ーガ한각☕½١")
    words = ["the", "fox", "quick", "##es", "##ing", "12", "##34", "##日"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *words, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = list(dict.fromkeys(vocabulary))
    content = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {token: i for i, token in enumerate(vocabulary)},
        },
    }
    oracle = tokenizers.Tokenizer.from_str(json.dumps(content))
    return class_of("Bert")(vocabulary, lowercase=True, strip_accents=True), oracle


def ids_of(oracle, texts):
    if isinstance(oracle, tokenizers.Tokenizer):
        rows = oracle.encode_batch(texts, add_special_tokens=False)
        return [row.ids for row in rows]
    return oracle.encode(texts)


def texts_for(tokenizer, count):
    """Of words of the vocabulary, special tokens among them, and of all scripts."""
    words = [tokenizer.token_text(i) for i in range(tokenizer.vocabulary_size())]
    return mixed_texts(count, words)


def test_ids_of_ten_thousand_texts(family, corpus):
    tokenizer, oracle = family
    texts = [*corpus, *texts_for(tokenizer, COUNT)]
    wrong = [
        text
        for text, ids, expected in zip(texts, tokenizer(texts), ids_of(oracle, texts), strict=True)
        if ids != expected
    ]
    assert not wrong, wrong[:3]


def test_text_comes_back(family):
    """But for what a tokenizer means to change: Qwen's forms, and SentencePiece's own sign."""
    tokenizer, _ = family
    texts = texts_for(tokenizer, 2_000)
    if isinstance(tokenizer, WordPieceTokenizer):  # keeps words alone
        texts = ["the quick fox", "12 34"]
    expected = texts
    if getattr(tokenizer, "composes", False):
        expected = [unicodedata.normalize("NFC", text) for text in texts]
    if isinstance(tokenizer, SentencePieceTokenizer):
        expected = [text.replace(SPACE, " ") for text in texts]
    assert tokenizer.detokenize(tokenizer(texts)) == expected


def test_text_in_two_streams(family):
    """Cut anywhere, what is shown of both parts is the text of all the ids."""
    tokenizer, _ = family
    chance = random.Random(0)
    for ids in tokenizer(texts_for(tokenizer, 1_000)):
        cut = chance.randint(0, len(ids))
        first, second = tokenizer.decoder(), tokenizer.decoder(ids[:cut])
        shown = "".join(map(first.push, ids[:cut]))
        shown += "".join(map(second.push, ids[cut:])) + second.flush()
        kept = [token for token in ids if token not in tokenizer.special_token_ids]
        assert shown == tokenizer.detokenize(kept)


@pytest.mark.parametrize("name", BYTE_PAIR)
def test_published_files_become_the_family_class(name, greedy_merges):
    """So that a Transformers folder can be saved as a KerasHub preset."""
    source = TransformersTokenizer(json.dumps(byte_level_file(name, *greedy_merges)).encode())
    tokenizer = to_byte_pair(source, class_of(name))
    texts = texts_for(tokenizer, 200)
    assert tokenizer(texts) == source(texts)
