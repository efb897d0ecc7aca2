"""The texts of the pictures: real words, made-up ones, numbers, and strings of both.

Real words are those of the project's own stories. One in ten, told by a checksum of its letters, is
never shown in training.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections import Counter
from collections.abc import Callable
from itertools import islice
from random import Random

from workbench.toy_data.stories.generator import invented_name, stories

LONGEST = 12
LETTERS, DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
CHARACTERS = DIGITS + LETTERS
KINDS = {"word": 0.45, "name": 0.15, "letters": 0.15, "number": 0.12, "mixed": 0.13}
_STORIES_SEED, _STORIES, _OFTEN = 3, 4000, 3
# These look alike without context.
_MIXED = "".join(sorted(set(CHARACTERS) - set("01oil")))


@functools.cache
def real_words(held_out: bool) -> tuple[str, ...]:
    """Return words that many stories use often, lower case, 2 to `LONGEST` letters: those for
    training, or the held-out ones."""
    found: Counter[str] = Counter()
    for story in islice(stories(_STORIES_SEED), _STORIES):
        found.update(re.findall(rf"\b[a-z]{{2,{LONGEST}}}\b", story))
    usual = (word for word, count in found.items() if count >= _OFTEN)
    return tuple(sorted(word for word in usual if is_held_out(word) == held_out))


def is_held_out(word: str) -> bool:
    """Return whether a word is kept out of training."""
    return zlib.crc32(word.encode()) % 10 == 0


def text(
    rng: Random, kind: str | None = None, held_out: bool = False, longest: int = LONGEST
) -> str:
    """Return a text of lower-case letters and digits, of one of `KINDS`, with at most `longest`
    characters. Made-up ones are also held out by their checksum."""
    kind = kind or rng.choices(list(KINDS), list(KINDS.values()))[0]
    while True:
        made = rng.choice(real_words(held_out)) if kind == "word" else _MAKERS[kind](rng)
        if len(made) <= longest and is_held_out(made) == held_out:
            return made


def cased(rng: Random, made: str) -> str:
    """Return the text in a case that signs use: small letters, a first capital, or capitals."""
    style = rng.choices((str.lower, str.capitalize, str.upper), (0.64, 0.16, 0.2))[0]
    return style(made)


def _of(characters: str, shortest: int, longest: int) -> Callable[[Random], str]:
    return lambda rng: "".join(rng.choices(characters, k=rng.randint(shortest, longest)))


_MAKERS: dict[str, Callable[[Random], str]] = {
    "name": lambda rng: re.sub("[^a-z]", "", invented_name(rng).lower()),
    "letters": _of(LETTERS, 1, 9),
    "number": _of(DIGITS, 1, 8),
    "mixed": _of(_MIXED, 2, 9),
}
