"""What a chat template writes after a reply: by it a model learns to stop, and is stopped."""

from __future__ import annotations

import re
from typing import NamedTuple

from workbench.errors import ChatTemplateError
from workbench.tokenizers.chat import ChatTemplate, Message
from workbench.tokenizers.tokenizer import Tokenizer

_QUESTION = {"role": "user", "content": "?"}
_REPLY = "\ufdd1"  # a code point that is no character: no template writes it by itself


class EndOfTurn(NamedTuple):
    """What follows a reply.

    written: all of it where the reply is the last message.
    learnt: its beginning, up to what ends the reply; empty where nothing does.
    """

    written: str
    learnt: str

    @property
    def text(self) -> str:
        """What ends the reply, without the white space before it."""
        return self.learnt.strip()


class Stops(NamedTuple):
    """What ends generated replies: `token_ids`, and `sequences` of their text."""

    token_ids: tuple[int, ...]
    sequences: tuple[str, ...]


def end_of_turn(template: ChatTemplate, tokenizer: Tokenizer) -> EndOfTurn:
    """What a template writes after a reply, found by having it write one.

    It ends a reply with the first token that ends generation. Where there is none, all of it does,
    unless the template begins another turn by itself: then nothing is known to end a reply.

    Raises:
        ChatTemplateError: the template does not write the reply of a plain dialogue.
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
    """What ends a reply that is generated: the tokenizer's own tokens, the template's where it is
    one token, and what a reader would see of it."""
    known = tokenizer.stop_token_ids
    try:
        end = end_of_turn(template, tokenizer).text
    except ChatTemplateError:  # it may still write prompts
        return Stops(known, ())
    ids = template.token_ids(end, tokenizer)
    decoder = tokenizer.decoder()
    seen = ("".join(map(decoder.push, ids)) + decoder.flush()).strip()
    alone = ids[:1] if len(ids) == 1 or not seen else []
    return Stops(tuple(dict.fromkeys((*known, *alone))), (seen,) if seen else ())


def _after_reply(template: ChatTemplate, tokenizer: Tokenizer, later: list[Message]) -> str:
    """What a template writes after a reply that `later` messages follow. Some templates read only
    contents that come in parts."""
    for content in (_REPLY, [{"type": "text", "text": _REPLY}]):
        dialogue = [_QUESTION, {"role": "assistant", "content": content}, *later]
        arguments = {"add_generation_prompt": False}
        before, _, after = template.text(dialogue, tokenizer, arguments).rpartition(_REPLY)
        if before:
            return after
    raise ChatTemplateError(
        "chat template: expected it to write what the assistant says, but it leaves out the reply "
        "of a plain dialogue, so that its end cannot be found"
    )
