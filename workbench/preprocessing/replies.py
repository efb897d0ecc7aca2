"""Finds the replies of a conversation in the text that a chat template writes.

A reply begins where the model would begin after the messages before it, and includes the end of
turn that the template writes. Rendering the conversation up to each reply would find them, in time
quadratic in their number. Instead, one more rendering marks the contents of user, tool and system
messages. The text between a reply and its neighbour is the same for all neighbours of one role, so
it is found once per role.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workbench.errors import ChatTemplateError
from workbench.tokenizers import ChatTemplate, Tokenizer
from workbench.tokenizers.end_of_turn import end_of_turn

ASSISTANT = "assistant"
_SIGN = "\ufdd1"  # a noncharacter code point, so it is in no text
_SIGNED = re.compile(f"{_SIGN}([0-9]+){_SIGN}")


class Span(NamedTuple):
    """Characters of a text, `end` excluded."""

    start: int
    end: int


class Replies:
    """A search for replies in the text of a conversation.

    Args:
        template: writes the conversation.
        tokenizer: has the special tokens that the template writes.
        turns: checked messages, the last of which is a reply.
        arguments: more variables for the template.

    Attributes:
        text: the conversation as `ChatTemplate.safe_text` writes it.
        end: the end of a turn that follows a reply.

    Raises:
        ChatTemplateError: the template fails, or leaves out replies.
    """

    def __init__(
        self,
        template: ChatTemplate,
        tokenizer: Tokenizer,
        turns: Sequence[Mapping[str, Any]],
        arguments: Mapping[str, Any],
    ) -> None:
        self._template, self._tokenizer = template, tokenizer
        self._turns, self._arguments = turns, arguments
        self.end = end_of_turn(template, tokenizer)
        self.text = self._written(turns)
        self._contents = self._find_contents()
        self._leads: dict[str, str] = {}
        self._trails: dict[str, str] = {}

    def find(self, number: int) -> Span | None:
        """Return the place of the reply with message number `number`; None if the text does not
        have it where the model would write it."""
        start = self._start(number)
        if start is None:
            return None
        end = self._end(number, start)
        return None if end is None else Span(start, end)

    def _start(self, number: int) -> int | None:
        """Return where the model would begin: after the known text behind a message of this role,
        or, if unknown, by rendering the conversation up to the reply."""
        before, role = self._contents.get(number - 1), self._turns[number - 1]["role"]
        if before and role in self._leads and self.text.startswith(self._leads[role], before.end):
            return before.end + len(self._leads[role])
        prompt = self._tried(self._turns[:number], add_generation_prompt=True)
        if prompt is None or not self.text.startswith(prompt):
            return None
        if before and before.end < len(prompt):
            self._leads[role] = prompt[before.end :]
        return len(prompt)

    def _end(self, number: int, start: int) -> int | None:
        """Return where the reply ends: before the known text ahead of a message of this role, or,
        if unknown, by rendering the conversation up to the reply's end."""
        after = self._contents.get(number + 1)
        if after is None:
            return self._end_when_last(number, start)
        role, mark = self._turns[number + 1]["role"], self.end.text
        if role in self._trails and self.text.endswith(self._trails[role], start, after.start):
            return after.start - len(self._trails[role]) + len(mark)
        end = self._end_when_last(number, start)
        if end is None:
            return self._end_before(after, start)
        if self.text.endswith(mark, start, end):
            self._trails[role] = self.text[end - len(mark) : after.start]
        return end

    def _end_when_last(self, number: int, start: int) -> int | None:
        """Return the reply's end by rendering the conversation up to it. Some templates write the
        end of turn only after the last message."""
        written = self._tried(self._turns[: number + 1])
        if written is None or not written.endswith(self.end.written):
            return None
        said = written.removesuffix(self.end.written)
        if len(said) < start:
            return None
        ends = (said + self.end.learnt, said)
        return next((len(text) for text in ends if self.text.startswith(text)), None)

    def _end_before(self, after: Span, start: int) -> int | None:
        """Return the reply's end if the text has it in another form than as the last message, for
        example without thoughts."""
        place = self.text.rfind(self.end.text, start, after.start) if self.end.text else -1
        return place + len(self.end.text) if place >= 0 else None

    def _find_contents(self) -> dict[int, Span]:
        """Return the places of the contents of all messages except replies, without the white space
        around them; none if the signs would change the text."""
        signed = [
            turn if turn["role"] == ASSISTANT else _signed(turn, f"{_SIGN}{number}{_SIGN}")
            for number, turn in enumerate(self._turns)
        ]
        parts = _SIGNED.split(self._tried(signed) or "")
        if "".join(parts[::2]) != self.text:
            return {}
        places: dict[int, list[int]] = {}
        place = 0
        for text, number in zip(parts[::2], parts[1::2], strict=False):
            place += len(text)
            places.setdefault(int(number), []).append(place)
        return {number: Span(*found) for number, found in places.items() if len(found) == 2}

    def _written(
        self, turns: Sequence[Mapping[str, Any]], add_generation_prompt: bool = False
    ) -> str:
        arguments = {**self._arguments, "add_generation_prompt": add_generation_prompt}
        return self._template.safe_text(turns, self._tokenizer, arguments)

    def _tried(
        self, turns: Sequence[Mapping[str, Any]], add_generation_prompt: bool = False
    ) -> str | None:
        """Return the template's text; None if it refuses these messages, as many do with none."""
        try:
            return self._written(turns, add_generation_prompt)
        except ChatTemplateError:
            return None


def _signed(turn: Mapping[str, Any], sign: str) -> Mapping[str, Any]:
    """Put a sign before and after a message's content, which may be a list of parts."""
    content = turn.get("content")
    if isinstance(content, str):
        return {**turn, "content": _between(content, sign, sign)}
    if not isinstance(content, list | tuple):
        return turn
    parts = list(content)
    texts = [place for place, part in enumerate(parts) if _text_of(part).strip()]
    for place, before, after in ((texts[:1], sign, ""), (texts[-1:], "", sign)):
        for at in place:
            parts[at] = {**parts[at], "text": _between(parts[at]["text"], before, after)}
    return {**turn, "content": parts}


def _text_of(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) else None
    return text if isinstance(text, str) else ""


def _between(text: str, before: str, after: str) -> str:
    """Put signs around a text, inside its outer white space, which templates may strip."""
    return re.sub(r"(?s)\S(?:.*\S)?", lambda found: before + found[0] + after, text, count=1)
