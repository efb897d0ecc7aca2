"""GenerationJob against a model that needs no weights: order, cancel, interrupt, errors, leaks."""

import gc
import logging
import os
import signal
import threading
import time
import weakref

import pytest
from doubles import FakeLM
from patience import HANG, until, waited_for

from workbench.errors import PromptError, WorkbenchError
from workbench.generation.events import Done, Status, Token
from workbench.jobs import generation as jobs
from workbench.jobs.generation import GenerationJob, JobState

PROMPT = "Once upon a time"


def finished(lm, **settings):
    job = GenerationJob(lm, PROMPT, **settings)
    job.start()
    assert job.wait(HANG)
    return job


def test_a_job_writes_what_the_stream_yields():
    seen = []
    job = GenerationJob(FakeLM(stop_at=9), PROMPT, max_new_tokens=20, seed=7, on_event=seen.append)
    assert job.status == "idle" and not job.done and job.text == "" and job.stats is None
    job.start()
    assert job.wait() is True
    assert job.status == "done" and job.done and job.reason == "stop" and job.error is None
    expected = list(FakeLM(stop_at=9).stream(PROMPT, max_new_tokens=20, seed=7))
    assert job.tokens == [event for event in expected if isinstance(event, Token)]
    assert job.text == expected[-1].text
    assert job.stats.new_tokens == 9 and job.stats.prompt_tokens == 4
    states = [event.status for event in seen if isinstance(event, JobState)]
    assert states == ["running", "done"]
    assert [event for event in seen if isinstance(event, Token)] == job.tokens
    assert sum(isinstance(event, Done) for event in seen) == 1


def test_settings_reach_the_model():
    lm = FakeLM()
    finished(lm, sampler="greedy", max_new_tokens=3, seed=11)
    assert lm.calls[0] == {
        "prompt": PROMPT, "sampler": "greedy", "seed": 11, "max_new_tokens": 3
    }  # fmt: skip


def test_compiling_is_told():
    seen, compiled = [], threading.Event()
    compiled.set()
    finished(FakeLM(compiled=compiled, stop_at=2), on_event=seen.append)
    states = [event.status for event in seen if isinstance(event, JobState)]
    assert states == ["running", "compiling", "running", "done"]


def test_a_compilation_is_not_counted_as_decoding():
    class CompilesLater(FakeLM):
        def _events(self, *args):
            for count, event in enumerate(super()._events(*args)):
                yield event
                if count == 3:
                    yield Status("compiling")
                    time.sleep(1)
                    yield Status("streaming")

    job = GenerationJob(CompilesLater(hold_at=9), PROMPT)
    began = time.monotonic()
    job.start()
    until(lambda: len(job.tokens) == 9)
    stats = job.stats
    took = time.monotonic() - began
    job.cancel()
    job._lm.pace.allow()
    job.wait()
    assert stats.compile_seconds >= 1 and stats.decode_seconds <= took - 1


def test_cancel_keeps_the_text_and_stops_within_a_step():
    lm = FakeLM(hold_at=5)
    job = GenerationJob(lm, PROMPT, seed=3)
    job.start()
    until(lambda: lm.pace.holds)
    job.cancel()
    assert job.status == "stopping"
    lm.pace.allow()
    assert job.wait(HANG)
    assert job.status == "cancelled" and job.reason == "cancelled"
    assert len(job.tokens) == 6, "the token at work is the last"
    assert job.text == "".join(token.text for token in job.tokens)
    assert job.stats.new_tokens == len(job.tokens) and job.stats.tokens_per_second > 0
    assert lm.active == 0, "the stream was not closed"


def test_a_run_after_a_cancel_equals_a_fresh_one():
    lm = FakeLM(hold_at=2)
    job = GenerationJob(lm, PROMPT, seed=3)
    job.start()
    until(lambda: job.tokens)
    job.cancel()
    lm.pace.allow()
    job.wait()
    assert (
        finished(lm, seed=3, max_new_tokens=30).text
        == finished(FakeLM(), seed=3, max_new_tokens=30).text
    )


def test_cancel_before_start_ends_the_job():
    seen = []
    job = GenerationJob(FakeLM(), PROMPT, on_event=seen.append)
    job.cancel()
    assert job.done and job.status == "cancelled" and seen == [JobState("cancelled")]
    assert job.wait(0)
    with pytest.raises(WorkbenchError, match="runs once"):
        job.start()


def test_jobs_of_one_model_wait_in_line():
    lm = FakeLM(stop_at=20, hold_at=6)
    seen = [[], [], []]
    queue = [GenerationJob(lm, PROMPT, seed=i, on_event=seen[i].append) for i in range(3)]
    for job in queue:
        job.start()
    until(lambda: [job.position for job in queue] == [0, 1, 2])
    lm.pace.allow()
    assert all(job.wait(HANG) for job in queue)
    assert all(job.status == "done" for job in queue)
    assert JobState("queued", 2) in seen[2] and JobState("queued", 1) in seen[2]
    assert [call["seed"] for call in lm.calls] == [0, 1, 2]


def test_a_queued_job_cancels_at_once_and_lets_the_others_pass():
    lm = FakeLM(hold_at=6)
    first, second, third = (GenerationJob(lm, PROMPT, max_new_tokens=20) for _ in range(3))
    for job in (first, second, third):
        job.start()
    until(lambda: first.tokens)
    second.cancel()
    assert second.wait(HANG) and second.status == "cancelled" and not first.done
    first.cancel()
    lm.pace.allow()
    assert third.wait(HANG) and third.status == "done" and len(third.tokens) == 20


