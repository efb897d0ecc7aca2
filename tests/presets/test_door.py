"""The door to memory: every call that allocates asks first, and what runs out is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from chats import chat_lm
from patience import HANG
from tiny import GOLDENS

import workbench as wb
from workbench.errors import MemoryTooSmallError
from workbench.generation import loop, search
from workbench.jobs.generation import GenerationJob
from workbench.memory import door
from workbench.preprocessing import preprocessor

IDS = np.ones((2, 12), np.int32)
ARRAYS = {"token_ids": IDS, "padding_mask": IDS}
PICTURE = np.zeros((16, 16, 3), np.uint8)
TEXT, SHORT = "Once upon", {"max_new_tokens": 2, "sampler": "greedy"}


@pytest.fixture(scope="module")
def lm():
    return chat_lm("llama")


@pytest.fixture(scope="module")
def seeing():
    return wb.models.CausalLM.from_preset(
        str(GOLDENS / "keras_hub" / "pali_gemma"), dtype="float32"
    )


def ran(job):
    job.run()
    if job.error is not None:
        raise job.error


LOOKING = {
    "inspect": lambda lm: lm.inspect(TEXT),
    "trace": lambda lm: lm.trace(TEXT),
}
WRITING = {
    "generate": lambda lm: lm.generate(TEXT, **SHORT),
    "generate arrays": lambda lm: lm.generate(ARRAYS | {"padding_mask": IDS * [[1] * 6 + [0] * 6]}),
    "beams": lambda lm: lm.generate(TEXT, max_new_tokens=2, sampler="beam"),
    "contrastive": lambda lm: lm.generate(TEXT, max_new_tokens=2, sampler="contrastive"),
    "stream": lambda lm: list(lm.stream(TEXT, **SHORT)),
    "chat": lambda lm: lm.chat(TEXT, **SHORT),
    "a conversation": lambda lm: wb.Chat(lm).send(TEXT, **SHORT),
    "a job": lambda lm: ran(GenerationJob(lm, TEXT, **SHORT)),
    "a comparison": lambda lm: ran(wb.ComparisonJob([wb.Column(lm)], TEXT, max_new_tokens=2)),
}
TRAINING = {
    "fit": lambda lm: lm.fit(ARRAYS, IDS, verbose=0),
    "fit texts": lambda lm: lm.fit([TEXT, TEXT], verbose=0),
    "evaluate": lambda lm: lm.evaluate(ARRAYS, IDS, verbose=0),
    "predict": lambda lm: lm.predict(ARRAYS, verbose=0),
    "train_on_batch": lambda lm: lm.train_on_batch(ARRAYS, IDS),
    "test_on_batch": lambda lm: lm.test_on_batch(ARRAYS, IDS),
    "predict_on_batch": lambda lm: lm.predict_on_batch(ARRAYS),
}
OTHERS = {
    "an adapter": lambda lm: lm.adapters.add("new"),
    "a batch of texts": lambda lm: preprocessor.pack([[1]], 1000, 0),
}
CALLS = LOOKING | WRITING | TRAINING | OTHERS


@pytest.fixture
def no_memory(monkeypatch):
    monkeypatch.setattr(door, "free_memory", lambda: 1000)
    monkeypatch.setattr(door, "SMALL", 1)


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_allocated_without_asking(call, lm):
    before = [variable.value for variable in lm.backbone.variables]
    with pytest.raises(MemoryTooSmallError, match="beside what is in use"):
        CALLS[call](lm)
    assert all(v.value is old for v, old in zip(lm.backbone.variables, before, strict=True))
    assert "new" not in lm.adapters


@pytest.mark.usefixtures("no_memory")
def test_pictures_ask_too(seeing):
    asked = {"images": PICTURE, "prompts": "caption en"}
    for call in (
        lambda: seeing.generate(asked, **SHORT),
        lambda: seeing.image_attention(asked, [5, 6]),
        lambda: seeing.inspect(asked),
    ):
        with pytest.raises(MemoryTooSmallError):
            call()


@pytest.mark.usefixtures("no_memory")
def test_recordings_ask_too():
    lm = wb.models.CausalLM.from_preset("digits_tiny", dtype="float32")
    with pytest.raises(MemoryTooSmallError, match="tokens"):
        lm.transcribe(np.zeros(16_000, np.float32), 16_000)


EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")


def exhausted(*_, **__):
    raise EXHAUSTED


@pytest.mark.parametrize("error", [EXHAUSTED, MemoryError("Unable to allocate 9 GiB")])
def test_memory_that_runs_out_is_named(error):
    with (
        pytest.raises(MemoryTooSmallError, match=r"reading: the memory ran out.*int8") as refusal,
        door.names_exhaustion("reading"),
    ):
        raise error
    assert refusal.value.__cause__ is error


CHILD = """
import resource
from chats import chat_lm
from workbench.memory import door

