"""Loading as a job: what it tells, how it ends, and that a cancel leaves nothing behind."""

import gc
import threading
import weakref

import numpy as np
import pytest

from workbench.errors import PresetError, WorkbenchError
from workbench.presets import load_job
from workbench.presets.load_job import LoadJob
from workbench.presets.progress import Progress, report


class Gate:
    """A class that loads when told: `from_preset` reports, waits, and returns or raises."""

    def __init__(self, outcome="the model"):
        self.outcome = outcome
        self.calls = []
        self.begun, self.go = threading.Event(), threading.Event()

    def from_preset(self, handle, dtype=None):
        self.calls.append((handle, dtype))
        report(Progress("downloading", 5, 10, "model.weights.h5", 2.0))
        self.begun.set()
        assert self.go.wait(5)
        report(Progress("reading", 10, 10, "model.weights.h5"))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def open_gate(outcome="the model"):
    gate = Gate(outcome)
    gate.go.set()
    return gate


def test_a_load_reports_and_hands_over_the_model():
    gate, seen = Gate(), []

    def note():
        seen.append((job.status, job.progress))

    job = LoadJob("tiny", dtype="bfloat16", cls=gate, on_change=note)
    assert job.status == "idle" and job.progress is None
    job.start()
    assert gate.begun.wait(5)
    assert job.status == "loading" and not job.done
    assert job.progress == Progress("downloading", 5, 10, "model.weights.h5", 2.0)
    assert job.wait(0.01) is False
    gate.go.set()
    assert job.wait(5) is True
    assert (job.status, job.result, job.error) == ("done", "the model", None)
    assert gate.calls == [("tiny", "bfloat16")]
    stages = [progress.stage for _, progress in seen if progress]
    assert stages == ["downloading", "building", "building"] and seen[-1][0] == "done"


def test_a_cancel_stops_at_the_next_report():
    gate = Gate()
    job = LoadJob("tiny", cls=gate)
    job.start()
    assert gate.begun.wait(5)
    job.cancel()
    assert job.stopping and job.status == "loading"
    gate.go.set()
    assert job.wait(5)
    assert (job.status, job.result, job.error) == ("cancelled", None, None)
    assert job.progress.stage == "downloading" and not job.stopping


def test_a_loader_that_rewords_the_cancel_is_cancelled_all_the_same():
    class Rewords(Gate):
        def from_preset(self, handle, dtype=None):
            try:
                return super().from_preset(handle, dtype)
            except WorkbenchError as error:
                raise PresetError(f"config.json: {error}") from error

    gate = Rewords()
    job = LoadJob("tiny", cls=gate)
    job.start()
    assert gate.begun.wait(5)
    job.cancel()
    gate.go.set()
    assert job.wait(5) and job.status == "cancelled" and job.error is None


def test_a_cancel_before_the_start_is_the_end():
    job = LoadJob("tiny", cls=open_gate())
    job.cancel()
    assert job.status == "cancelled" and job.wait(1)
    with pytest.raises(WorkbenchError, match="make anew"):
        job.start()


def test_a_failure_keeps_the_error_and_frees_what_was_read():
    class Reads(Gate):
        def from_preset(self, handle, dtype=None):
            array = np.zeros(8)
            self.read = weakref.ref(array)
            return super().from_preset(handle, dtype)

    gate = Reads(PresetError("tiny: no such preset"))
    gate.go.set()
    job = LoadJob("tiny", cls=gate)
    job.start()
    assert job.wait(5)
    assert job.status == "failed" and job.result is None
    assert str(job.error) == "tiny: no such preset" and "Traceback" in job.traceback
    gc.collect()
    assert gate.read() is None


def test_a_load_runs_once_and_waits_only_when_started():
    job = LoadJob("tiny", cls=open_gate())
    with pytest.raises(WorkbenchError, match="never started"):
        job.wait()
    job.start()
    assert job.wait(5)
    with pytest.raises(WorkbenchError, match="this one is done"):
        job.start()


def test_an_interrupt_of_the_wait_cancels():
    gate = Gate()
    job = LoadJob("tiny", cls=gate)
    job.start()
    assert gate.begun.wait(5)
    finished, interrupts = job._finished, iter([KeyboardInterrupt])

    class Interrupted:
        set = finished.set

        def wait(self, seconds):
            for error in interrupts:
                gate.go.set()
                raise error
            return finished.wait(seconds)

    job._finished = Interrupted()
    assert job.wait() is True and job.status == "cancelled"


def test_in_the_foreground_it_loads_at_once_and_an_interrupt_cancels(monkeypatch):
    monkeypatch.setattr(load_job, "needs_foreground", lambda: True)
    job = LoadJob("tiny", cls=open_gate())
    job.start()
    assert job.status == "done" and job.result == "the model"
    interrupted = LoadJob("tiny", cls=open_gate(KeyboardInterrupt()))
    interrupted.start()
    assert interrupted.status == "cancelled"


def test_the_embedded_preset_loads_with_progress():
    stages = []
    job = LoadJob("stories_tiny_en", on_change=lambda: stages.append(job.progress))
    job.start()
    assert job.wait(120) and job.status == "done", job.traceback
    assert job.result.preset == "stories_tiny_en"
    read = [progress for progress in stages if progress and progress.stage == "reading"]
    assert read and 0 <= read[-1].done < read[-1].total and read[-1].total > 1_000_000
    assert job.progress.stage == "building"
