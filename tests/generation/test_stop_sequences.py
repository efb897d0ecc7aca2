"""Texts that end a completion: found whatever the pieces, and never shown, not even in part."""

from __future__ import annotations

import re

import pytest
from chats import chat_lm
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.generation.events import Done, Token
from workbench.generation.stop_sequences import StopSequences

LETTERS = st.text("ab<", max_size=12)


def shown(pieces, sequences):
    stops = StopSequences(sequences)
    parts = []
    for piece in pieces:
        parts.append(stops.push(piece))
        if stops.found:
            break
    return "".join(parts) + stops.flush(), stops.found


def before_first(text, sequences):
    """The text before the sequence that is complete first, the longest of those."""
    ends = [
        found.start() + len(stop)
        for stop in sequences
        for found in [re.search(re.escape(stop), text)]
        if found
    ]
    if not ends:
        return text, False
    first = text[: min(ends)]
    return min((first.removesuffix(stop) for stop in sequences), key=len), True


@given(st.lists(LETTERS), st.lists(st.text("ab<", min_size=1, max_size=4), max_size=3))
def test_pieces_do_not_matter(pieces, sequences):
    assert shown(pieces, sequences) == before_first("".join(pieces), sequences)


@given(st.lists(LETTERS), st.lists(st.text("ab<", min_size=1, max_size=4), max_size=3))
def test_no_more_is_held_back_than_may_begin_one(pieces, sequences):
    stops, given_out = StopSequences(sequences), ""
    for number, piece in enumerate(pieces):
        given_out += stops.push(piece)
        if stops.found:
            return
        held = "".join(pieces[: number + 1]).removeprefix(given_out)
        assert not held or any(stop.startswith(held) for stop in sequences)


@pytest.fixture(scope="module")
def lm():
    """A tiny Llama that chats. Tests leave it as they found it."""
    return chat_lm("llama")


GREEDY = {"sampler": "greedy", "max_new_tokens": 30}


ENDED = """\
{%- for message in messages -%}
{{ message.content }}{{ 'THE END' if message.role == 'assistant' }}
{%- endfor -%}"""


@pytest.fixture
def ending(lm, monkeypatch):
    """A model whose template ends replies with two letters that it will write, and its reply
    without them."""
    tokenizer = lm.preprocessor.tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", ENDED)
    *_, done = lm.stream_chat("Hi", stop_token_ids=None, **GREEDY)
    end = re.search(r"(?s)(?<=..)[!-~]{2}", done.text)[0]
    monkeypatch.setattr(tokenizer, "chat_template", ENDED.replace("'THE END'", repr(end)))
    return lm, done.text[: done.text.index(end)]


def test_a_template_that_ends_turns_in_letters_ends_replies(ending):
    lm, reply = ending
    events = list(lm.stream_chat("Hi", **GREEDY))
    done = events[-1]
    assert (done.text, done.reason) == (reply, "stop")
    assert "".join(e.text for e in events if isinstance(e, Token)) + done.tail == reply
    assert done.stats.new_tokens < 30, "nothing is written after the end"
    assert lm.chat("Hi", **GREEDY) == reply.strip()
    chat = wb.Chat(lm)
    assert chat.send("Hi", **GREEDY) == chat.messages[-1]["content"] == reply.strip()
    job = wb.GenerationJob(lm, wb.Chat(lm).turn("Hi"), **GREEDY)
    assert job.run() == reply and job.reason == "stop"


def test_without_stops_it_runs_on(ending):
    lm, reply = ending
    *_, done = lm.stream_chat("Hi", stop_token_ids=None, **GREEDY)
    assert isinstance(done, Done) and done.reason == "length"
    assert done.text.startswith(reply) and len(done.text) > len(reply)


def test_a_search_is_cut_there(ending):
    lm, reply = ending
    assert (
        lm.chat("Hi", sampler=wb.samplers.BeamSampler(num_beams=1), max_new_tokens=30)
        == reply.strip()
    )


def test_the_conversation_goes_on_after_it(ending):
    lm, _ = ending
    chat = wb.Chat(lm)
    chat.send("Hi", **GREEDY)
    said = [*chat.messages, {"role": "user", "content": "on"}]
    assert chat.send("on", **GREEDY) == lm.chat(said, **GREEDY)
