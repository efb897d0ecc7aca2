"""Selects the tokens a language model learns to write: all of a text, the response to a prompt, or
the replies of a conversation. The tokens before are read but not learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from workbench.errors import PromptError, shown
from workbench.preprocessing.image_chat import image_messages
from workbench.preprocessing.replies import ASSISTANT, Replies, Span
from workbench.tokenizers import ChatTemplate, Tokenizer
from workbench.tokenizers.chat import check_messages

WEIGHT = "weight"
"""Optional key of an assistant message: with 0 it is read but not learnt."""


class ReadsPrompts(Protocol):
    """The interface supervision needs from a preprocessor."""

    tokenizer: Tokenizer
    add_end_token: bool

    def prompt_ids(self, text: str, /) -> list[int]:
        """Return the token ids of a prompt to continue."""
        ...


class Supervised(NamedTuple):
    """Token ids of a sample and, for each, whether the model is trained to write it."""

    ids: list[int]
    loss: list[bool]


def of_text(preprocessor: ReadsPrompts, text: str) -> Supervised:
    """Supervise a text: every token after the first is learnt, the end token too."""
    ids = [*preprocessor.prompt_ids(text), *_end(preprocessor)]
    return _after(ids, 1)


def of_response(preprocessor: ReadsPrompts, prompt: str, response: str) -> Supervised:
    """Supervise a prompt and its response: the response and the end token are learnt.

    The ids begin with those that `generate(prompt)` continues. The response is tokenised together
    with the prompt, unless that changes the prompt's tokens; then it is tokenised separately.
    """
    before = preprocessor.prompt_ids(prompt)
    whole = preprocessor.prompt_ids(prompt + response)
    if whole[: len(before)] != before:
        whole = [*before, *preprocessor.tokenizer.tokenize(response)]
    return _after([*whole, *_end(preprocessor)], len(before))


def of_messages(
    preprocessor: ReadsPrompts,
    messages: Sequence[Mapping[str, Any]],
    template_arguments: Mapping[str, Any] | None = None,
) -> Supervised:
    """Supervise a conversation as the chat template writes it: the assistant's replies are learnt,
    each with the end of its turn. Text after the last reply is left out.

    A reply begins where a generated one would begin after the same messages, and includes the end
    of turn that the template writes, a token or plain text. If the template writes none, the end
    token follows the last reply. Some templates rewrite earlier turns when others follow, for
    example to drop thoughts. A reply that is then not found is read but not learnt; if it is the
    last reply, that is an error. A reply with `"weight": 0` is read but not learnt.

    Raises:
        PromptError: the messages are malformed, hold a picture, have no reply to learn, or the
            template writes the last reply elsewhere than a generated one.
        ChatTemplateError: there is no template, it fails, or it leaves out replies.
    """
    turns, learnt = _turns(messages)
    template, tokenizer = ChatTemplate.of(preprocessor.tokenizer), preprocessor.tokenizer
    replies = Replies(template, tokenizer, turns, template_arguments or {})
    last = replies.find(learnt[-1])
    if last is None:
        raise PromptError(
            f"messages[{learnt[-1]}]: expected the chat template to write this reply where a "
            "generated one would begin, and its end as after any reply, but it writes the messages "
            "before it, or the reply, differently here. Use another template, or prompts and "
            "responses."
        )
    earlier = filter(None, map(replies.find, learnt[:-1]))
    pieces = _pieces(replies.text, [*earlier, last])
    made = _joined(pieces, lambda text: template.token_ids(text, tokenizer))
    end = [] if replies.end.text else _end(preprocessor)
    return Supervised([*made.ids, *end], [*made.loss, *[True] * len(end)])


def _turns(messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the messages up to the last reply to learn, as templates take them, and the numbers
    of the replies to learn."""
    turns = check_messages(messages)
    if image_messages(turns)[1]:
        raise PromptError("messages: expected no pictures, which are learnt of prompts alone")
    weights = [_weight(turn.pop(WEIGHT, None), number) for number, turn in enumerate(turns)]
    learnt = [
        number
        for number, turn in enumerate(turns)
        if turn["role"] == ASSISTANT and weights[number] != 0
    ]
    if not learnt:
        raise PromptError("messages: expected at least one of the assistant to learn, got none")
    return turns[: learnt[-1] + 1], learnt


def _weight(value: Any, number: int) -> int:
    if value is None:
        return 1
    if value not in (0, 1):
        raise PromptError(f"messages[{number}]: weight: expected 0 or 1, got {shown(value)}")
    return int(value)


def _pieces(text: str, spans: Iterable[Span]) -> Iterator[tuple[str, bool]]:
    """Split a text, up to the end of the last span, into the spans and the text between them;
    yield each with whether it is a span."""
    place = 0
    for start, end in spans:
        yield text[place:start], False
        yield text[start:end], True
        place = end


def _joined(
    pieces: Iterable[tuple[str, bool]], token_ids: Callable[[str], list[int]]
) -> Supervised:
    """Return the ids of pieces of text, and which are learnt. A piece is tokenised together with
    the piece before it, unless that changes the other's tokens; then it is tokenised separately."""
    made, before = Supervised([], []), ""
    for text, is_learnt in pieces:
        known, both = token_ids(before), token_ids(before + text)
        new = both[len(known) :] if both[: len(known)] == known else token_ids(text)
        made.ids.extend(new)
        made.loss.extend([is_learnt] * len(new))
        before = text
    return made


def _after(ids: list[int], start: int) -> Supervised:
    return Supervised(ids, [place >= start for place in range(len(ids))])


def _end(preprocessor: ReadsPrompts) -> list[int]:
    end = preprocessor.tokenizer.end_token_id
    return [end] if preprocessor.add_end_token and end is not None else []
