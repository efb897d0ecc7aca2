"""TrainingJob on a real decoder: what is learnt, pauses with a generation, resuming, samples."""

import numpy as np
import pytest
from tiny import byte_tokenizer, tiny_backbone

from workbench.errors import CheckpointError
from workbench.jobs.generation import GenerationJob
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM
from workbench.tuning.events import Step
from workbench.tuning.job import TrainingJob

TEXTS = [
    f"the {a} {b} {c}"
    for a in ("red", "blue")
    for b in ("fox", "dog", "cat", "hen")
    for c in ("runs", "sits", "eats")
]
SETTINGS = {"steps": 24, "batch_size": 4, "dropout": 0.1, "learning_rate": 0.01, "seed": 2}


@pytest.fixture(scope="module")
def lm():
    return CausalLM(
        tiny_backbone("llama"), CausalLMPreprocessor(byte_tokenizer(), sequence_length=32)
    )


def trained(lm, name, **settings):
    job = TrainingJob(lm, TEXTS, 4, name=name, **{**SETTINGS, **settings})
    job.start()
    job.wait()
    assert job.status == "done", job.traceback
    return job


def result(job):
    log = [(told.step, told.loss, told.gradient_norm) for told in job.history.steps]
    updates = job._lm.adapters[job.name].updates
    arrays = [np.asarray(part).tobytes() for update in updates.values() for part in update[:2]]
    return log, [told.loss for told in job.history.validations], arrays


@pytest.fixture(scope="module")
def whole(lm):
    job = trained(lm, "whole", sample_prompts="the red", sample_tokens=6, sample_every=24)
    return job, result(job)


def test_a_decoder_learns_and_shows_it(whole, lm):
    job, _ = whole
    held_out = [told.loss for told in job.history.validations]
    assert held_out[-1] < held_out[0] - 0.3 and job.best.loss < held_out[0]
    assert [told.step for told in job.history.samples] == [0, 24]
    lm.adapters.use("whole")
    asked = {"sampler": "greedy", "max_new_tokens": 6}
    now = lm.generate("the red", strip_prompt=True, **asked)
    with lm.adapters.using(None):
        before = lm.generate("the red", strip_prompt=True, **asked)
    assert [told.text for told in job.history.samples] == [before, now]
    assert lm.adapters["whole"].config.dropout == 0.1


def test_a_pause_with_a_generation_changes_nothing(whole, lm):
    def watch(event):
        if isinstance(event, Step) and event.step == 9:
            job.pause()

    job = TrainingJob(lm, TEXTS, 4, name="paused", on_event=watch, **SETTINGS)
    job.start()
    assert job.wait() is False and job.status == "paused" and job.step == 9
    writer = GenerationJob(lm, "the red", max_new_tokens=4)
    writer.start()
    assert writer.wait() and writer.status == "done", writer.traceback
    lm.adapters.use(None)
    job.resume()
    assert job.wait() and job.status == "done", job.traceback
    assert result(job) == whole[1]


def test_a_cancelled_run_is_resumed_bit_by_bit(whole, lm, tmp_path):
    def watch(event):
        if isinstance(event, Step) and event.step == 13:
            job.cancel()

    job = TrainingJob(lm, TEXTS, 4, name="broken", folder=tmp_path, on_event=watch, **SETTINGS)
    job.start()
    job.wait()
    lm.adapters.remove("broken")
    again = TrainingJob.resume_from(tmp_path, lm, TEXTS)
    again.start()
    again.wait()
    assert again.status == "done" and again.step == 24, again.traceback
    assert result(again) == whole[1]
    with pytest.raises(CheckpointError, match=r"data: examples: 20 in the checkpoint, 19 here"):
        TrainingJob.resume_from(tmp_path, lm, TEXTS[1:])
    with pytest.raises(CheckpointError, match=r"data: digest"):
        TrainingJob.resume_from(tmp_path, lm, [TEXTS[0].upper(), *TEXTS[1:]])


def test_a_real_model_says_what_training_takes(lm):
    job = TrainingJob(lm, TEXTS, 4, name="sized", **SETTINGS)
    assert job.estimate.weights == sum(v.value.nbytes for v in lm.backbone.variables)
    assert job.estimate.optimizer == 8 * lm.adapters["whole"].parameters
    assert job.estimate_seconds is None and job.settings.steps == 24
