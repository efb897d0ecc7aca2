"""TrainingJob: what it tells, pausing, cancelling, interrupts, errors, and its place in line."""

import gc
import logging
import os
import signal
import threading
import weakref

import numpy as np
import pytest
from linear import PATH, LinearLM, linear_feed
from patience import HANG, waited_for

from workbench.errors import (
    DataError,
    MemoryTooSmallError,
    PromptError,
    SettingError,
    WorkbenchError,
)
from workbench.jobs.generation import GenerationJob
from workbench.jobs.job import JobState
from workbench.tuning import job as job_module
from workbench.tuning.events import Problem, Sample, Step, Validation
from workbench.tuning.job import TrainingJob

pytestmark = pytest.mark.usefixtures("linear")
STEPS = 40


def job_of(lm=None, feed=None, **settings):
    settings = {"steps": STEPS, "learning_rate": 0.05, "seed": 3, **settings}
    return TrainingJob(lm or LinearLM(), feed or linear_feed(), **settings)


def finished(*args, **settings):
    job = job_of(*args, **settings)
    job.start()
    assert job.wait(HANG) and job.status == "done", job.traceback
    return job


def log_of(job):
    """What must not depend on how a run went on."""
    return [(told.step, told.loss, told.gradient_norm) for told in job.history.steps]


@pytest.fixture(scope="module")
def unbroken():
    from linear import LinearTrainer

    from workbench.tuning import run

    before, run.new_trainer = run.new_trainer, LinearTrainer
    try:
        lm = LinearLM()
        job = finished(lm)
        return log_of(job), lm.learnt
    finally:
        run.new_trainer = before


def same_as(job, unbroken):
    log, weights = unbroken
    return log_of(job) == log and np.array_equal(job._lm.learnt, weights)


# -- what it tells ------------------------------------------------------------------------------


def test_a_job_trains_and_tells():
    seen = []
    lm = LinearLM()
    job = job_of(lm, sample_prompts=["Once", "upon"], sample_tokens=4, on_event=seen.append)
    assert job.status == "idle" and not job.done and job.step == 0 and job.best is None
    job.start()
    assert job.wait(HANG) and job.status == "done" and job.done and job.error is None
    assert [told.step for told in seen if isinstance(told, Step)] == list(range(1, STEPS + 1))
    every = [told.step for told in seen if isinstance(told, Validation)]
    assert every == list(range(0, STEPS + 1, 4))
    assert [told.step for told in seen if isinstance(told, Sample)] == np.repeat(every, 2).tolist()
    assert job.history.steps == [told for told in seen if isinstance(told, Step)]
    assert job.history.samples == [told for told in seen if isinstance(told, Sample)]
    losses = [told.loss for told in job.history.steps]
    assert losses[-1] < 0.2 * losses[0]
    held_out = job.history.validations
    assert held_out[-1].loss < 0.2 * held_out[0].loss and held_out[0].best
    assert job.best.loss == min(told.loss for told in held_out)
    states = [told.status for told in seen if isinstance(told, JobState)]
    assert states[0] == "running" and states[-1] == "done"


def test_steps_carry_rate_memory_and_time():
    job = finished(validation_every=0)
    first, *_, last = job.history.steps
    assert first.tokens_per_second is None and first.remaining_seconds is None  # it compiled
    assert last.tokens_per_second > 0 and last.remaining_seconds == 0 == job.estimate_seconds
    assert job.history.steps[1].remaining_seconds > 0
    assert 1e7 < last.memory_bytes < 1e12 and last.tokens == 4
    rates = [told.learning_rate for told in job.history.steps]
    assert rates == [job.settings.learning_rate_at(step) for step in range(STEPS)]


def test_a_shape_that_is_new_is_compiling():
    seen = []
    finished(validation_every=0, on_event=seen.append)
    states = [told.status for told in seen if isinstance(told, JobState)]
    assert states == ["running", "compiling", "running", "done"]
    assert seen.index(JobState("compiling")) < seen.index(
        next(told for told in seen if isinstance(told, Step))
    )


def test_micro_batches_make_one_step():
    lm = LinearLM()
    job = finished(lm, accumulate=2, steps=None, epochs=4)
    assert job.step == 20 and job.history.steps[0].tokens == 8


