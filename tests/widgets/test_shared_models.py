"""Panels that are given a name: one load for all that ask for it, none that nobody waits for."""

import gc
import threading
import time
import weakref

import pytest
from compare_doubles import ComparedLM
from doubles import FakeLM, FakeSampler
from patience import HANG, until
from preset_doubles import Hub
from tune_doubles import FakeTrainingJob, tiny_lm
from workbench.widgets import ComparePanel, GeneratePanel, TunePanel
from workbench.widgets.shared import cells, shared_models
from workbench.widgets.tune.source import TuneSource

from workbench import models
from workbench.errors import PresetError

pytestmark = pytest.mark.usefixtures("kernel")


class Hubs(Hub):
    """A model anew for each load."""

    def from_preset(self, handle, dtype=None):
        super().from_preset(handle, dtype)
        return FakeLM(name=handle, stop_at=3)


@pytest.fixture
def hub(monkeypatch):
    """What loads, held half way until `go_on`."""
    hub = Hubs(None)
    hub.hold()
    monkeypatch.setattr(models, "CausalLM", hub)
    yield hub
    hub.go_on()


def loading():
    return sum(thread.name == "workbench-load" for thread in threading.enumerate())


def loaded(*arguments, cls=GeneratePanel, **settings):
    panel = cls(*arguments, **settings)
    assert panel.wait(HANG) and panel.lm is not None
    return panel


def run_cell(monkeypatch, execution):
    monkeypatch.setattr(cells, "_current_cell", lambda: ("a cell", execution))


# -- one load, one model ----------------------------------------------------------------------


def test_panels_share_the_load_and_the_model(hub):
    first, second = GeneratePanel("tiny"), GeneratePanel("tiny", "Once")
    second.start()
    assert loading() == 1
    hub.go_on()
    assert first.wait(HANG) and second.wait(HANG)
    assert first.lm is second.lm is loaded("tiny").lm and len(hub.calls) == 1
    assert second.status == "done" and first.heading == second.heading


def test_a_comparison_shares_each_of_its_models(monkeypatch):
    hub = Hub(ComparedLM())
    monkeypatch.setattr(models, "CausalLM", hub)
    one = loaded("one")
    both = loaded("one", "two", prompts="A", cls=ComparePanel)
    assert both.lm is one.lm and [handle for handle, _ in hub.calls] == ["one", "two"]


def test_a_panel_that_trains_has_a_model_of_its_own(hub, monkeypatch):
    monkeypatch.setattr("workbench.tuning.job.TrainingJob", FakeTrainingJob.set_up())
    GeneratePanel("tiny"), TunePanel("tiny", ["a"]), TunePanel("tiny", ["a"])
    until(lambda: len(hub.calls) == 3)


def test_a_model_that_was_changed_is_not_handed_on(hub):
    hub.go_on()
    first = loaded("tiny")
    first.lm.sampler = FakeSampler()
    assert loaded("tiny").lm is not first.lm and len(hub.calls) == 2


def test_a_folder_that_was_written_since_is_loaded_anew(hub, tmp_path):
    hub.go_on()
    (tmp_path / "config.json").write_text("{}")
    first = loaded(str(tmp_path))
    assert loaded(str(tmp_path)).lm is first.lm
    (tmp_path / "new").write_text("{}")
    (tmp_path / "new").replace(tmp_path / "config.json")
    assert loaded(str(tmp_path)).lm is not first.lm


def test_the_model_goes_with_its_last_panel(hub):
    hub.go_on()
    first, second = loaded("tiny"), loaded("tiny")
    model = weakref.ref(first.lm)
    first.close()
    assert loaded("tiny").lm is model()
    for panel in (second, *(p for p in gc.get_objects() if isinstance(p, GeneratePanel))):
        panel.close()
    del first, second, panel
    until(lambda: gc.collect() is not None and model() is None)
    assert not shared_models._shared


# -- stopped ----------------------------------------------------------------------------------


def test_a_load_stops_with_the_last_panel_that_waits(hub):
    first, second = GeneratePanel("tiny"), GeneratePanel("tiny")
    assert hub.half_way.wait(HANG)
    first.close()
    assert loading() == 1 and second.status == "loading"
    second.close()
    until(lambda: loading() == 0)
    assert first.lm is second.lm is None and not shared_models._shared


