"""Loading as a job: what it tells, how it ends, and that a cancel leaves nothing behind."""

import gc
import threading
import weakref

import jax
import numpy as np
import pytest
from patience import HANG, until

from workbench.errors import PresetError, WorkbenchError
from workbench.jobs import loading as load_job
from workbench.jobs.loading import LoadJob
from workbench.presets.folders import manifest
from workbench.presets.loading import WeightLoader
from workbench.storage.progress import Progress, report


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
        assert self.go.wait(HANG)
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
    assert gate.begun.wait(HANG)
    assert job.status == "loading" and not job.done
    assert job.progress == Progress("downloading", 5, 10, "model.weights.h5", 2.0)
    assert job.wait(0.01) is False
    gate.go.set()
    assert job.wait(HANG) is True
    assert (job.status, job.result, job.error) == ("done", "the model", None)
    assert gate.calls == [("tiny", "bfloat16")]
    stages = [progress.stage for _, progress in seen if progress]
    assert stages == ["downloading", "building", "building"] and seen[-1][0] == "done"


def test_a_cancel_stops_at_the_next_report():
    gate = Gate()
    job = LoadJob("tiny", cls=gate)
    job.start()
    assert gate.begun.wait(HANG)
    job.cancel()
    assert job.stopping and job.status == "loading"
    gate.go.set()
    assert job.wait(HANG)
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
    assert gate.begun.wait(HANG)
    job.cancel()
    gate.go.set()
    assert job.wait(HANG) and job.status == "cancelled" and job.error is None


def test_a_cancel_before_the_start_is_the_end():
    job = LoadJob("tiny", cls=open_gate())
    job.cancel()
    assert job.status == "cancelled" and job.wait(HANG)
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
    assert job.wait(HANG)
    assert job.status == "failed" and job.result is None
    assert str(job.error) == "tiny: no such preset" and "Traceback" in job.traceback
    gc.collect()
    assert gate.read() is None


def test_a_load_runs_once_and_waits_only_when_started():
    job = LoadJob("tiny", cls=open_gate())
    with pytest.raises(WorkbenchError, match="never started"):
        job.wait()
    job.start()
    assert job.wait(HANG)
    with pytest.raises(WorkbenchError, match="this one is done"):
        job.start()


def test_an_interrupt_of_the_wait_cancels():
    gate = Gate()
    job = LoadJob("tiny", cls=gate)
    job.start()
    assert gate.begun.wait(HANG)
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
    assert job.wait(HANG) and job.status == "done", job.traceback
    assert job.result.preset == "stories_tiny_en"
    read = [progress for progress in stages if progress and progress.stage == "reading"]
    assert read and 0 <= read[-1].done < read[-1].total and read[-1].total > 1_000_000
    assert job.progress.stage == "building"


def read_one_by_one(monkeypatch):
    """Every tensor waits until the test lets it pass; the names of those that were read."""
    value, read, turn = WeightLoader.value, [], threading.Semaphore(0)

    def one(self, name, *arguments):
        values = value(self, name, *arguments)
        read.append(name)
        turn.acquire(timeout=HANG)
        return values

    monkeypatch.setattr(WeightLoader, "value", one)
    return read, turn


def test_a_cancel_stops_before_the_next_tensor_and_frees_those_read(monkeypatch):
    gc.collect()
    arrays, collected = len(jax.live_arrays()), gc.isenabled()
    read, turn = read_one_by_one(monkeypatch)
    job = LoadJob("stories_tiny_en")
    job.start()
    turn.release(4)
    until(lambda: len(read) == 5)
    assert len(jax.live_arrays()) >= arrays + 5
    gc.disable()  # it is freed by the load, not by chance
    try:
        job.cancel()
        turn.release(100)
        assert job.wait(HANG) and job.status == "cancelled"
        assert len(read) == 5 and len(jax.live_arrays()) == arrays
    finally:
        gc.enable() if collected else None
    monkeypatch.undo()
    again = LoadJob("stories_tiny_en")
    again.start()
    assert again.wait(HANG) and again.status == "done", again.traceback


def test_a_load_that_nobody_holds_stops(monkeypatch):
    read, turn = read_one_by_one(monkeypatch)
    job = LoadJob("stories_tiny_en")
    job.start()
    until(lambda: read)
    del job
    turn.release(100)
    until(lambda: not any(thread.name == "workbench-load" for thread in threading.enumerate()))
    assert len(read) == 1


@pytest.mark.parametrize("end", [LoadJob.start, LoadJob.cancel, repr])
def test_an_observer_keeps_no_job_alive(end):
    def ended():
        job = LoadJob("tiny", cls=open_gate(), on_change=lambda: seen.append(job.status))
        end(job)
        assert end is repr or job.wait(HANG)
        return weakref.ref(job)

    seen = []
    gone = ended()
    until(lambda: gc.collect() is not None and gone() is None)
    assert seen == (["loading"] * 3 + ["done"] if end is LoadJob.start else [])


def test_a_load_that_failed_keeps_nothing_of_the_errors_behind_its_own():
    class Array:
        pass

    def failing():
        array = Array()
        arrays.append(weakref.ref(array))
        raise MemoryError("behind")

    class Failing:
        @classmethod
        def from_preset(cls, handle, dtype=None):
            try:
                failing()
            except MemoryError as error:
                raise PresetError("no memory") from error

    arrays = []
    job = LoadJob("tiny", cls=Failing)
    job.start()
    assert job.wait(HANG) and "behind" in job.traceback
    until(lambda: arrays[0]() is None)


def test_a_cancelled_load_hashes_no_further(monkeypatch):
    chunks = []

    class Endless:
        def __init__(self, file, stop):
            self.file, self.stop = file, stop

        def readable(self):
            return True

        def readinto(self, buffer):
            self.stop.check()
            if not self.file.name.endswith(".h5"):
                return self.file.readinto(buffer)
            chunks.append(len(buffer))
            return len(buffer)

    monkeypatch.setattr(manifest, "_Stoppable", Endless)
    monkeypatch.setattr(manifest.Manifest, "check", lambda self: None)  # hashes the small files
    job = LoadJob("stories_tiny_en")
    job.start()
    until(lambda: job.progress is not None and job.progress.stage == "building" and chunks)
    job.cancel()
    assert job.wait(HANG) and job.status == "cancelled"
    until(lambda: not any(thread.name == "checksums" for thread in threading.enumerate()))