def test_columns_are_plain_lists():
    history = finished(steps=5, sample_prompts="Once").history
    assert repr(history) == "History(5 steps, 6 validations, 6 samples, 0 problems)"
    columns = history.columns()
    assert columns["steps"]["step"] == [1, 2, 3, 4, 5]
    assert columns["validations"]["best"][0] is True
    assert columns["samples"]["prompt"] == ["Once"] * 6
    assert columns["problems"] == {"step": [], "message": []}


def test_an_adapter_that_is_there_is_trained_further():
    lm = LinearLM()
    first = finished(lm, name="pirate", steps=10)
    second = finished(lm, name="pirate", steps=10)
    assert second.history.steps[0].loss < first.history.steps[0].loss
    assert list(lm.adapters) == ["pirate"]


def test_an_adapter_that_is_there_keeps_its_rank():
    lm = LinearLM()
    finished(lm, name="pirate", steps=2, rank=4, alpha=2)
    job = job_of(lm, name="pirate", rank=4)
    assert (job.settings.rank, job.settings.alpha) == (4, 2)
    for setting, value in (("rank", 8), ("alpha", 4), ("dropout", 0.5)):
        with pytest.raises(SettingError, match=f"{setting}: adapter 'pirate' is there already"):
            job_of(lm, name="pirate", **{setting: value})


def test_the_best_adapter_is_kept_and_put_back():
    lm = LinearLM()
    job = job_of(lm, learning_rate=0.6, schedule="constant", steps=12, validation_every=1)
    with pytest.raises(WorkbenchError, match=r"keep_best: .* idle"):
        job.keep_best()
    job.start()
    assert job.wait(HANG)
    losses = [told.loss for told in job.history.validations]
    assert losses[-1] > min(losses), "the end should not be the best here"
    assert job.keep_best() is job.best
    assert np.array_equal(lm.learnt, job.best.adapter.updates[PATH].a[0])
    with pytest.raises(WorkbenchError, match="with a validation, got none"):
        finished(feed=linear_feed(held_out=False)).keep_best()


def test_a_figure_shows_the_losses():
    job = finished()
    (axes,) = job.figure().axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:2] == ["training, smoothed", "held out"] and "best" in labels[2]
    assert list(axes.lines[0].get_xdata()) == list(range(1, STEPS + 1))
    assert len(job_of().figure().axes[0].lines) == 0


# -- pause and resume ---------------------------------------------------------------------------


def test_a_pause_stops_within_a_step_and_a_resume_changes_nothing(unbroken, until):
    seen = []
    lm = LinearLM(hold_at_step=5)
    job = job_of(lm, on_event=seen.append)
    job.start()
    until(lambda: job.step >= 5)
    job.pause()
    step = job.step
    lm.steps.allow()
    assert job.wait(HANG) is False
    assert job.status == "paused" and not job.done and not job.pausing
    assert step <= job.step <= step + 1
    job.resume()
    assert job.wait(HANG) and job.status == "done"
    assert same_as(job, unbroken)
    states = [told.status for told in seen if isinstance(told, JobState)]
    assert states.count("paused") == 1 and states[-1] == "done"


def test_a_paused_job_lets_others_use_the_model(until):
    lm = LinearLM(hold_at_step=3)
    job = job_of(lm)
    job.start()
    until(lambda: job.step >= 3)
    writer = GenerationJob(lm, "Once", max_new_tokens=3)
    writer.start()
    until(lambda: writer.status == "queued")
    job.pause()
    lm.steps.allow()
    assert writer.wait(HANG) and writer.status == "done" and job.status == "paused"
    job.resume()
    assert job.wait(HANG) and job.status == "done"


def test_what_happens_to_the_adapter_in_a_pause_is_undone(unbroken, until):
    lm = LinearLM(hold_at_step=3)
    job = job_of(lm)
    job.start()
    until(lambda: job.step >= 3)
    job.pause()
    lm.steps.allow()
    job.wait(HANG)
    finished(lm, steps=5, name="another")
    lm.adapters.use("default")
    finished(lm, steps=5)
    job.resume()
    assert job.wait(HANG)
    assert same_as(job, unbroken)


def test_a_resume_right_after_a_pause_goes_on(unbroken):
    job = job_of()
    job.start()
    while not job.done:
        job.pause()
        try:
            job.resume()
        except WorkbenchError:
            assert job.done
    assert job.wait(HANG) and job.status == "done"
    assert same_as(job, unbroken)


