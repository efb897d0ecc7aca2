"""Whatever is given to a public call, it is taken or refused by name, and the model stays as it is.

`WORKBENCH_FUZZ=all` tries every value at every argument.
"""

import hashlib
import itertools
import os
import random

import numpy as np
import pytest
from tiny import byte_tokenizer, tiny_backbone

import workbench as wb
from workbench.audio import open_audio
from workbench.errors import MAX_MESSAGE, SettingError, WorkbenchError
from workbench.images import ImageConverter, open_image

COUNT = 500
HUGE = 10**5000
NAN, INFINITE = float("nan"), float("inf")


class Long:
    """Something that shows itself at length."""

    def __repr__(self):
        return "x" * 10**6


VALUES = [
    *(True, False, np.bool_(True), -1, HUGE, 2**63, -0.0, 1.5, NAN, INFINITE, 1j),
    *("", "\0", "a\ud800", b"", b"\xff", "x" * 10**5, None, Ellipsis, Long(), object()),
    *([], (), {}, set(), {"a": 1}, {1}, [1.5], [-1], [True], [None], [NAN], [10**30]),
    *(["a", 1], ["1"], [[1], [1, 2]], [b"\xff"], ["\ud800"], range(3), range(-2, 0)),
    *(np.float32(2), np.array(2), np.array("a"), np.array([]), np.array([1j])),
    *(np.array([None], object), np.array(["a"]), np.array([b"a"]), np.datetime64("2020")),
    *(np.zeros((2, 2, 2)), np.zeros(3)[::-1], np.full(3, NAN)),
]
INTEGERS = [True, np.True_, 0, -1, 1.0, 1.5, NAN, INFINITE, "1", [1], -HUGE, np.float32(1), 1j]
TRUTHS = ["no", "", 1, 0, 1.0, [True], NAN]


@pytest.fixture(scope="module")
def lm():
    preprocessor = wb.models.GPT2CausalLMPreprocessor(byte_tokenizer(), sequence_length=32)
    made = wb.models.GPT2CausalLM(tiny_backbone("gpt2"), preprocessor)
    made.compile(sampler="greedy")
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    preprocessor.tokenizer.chat_template = template
    return made


def drained(events):
    return list(itertools.islice(events, 50))


def calls(lm):
    """Each call with arguments that fit, and the names of those that are exchanged."""
    tokenizer, preprocessor = lm.preprocessor.tokenizer, lm.preprocessor
    inspection = lm.inspect("abc")
    run = {"max_length": 5, "seed": 1}
    recording = np.zeros(16_000, np.float32)
    return {
        lm.generate: ({"inputs": "ab", **run}, "inputs max_length stop_token_ids strip_prompt "
                      "max_new_tokens sampler seed"),
        lambda **given: drained(lm.stream(**given)): (
            {"inputs": "ab", **run},
            "inputs max_length stop_token_ids max_new_tokens sampler seed alternatives",
        ),
        lambda **given: drained(lm.stream_ids(**given)): ({"ids": [1, 2], **run}, "ids max_length"),
        lm.chat: ({"messages": "ab", **run}, "messages max_new_tokens template_arguments seed"),
        lambda **given: wb.Chat(lm).send(**given): ({"text": "ab", **run}, "text max_length seed"),
        lambda **given: wb.Chat(lm).edit(**given): ({"index": 0, "text": "b"}, "index text"),
        lm.inspect: ({}, "inputs"),
        lm.trace: ({"inputs": "ab", "names": "logits"}, "inputs names"),
        inspection.distribution: ({}, "place"),
        inspection.lens: ({}, "k"),
        inspection.attention: ({}, "layer"),
        lm.fit: ({"x": ["ab"], "verbose": 0}, "y sample_weight batch_size epochs validation_split"),
        tokenizer.tokenize: ({}, "inputs"),
        tokenizer.detokenize: ({}, "inputs"),
        tokenizer.id_to_token: ({}, "id"),
        tokenizer.token_to_id: ({}, "token"),
        tokenizer.has_token: ({}, "token"),
        preprocessor: ({"x": "ab"}, "x y sequence_length"),
        preprocessor.generate_preprocess: ({"x": "ab"}, "x sequence_length"),
        preprocessor.generate_postprocess: ({}, "x"),
        wb.samplers.get: ({}, "identifier"),
        wb.samplers.TopKSampler: ({}, "k temperature seed repetition_penalty"),
        wb.samplers.TopPSampler: ({}, "p k"),
        wb.tokenizers.built_in_chat_template: ({}, "name"),
        open_image: ({}, "source"),
        ImageConverter: ({"image_size": (4, 4)}, "image_size scale offset crop_to_aspect_ratio"),
        open_audio: ({"source": recording}, "source rate sampling_rate"),
    }  # fmt: skip


