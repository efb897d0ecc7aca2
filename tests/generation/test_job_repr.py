"""What a job says of itself: kind, model, status, how far it is."""

from compare_doubles import ComparedLM
from doubles import FakeLM
from patience import HANG
from tune_doubles import STORIES, tiny_lm

from workbench.jobs.comparison import Column, ComparisonJob
from workbench.jobs.generation import GenerationJob
from workbench.jobs.loading import LoadJob
from workbench.tuning.job import TrainingJob


def test_a_generation_counts_its_tokens():
    job = GenerationJob(FakeLM(stop_at=5), "Once")
    assert repr(job) == "<GenerationJob fake_tiny_en: idle>"
    job.run()
    assert repr(job) == "<GenerationJob fake_tiny_en: done, 5 tokens>"


def test_one_that_waits_says_how_many_are_ahead():
    lm = FakeLM(hold_at=6)
    jobs = [GenerationJob(lm, "Once") for _ in range(3)]
    for job in jobs:
        job.start()
    assert repr(jobs[2]) == "<GenerationJob fake_tiny_en: queued, 2 ahead>"
    for job in reversed(jobs):
        job.cancel()
    lm.pace.allow()
    for job in jobs:
        assert job.wait(HANG)
    assert repr(jobs[2]) == "<GenerationJob fake_tiny_en: cancelled>"


def test_a_failure_is_named_on_the_same_line():
    job = GenerationJob(FakeLM(fail_at=2, error=RuntimeError("no memory\nat all")), "Once")
    job.run()
    assert repr(job) == "<GenerationJob fake_tiny_en: error, 2 tokens, RuntimeError: no memory>"


def test_what_streams_needs_no_name():
    class Streams:
        def stream(self, prompt, **settings):
            return iter(())

    assert repr(GenerationJob(Streams(), "Once")) == "<GenerationJob Streams: idle>"


def test_a_training_tells_its_adapter_and_step():
    lm = tiny_lm()
    job = TrainingJob(lm, STORIES, name="pirate", steps=2, batch_size=2, length=16)
    assert repr(job) == f"<TrainingJob {lm.name}: idle, 'pirate' step 0 of 2>"
    job.start()
    assert job.wait(HANG)
    loss = f"{job.history.steps[-1].loss:.3g}"
    assert repr(job) == f"<TrainingJob {lm.name}: done, 'pirate' step 2 of 2, loss {loss}>"


def test_a_comparison_counts_completions():
    first, second = ComparedLM(name="first"), ComparedLM(name="second")
    columns = [Column(lm) for lm in (first, second, first)]
    job = ComparisonJob(columns, ["Once", "Twice"])
    assert repr(job) == "<ComparisonJob first, second: idle, 0 of 6 completions>"


def test_a_load_tells_the_handle(tmp_path):
    job = LoadJob("stories_tiny_en")
    assert repr(job) == "<LoadJob stories_tiny_en: idle>"
    job.start()
    assert job.wait(HANG) and repr(job) == "<LoadJob stories_tiny_en: done>"
    missing = LoadJob(tmp_path / "nothing")
    missing.start()
    assert missing.wait(HANG)
    told = repr(missing)
    assert told.startswith(f"<LoadJob {tmp_path}") and "failed, PresetError: " in told
