"""Where the replies of a conversation stand in what a chat template writes.

A reply reaches from where the template, given the messages before it, lets the model begin, to
what the template writes at its end. Rendering the conversation up to each reply would tell, in
time that grows with the square of their number. So the contents of what users, tools and the
system say are marked in one more rendering: what stands between a reply and the message before or
after it is the same for all messages of a role, and is found once for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workbench.errors import ChatTemplateError
from workbench.tokenizers import ChatTemplate, Tokenizer
from workbench.tokenizers.end_of_turn import end_of_turn

ASSISTANT = "assistant"
_SIGN = "\ufdd1"  # a code point that is no character, and so in no text
_SIGNED = re.compile(f"{_SIGN}([0-9]+){_SIGN}")


class Span(NamedTuple):
    """Characters of a text, `end` excluded."""

    start: int
    end: int


class Replies:
    """Finds the replies in the text of a conversation.

    Args:
        template: writes the conversation.
        tokenizer: whose special tokens it writes.
        turns: checked messages, the last of which is a reply.
        arguments: more variables for the template.

    Attributes:
        text: the conversation as `ChatTemplate.safe_text` gives it.
        end: what follows a reply.

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
        """Where the reply stands that is message `number`; None where the text does not have it
        as the model would write it."""
        start = self._start(number)
        end = None if start is None else self._end(number, start)
        return None if end is None else Span(start, end)

    def _start(self, number: int) -> int | None:
        """Where the model would begin: after what is written after such a message, or as the
        conversation up to the reply tells."""
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
        """Where the reply ends: before what is written before such a message, or as the
        conversation up to its end tells."""
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
        """From the conversation up to this reply. Some templates write its end only there."""
        written = self._tried(self._turns[: number + 1])
        if written is None or not written.endswith(self.end.written):
            return None
        said = written.removesuffix(self.end.written)
        if len(said) < start:
            return None
        ends = (said + self.end.learnt, said)
        return next((len(text) for text in ends if self.text.startswith(text)), None)

    def _end_before(self, after: Span, start: int) -> int | None:
        """In a text that has the reply otherwise than where it is last, as without thoughts."""
        place = self.text.rfind(self.end.text, start, after.start) if self.end.text else -1
        return place + len(self.end.text) if place >= 0 else None

    def _find_contents(self) -> dict[int, Span]:
        """Where the contents of messages stand that are no replies, without the white space around
        them; of none where the text would be another with signs in it."""
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
        """None where the template refuses these messages, as many do when there are none."""
        try:
            return self._written(turns, add_generation_prompt)
        except ChatTemplateError:
            return None


def _signed(turn: Mapping[str, Any], sign: str) -> Mapping[str, Any]:
    """A message with a sign before and after its content, which may come in parts."""
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
    """A text in signs, which stand inside the white space around it: templates may strip that."""
    return re.sub(r"(?s)\S(?:.*\S)?", lambda found: before + found[0] + after, text, count=1)