def digest(lm):
    return hashlib.sha256(b"".join(np.asarray(v).tobytes() for v in lm.variables)).hexdigest()


def unnamed(call, given, name, value):
    """What is wrong with how a value is refused; None where it is taken, or refused by name."""
    try:
        call(**given | {name: value})
    except WorkbenchError as error:
        str(error).encode()
        return f"{len(str(error))} characters" if len(str(error)) > MAX_MESSAGE else None
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:80]}"
    return None


def test_no_value_ends_in_an_unnamed_error(lm):
    tries = [
        (call, given, name, value)
        for call, (given, names) in calls(lm).items()
        for name in names.split()
        for value in VALUES
        # What trains or runs to its limit is no mistake, and takes its time.
        if not (name in ("batch_size", "y", "sample_weight", "validation_split") and value is None)
    ]
    if os.environ.get("WORKBENCH_FUZZ") != "all":
        tries = random.Random(0).sample(tries, COUNT)
    before = digest(lm)
    wrong = []
    for call, given, name, value in tries:
        if problem := unnamed(call, given, name, value):
            wrong.append((getattr(call, "__name__", call), name, type(value).__name__, problem))
    assert not wrong, wrong
    assert digest(lm) == before


INTEGER_ARGUMENTS = ("max_length", "max_new_tokens")


@pytest.mark.parametrize("value", INTEGERS, ids=range(len(INTEGERS)))
def test_integers_are_integers(lm, value):
    for name in INTEGER_ARGUMENTS:
        for call in (lm.generate, lm.stream):
            with pytest.raises(SettingError, match=f"^{name}: expected an integer"):
                call("ab", **{name: value})
    for call, name in ((lm.fit, "batch_size"), (lm.fit, "epochs")):
        with pytest.raises(SettingError, match=f"^{name}: expected an integer"):
            call(["ab"], **{name: value})
    with pytest.raises(SettingError, match=r"^sequence_length: expected an integer"):
        lm.preprocessor("ab", sequence_length=value)
    with pytest.raises(SettingError, match=r"samples a second: expected an integer"):
        open_audio(np.zeros(16_000), rate=value)


@pytest.mark.parametrize("value", [True, 1.0, NAN, "1", -1, [1]], ids=str)
def test_seeds_stops_and_alternatives_are_integers(lm, value):
    with pytest.raises(SettingError, match=r"^seed: expected an integer"):
        lm.generate("ab", seed=value)
    with pytest.raises(SettingError, match=r"^stop_token_ids: expected an integer"):
        lm.generate("ab", stop_token_ids=[value])
    with pytest.raises(SettingError, match=r"^alternatives: expected an integer"):
        lm.stream("ab", alternatives=value)


@pytest.mark.parametrize("value", TRUTHS)
def test_truth_values_are_truth_values(lm, value):
    with pytest.raises(SettingError, match=r"^strip_prompt: expected true or false"):
        lm.generate("ab", strip_prompt=value)


def test_no_prompts_are_no_events(lm):
    assert lm.generate([]) == []
    assert list(lm.stream([])) == []
