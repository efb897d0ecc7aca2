"""Tokenizers of every kind, each beside the library that is its oracle, and a nasty corpus.

This folder must stay without `__init__.py`: as a package it would hide the library `tokenizers`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import sentencepiece
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from workbench.tokenizers import (
    LLAMA3_PATTERN,
    BytePairTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    TransformersTokenizer,
)

DATA = Path(__file__).parents[1] / "data" / "tokenizers"

CORPUS = [
    "",
    " ",
    "The quick brown fox jumps over the lazy dog.",
    "def area(x):\n    return  x+1\n\t# tab\r\n",
    "  indent\n\n\n    more   spaces   ",
    "it's 2024, can't be 12345; WE'LL see '",
    "1234567890 ٣٤٥ ½ Ⅷ²",
    "naïve café ☕ ÅÅ e\u0301",
    "👩‍👩‍👧‍👦🏽‍♂️🇩🇪 ok",
    "日本語テキスト、中文 한국어",
    "שלום עולם مرحبا \u202ertl\u202c",
    "a\x00b\x00",
    "\u00a0nbsp\u3000ideographic\u2009thin",
    "<s>hi</s> <|endoftext|>x <bos><start_of_turn>user\nhi<end_of_turn>",
    "\ufffd\ufeff\u200b\u200d ﬁ ① ſ K İ ß",
    "x" * 300 + " " * 200 + "\n" * 50 + "\t\t \t",
    "--==++!!!??? https://a.b/c?d=e&f#g",
    "𝕳𝖊𝖑𝖑𝖔 𐍈 ∑∫√ ≤≥",
    "\u2028line\u2029sep\x85nel\x0b\x0c",
]


class GPT2(BytePairTokenizer):
    start_token = "<|endoftext|>"
    end_token = "<|endoftext|>"


class Llama3(BytePairTokenizer):
    split_pattern = LLAMA3_PATTERN
    ignore_merges = True
    start_token = "<|begin_of_text|>"
    end_token = "<|end_of_text|>"
    end_token2 = "<|eot_id|>"
    extra_special_tokens = ("<|start_header_id|>", "<|end_header_id|>")


class Llama(SentencePieceTokenizer):
    start_token = "<s>"
    end_token = "</s>"


class Gemma(SentencePieceTokenizer):
    start_token = "<bos>"
    end_token = "<eos>"
    pad_token = "<pad>"
    extra_stop_tokens = ("<end_of_turn>",)


@dataclass
class Pair:
    """A tokenizer and the library's own object for the same files."""

    tokenizer: Tokenizer
    oracle: tokenizers.Tokenizer | sentencepiece.SentencePieceProcessor

    def ids(self, text: str) -> list[int]:
        if isinstance(self.oracle, tokenizers.Tokenizer):
            return self.oracle.encode(text, add_special_tokens=False).ids
        return self.oracle.encode(text)

    def text(self, ids: list[int]) -> str:
        if isinstance(self.oracle, tokenizers.Tokenizer):
            return self.oracle.decode(ids, skip_special_tokens=False)
        return self.oracle.decode(ids)


LLAMA3_SPLIT = {
    "type": "Split",
    "pattern": {
        "Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
        "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    },
    "behavior": "Isolated",
    "invert": False,
}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def byte_level_json(vocabulary: dict, merges: list, special: list[str], llama3: bool) -> dict:
    """A `tokenizer.json` as Transformers writes it for GPT-2, or for Llama 3."""
    split = {
        "type": "Sequence",
        "pretokenizers": [LLAMA3_SPLIT, {**BYTE_LEVEL, "use_regex": False}],
    }
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": vocabulary[token], "content": token, **flags, "special": True}
            for token in special
        ],
        "normalizer": None,
        "pre_tokenizer": split if llama3 else {**BYTE_LEVEL, "use_regex": True},
        "post_processor": {**BYTE_LEVEL, "use_regex": True},
        "decoder": {**BYTE_LEVEL, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": vocabulary,
            "merges": merges,
            "ignore_merges": llama3,
        },
    }


@pytest.fixture(scope="session")
def greedy_merges() -> tuple[dict, list]:
    """Byte-level merges learnt across words, so that a wrong split of the text changes ids."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    special = ["<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    special += ["<|start_header_id|>", "<|end_header_id|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special,
        show_progress=False,
    )
    library.train_from_iterator([CORPUS[i] for i in (2, 3, 4, 5, 6, 7, 9, 16)] * 3, trainer)
    model = json.loads(library.to_str())["model"]
    return model["vocab"], model["merges"]


@pytest.fixture(scope="session")
def pairs(greedy_merges) -> dict[str, Pair]:
    """Every kind of tokenizer by name."""
    vocabulary, merges = greedy_merges
    found = {}
    for name, cls in {"gpt2": GPT2, "llama3": Llama3}.items():
        tokenizer = cls(vocabulary, merges)
        content = byte_level_json(vocabulary, merges, tokenizer.special_tokens, name == "llama3")
        oracle = tokenizers.Tokenizer.from_str(json.dumps(content))
        found[name] = Pair(tokenizer, oracle)
        found[f"{name}.json"] = Pair(TransformersTokenizer(json.dumps(content).encode()), oracle)
    for name, cls in {"spaced": Llama, "plain": Gemma}.items():
        found[f"{name}.spm"] = sentence_piece_pair(name, cls)
        file = DATA / f"{name}.json"
        oracle = tokenizers.Tokenizer.from_file(str(file))
        oracle.no_truncation()
        found[f"{name}.json"] = Pair(TransformersTokenizer(file), oracle)
    for name in ("keras_hub_llama", "keras_hub_gemma"):
        found[f"{name}.spm"] = sentence_piece_pair(name, SentencePieceTokenizer)
    return found


def sentence_piece_pair(name: str, cls: type[SentencePieceTokenizer]) -> Pair:
    """A model of the data folder and SentencePiece's own reading of it."""
    file = DATA / f"{name}.spm"
    return Pair(cls(file), sentencepiece.SentencePieceProcessor(model_file=str(file)))


NAMES = [
    "gpt2",
    "gpt2.json",
    "llama3",
    "llama3.json",
    "spaced.spm",
    "spaced.json",
    "plain.spm",
    "plain.json",
    "keras_hub_llama.spm",
    "keras_hub_gemma.spm",
]


@pytest.fixture(params=NAMES)
def pair(request, pairs) -> Pair:
    """Each kind of tokenizer in turn."""
    return pairs[request.param]


@pytest.fixture
def tokenizer(pair) -> Tokenizer:
    """Each kind of tokenizer in turn, without its oracle."""
    return pair.tokenizer


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with vocabularies."""
    return DATA


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    """Texts that have broken tokenizers before."""
    return CORPUS


@pytest.fixture(scope="session")
def kinds() -> dict[str, type]:
    """Four families as a family file declares them."""
    return {"gpt2": GPT2, "llama3": Llama3, "llama": Llama, "gemma": Gemma}
