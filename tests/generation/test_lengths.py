"""Every call holds a text to a length: what it may complete, and what the model was made for."""

from __future__ import annotations

import json

import numpy as np
import pytest
from chats import chat_lm
from tiny import GOLDENS

import workbench as wb
from workbench.errors import MemoryTooSmallError, PromptError, SettingError
from workbench.inspection import Continuation
from workbench.jobs.generation import GenerationJob

MOST = 512  # of the preprocessor, and of what the model was made for; its positions set no limit
SHORT = {"max_new_tokens": 2, "sampler": "greedy"}
LONG = "a" * 600


@pytest.fixture(scope="module")
def lm():
    made = chat_lm("llama")
    made.context_length = MOST
    return made


def ran(job):
    job.run()
    if job.error is not None:
        raise job.error


CALLS = {
    "generate": lambda lm: lm.generate(LONG, **SHORT),
    "generate several": lambda lm: lm.generate(["a", LONG], **SHORT),
    "stream": lambda lm: list(lm.stream(LONG, **SHORT)),
    "stream_ids": lambda lm: list(lm.stream_ids([5] * 600, **SHORT)),
    "chat": lambda lm: lm.chat(LONG),
    "chat with a limit": lambda lm: lm.chat(LONG, max_new_tokens=2),
    "stream_chat": lambda lm: list(lm.stream_chat(LONG)),
    "Chat": lambda lm: wb.Chat(lm).send(LONG, **SHORT),
    "inspect": lambda lm: lm.inspect(LONG),
    "inspect ids": lambda lm: lm.inspect([5] * 600),
    "trace": lambda lm: lm.trace(LONG, "logits"),
    "a job": lambda lm: ran(GenerationJob(lm, LONG, **SHORT)),
    "a job of a chat": lambda lm: ran(GenerationJob(lm, wb.Chat(lm).turn(LONG), **SHORT)),
    "a job that goes on": lambda lm: ran(GenerationJob(lm, Continuation(lm, [5] * 600), **SHORT)),
    "a comparison": lambda lm: ran(wb.ComparisonJob([wb.Column(lm)], LONG)),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_text_that_is_too_long_is_refused_before_anything_runs(call, lm, monkeypatch):
    for program in ("prefill", "resume", "step", "others"):
        monkeypatch.setattr(lm.programs, program, None)
    with pytest.raises(PromptError, match=r"6\d\d tokens.*512.*(context_length|max_length)"):
        CALLS[call](lm)


def test_a_conversation_may_be_longer_than_a_text_to_complete():
    lm = chat_lm("llama")
    with pytest.raises(PromptError, match=r"600 tokens.*512"):
        lm.stream_ids([5] * 600)
    lm.context_length = 1024
    assert len(lm.inspect([5] * 600).ids) == 600
    assert list(lm.stream_chat(LONG, **SHORT))
    with pytest.raises(PromptError, match=r"1100 tokens.*1024.*lm\.context_length"):
        lm.inspect([5] * 1100)


def test_what_a_model_was_made_for_is_in_its_preset_or_the_catalog():
    def load(name):
        return wb.models.CausalLM.from_preset(name, load_weights=False)

    assert load("stories_tiny_en").context_length == 512
    folder = GOLDENS / "hf" / "qwen2"
    config = json.loads((folder / "config.json").read_text())
    assert load(str(folder)).context_length == config["max_position_embeddings"]
    assert load(str(GOLDENS / "keras_hub" / "llama")).context_length is None


@pytest.mark.parametrize("number", [np.int64, np.uint8, np.int32])
def test_numbers_of_numpy_are_numbers(number, lm):
    usual = lm.generate("ab", max_new_tokens=2, seed=3, sampler="random")
    made = lm.generate("ab", max_new_tokens=number(2), seed=number(3), sampler="random")
    assert made == usual
    warm = wb.samplers.RandomSampler(temperature=np.float32(0.7))
    assert lm.generate("ab", max_length=number(9), sampler=warm)


def test_a_call_may_ask_for_more_where_positions_set_no_limit(lm):
    ids = [5] * 520
    assert len(list(lm.stream_ids(ids, max_length=522, sampler="greedy"))) > 2
    limited = chat_lm("gpt2")
    with pytest.raises(SettingError, match="at most the model's 200"):
        list(limited.stream_ids(ids, max_length=600))
    with pytest.raises(PromptError, match=r"300 tokens.*200.*model that reads more"):
        limited.inspect([5] * 300)


def test_the_longest_text_is_read(lm):
    assert len(lm.inspect([5] * MOST).ids) == MOST
    with pytest.raises(PromptError, match="leaves no room"):
        list(lm.stream_ids([5] * MOST))


HUGE = (10**9, 10**15, 2**63)


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize("name", ["max_length", "max_new_tokens"])
def test_lengths_that_no_machine_holds_are_refused(name, number, lm):
    if name == "max_new_tokens":
        assert lm.generate("a", max_length=8, max_new_tokens=number, sampler="greedy")
        return
    with pytest.raises(MemoryTooSmallError, match="lower max_length"):
        lm.generate("a", max_length=number)
