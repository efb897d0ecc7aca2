"""The rules by which byte-level tokenizers of GGUF files split a text before merging.

A file names its rule in `tokenizer.ggml.pre`; the meaning of each name comes from the tokenizers
that it was given to (github.com/ggml-org/llama.cpp, "convert_hf_to_gguf_update.py").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenizers import Regex, pre_tokenizers
from tokenizers.pre_tokenizers import PreTokenizer

from workbench.tokenizers.patterns import (
    BLOOM_PATTERN,
    DIGIT,
    DIGITS,
    GPT2_PATTERN,
    GPT4O_PATTERN,
    LLAMA3_PATTERN,
    MARKS,
    QWEN_PATTERN,
    TEKKEN_PATTERN,
    THREE_DIGITS,
)


@dataclass(frozen=True)
class Split:
    """A rule: its steps, and three settings of its tokenizers.

    Attributes:
        steps: builds the library's steps, which end in bytes.
        composes: whether characters are first composed (Unicode form NFC).
        ignore_merges: whether a whole word in the vocabulary takes precedence over merges.
        starts: whether prompts begin with the start token if the file does not state it.
    """

    steps: Callable[[], Sequence[PreTokenizer]]
    composes: bool = False
    ignore_merges: bool = False
    starts: bool = False


def _patterns(*patterns: str) -> Callable[[], Sequence[PreTokenizer]]:
    def steps() -> Sequence[PreTokenizer]:
        splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
        return [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]

    return steps


def _falcon() -> Sequence[PreTokenizer]:
    # Like the reference, look for digits among the characters that represent bytes.
    return [
        pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex(THREE_DIGITS), "isolated"),
    ]


_GPT2 = Split(_patterns(GPT2_PATTERN))
_LLAMA3 = Split(_patterns(LLAMA3_PATTERN), ignore_merges=True, starts=True)
_DIGITS = Split(_patterns(DIGIT, GPT2_PATTERN))
_QWEN = Split(_patterns(QWEN_PATTERN))
_GPT4 = Split(_patterns(LLAMA3_PATTERN))

SPLITS = {
    "default": Split(
        _patterns(MARKS, GPT2_PATTERN, DIGITS, THREE_DIGITS),
    ),
    "gpt-2": _GPT2,
    "phi-2": _GPT2,
    "olmo": _GPT2,
    "mpt": _GPT2,
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "falcon3": _LLAMA3,
    "dbrx": _GPT4,
    "smaug-bpe": _GPT4,
    "qwen2": Split(_patterns(QWEN_PATTERN), composes=True),
    "deepseek-r1-qwen": _QWEN,
    "stablelm2": _QWEN,
    "falcon": Split(_falcon),
    "bloom": Split(_patterns(BLOOM_PATTERN)),
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "refact": _DIGITS,
    "tekken": Split(_patterns(TEKKEN_PATTERN), ignore_merges=True, starts=True),
    "gpt-4o": Split(_patterns(GPT4O_PATTERN)),
}
"""The rules by their names in files."""
