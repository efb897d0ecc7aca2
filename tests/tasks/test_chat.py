"""A conversation: the same replies as without its cache, and usable after whatever happens."""

from __future__ import annotations

import threading

import pytest
from chats import chat_lm, said
from patience import HANG
from tiny import END, byte_tokenizer, tiny_backbone

import workbench as wb
from workbench.errors import (
    ChatTemplateError,
    MemoryTooSmallError,
    PromptError,
    SettingError,
    WorkbenchError,
)
from workbench.generation.events import Done, Token
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM

GREEDY = {"sampler": "greedy", "max_new_tokens": 6}


@pytest.fixture(scope="module")
def lm():
    """A tiny Llama with a chat template. Tests leave it as they found it."""
    return chat_lm("llama")


@pytest.fixture
def chat(lm):
    """A conversation with it, two turns long."""
    chat = wb.Chat(lm)
    chat.send("Hi", **GREEDY)
    chat.send("you", **GREEDY)
    return chat


def test_a_string_is_one_message_of_the_user(lm):
    assert lm.chat("Hi", **GREEDY) == lm.chat(said("Hi"), **GREEDY) != ""


def test_a_reply_is_what_generate_writes_after_the_template(lm):
    prompt = f"<user>Hi{END}<assistant>"
    settings = {**GREEDY, "stop_token_ids": None}
    assert lm.chat("Hi", **settings) == lm.generate(prompt, strip_prompt=True, **settings).strip()


def test_the_stream_says_what_chat_returns(lm):
    settings = {"sampler": "random", "seed": 4, "max_new_tokens": 9}
    events = list(lm.stream_chat("Hi", **settings))
    text = "".join(event.text for event in events if isinstance(event, Token)) + events[-1].tail
    assert text == events[-1].text
    assert text.strip() == lm.chat("Hi", **settings)


def test_a_reply_ends_without_the_text_of_its_stop_token(lm, monkeypatch):
    free = [e for e in lm.stream_chat("Hi", **GREEDY) if isinstance(e, Token)]
    stop = free[3].id
    first = next(i for i, event in enumerate(free) if event.id == stop)
    tokenizer = type(lm.preprocessor.tokenizer)
    ending = lm.preprocessor.tokenizer.id_to_token(stop)
    monkeypatch.setattr(tokenizer, "extra_stop_tokens", (ending,))
    *_, done = lm.stream_chat("Hi", **GREEDY)
    assert (done.reason, done.stats.new_tokens) == ("stop", first + 1)
    assert lm.chat("Hi", **GREEDY) == lm.preprocessor.text([e.id for e in free[:first]]).strip()


def test_a_search_may_write_a_reply(lm):
    assert lm.chat("Hi", sampler="beam", max_new_tokens=4)
    with pytest.raises(SettingError, match="BeamSampler"):
        lm.stream_chat("Hi", sampler="beam")


def test_limits(lm):
    *_, done = lm.stream_chat("Hi", stop_token_ids=None, sampler="greedy", max_length=40)
    assert done.stats.prompt_tokens + done.stats.new_tokens == 40
    with pytest.raises(PromptError, match="leaves no room"):
        chat_lm("gpt2").chat("x" * 300)


def test_a_base_model_does_not_chat():
    base = CausalLM(tiny_backbone("llama"), CausalLMPreprocessor(byte_tokenizer()))
    for attempt in (base.chat, base.stream_chat, lambda _: wb.Chat(base)):
        with pytest.raises(ChatTemplateError, match="base model"):
            attempt("Hi")


def test_a_model_that_reads_no_text_does_not_chat():
    with pytest.raises(SettingError, match="no preprocessor"):
        CausalLM(tiny_backbone("llama")).chat("Hi")


def test_the_template_gets_the_callers_variables(lm, monkeypatch):
    tokenizer = lm.preprocessor.tokenizer
    asking = "{{ raise_exception('thinks: ' ~ thinks) }}"
    monkeypatch.setattr(tokenizer, "chat_template", asking)
    with pytest.raises(ChatTemplateError, match="thinks: False"):
        lm.chat("Hi", template_arguments={"thinks": False})


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_every_turn_equals_a_run_without_the_cache(family):
    lm = chat_lm(family)
    chat = wb.Chat(lm, system="Be brief.")
    system = [{"role": "system", "content": "Be brief."}]
    for text in ("Hi", "What is the weather like today?", "ok"):
        fresh = lm.chat([*system, *chat.messages, *said(text)], **GREEDY)
        assert chat.send(text, **GREEDY) == fresh
    assert [message["role"] for message in chat.messages] == ["user", "assistant"] * 3


def test_regenerating_replaces_the_last_reply(lm, chat):
    before = list(chat.messages)
    assert chat.regenerate(**GREEDY) == before[-1]["content"]
    assert chat.messages == before
    other = chat.regenerate(sampler="random", seed=1, max_new_tokens=6)
    assert chat.messages == [*before[:-1], {"role": "assistant", "content": other}]
    assert other == lm.chat(before[:-1], sampler="random", seed=1, max_new_tokens=6)


def test_editing_drops_the_later_turns(lm, chat):
    reply = chat.edit(0, "Hello", **GREEDY)
    assert chat.messages == said("Hello", reply)
    assert reply == lm.chat("Hello", **GREEDY)
    chat.send("x", **GREEDY)
    chat.edit(-2, "y", **GREEDY)
    assert [m["content"] for m in chat.messages[:3]] == ["Hello", reply, "y"]


@pytest.mark.parametrize("index", [1, 4, -1, 99])
def test_only_messages_of_the_user_are_edited(chat, index):
    before = list(chat.messages)
    with pytest.raises(PromptError, match=r"\[0, 2\]"):
        chat.edit(index, "x")
    assert chat.messages == before


