"""TunePanel without a page: driven from Python with a real job, and told nonsense by a page."""

import gc
import html
import json
import random
import re
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances
from patience import HANG, until
from tune_doubles import STORIES, FakeTrainingJob, tiny_lm
from workbench.widgets import TunePanel, tune
from workbench.widgets.tune.runs import COLUMNS

import workbench as wb
from workbench.backbones.training_claims import TrainingClaim, check_unclaimed, claim, release
from workbench.errors import SettingError, WorkbenchError

PROMPT = "Captain"
SHORT = [story[:40] for story in STORIES]
QUICK = {"steps": 6, "batch_size": 2, "validation_every": 2, "sample_every": 3, "sample_tokens": 4}

pytestmark = pytest.mark.usefixtures("kernel")


@pytest.fixture(scope="module")
def lm():
    return tiny_lm("gpt2", 64)


@pytest.fixture(autouse=True)
def bare(request):
    """The model has no adapters between tests."""
    yield
    if "lm" in request.fixturenames:
        lm = request.getfixturevalue("lm")
        for name in list(lm.adapters):
            lm.adapters.remove(name)


@pytest.fixture
def fake(monkeypatch):
    """Jobs that only tell."""

    def set_up(**plan):
        monkeypatch.setattr("workbench.tuning.job.TrainingJob", FakeTrainingJob)
        return FakeTrainingJob.set_up(**plan).plan

    return set_up


def panel_of(lm, data=SHORT, **options):
    panel = TunePanel(lm, data, **{**QUICK, "sample_prompts": [PROMPT], **options})
    assert panel.wait_loaded(time.monotonic() + HANG)
    return panel


def trained(lm, **options):
    panel = panel_of(lm, **options)
    panel.start()
    assert panel.wait(HANG), panel.status
    return panel


def say(panel, data):
    panel.comm.handle_msg({"content": {"data": data}, "buffers": []})


def command(panel, name, **arguments):
    say(panel, {"method": "custom", "content": {"command": name, **arguments}})


def reach(panel, steps):
    until(lambda: panel.history[0].count == steps)


def rows_of(panel):
    return np.frombuffer(panel.run["rows"], np.float32).reshape(-1, COLUMNS)


# -- with a real job ------------------------------------------------------------------------


def test_a_run_is_driven_from_python_and_its_adapter_is_written_and_read(lm, tmp_path):
    panel = tune(lm, SHORT, **QUICK, sample_prompts=[PROMPT], learning_rate=0.01)
    panel.start()
    assert panel.wait(HANG) and panel.status == "done" and panel.error is None
    rows = rows_of(panel)
    assert rows[:, 0].tolist() == [1, 2, 3, 4, 5, 6] and np.isfinite(rows[:, :4]).all()
    steps = panel.job.history.steps
    assert rows[:, 1] == pytest.approx([step.loss for step in steps])
    assert rows[:, 2] == pytest.approx([step.learning_rate for step in steps])
    assert [step for step, _ in panel.run["validation"]] == [0, 2, 4, 6]
    best = panel.job.best
    assert panel.run["best"] == {"step": best.step, "loss": best.loss}
    assert [item["step"] for item in panel.samples["items"]] == [0, 3, 6]
    assert panel.estimate["memory_bytes"] > 1e8 and panel.estimate["steps"] == 6
    assert lm.adapters.active == "default"
    panel.keep_best()
    assert panel.run["kept"] is True

    before = lm.adapters["default"]
    for path, format in (("peft", "peft"), ("one.lora.h5", "keras_hub")):
        written = panel.export(tmp_path / path, format)
        assert panel.exports["done"]["bytes"] > 0
        lm.adapters.load(written, "again")
        for name, update in lm.adapters["again"].updates.items():
            assert np.allclose(update.delta, before.updates[name].delta, atol=1e-6)
        lm.adapters.use("default")
        lm.adapters.remove("again")
    written = panel.export(tmp_path / "preset", "preset")
    other = wb.models.CausalLM.from_preset(str(written), dtype="float32")
    settings = {"max_new_tokens": 8, "sampler": "greedy"}
    assert other.generate(PROMPT, **settings) == lm.generate(PROMPT, **settings)
    assert lm.adapters.active == "default"


def test_the_code_repeats_the_run(lm, tmp_path, monkeypatch):
    panel = trained(lm, rank=2, seed=5)
    code = panel.code
    assert "rank=2" in code and "steps=6" in code and "learning_rate" not in code
    lm.adapters.remove("default")
    space = {"lm": lm}
    exec(code, space)
    again = [step.loss for step in space["job"].history.steps]
    assert again == [step.loss for step in panel.job.history.steps]