door.free_memory = lambda: 10**15
lm = chat_lm("llama")
lm.preprocessor.sequence_length = 10_000
lm.generate("a", max_new_tokens=2)
lines = open("/proc/self/status").read().splitlines()
now = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (now + 10**9, now + 10**9))
try:
    lm.trace([5] * 8000, "*/attention/weights")
except Exception as error:
    print(type(error).__name__, error)
print("still writes", lm.generate("a", max_new_tokens=2, sampler="greedy"))
"""


def test_a_process_whose_memory_really_runs_out_goes_on():
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-c", CHILD]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tests, timeout=HANG)
    assert "MemoryTooSmallError looking into a text: the memory ran out" in done.stdout, done.stderr
    assert "still writes a" in done.stdout


def test_other_errors_are_left_as_they_are():
    with pytest.raises(RuntimeError, match="INVALID"), door.names_exhaustion("reading"):
        raise RuntimeError("INVALID_ARGUMENT")


@pytest.mark.parametrize("call", WRITING | LOOKING)
def test_exhaustion_is_named_where_texts_are_written_and_read(call, lm, monkeypatch):
    for module, program in ((loop, "Run"), (search, "padded")):
        monkeypatch.setattr(module, program, exhausted)
    monkeypatch.setattr(lm.programs, "others", exhausted if call in LOOKING else lm.programs.others)
    with pytest.raises(MemoryTooSmallError, match="the memory ran out"):
        (WRITING | LOOKING)[call](lm)
    monkeypatch.undo()
    assert lm.generate(TEXT, **SHORT), "the model goes on working"


@pytest.mark.parametrize("call", TRAINING)
def test_exhaustion_is_named_in_the_calls_of_keras(call, lm, monkeypatch):
    monkeypatch.setattr("workbench.tasks.fitting.admit_step", exhausted)
    with pytest.raises(MemoryTooSmallError, match="the memory ran out"):
        TRAINING[call](lm)
    monkeypatch.undo()
    assert lm.generate(TEXT, **SHORT), "the model has its values"


def test_exhaustion_is_named_where_models_change(lm, monkeypatch):
    monkeypatch.setattr("workbench.backbones.quantization.check_mode", exhausted)
    monkeypatch.setattr("workbench.presets.load.open_preset", exhausted)
    monkeypatch.setattr("workbench.presets.store.read_peft", exhausted)
    monkeypatch.setattr("workbench.backbones.adapters.LowRank.fresh", exhausted)
    for call in (
        lambda: lm.quantize("int8"),
        lambda: wb.models.CausalLM.from_preset("stories_tiny_en"),
        lambda: wb.models.Backbone.from_preset("stories_tiny_en"),
        lambda: lm.adapters.load("somewhere"),
        lambda: lm.adapters.add("new"),
    ):
        with pytest.raises(MemoryTooSmallError, match="the memory ran out"):
            call()


@pytest.mark.parametrize("rank", [10**6, 10**9, 10**30])
def test_an_adapter_of_an_impossible_rank_is_refused(rank, lm, monkeypatch):
    monkeypatch.setattr(door, "free_memory", lambda: 10**9)
    with pytest.raises(MemoryTooSmallError, match=r"rank 10+ .*lower rank"):
        lm.adapters.add("new", rank=rank)
    assert not lm.adapters


def test_lengths_of_preprocessors_have_a_limit(lm):
    for length in (2**24 + 1, 10**18, True, 0):
        with pytest.raises(wb.errors.SettingError, match="sequence_length"):
            type(lm.preprocessor)(lm.preprocessor.tokenizer, sequence_length=length)
