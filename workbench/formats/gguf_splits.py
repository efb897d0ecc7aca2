"""How the byte-level tokenizers of GGUF files cut a text before merging.

A file names its rule in `tokenizer.ggml.pre`; what the names mean is known from the tokenizers
they were given to (github.com/ggml-org/llama.cpp, "convert_hf_to_gguf_update.py").
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
    """A rule: its steps, and three habits of the tokenizers that have it.

    Attributes:
        steps: makes the library's steps, which end in bytes.
        composes: characters are composed (Unicode's form NFC) first.
        ignore_merges: a whole word of the vocabulary wins over its merges.
        starts: a prompt begins with the start token where the file does not say.
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
    # Digits are looked for among the characters that stand for bytes, as the reference does.
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
"""The rules by the names files give them."""
