"""Find the control tokens of a chat, and keep the text of messages from writing them.

A template writes control tokens such as `<|im_end|>` between messages, and a message may contain
the same letters. Text of the user, the system or a tool never becomes a control token: each such
word is cut in two before the template runs, and the parts are tokenised separately. A model's own
replies may contain the tokens that models write around thoughts and tool calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any

Change = Callable[[str], str]
CUT = "\ufdd0"  # a noncharacter of Unicode, which no text contains

WRITTEN_BY_MODELS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""Control tokens of vocabularies whose files do not mark them as such."""

_IN_TEMPLATE = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")
_MARK = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
# Gemma's vocabularies list HTML tags, which are ordinary text. `<s>` is not among these: it begins
# texts of other models, and not every file marks it as special.
_TAG = re.compile(
    "</?(?:a|b|bbox|blockquote|body|caption|code|div|em|footer|h[1-6]|html|i|iframe|img|li|span"
    "|strong|su[bp]|table|t[dhr]|tbody|tfoot|thead|u|ul)>"
)
_THOUGHTS = frozenset(("think", "thinking", "thought", "thoughts", "reasoning"))
_CALLS = tuple(
    frozenset(words.split())
    for words in (
        *("tool call", "tool calls", "function call", "function calls"),
        *("call id", "tool sep", "python tag"),
    )
)


def is_mark(token: str) -> bool:
    """Whether a token that a vocabulary lists separately looks like a control token, such as
    `<tool_call>` or `[INST]`. Runs of spaces, words and HTML tags are ordinary text."""
    return _MARK.fullmatch(token) is not None and _TAG.fullmatch(token) is None


def marks(source: str | None) -> set[str]:
    """Find what looks like a control token in a template: `<|user|>` or `[INST]`."""
    return set(filter(is_mark, _IN_TEMPLATE.findall(source or "")))


def is_written_by_models(token: str) -> bool:
    """Whether models write a control token within a reply: around thoughts (`<think>`) or tool
    calls (`<tool_call>`, `[TOOL_CALLS]`, `<|python_tag|>`)."""
    words = frozenset(re.findall("[a-z]+", token.lower()))
    return bool(words & _THOUGHTS) or any(call <= words for call in _CALLS)


def cut_messages(messages: list[dict[str, Any]], control: frozenset[str]) -> list[dict[str, Any]]:
    """Cut control tokens in messages; the assistant's keep the tokens that models write."""
    cut, cut_turns = _cutters(control)
    return [
        _changed(message, cut_turns if message["role"] == "assistant" else cut)
        for message in messages
    ]


def cut_arguments(
    arguments: Mapping[str, Any] | None, control: frozenset[str]
) -> dict[str, Any] | None:
    """Cut control tokens in a template's variables, such as descriptions of tools, except in
    variables that name one (`bos_token`)."""
    if not isinstance(arguments, Mapping):
        return arguments
    cut, _ = _cutters(control)
    return {
        key: value if str(key).endswith("_token") else _changed(value, cut)
        for key, value in arguments.items()
    }


@lru_cache(maxsize=8)
def _cutters(control: frozenset[str]) -> tuple[Change, Change]:
    """Return a function that cuts all control tokens, and one that keeps those of models."""
    return _cutting(control), _cutting(t for t in control if not is_written_by_models(t))


def _cutting(tokens: Iterable[str]) -> Change:
    """Return a function that cuts a text after the first character of each token in it, even if
    tokens overlap."""
    known = frozenset(tokens)
    lengths = sorted({len(token) for token in known})
    openings = {re.escape(token[0]) for token in known}

    def cut(found: re.Match[str]) -> str:
        text, at = found.string, found.start()
        begins = any(text[at : at + length] in known for length in lengths)
        return found[0] + CUT if begins else found[0]

    return partial(re.compile("|".join(openings) or "(?!)").sub, cut)


def _changed(value: Any, change: Change) -> Any:
    """Return plain data with every string in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_changed(key, change): _changed(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(item, change) for item in value]
    return value
