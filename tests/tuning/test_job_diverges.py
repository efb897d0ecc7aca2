"""R9: a loss that is no number or explodes stops the run at the last good adapter."""

import math

import numpy as np
import pytest
from linear import PATH, LinearLM, Rows, linear_feed
from patience import HANG

from workbench.errors import TrainingDiverged
from workbench.tuning.divergence import exploded_above, is_sound
from workbench.tuning.events import Step
from workbench.tuning.feed import Feed
from workbench.tuning.job import TrainingJob


def ended(lm, feed, **settings):
    weights = []

    def watch(event):
        if isinstance(event, Step):
            weights.append(lm.learnt)

    settings = {"steps": 40, "learning_rate": 0.02, "name": "default", **settings}
    job = TrainingJob(lm, feed, on_event=watch, **settings)
    job.start()
    job.wait(HANG)
    return job, weights


@pytest.mark.usefixtures("linear")
def test_a_batch_that_holds_no_number_is_named():
    lm = LinearLM()
    job, weights = ended(lm, linear_feed(nan_at=6))
    assert job.status == "error" and isinstance(job.error, TrainingDiverged), job.traceback
    assert job.error.step == 7 and job.error.examples == (24, 25, 26, 27)
    assert math.isnan(job.error.loss) and job.step == 6
    assert "record 25" in str(job.error) and "look at these examples" in str(job.error)
    assert np.array_equal(lm.learnt, weights[-1]), "the adapter of step 6 is sound"


@pytest.mark.usefixtures("linear")
def test_a_learning_rate_that_is_too_high_is_named():
    lm = LinearLM()
    job, weights = ended(lm, linear_feed(), learning_rate=1e30, warmup_steps=0, validation_every=0)
    assert isinstance(job.error, TrainingDiverged) and job.error.step == 1 and job.step == 0
    assert "learning_rate (now 1e+30, try 1e+29)" in str(job.error)
    assert "numbers up to 10000" in str(job.error) and weights == []
    start = LinearLM()
    start.adapters.add("default", seed=0)
    assert np.array_equal(lm.learnt, start.adapters["default"].updates[PATH].a[0])


@pytest.mark.usefixtures("linear")
def test_weights_that_explode_slowly_stop_within_a_step_of_the_limit():
    lm = LinearLM()
    settings = {"learning_rate": 0.5, "schedule": "constant", "warmup_steps": 0}
    job, weights = ended(lm, linear_feed(), **settings, validation_every=0)
    assert isinstance(job.error, TrainingDiverged) and np.isfinite(job.error.loss)
    losses = [told.loss for told in job.history.steps]
    assert max(losses) <= exploded_above(losses[0]) < job.error.loss
    good = weights[-2]
    assert np.array_equal(lm.learnt, good), "of the step before the one that threw it away"


@pytest.mark.usefixtures("linear")
def test_held_out_examples_that_give_no_number_stop_it_too():
    class Broken(Rows):
        def validation(self):
            yield from (Rows(nan_at=1).batch(step) for step in range(2))

    feed = Feed(Rows(), Broken(), longest=16)
    job, _ = ended(LinearLM(), feed)
    assert isinstance(job.error, TrainingDiverged) and job.error.step == 0
    assert "held-out examples 4, 5, 6, 7" in str(job.error)


@pytest.mark.usefixtures("linear")
def test_checkpoints_of_bad_weights_are_removed(tmp_path):
    lm = LinearLM()
    settings = {"learning_rate": 0.5, "schedule": "constant", "warmup_steps": 0}
    job, _ = ended(lm, linear_feed(), **settings, validation_every=0, folder=tmp_path, save_every=1)
    assert isinstance(job.error, TrainingDiverged)
    kept = sorted(path.name for path in tmp_path.glob("step_*"))
    assert kept == [f"step_{job.error.step - 2:08}"]


@pytest.mark.usefixtures("linear")
def test_a_message_stays_short_with_many_examples():
    class Wide(Rows):
        def batch(self, step):
            made = super().batch(step)
            object.__setattr__(made, "indices", tuple(range(5000)))
            return made

    job, _ = ended(LinearLM(), Feed(Wide(nan_at=2), longest=16), validation=None)
    assert "and 4992 more" in str(job.error) and len(str(job.error)) < 1000
    assert len(job.error.examples) == 5000


def test_usual_losses_are_sound():
    assert is_sound(2.0, 1.0, 2.0) and is_sound(17.9, 1e6, 2.0)
    assert not is_sound(18.1, 1.0, 2.0)
    for loss, norm in ((math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)):
        assert not is_sound(loss, norm, 2.0)


@pytest.fixture(scope="module")
def llama():
    from tiny import byte_tokenizer, tiny_backbone

    from workbench.preprocessing.preprocessor import CausalLMPreprocessor
    from workbench.tasks.causal_lm import CausalLM

    return CausalLM(
        tiny_backbone("llama"), CausalLMPreprocessor(byte_tokenizer(), sequence_length=32)
    )


TEXTS = [f"the {a} {b} runs" for a in ("red", "blue", "old") for b in ("fox", "dog", "cat", "hen")]


def test_a_llama_at_an_absurd_learning_rate_keeps_its_first_adapter(llama):
    settings = {"steps": 5, "batch_size": 4, "warmup_steps": 0, "clip_norm": None}
    job = TrainingJob(llama, TEXTS, None, name="wild", learning_rate=1e30, **settings)
    job.start()
    job.wait()
    assert isinstance(job.error, TrainingDiverged) and job.error.step == 1, job.traceback
    updates = llama.adapters["wild"].updates.values()
    assert all(np.all(update.b == 0) and np.abs(update.a).max() < 1 for update in updates)
    assert "record" in str(job.error)


def test_a_llama_with_a_weight_that_is_no_number_stops_at_once(llama):
    job = TrainingJob(llama, TEXTS, None, name="sane", steps=20, batch_size=4)
    spoilt = llama.backbone.get_layer("decoder_block_1").attention.output_projection.kernel
    before = np.array(spoilt.value)

    def spoil(event):
        if isinstance(event, Step) and event.step == 3:
            spoilt.assign(np.full(before.shape, np.nan, np.float32))

    job._observer = spoil
    job.start()
    job.wait()
    spoilt.assign(before)
    assert isinstance(job.error, TrainingDiverged) and job.error.step == 4, job.traceback
    updates = llama.adapters["sane"].updates.values()
    assert all(np.isfinite(part).all() for update in updates for part in (update.a, update.b))
