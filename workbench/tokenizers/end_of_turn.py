"""Find what a chat template writes after a reply: models learn to stop with it."""

from __future__ import annotations

import re
from typing import NamedTuple

from workbench.errors import ChatTemplateError
from workbench.tokenizers.chat import ChatTemplate, Message
from workbench.tokenizers.tokenizer import Tokenizer

_QUESTION = {"role": "user", "content": "?"}
_REPLY = "\ufdd1"  # a noncharacter of Unicode, which no template writes itself


class EndOfTurn(NamedTuple):
    """What follows a reply.

    written: all text after the reply, if it is the last message.
    learnt: the part of `written` up to the end of the reply; empty if nothing ends it.
    """

    written: str
    learnt: str

    @property
    def text(self) -> str:
        """The text that ends the reply, without surrounding white space."""
        return self.learnt.strip()


class Stops(NamedTuple):
    """What ends generation of a reply: `token_ids`, and `sequences` of text."""

    token_ids: tuple[int, ...]
    sequences: tuple[str, ...]


def end_of_turn(template: ChatTemplate, tokenizer: Tokenizer) -> EndOfTurn:
    """Find what a template writes after a reply by rendering a dialogue.

    The reply ends at the first token that ends generation. Without such a token, all of the text
    ends it, unless the template begins the next turn by itself: then no end is known.

    Raises:
        ChatTemplateError: the template leaves out the reply of a plain dialogue.
    """
    written = _after_reply(template, tokenizer, [])
    stops = map(tokenizer.id_to_token, tokenizer.stop_token_ids)
    stop = re.search("|".join(map(re.escape, stops)) or "(?!)", written)
    if stop is not None:
        return EndOfTurn(written, written[: stop.end()])
    learnt = written.rstrip()
    if learnt and not _after_reply(template, tokenizer, [_QUESTION]).startswith(learnt):
        learnt = ""
    return EndOfTurn(written, learnt)


def stops_of_turn(template: ChatTemplate, tokenizer: Tokenizer) -> Stops:
    """Return what ends generation of a reply: the tokenizer's stop tokens, the template's end of
    turn if it is one token, and its visible text."""
    known = tokenizer.stop_token_ids
    try:
        end = end_of_turn(template, tokenizer).text
    except ChatTemplateError:  # the template may still write prompts
        return Stops(known, ())
    ids = template.token_ids(end, tokenizer)
    decoder = tokenizer.decoder()
    seen = ("".join(map(decoder.push, ids)) + decoder.flush()).strip()
    alone = ids[:1] if len(ids) == 1 or not seen else []
    return Stops(tuple(dict.fromkeys((*known, *alone))), (seen,) if seen else ())


def _after_reply(template: ChatTemplate, tokenizer: Tokenizer, later: list[Message]) -> str:
    """Return what a template writes after a reply followed by `later` messages. Some templates read
    only contents that are lists of parts."""
    for content in (_REPLY, [{"type": "text", "text": _REPLY}]):
        dialogue = [_QUESTION, {"role": "assistant", "content": content}, *later]
        arguments = {"add_generation_prompt": False}
        before, _, after = template.text(dialogue, tokenizer, arguments).rpartition(_REPLY)
        if before:
            return after
    raise ChatTemplateError(
        "chat template: it leaves out the assistant's reply of a plain dialogue, so the end of a "
        "reply cannot be found"
    )