def test_nothing_to_regenerate(lm):
    with pytest.raises(PromptError, match="place"):
        wb.Chat(lm).regenerate()
    with pytest.raises(PromptError, match="string"):
        wb.Chat(lm).send(7)


def test_clearing(lm, chat):
    chat.clear()
    assert chat.messages == []
    assert chat.send("Hi", **GREEDY) == lm.chat("Hi", **GREEDY)


def test_a_cancelled_reply_is_kept_and_marked(lm, chat):
    before = list(chat.messages)
    events = chat.stream("more", sampler="greedy", max_new_tokens=30, stop_token_ids=None)
    parts = []
    for event in events:
        parts += [event.text] if isinstance(event, Token) else []
        if len(parts) == 7:
            break
    events.close()
    partial = "".join(parts).strip()
    assert chat.messages == [
        *before,
        {"role": "user", "content": "more"},
        {"role": "assistant", "content": partial, "end": "cancelled"},
    ]
    kept = [*before, *said("more", partial, "go on")]
    assert chat.send("go on", **GREEDY) == lm.chat(kept, **GREEDY)


def test_a_turn_cancelled_before_its_first_token_leaves_no_trace(chat):
    before = list(chat.messages)
    events = chat.stream("more")
    next(events)
    assert chat.messages[-1] == {"role": "user", "content": "more"}
    events.close()
    assert chat.messages == before


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_new_tokens": 0}, SettingError),
        ({"max_length": 3}, PromptError),
        ({"template_arguments": {"x": object()}}, PromptError),
    ],
)
def test_a_refused_turn_leaves_no_trace(lm, chat, arguments, error):
    before = list(chat.messages)
    for attempt in (lambda: chat.send("x", **arguments), lambda: chat.edit(0, "x", **arguments)):
        with pytest.raises(error):
            attempt()
        assert chat.messages == before
    fresh = lm.chat([*before, *said("on")], **GREEDY)
    assert chat.send("on", **GREEDY) == fresh


def test_a_failure_under_way_keeps_what_was_written(lm, chat, monkeypatch):
    before = list(chat.messages)
    step, calls = lm.programs.step, []

    def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("out of memory")
        return step(*args, **kwargs)

    monkeypatch.setattr(lm.programs, "step", failing)
    with pytest.raises(MemoryTooSmallError, match="out of memory"):
        chat.send("more", sampler="greedy", max_new_tokens=30, stop_token_ids=None)
    monkeypatch.undo()
    assert chat.messages[-1]["end"] == "failed"
    assert chat.messages[:-2] == before
    unmarked = [{"role": m["role"], "content": m["content"]} for m in chat.messages]
    assert chat.send("x", **GREEDY) == lm.chat([*unmarked, *said("x")], **GREEDY)


def test_an_interrupt_cancels(lm, chat, monkeypatch):
    step, calls = lm.programs.step, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    monkeypatch.setattr(lm.programs, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        chat.send("more", sampler="greedy", max_new_tokens=30, stop_token_ids=None)
    assert chat.messages[-1]["end"] == "cancelled"


def test_it_prints_as_what_was_said(lm):
    chat = wb.Chat(lm, system="Be brief.")
    reply = chat.send("Hi", **GREEDY)
    assert repr(chat) == f"Chat\nsystem: Be brief.\nuser: Hi\nassistant: {reply}"


def test_one_reply_at_a_time(lm, chat):
    events = chat.stream("a", **GREEDY)
    next(events)
    for attempt in (lambda: chat.send("b"), chat.clear, chat.regenerate):
        with pytest.raises(WorkbenchError, match="writing a reply"):
            attempt()
    assert list(events)[-1].text.strip() == chat.messages[-1]["content"]


def test_another_thread_goes_on(lm, chat):
    fresh = lm.chat([*chat.messages, *said("on")], **GREEDY)
    found = []
    thread = threading.Thread(target=lambda: found.append(chat.send("on", **GREEDY)))
    thread.start()
    thread.join()
    assert found == [fresh]


def test_two_conversations_do_not_mix(lm):
    one, two = wb.Chat(lm), wb.Chat(lm, system="No.")
    for text in ("Hi", "What?"):
        for chat, before in ((one, []), (two, [{"role": "system", "content": "No."}])):
            fresh = lm.chat([*before, *chat.messages, *said(text)], **GREEDY)
            assert chat.send(text, **GREEDY) == fresh


def test_a_job_writes_a_turn(lm, chat):
    fresh = lm.chat([*chat.messages, *said("on")], **GREEDY)
    events = []
    job = wb.GenerationJob(lm, chat.turn("on"), **GREEDY, on_event=events.append)
    job.start()
    assert job.wait(HANG)
    assert (job.status, job.text.strip()) == ("done", fresh)
    assert chat.messages[-1]["content"] == fresh
    done = next(event for event in events if isinstance(event, Done))
    assert job.stats == done.stats and done.stats.reused_tokens > 0
    again = wb.GenerationJob(lm, chat.turn(), **GREEDY)
    assert again.run().strip() == fresh


def test_a_cancelled_job_leaves_a_usable_conversation(lm, chat):
    count = len(chat.messages)
    job = wb.GenerationJob(lm, chat.turn("on"), max_new_tokens=500, stop_token_ids=None)
    job._observer = lambda event: job.cancel() if len(job.tokens) == 5 else None
    job.run()
    assert job.status == "cancelled"
    assert job.stats.prompt_tokens == len(lm.preprocessor.chat_ids(chat.messages[: count + 1]))
    assert chat.messages[-1]["end"] == "cancelled"
    assert chat.send("x", **GREEDY) == chat.messages[-1]["content"]