def test_pause_frees_the_model_and_resume_goes_on(lm):
    panel = panel_of(lm, steps=400, validation=None, sample_every=0)
    panel.start()
    until(lambda: panel.job.step > 2)
    panel.pause()
    until(lambda: panel.status == "paused")
    assert panel.wait(HANG) is False and panel.busy
    assert lm.generate(PROMPT, max_new_tokens=2)
    at = panel.job.step
    panel.resume()
    until(lambda: panel.job.step > at)
    panel.cancel()
    assert panel.wait(HANG) and panel.status == "stopped"
    assert panel.run["step"] == panel.job.step == rows_of(panel)[-1, 0] < 400


def test_a_figure_and_a_drawing_stand_in_for_the_page(lm):
    panel = trained(lm)
    figure = panel.figure()
    assert len(figure.axes) >= 1
    data, _ = panel._repr_mimebundle_()
    assert "Run 1: rank 8" in data["text/plain"] and "16 examples" in data["text/plain"]
    assert '<img alt="Loss of run 1" src="data:image/png;base64,' in data["text/html"]


# -- settings and data ------------------------------------------------------------------------


def test_settings_are_checked_together_and_change_what_is_estimated(lm):
    panel = panel_of(lm)
    panel.settings = {"epochs": 2}
    assert panel.settings["steps"] is None
    assert panel.estimate["steps"] == 14, "14 examples are left to learn from, in batches of 2"
    panel.settings = {"steps": 9}
    assert panel.settings["epochs"] is None and panel.estimate["steps"] == 9
    longer = panel.estimate["memory_bytes"]
    panel.settings = {"batch_size": 64, "accumulate": 2}
    assert panel.estimate["memory_bytes"] > longer
    panel.settings = {"validation": 5}
    assert panel.data["validation"] == 5
    before = panel.settings
    for wrong in (
        {"rank": 0},
        {"rank": 10**6},
        {"steps": 5, "epochs": 5},
        {"steps": 5, "warmup_steps": 6},
        {"speed": 1},
        {"validation": 1.5},
        {"length": 10**9},
    ):
        with pytest.raises(WorkbenchError):
            panel.settings = wrong
        assert panel.settings == before
    with pytest.raises(SettingError):
        tune(lm, SHORT, rank="eight")


def test_a_length_cuts_and_says_so(lm):
    panel = panel_of(lm, data=STORIES)
    assert panel.data["longest"] == 65
    panel.settings = {"length": 20}
    assert panel.data["longest"] == 21 and panel.data["cut"] == 16


def test_prompts_come_from_the_data_where_none_are_given(lm):
    panel = TunePanel(lm, STORIES)
    assert panel.wait_loaded(time.monotonic() + HANG)
    assert panel.settings["sample_prompts"] == ("Captain Ann sailed the", "Captain Bo sailed the")
    assert TunePanel(lm, STORIES, sample_prompts=[]).settings["sample_prompts"] == ()
    pairs = TunePanel(lm, [("Who?", " Ann."), ("What?", " A ship.")] * 3)
    assert pairs.wait_loaded(time.monotonic() + HANG)
    assert pairs.settings["sample_prompts"] == ("Who?", "What?")


def test_data_that_cannot_be_read_are_told_and_tried_again(lm, tmp_path):
    path = tmp_path / "stories.jsonl"
    panel = TunePanel(lm, str(path), **QUICK)
    assert panel.wait_loaded(time.monotonic() + HANG)
    assert panel.status == "failed" and "stories.jsonl" in panel.error["message"]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in SHORT))
    panel.start()
    assert panel.wait_loaded(time.monotonic() + HANG)
    until(lambda: panel.job is not None)
    assert panel.wait(HANG) and panel.status == "done", panel.error
    assert f'data = "{path}"' in panel.code


def test_validation_data_of_its_own(lm):
    panel = trained(lm, validation=SHORT[:3])
    assert panel.data["examples"] == 16 and panel.data["validation"] == 3
    assert "validation" not in {field["name"] for field in panel.form}
    assert len(panel.run["validation"]) == 4


# -- runs -------------------------------------------------------------------------------------


def test_runs_have_adapters_of_their_own_and_come_back(lm, fake):
    fake()
    panel = trained(lm)
    panel.settings = {"rank": 2}
    panel.start()
    assert panel.wait(HANG)
    assert [run.name for run in panel.history] == ["default", "default-2"]
    assert [entry["number"] for entry in panel.runs] == [1, 2]
    assert [past["run"] for past in panel.past] == [1] and panel.run["run"] == 2
    panel.restore(1)
    assert lm.adapters.active == "default" and panel.settings["rank"] == 8
    assert panel.run["run"] == 1 and [past["run"] for past in panel.past] == [2]
    with pytest.raises(SettingError):
        panel.restore(3)
    panel.reset()
    assert panel.run == {} and panel.runs == [] and panel.status == "idle"
    assert panel.settings["rank"] == 8 and set(lm.adapters) == {"default", "default-2"}
    with pytest.raises(WorkbenchError):
        panel.keep_best()
    with pytest.raises(WorkbenchError):
        panel.figure()


