"""The two split patterns against a plain reading of what they mean, character by character."""

import random
import unicodedata

import pytest
from tokenizers import Regex, pre_tokenizers

from workbench.tokenizers import GPT2_PATTERN, LLAMA3_PATTERN

SPACES = set(" \t\n\x0b\x0c\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000")
ENDINGS = ("s", "t", "re", "ve", "m", "ll", "d")
ALPHABET = "abstrevmlldSTLéßabc日ا٣½Ⅷ²09127 \t\n\r\xa0\u3000\u2028'’.,!-_☕😀\u0301\u200d\x00"


def is_space(character: str) -> bool:
    return character in SPACES


def is_letter(character: str) -> bool:
    return unicodedata.category(character).startswith("L")


def is_number(character: str) -> bool:
    return unicodedata.category(character).startswith("N")


def is_other(character: str) -> bool:
    return not (is_space(character) or is_letter(character) or is_number(character))


def run(text: str, at: int, kind, most: int | None = None) -> int:
    """Where a run of a kind of characters that begins at `at` ends."""
    end = at
    while end < len(text) and kind(text[end]) and (most is None or end - at < most):
        end += 1
    return end


def contraction(text: str, at: int, fold: bool) -> int:
    if text[at] != "'":
        return at
    rest = text[at + 1 : at + 3]
    rest = rest.lower() if fold else rest
    found = next((ending for ending in ENDINGS if rest.startswith(ending)), None)
    return at + 1 + len(found) if found else at


def after_space(text: str, at: int, kind) -> int:
    """A run with or without one space before it; `at` where there is no run."""
    start = at + 1 if text[at] == " " else at
    end = run(text, start, kind)
    return end if end > start else at


def white_space(text: str, at: int) -> int:
    """All of it at the end of the text, else all but the last, else one."""
    end = run(text, at, is_space)
    return end if end == len(text) or end - at < 2 else end - 1


def gpt2_end(text: str, at: int) -> int:
    for end in (
        contraction(text, at, fold=False),
        after_space(text, at, is_letter),
        after_space(text, at, is_number),
        after_space(text, at, is_other),
    ):
        if end > at:
            return end
    return white_space(text, at)


def llama3_word(text: str, at: int) -> int:
    lead = at if is_letter(text[at]) or is_number(text[at]) or text[at] in "\r\n" else at + 1
    end = run(text, lead, is_letter)
    return end if end > lead else at


def llama3_lines(text: str, at: int) -> int:
    """White space up to its last line end."""
    end = run(text, at, is_space)
    while end > at and text[end - 1] not in "\r\n":
        end -= 1
    return end


def llama3_end(text: str, at: int) -> int:
    marks = after_space(text, at, is_other)
    for end in (
        contraction(text, at, fold=True),
        llama3_word(text, at),
        run(text, at, is_number, most=3),
        run(text, marks, lambda character: character in "\r\n") if marks > at else at,
        llama3_lines(text, at),
    ):
        if end > at:
            return end
    return white_space(text, at)


def split(text: str, end_of_next) -> list[str]:
    parts, at = [], 0
    while at < len(text):
        end = end_of_next(text, at)
        parts.append(text[at:end])
        at = end
    return parts


@pytest.mark.parametrize(
    ("pattern", "oracle"), [(GPT2_PATTERN, gpt2_end), (LLAMA3_PATTERN, llama3_end)]
)
def test_pattern_splits_as_it_should(pattern, oracle, corpus):
    chance = random.Random(0)
    texts = ["".join(chance.choices(ALPHABET, k=chance.randint(1, 20))) for _ in range(4000)]
    library = pre_tokenizers.Split(Regex(pattern), "isolated")
    for text in texts + [text for text in corpus if "ſ" not in text]:
        assert [part for part, _ in library.pre_tokenize_str(text)] == split(text, oracle)
