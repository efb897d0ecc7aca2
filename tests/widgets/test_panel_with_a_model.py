"""Jobs and the panel over a real, tiny model: cancelling leaves no trace, and the code is exact."""

import ast
import gc
import random
import threading
import time

import jax
import pytest
from patience import HANG
from workbench.widgets import GeneratePanel

import workbench as wb
from workbench.jobs.generation import GenerationJob

PROMPT = "The quick brown fox"


def test_cancelled_runs_leave_the_model_as_it_was(tiny_lms):
    lm = tiny_lms["llama"]
    settings = {"sampler": wb.samplers.TopKSampler(k=20), "seed": 3, "max_new_tokens": 40}
    settings["stop_token_ids"] = None
    expected = lm.generate(PROMPT, strip_prompt=True, **settings)
    gc.collect()
    arrays, threads = len(jax.live_arrays()), threading.active_count()
    choose = random.Random(5)
    cancelled = 0
    for _ in range(100):
        job = GenerationJob(lm, PROMPT, **settings)
        job.start()
        least = choose.randrange(30)
        while len(job.tokens) < least:
            time.sleep(0.0005)
        job.cancel()
        assert job.wait(HANG) and job.error is None
        assert expected.startswith(job.text)
        cancelled += job.status == "cancelled"
    assert cancelled > 50
    del job
    gc.collect()
    assert (len(jax.live_arrays()), threading.active_count()) == (arrays, threads)
    assert lm.generate(PROMPT, strip_prompt=True, **settings) == expected


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("sampler", ["greedy", "top_k"])
def test_the_panel_writes_what_its_code_writes(tiny_lms, sampler):
    lm = tiny_lms["gpt2"]
    panel = GeneratePanel(lm, PROMPT, sampler=sampler, seed=11, max_new_tokens=500)
    panel.start()
    assert panel.wait(HANG) and panel.error is None and panel.status == "done"
    assert panel.form["controls"][5]["reach"] == lm.max_length == 64
    assert panel.prompt_tokens == panel.history[0].job.stats.prompt_tokens == len(PROMPT) + 1
    assert panel.output["summary"].endswith("stop: context full")
    body = ast.parse(panel.code)
    call = ast.Expression(body.body.pop().value)
    names = {"lm": lm}
    exec(compile(body, "code", "exec"), names)
    assert eval(compile(call, "code", "eval"), names) == PROMPT + panel.text


@pytest.mark.usefixtures("kernel")
def test_a_prompt_that_leaves_no_room_is_one_sentence(tiny_lms):
    panel = GeneratePanel(tiny_lms["llama"], "x" * 100)
    panel.start()
    assert panel.wait(HANG) and panel.status == "failed"
    assert "leaves no room" in panel.error["message"] and panel.text == ""