def test_what_another_training_refuses_is_said_as_other_errors_are(lm, fake):
    fake()
    panel = trained(lm)
    lm.adapters.use(None)
    other = TrainingClaim(lambda: "another job holds this model: call job.pause()")
    claim(lm.backbone, other)
    try:
        for act in (lambda: panel._on_restore(1), panel._on_keep_best):
            panel.error = None
            act()
            assert "job.pause()" in str(panel.error) and panel.status == "done"
        run = panel._run
        job, refused = run.job, lambda: check_unclaimed(lm.backbone)
        run.job, panel.error = SimpleNamespace(status="paused", resume=refused), None
        panel._on_resume()
        run.job = job
        assert "job.pause()" in str(panel.error) and panel.status == "paused"
    finally:
        release(lm.backbone, other)


def test_while_it_trains_nothing_else_begins(lm, fake, tmp_path):
    plan = fake(hold_at=(3,))
    panel = panel_of(lm)
    panel.start()
    reach(panel, 3)
    actions = (
        panel.start,
        panel.keep_best,
        panel.reset,
        lambda: panel.restore(1),
        lambda: panel.export(tmp_path / "x"),
    )
    for action in actions:
        with pytest.raises(WorkbenchError):
            action()
    plan.go_on.set()
    assert panel.wait(HANG)


def test_a_run_that_fails_is_told_and_kept(lm, fake):
    fake(fail_at=4)
    panel = panel_of(lm)
    panel.start()
    assert panel.wait(HANG) and panel.status == "failed"
    assert "not a number" in panel.error["message"] and "Traceback" in panel.error["details"]
    assert rows_of(panel).shape[0] == 3


def test_messages_are_few_and_together_they_are_the_whole_run(lm, fake):
    fake(delay=0.002)
    panel = panel_of(lm, steps=500)
    panel.comm.drain()
    began = time.monotonic()
    panel.start()
    assert panel.wait(HANG)
    seconds = time.monotonic() - began
    messages = panel.comm.drain()
    assert len(messages) / seconds < 30
    steps = [0]
    for _, _, data in messages:
        if data.get("method") == "custom" and data["content"]["type"] == "points":
            [rows] = data["buffers"]
            assert data["content"]["offset"] <= len(steps) - 1
            new = np.frombuffer(rows, np.float32).reshape(-1, COLUMNS)[:, 0]
            steps[data["content"]["offset"] + 1 :] = new.tolist()
        elif data.get("method") == "update" and data["state"].get("run", {}).get("run"):
            place = data["buffer_paths"].index(["run", "rows"])
            rows = np.frombuffer(data["buffers"][place], np.float32)
            steps[1:] = rows.reshape(-1, COLUMNS)[:, 0].tolist()
    assert steps == list(range(501))


def test_a_closed_panel_stops_and_frees_everything(lm, fake):
    fake(hold_at=(3,))
    panel = panel_of(lm)
    panel.start()
    reach(panel, 3)
    job, known = panel.job, weakref.ref(panel)
    before = len(_instances)
    panel.close()
    assert job.wait(HANG) and job.status == "cancelled"
    assert len(_instances) < before
    del panel, job
    gc.collect()
    assert known() is None


def test_on_colab_it_works_in_the_calling_thread(lm, fake, monkeypatch):
    fake()
    for place in ("workbench.jobs.job", "workbench.widgets.shared.model_panel"):
        monkeypatch.setattr(f"{place}.needs_foreground", lambda: True)
    threads = threading.active_count()
    panel = TunePanel(lm, SHORT, **QUICK)
    assert panel.foreground and panel.data["examples"] == 16
    panel.start()
    assert panel.status == "done" and threading.active_count() <= threads


# -- what a page says -------------------------------------------------------------------------


