"""What a listener is told, and that it can stop a load."""

from __future__ import annotations

import pytest
from preset_files import llama_tensors, write_llama

from workbench.errors import LoadCancelled
from workbench.families.llama import LlamaBackbone
from workbench.presets.load import load_backbone
from workbench.storage.progress import INTERVAL, Meter, Progress, listening, report


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_report_reaches_the_listener_of_its_block():
    told = []
    progress = Progress("reading", 1, 2, "model.safetensors")
    report(progress)
    with listening(told.append):
        report(progress)
    report(progress)
    assert told == [progress]


def test_a_meter_counts_and_knows_the_rate(clock):
    told = []
    meter = Meter("downloading", 1000, clock=clock)
    meter.start_at(400)
    with listening(told.append):
        meter.report()
        for second in range(1, 4):
            clock.now += 1
            meter.add(100, f"part {second}")
            meter.report()
        meter.finish()
    assert [p.done for p in told] == [400, 500, 600, 700, 1000]
    assert [p.file for p in told[1:4]] == ["part 1", "part 2", "part 3"]
    assert told[0].rate is None
    assert [p.rate for p in told[1:4]] == [100, 100, 100]


def test_a_meter_reports_no_more_than_ten_times_a_second(clock):
    told = []
    meter = Meter("reading", 100, clock=clock)
    with listening(told.append):
        for _ in range(100):
            clock.now += INTERVAL / 10
            meter.add(1, "f")
            meter.report()
    assert 9 <= len(told) <= 11


def test_what_comes_twice_never_turns_progress_back(clock):
    told = []
    meter = Meter("downloading", 100, clock=clock)
    with listening(told.append):
        for count in (60, -50, 30, 60):
            clock.now += 1
            meter.add(count, "f")
            meter.report()
    assert [p.done for p in told] == [60, 60, 60, 100]
    assert all(p.rate >= 0 for p in told)


def test_reading_weights_is_reported_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.storage.progress.INTERVAL", 0)
    folder, told = write_llama(tmp_path), []
    with listening(told.append):
        load_backbone(folder, LlamaBackbone)
    size = sum(values.nbytes for values in llama_tensors().values())
    done = [p.done for p in told]
    assert {(p.stage, p.total, p.file) for p in told} == {("reading", size, "model.safetensors")}
    assert done[0] == 0
    assert done == sorted(done)
    assert done[-1] == size
    assert len(told) == len(llama_tensors()) + 1


def test_a_listener_stops_the_reading(tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.storage.progress.INTERVAL", 0)
    folder, read = write_llama(tmp_path), []

    def stop(progress):
        read.append(progress.done)
        if progress.done > 0:
            raise LoadCancelled

    with listening(stop), pytest.raises(LoadCancelled):
        load_backbone(folder, LlamaBackbone)
    assert len(read) == 2
    load_backbone(folder, LlamaBackbone)


def test_building_without_weights_is_told_and_can_be_stopped(tmp_path):
    def stop(progress):
        assert progress.stage == "building"
        raise LoadCancelled

    folder = write_llama(tmp_path)
    with listening(stop), pytest.raises(LoadCancelled):
        load_backbone(folder, LlamaBackbone, load_weights=False)
