"""Oniguruma patterns with which the families split a text into words before merging.

Matching each takes linear time, so tokenizers with these patterns may run in the kernel
(`linear_time.py`). A test must show that for a new pattern.
"""

from __future__ import annotations

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""Words with the space before them; numbers of any length (GPT-2, OPT, BART, Falcon-RW)."""

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Digits in groups of up to three; line ends separate (Llama 3)."""

QWEN_PATTERN = LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")
"""Llama 3's, with single digits (Qwen2 and later)."""

BLOOM_PATTERN = r" ?[^(\s|[.,!?…。，、।۔،])]+"
"""Runs of characters other than spaces and punctuation, with the space before them (BLOOM)."""

_ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def _cased(ending: str, digits: str) -> str:
    """Make a pattern that splits words where a capital follows a small letter."""
    before = r"[^\r\n\p{L}\p{N}]?"
    return (
        f"{before}{_UPPER}*{_LOWER}+{ending}|{before}{_UPPER}+{_LOWER}*{ending}|{digits}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


TEKKEN_PATTERN = _cased("", r"\p{N}")
GPT4O_PATTERN = _cased(_ENDINGS, r"\p{N}{1,3}")

DIGIT = r"\p{N}"
DIGITS = r"\p{N}+"
THREE_DIGITS = "[0-9][0-9][0-9]"
MARKS = r"[\p{P}$+<=>^~|]+"
SPACES = " {2,}"

PATTERNS = frozenset(
    (
        GPT2_PATTERN,
        LLAMA3_PATTERN,
        QWEN_PATTERN,
        BLOOM_PATTERN,
        TEKKEN_PATTERN,
        GPT4O_PATTERN,
        DIGIT,
        DIGITS,
        THREE_DIGITS,
        MARKS,
        SPACES,
    )
)
