"""A small template language, the whole engine of the story generator.

    [red|blue|]      one of the alternatives, which may be empty and may nest
    {hero}           the value of a slot; {hero.they} asks the value for one of its forms
    <weather>        a phrase from the shared bank, itself a template

Slots are bound before a text is rendered, so what was a red kite stays a red kite.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, Protocol

Node = str | tuple[str, Any]


class HasForms(Protocol):
    """A slot value that knows its own forms: a character, a pair, a thing."""

    def form(self, key: str, rng: Random) -> str: ...


@cache
def parse(text: str) -> tuple[Node, ...]:
    """Turn a template into nodes: plain strings, ("choice", ...), ("slot", ...), ("bank", ...)."""
    nodes, end = _sequence(text, 0, "")
    if end != len(text):
        raise ValueError(f"template has a stray {text[end]!r} at {end}: {text}")
    return nodes


def _sequence(text: str, at: int, stops: str) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    while at < len(text) and text[at] not in stops:
        node, at = _node(text, at, stops)
        nodes.append(node)
    return tuple(nodes), at


def _node(text: str, at: int, stops: str) -> tuple[Node, int]:
    if text[at] == "[":
        return _choice(text, at + 1)
    if text[at] in "{<":
        kind, close = ("slot", "}") if text[at] == "{" else ("bank", ">")
        end = text.index(close, at)
        return (kind, text[at + 1 : end]), end + 1
    found = re.compile(r"[\[{<" + re.escape(stops) + r"\]]").search(text, at)
    end = found.start() if found else len(text)
    if end == at:
        raise ValueError(f"template has a stray {text[at]!r} at {at}: {text}")
    return text[at:end], end


def _choice(text: str, at: int) -> tuple[Node, int]:
    options = []
    while True:
        option, at = _sequence(text, at, "|]")
        options.append(option)
        if at >= len(text):
            raise ValueError(f"template has an open bracket: {text}")
        if text[at] == "]":
            return ("choice", options), at + 1
        at += 1


class Writer:
    """Renders templates with one source of chance and one set of bound slots."""

    def __init__(self, rng: Random, bank: Mapping[str, Sequence[str]]) -> None:
        self.rng = rng
        self.bank = bank
        self.slots: dict[str, Any] = {}

    def bind(self, **slots: Any) -> None:
        """Fix slot values: render a string now, choose one member of a sequence."""
        for name, value in slots.items():
            if isinstance(value, (list, tuple)):
                value = self.rng.choice(value)
            self.slots[name] = self.render(value) if isinstance(value, str) else value

    def render(self, text: str) -> str:
        """Return the text of a template with its choices made and its slots filled."""
        return "".join(self._text(node) for node in parse(text))

    def _text(self, node: Node) -> str:
        if isinstance(node, str):
            return node
        kind, value = node
        if kind == "choice":
            return "".join(self._text(n) for n in self.rng.choice(value))
        if kind == "bank":
            return self.render(self.rng.choice(self.bank[value]))
        return self._slot(value)

    def _slot(self, path: str) -> str:
        name, _, key = path.partition(".")
        value = self.slots[name]
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping):
            return self.render(value[key])
        text = value.form(key.lower(), self.rng)
        return text[0].upper() + text[1:] if key[:1].isupper() else text


_ARTICLE = re.compile(r"\b([Aa]) (\w+)")
_SILENT_H = ("hour", "honest")
_CONSONANT_VOWELS = ("uni", "use", "euro", "one", "once")
_SPOKEN_START = re.compile(r'([.!?]"? +"?|\n+"?|^"?)([a-z])')
_ASKED = re.compile(r'(,"(?: [\w ]{1,40})? )(?:asked|wondered)\b')
_TAG_FOLLOWS = re.compile(r'[!?]" +$')


def tidy(text: str) -> str:
    """Correct spaces, a or an, and capitals at the start of sentences, which templates cannot."""
    text = re.sub(r" +([,.!?])", r"\1", re.sub(r"[ \t]+", " ", text))
    text = re.sub(r" ?\n ?", "\n", text).strip()
    text = _ARTICLE.sub(_article, text)
    text = re.sub(r'([.,!?])[.,!?]"', r'\1"', text)
    text = _ASKED.sub(r"\1said", text)
    return _SPOKEN_START.sub(_capital, text)


def capitalised(text: str) -> str:
    """Return the text with its first letter capitalised, even after a quotation mark."""
    at = 1 if text[:1] == '"' else 0
    return text[:at] + text[at : at + 1].upper() + text[at + 1 :]


def _article(found: re.Match[str]) -> str:
    article, word = found.groups()
    low = word.lower()
    vowel = low[0] in "aeiou" and not low.startswith(_CONSONANT_VOWELS)
    return f"{article}n {word}" if vowel or low.startswith(_SILENT_H) else found.group()


def _capital(found: re.Match[str]) -> str:
    before, letter = found.groups()
    return found.group() if _TAG_FOLLOWS.search(before) else before + letter.upper()