def test_many_pauses_change_nothing(unbroken, until):
    lm = LinearLM(hold_at_step=1)
    job = job_of(lm)
    job.start()
    for target in range(1, STEPS, 5):
        until(lambda target=target: job.step == target)
        job.pause()
        lm.steps.allow(target + 5)
        assert job.wait(HANG) is False
        job.resume()
    assert job.wait(HANG) and same_as(job, unbroken)


def test_a_queued_job_pauses_at_once(until):
    lm = LinearLM(hold_at_step=10)
    first, second = job_of(lm, steps=20), job_of(lm, name="second", steps=3)
    first.start()
    second.start()
    until(lambda: second.position == 1)
    second.pause()
    assert second.wait(HANG) is False and second.status == "paused"
    lm.steps.allow()
    second.resume()
    assert second.wait(HANG) and first.done


def test_pause_and_resume_say_when_they_make_no_sense():
    job = job_of()
    for act in (job.pause, job.resume):
        with pytest.raises(WorkbenchError, match=r"never started|idle"):
            act()
    done = finished(steps=2)
    done.pause()
    assert done.status == "done" and not done.pausing
    with pytest.raises(WorkbenchError, match="done"):
        done.resume()
    with pytest.raises(WorkbenchError, match="runs once"):
        done.start()


# -- the end ------------------------------------------------------------------------------------


def test_a_cancel_stops_within_a_step_with_its_weights(unbroken, until):
    lm = LinearLM(hold_at_step=5)
    job = job_of(lm)
    job.start()
    until(lambda: lm.steps.holds)
    step = job.step
    job.cancel()
    assert job.status == "stopping"
    lm.steps.allow()
    assert job.wait(HANG) and job.status == "cancelled" and step <= job.step <= step + 1
    assert len(job.history.steps) == job.step
    again = finished(LinearLM(), warmup_steps=2, steps=STEPS)
    assert log_of(job) == log_of(again)[: job.step]
    weights = lm.learnt
    threading.Event().wait(0.05)
    assert np.array_equal(lm.learnt, weights)


def test_a_cancel_while_samples_are_written_does_not_wait_for_them(until):
    lm = LinearLM(hold_at=5)
    job = job_of(lm, sample_prompts="Once", sample_tokens=200)
    job.start()
    until(lambda: lm.active)
    job.cancel()
    lm.pace.allow(6)
    assert job.wait(HANG) and job.status == "cancelled" and lm.active == 0
    assert job.history.samples == []


@pytest.mark.parametrize("paused", [False, True])
def test_a_job_that_nobody_works_on_is_cancelled_at_once(paused, until):
    seen = []
    lm = LinearLM(hold_at_step=3)
    job = job_of(lm, on_event=seen.append)
    if paused:
        job.start()
        until(lambda: job.step > 2)
        job.pause()
        lm.steps.allow()
        job.wait(HANG)
    job.cancel()
    assert job.done and job.status == "cancelled" and seen[-1] == JobState("cancelled")
    assert job.wait(HANG)