def test_two_models_do_not_wait_for_each_other():
    lm = FakeLM(hold_at=6)
    slow = GenerationJob(lm, PROMPT)
    slow.start()
    assert finished(FakeLM(), max_new_tokens=5).status == "done"
    slow.cancel()
    lm.pace.allow()
    assert slow.wait(HANG)


def test_an_error_of_the_model_ends_the_job_and_not_the_line():
    lm = FakeLM(fail_at=4, error=ValueError("bad weights"))
    job = finished(lm)
    assert job.status == "error" and len(job.tokens) == 4 and job.text
    assert str(job.error) == "bad weights" and "_events" in job.traceback
    lm.fail_at = None
    assert finished(lm, max_new_tokens=3).status == "done"


def test_an_error_before_the_first_event_is_an_error_of_the_job():
    class Refusing(FakeLM):
        def stream(self, *args, **settings):
            raise PromptError("too long")

    job = finished(Refusing())
    assert job.status == "error" and isinstance(job.error, PromptError)


def test_an_error_keeps_no_model_arrays_alive():
    class Array:
        pass

    class Leaky(FakeLM):
        def _events(self, *args):
            array = Array()
            self.held = weakref.ref(array)
            yield from ()
            raise RuntimeError("broke")

    lm = Leaky()
    job = finished(lm)
    gc.collect()
    assert job.error is not None and lm.held() is None


def test_an_observer_that_fails_is_logged_once_and_kills_nothing(caplog):
    states = []

    def observer(event):
        if isinstance(event, JobState):
            states.append(event.status)
        raise KeyError("view is gone")

    with caplog.at_level(logging.ERROR):
        job = finished(FakeLM(stop_at=5), on_event=observer)
    assert job.status == "done" and len(job.tokens) == 5
    assert states == ["running", "done"], "the final state is told all the same"
    assert len(caplog.records) == 1


def test_wait_times_out_and_the_job_goes_on():
    lm = FakeLM(hold_at=6)
    job = GenerationJob(lm, PROMPT, max_new_tokens=10)
    job.start()
    assert job.wait(0.05) is False and not job.done
    job.cancel()
    lm.pace.allow()
    assert job.wait(HANG) is True


def test_wait_without_start_is_refused():
    with pytest.raises(WorkbenchError, match="never started"):
        GenerationJob(FakeLM(), PROMPT).wait()


def test_a_prompt_that_is_no_string_is_refused():
    with pytest.raises(PromptError, match="one string"):
        GenerationJob(FakeLM(), ["a", "b"])


@pytest.fixture
def interruptible():
    """Python's own handler of SIGINT: a process started in the background inherits none."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_soon(job, lm, ready=lambda: True):
    """Once the job is held, and ready; it may go on when it has heard of it."""

    def kill():
        until(lambda: len(job.tokens) > 3 and ready())
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: job.status in ("stopping", "cancelled"))
        lm.pace.allow()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_an_interrupt_while_waiting_cancels_cleanly(interruptible):
    lm = FakeLM(hold_at=4)
    job = GenerationJob(lm, PROMPT)
    job.start()
    killer = interrupt_soon(job, lm, waited_for(job).is_set)
    assert job.wait(HANG) is True
    killer.join()
    assert job.status == "cancelled" and job.text and job.error is None


def test_an_interrupt_in_the_foreground_cancels_cleanly(interruptible):
    lm = FakeLM(hold_at=4)
    job = GenerationJob(lm, PROMPT)
    killer = interrupt_soon(job, lm)
    text = job.run()
    killer.join()
    assert job.status == "cancelled" and text == job.text != "" and lm.active == 0
    assert finished(lm, max_new_tokens=3).status == "done"


def test_on_colab_start_runs_in_the_calling_thread(monkeypatch):
    monkeypatch.setattr(jobs, "needs_foreground", lambda: True)
    threads = set()
    job = GenerationJob(
        FakeLM(stop_at=3), PROMPT, on_event=lambda _: threads.add(threading.current_thread())
    )
    job.start()
    assert job.done and threads == {threading.main_thread()}


def test_colab_is_not_found_here():
    assert jobs.needs_foreground() is False


def test_threads_and_memory_return_to_where_they_were():
    lm = FakeLM(delay=0.0005)
    finished(lm, max_new_tokens=2)
    gc.collect()
    threads = threading.active_count()
    refs = []
    for round_ in range(100):
        job = GenerationJob(lm, PROMPT, seed=round_, max_new_tokens=40)
        refs.append(weakref.ref(job))
        job.start()
        until(lambda job=job, least=round_ % 7: len(job.tokens) >= least)
        job.cancel()
        assert job.wait(HANG)
    del job
    until(lambda: threading.active_count() == threads)
    gc.collect()
    assert sum(ref() is not None for ref in refs) == 0 and lm.active == 0
    model = weakref.ref(lm)
    del lm
    gc.collect()
    assert model() is None


def test_two_hundred_interleaved_runs_equal_their_serial_ones():
    lm = FakeLM()
    expected = {seed: finished(FakeLM(), seed=seed, max_new_tokens=8).text for seed in range(200)}
    running = [GenerationJob(lm, PROMPT, seed=seed, max_new_tokens=8) for seed in range(200)]
    for job in running:
        job.start()
    assert all(job.wait(HANG) for job in running)
    assert {seed: job.text for seed, job in enumerate(running)} == expected