def test_forty_closed_panels_leave_no_thread(hub):
    for number in range(40):
        GeneratePanel(f"tiny_{number}").close()
    until(lambda: loading() == 0)


def test_a_cell_that_is_run_again_goes_on_with_its_load(hub, monkeypatch):
    for execution in "abc":
        run_cell(monkeypatch, execution)
        panel = GeneratePanel("tiny")
        assert hub.half_way.wait(HANG)
    hub.go_on()
    assert panel.wait(HANG) and panel.lm is not None and len(hub.calls) == 1
    run_cell(monkeypatch, "d")
    assert loaded("tiny").lm is panel.lm and panel.comm is None


def test_a_cell_that_asks_for_another_preset_stops_the_load(hub, monkeypatch):
    run_cell(monkeypatch, "a")
    GeneratePanel("tiny")
    assert hub.half_way.wait(HANG)
    run_cell(monkeypatch, "b")
    GeneratePanel("other")
    until(lambda: loading() == 1 and len(hub.calls) == 2)


def interrupt(panel, monkeypatch):
    def interrupted(event, deadline):
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.widgets.shared.model_panel.wait_for", interrupted)
    assert panel.wait()
    monkeypatch.undo()


@pytest.mark.parametrize("stop", [lambda panel, patch: panel.cancel(), interrupt])
def test_a_load_that_was_stopped_begins_anew_when_it_is_needed(hub, stop):
    panel = GeneratePanel("tiny", "Once")
    panel.start()
    assert hub.half_way.wait(HANG)
    with pytest.MonkeyPatch.context() as patch:
        stop(panel, patch)
    assert panel.status == "idle" and panel.error is None and panel.wait(0)
    until(lambda: loading() == 0)
    hub.go_on()
    assert panel.lm is None and panel.text == ""
    panel.start()
    assert panel.wait(HANG) and panel.status == "done" and len(hub.calls) == 2


def test_an_interrupt_stops_a_load_in_the_foreground(hub, monkeypatch):
    def interrupted(handle, dtype=None):
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.widgets.shared.model_panel.needs_foreground", lambda: True)
    monkeypatch.setattr("workbench.jobs.loading.needs_foreground", lambda: True)
    monkeypatch.setattr(hub, "from_preset", interrupted)
    panel = GeneratePanel("tiny")
    assert panel.status == "idle" and panel.lm is None and panel.wait(0)


def test_all_panels_hear_of_a_failure_and_each_can_try_again(monkeypatch):
    hub = Hub(PresetError("tiny: no such preset"))
    hub.hold()
    monkeypatch.setattr(models, "CausalLM", hub)
    panels = [GeneratePanel("tiny", "Once") for _ in range(3)]
    hub.go_on()
    assert all(panel.wait(HANG) and panel.status == "failed" for panel in panels)
    assert {panel.error["message"] for panel in panels} == {"tiny: no such preset"}
    hub.outcome = FakeLM(stop_at=3)
    for panel in panels:
        panel.start()
        assert panel.wait(HANG) and panel.status == "done"
    assert len(hub.calls) == 2


def test_data_of_a_closed_panel_is_read_no_further():
    read, gate = [], threading.Event()

    def texts():
        for number in range(1_000):
            read.append(number)
            gate.wait(HANG)
            yield "once"

    panel = TunePanel(tiny_lm("gpt2", 64), texts())
    until(lambda: read)
    panel.close()
    gate.set()
    assert panel.wait_loaded(time.monotonic() + HANG)
    until(lambda: not any(t.name == "workbench-data" for t in threading.enumerate()))
    assert len(read) == 1 and panel.data == {}


def test_an_interrupt_stops_the_reading_of_data_in_the_foreground(monkeypatch):
    def interrupted(source, lm):
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.widgets.shared.model_panel.needs_foreground", lambda: True)
    monkeypatch.setattr(TuneSource, "read", interrupted)
    panel = TunePanel(tiny_lm("gpt2", 64), ["once"])
    assert panel.status == "idle" and panel.wait_loaded(time.monotonic() + HANG)