@pytest.fixture
def interruptible():
    """Python's own handler of SIGINT: a process started in the background inherits none."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_soon(until, job, lm, ready=lambda: True):
    """Once the job is held, and ready; it may go on when it has heard of it."""

    def kill():
        until(lambda: job.step > 3 and ready())
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: job.status in ("stopping", "cancelled"))
        lm.steps.allow()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_waiting_cancels(until):
    lm = LinearLM(hold_at_step=4)
    job = job_of(lm)
    job.start()
    killer = interrupt_soon(until, job, lm, waited_for(job).is_set)
    assert job.wait(HANG) is True
    killer.join()
    assert job.status == "cancelled" and job.error is None


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_in_the_foreground_ends_after_the_step(monkeypatch, until):
    monkeypatch.setattr(job_module.TrainingJob, "_in_foreground", staticmethod(lambda: True))
    lm = LinearLM(hold_at_step=4)
    job = job_of(lm)
    killer = interrupt_soon(until, job, lm)
    job.start()
    killer.join()
    assert job.status == "cancelled" and 3 < job.step < STEPS and not lm.training
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = finished(LinearLM())
    assert log_of(job) == log_of(again)[: job.step]


def test_in_the_foreground_a_pause_gives_the_cell_back(monkeypatch, unbroken):
    monkeypatch.setattr(job_module.TrainingJob, "_in_foreground", staticmethod(lambda: True))
    job = job_of(on_event=lambda told: job.pause() if _is_step(told, 7) else None)
    job.start()
    assert job.status == "paused" and job.step == 7
    job.resume()
    assert job.status == "done" and same_as(job, unbroken)


def _is_step(told, step):
    return isinstance(told, Step) and told.step == step


def test_an_error_ends_the_job_with_the_last_finished_step():
    lm = LinearLM(fails={6: RuntimeError("the device is gone")})
    job = job_of(lm)
    job.start()
    job.wait(HANG)
    assert job.status == "error" and str(job.error) == "the device is gone"
    assert "_step" in job.traceback and job.step == 5
    lm.fails = {}
    kept = lm.learnt
    other = LinearLM()
    cut = job_of(other, on_event=lambda told: cut.cancel() if _is_step(told, 5) else None)
    cut.start()
    cut.wait(HANG)
    assert np.array_equal(other.learnt, kept)
    assert finished(lm, steps=2).status == "done"


def test_an_observer_that_fails_is_logged_once(caplog):
    def observer(event):
        raise KeyError("view is gone")

    with caplog.at_level(logging.ERROR):
        job = finished(on_event=observer, steps=5)
    assert job.step == 5 and len(caplog.records) == 1


def test_a_sample_that_fails_is_a_problem_and_not_the_end():
    class Refusing(LinearLM):
        def stream(self, *args, **settings):
            raise PromptError("the prompt is too long")

    job = finished(Refusing(), steps=2, sample_prompts="Once")
    assert [told.step for told in job.history.problems] == [0, 1, 2]
    assert "too long" in job.history.problems[0].message
    assert job.history.samples[0] == Sample(0, "Once", "")
    assert isinstance(job.history.problems[0], Problem)


def test_what_cannot_be_is_refused_before_anything_is_trained():
    class Picky(LinearLM):
        def prompt_tokens(self, prompt):
            raise PromptError("no such words")

    with pytest.raises(PromptError, match="no such words"):
        job_of(Picky(), sample_prompts="Once")
    with pytest.raises(SettingError, match="learning_rate"):
        job_of(learning_rate=-1)
    with pytest.raises(SettingError, match="lerning_rate"):
        job_of(lerning_rate=1)
    with pytest.raises(WorkbenchError, match="never started"):
        job_of().wait()


def test_a_run_that_does_not_fit_is_refused_at_the_start(monkeypatch):
    from workbench.tuning import memory

    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    job = job_of()
    with pytest.raises(MemoryTooSmallError, match="batches of 8 x 16"):
        job.start()
    assert job.status == "idle"


def test_a_truth_value_is_no_share(tiny_lms):
    with pytest.raises(DataError, match="share"):
        TrainingJob(tiny_lms["llama"], ["a text", "another"], True)


# -- with others --------------------------------------------------------------------------------


def test_jobs_of_one_model_wait_for_each_other():
    lm = LinearLM(hold_at_step=0)
    seen = []
    work = [
        job_of(lm, name="one", steps=5),
        GenerationJob(lm, "Once", max_new_tokens=10, on_event=seen.append),
        job_of(lm, name="two", steps=5, on_event=seen.append),
    ]
    for job in work:
        job.start()
    lm.steps.allow()
    assert all(job.wait(HANG) for job in work)
    assert [job.status for job in work] == ["done"] * 3
    assert any(told == JobState("queued", 2) for told in seen)


def test_threads_and_memory_return_to_where_they_were(until):
    lm = LinearLM(step_seconds=0.0005)
    finished(lm, steps=2)
    gc.collect()
    threads = threading.active_count()
    refs = []
    for round_ in range(30):
        job = job_of(lm, learning_rate=0.01)
        refs.append(weakref.ref(job))
        job.start()
        until(lambda job=job, least=round_ % 5: job.step >= least)
        if round_ % 2:
            job.pause()
            job.wait(HANG)
        job.cancel()
        assert job.wait(HANG)
    del job
    until(lambda: threading.active_count() == threads)
    gc.collect()
    assert sum(ref() is not None for ref in refs) == 0
    model = weakref.ref(lm)
    del lm
    gc.collect()
    assert model() is None