def test_the_page_sets_what_it_may_and_hears_of_the_rest(lm, fake):
    panel = panel_of(lm)
    command(panel, "set", values={"rank": 4, "learning_rate": "much", "dropout": 3})
    assert panel.settings["rank"] == 4 and panel.settings["learning_rate"] == 1e-3
    assert set(panel.problems) == {"learning_rate", "dropout"} and panel.error is None
    fake()
    command(panel, "start")
    assert panel.job is None, "not with wrong settings on the page"
    command(panel, "set", values={"learning_rate": 2, "dropout": 0.1})
    assert panel.problems == {} and panel.settings["learning_rate"] == 2.0
    command(panel, "set", values={"length": 10**6})
    assert "length" in panel.problems and panel.settings["length"] is None
    command(panel, "set", values={"length": None, "sample_prompts": ["a", "b"]})
    command(panel, "start")
    assert panel.wait(HANG) and panel.status == "done"


def test_a_page_that_missed_the_end_of_a_run_is_told(lm, fake):
    panel = panel_of(lm)
    panel.start()
    assert panel.wait(HANG)
    panel.comm.drain()
    command(panel, "sync", run=1, rows=panel.history[0].count, marks=0)
    states = [data["state"] for _, _, data in panel.comm.drain() if data["method"] == "update"]
    assert states[0]["status"] == "done"


def test_a_command_that_changes_nothing_is_answered(lm):
    panel = panel_of(lm)
    for name, arguments in {"set": {"values": {"rank": 8}}, "pause": {}, "reset": {}}.items():
        panel.comm.drain()
        command(panel, name, **arguments)
        assert panel.comm.drain()[-1][2]["content"] == {"type": "done"}


@pytest.mark.parametrize(
    "path", ["/elsewhere/x", "../x", ".", "", "a/../../x", "taken", "\0", "x" * 999, 7, None]
)
def test_a_page_writes_only_new_files_inside_the_folder(lm, fake, path, tmp_path, monkeypatch):
    inside = tmp_path / "work"
    (inside / "taken").mkdir(parents=True)
    monkeypatch.chdir(inside)
    fake()
    panel = trained(lm)
    before = sorted(tmp_path.rglob("*"))
    command(panel, "export", format="peft", path=path)
    assert panel.error and panel.exports["busy"] == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_an_export_that_fails_is_told(lm, fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    fake()
    panel = trained(lm)
    command(panel, "export", format="peft", path="file/adapter")
    until(lambda: panel.error is not None)
    assert panel.exports["busy"] == "" and panel.exports["done"] is None
    command(panel, "export", format="peft", path="good")
    until(lambda: panel.exports["done"] is not None)
    assert panel.error is None and (tmp_path / "good" / "adapter_config.json").exists()


NONSENSE = [
    None,
    [],
    {"method": "update", "state": {"values": {}}},
    {"method": "update", "state": {"status": "done", "view": {"log": 1, "smoothing": 0}}},
    {"method": "update", "state": {"view": {"log": True, "smoothing": 2}}},
    {"method": "update", "state": {"shown": ["1"]}},
    {"method": "update", "state": {"shown": [True]}},
    {"method": "custom", "content": {"command": "set", "values": {"rank": [1]}}},
    {"method": "custom", "content": {"command": "set", "values": {"speed": 1}}},
    {"method": "custom", "content": {"command": "set", "values": {"sample_prompts": "x"}}},
    {"method": "custom", "content": {"command": "set", "values": {"targets": [1]}}},
    {"method": "custom", "content": {"command": "sync", "run": -1, "rows": 0, "marks": 0}},
    {"method": "custom", "content": {"command": "sync", "run": 1, "rows": "0", "marks": 0}},
    {"method": "custom", "content": {"command": "example", "number": -1}},
    {"method": "custom", "content": {"command": "example", "number": 1.0}},
    {"method": "custom", "content": {"command": "restore", "run": True}},
    {"method": "custom", "content": {"command": "export", "format": "pickle", "path": "x"}},
    {"method": "custom", "content": {"command": "close"}},
    {"method": "custom", "content": {"command": "start", "settings": {}}},
]


def test_nonsense_changes_nothing_and_is_answered_once(lm):
    panel = panel_of(lm)
    kept = {name: value for name, value in panel.get_state().items() if name != "error"}
    panel.comm.drain()
    for message in random.Random(0).sample(NONSENSE, len(NONSENSE)):
        say(panel, message)
    assert panel.error["message"].startswith("The panel refused a message")
    assert {name: v for name, v in panel.get_state().items() if name != "error"} == kept
    assert len(panel.comm.drain()) <= 2, "a flood is not answered with a flood"


def test_markup_is_escaped_where_no_page_shows_it(lm, fake):
    evil = "<script>alert(1)</script>"
    fake(texts=(evil,))
    panel = trained(lm, data=[evil * 2, evil], sample_prompts=[evil])
    data, _ = panel._repr_mimebundle_()
    assert evil in data["text/plain"]
    assert evil not in data["text/html"] and html.escape(evil) in data["text/html"]
    assert not re.search(r"<script", data["text/html"])
