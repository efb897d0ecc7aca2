"""BrowsePanel without a page: what it says of presets, how it loads them, and hostile pages."""

import gc
import json
import threading
import time
import weakref

import comm
import pytest
from doubles import FakeChatLM, FakeLM
from ipywidgets.widgets.widget import _instances
from patience import HANG, until
from preset_doubles import Hub, catalog_of, info
from workbench.widgets import BrowsePanel, browse
from workbench.widgets.shared import cells

from workbench import models
from workbench.errors import MemoryTooSmallError, PresetError, SettingError, WorkbenchError
from workbench.jobs import loading as load_job
from workbench.presets import catalog, memory
from workbench.presets.estimates import estimate
from workbench.presets.listed_sizes import sizes_of_listed

pytestmark = pytest.mark.usefixtures("kernel")

PRESETS = (
    info("stories_tiny_en", 2_754_816, embedded=True),
    info("llama_7b", 7_000_000_000, gated=True, kaggle="kaggle://meta/llama/keras/llama_7b"),
    info("elsewhere", family="Elsewhere", backbone="ElsewhereBackbone"),
)


@pytest.fixture
def hub(monkeypatch):
    hub = Hub(FakeLM(stop_at=5))
    monkeypatch.setattr(models, "CausalLM", hub)
    yield hub
    hub.go_on()


def say(panel, data):
    """A message of the page, as the comm delivers it."""
    panel.comm.handle_msg({"content": {"data": data}, "buffers": []})


def update(panel, **state):
    say(panel, {"method": "update", "state": state, "buffer_paths": []})


def command(panel, word, **arguments):
    say(panel, {"method": "custom", "content": {"command": word, **arguments}})


def row(panel, name):
    [found] = [row for row in panel.rows if row["name"] == name]
    return found


# -- what it says ---------------------------------------------------------------------------


def test_the_whole_catalog_is_shown_as_it_is():
    panel = browse()
    assert [row["name"] for row in panel.rows] == [info.name for info in catalog.presets()]
    assert len(panel.rows) > 150 and panel.rows[0]["name"] == "stories_tiny_en"
    for shown, preset in zip(panel.rows, catalog.presets(), strict=True):
        assert shown["parameters"] == preset.parameters and shown["supported"] == preset.supported
    json.dumps(panel.rows, allow_nan=False)


def test_needs_are_those_of_the_memory_estimate():
    panel = BrowsePanel(PRESETS)
    for preset in PRESETS:
        needs = row(panel, preset.name)["needs"]
        for dtype in ("float32", "bfloat16", "int8", "int4"):
            assert needs[dtype] == estimate(preset, dtype).total
        assert needs["auto"] == estimate(preset).total
    quantised = BrowsePanel((info("small", stored_dtype="int8"),)).rows[0]["needs"]
    assert quantised["auto"] == quantised["int8"] < quantised["float32"]


def test_a_preset_fits_where_the_memory_check_lets_it_through():
    panel = browse()
    judged = set()
    for preset in catalog.presets():
        fits = row(panel, preset.name)["needs"]["bfloat16"] <= panel.machine["limit"]
        try:
            sizes = sizes_of_listed(preset)
            memory.check(preset.name, sizes, "bfloat16", free=panel.machine["free"])
        except MemoryTooSmallError:
            assert not fits, preset.name
        else:
            assert fits, preset.name
        judged.add(fits)
    assert judged == {True, False}


def test_a_gated_preset_says_what_to_do():
    panel = BrowsePanel(PRESETS)
    gate = row(panel, "llama_7b")["gate"]
    assert "accept the licence" in gate and "Kaggle" in gate and "KAGGLE_KEY" in gate
    [other] = BrowsePanel((info("x", gated=True, hugging_face="hf://owner/x"),)).rows
    assert "Hugging Face" in other["gate"] and "HF_TOKEN" in other["gate"]
    assert row(panel, "stories_tiny_en")["gate"] == ""


def test_a_family_that_is_not_here_says_so():
    panel = BrowsePanel(PRESETS)
    assert "Elsewhere is not here yet" in row(panel, "elsewhere")["absent"]
    assert row(panel, "stories_tiny_en")["absent"] == ""
    with pytest.raises(SettingError, match="Elsewhere"):
        panel.load("elsewhere")


def test_without_a_page_it_prints_itself_escaped():
    evil = "<img/src=x/onerror=alert(1)>"
    panel = BrowsePanel((info("stories_tiny_en", 2_754_816, licence=evil), *catalog_of(40)[1:]))
    data, _ = panel._repr_mimebundle_()
    assert data["text/plain"].startswith("Presets: 40 (idle)\nstories_tiny_en · Llama · 2.75 M")
    assert "and 28 more" in data["text/plain"] and evil in data["text/plain"]
    assert "<img" not in data["text/html"] and "&lt;img" in data["text/html"]


def test_the_page_is_one_module_that_never_writes_markup():
    source = BrowsePanel._esm.replace("http://www.w3.org/2000/svg", "")  # a name
    assert source.count("export default") == 1
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http"):
        assert word not in source
    assert "import " not in source.replace("import workbench as wb", "")
    assert "url(" not in BrowsePanel._css


# -- loading --------------------------------------------------------------------------------


def test_a_preset_is_loaded_and_handed_to_its_panel(hub):
    panel = BrowsePanel(PRESETS)
    assert panel.model is None and panel.below is None and panel.wait() is True
    panel.load("stories_tiny_en")
    assert panel.wait(HANG) is True
    assert panel.status == "done" and panel.loaded == panel.selected == "stories_tiny_en"
    assert panel.model is hub.outcome and panel.below.lm is panel.model
    assert panel.opened == panel.below.model_id and panel.progress is None
    panel.below.prompt = "Once upon a time"
    panel.below.start()
    assert panel.below.wait(HANG) and panel.below.text


def test_an_instruct_preset_opens_as_a_conversation_where_its_model_can_chat(hub):
    panel = BrowsePanel((info("base"), info("tuned", instruct=True)))
    hub.outcome = FakeChatLM(stop_at=5)
    panel.load("tuned")
    panel.wait(HANG)
    assert panel.below.mode == "chat"
    panel.load("base")
    panel.wait(HANG)
    assert panel.below.mode == "complete"
    hub.outcome = FakeLM()
    panel.load("tuned")
    panel.wait(HANG)
    assert panel.status == "done" and panel.below.mode == "complete"


def test_the_dtype_is_loaded(hub):
    panel = BrowsePanel(PRESETS, dtype="bfloat16")
    panel.load("stories_tiny_en")
    panel.wait(HANG)
    panel.dtype = "auto"
    panel.load("stories_tiny_en")
    panel.wait(HANG)
    assert hub.calls == [("stories_tiny_en", "bfloat16"), ("stories_tiny_en", None)]


def test_progress_is_told_and_a_second_load_refused(hub):
    hub.hold()
    panel = BrowsePanel(PRESETS)
    panel.select("stories_tiny_en")
    panel.load()
    assert hub.half_way.wait(HANG)
    until(lambda: panel.progress is not None)
    assert panel.status == "loading" and panel.loading == "stories_tiny_en" and panel.busy
    assert panel.progress == {
        "stage": "downloading",
        "done": 600_000_000,
        "total": 1_500_000_000,
        "file": "model.weights.h5",
        "rate": 24_000_000.0,
    }
    assert panel.wait(0.02) is False
    with pytest.raises(WorkbenchError, match="loading"):
        panel.load("llama_7b")


def test_progress_is_told_five_times_a_second_at_most(hub):
    hub.hold()
    panel = BrowsePanel(PRESETS)
    panel.load("stories_tiny_en")
    assert hub.half_way.wait(HANG)
    panel.comm.drain()
    time.sleep(1)
    told = [data for _, _, data in panel.comm.drain() if "progress" in data.get("state", {})]
    assert len(told) <= 6


def test_a_cancel_keeps_what_was_there(hub):
    panel = BrowsePanel(PRESETS)
    panel.load("stories_tiny_en")
    panel.wait(HANG)
    before, below = panel.model, panel.below
    hub.hold()
    hub.half_way.clear()
    panel.load("llama_7b")
    assert hub.half_way.wait(HANG)
    panel.cancel()
    assert panel.status == "stopping"
    assert panel.wait(HANG) and panel.status == "cancelled" and panel.error is None
    assert panel.model is before and panel.below is below and below.comm is not None
    assert panel.loaded == "stories_tiny_en"


def test_the_next_model_takes_the_place_of_the_one_before(hub):
    panel = BrowsePanel(PRESETS)
    panel.load("stories_tiny_en")
    panel.wait(HANG)
    before, widgets = panel.below, len(_instances)
    hub.outcome = FakeLM(name="second")
    panel.load("llama_7b")
    panel.wait(HANG)
    assert before.comm is None and panel.below.lm is hub.outcome and panel.loaded == "llama_7b"
    assert len(_instances) == widgets


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PresetError("llama_7b is gated: accept the licence"),
            "llama_7b is gated: accept the licence",
        ),
        (OSError("no route"), "OSError: no route. What was done so far is kept; try again."),
    ],
)
def test_a_failure_is_one_sentence_and_can_be_tried_again(hub, error, message):
    works, hub.outcome = hub.outcome, error
    panel = BrowsePanel(PRESETS)
    panel.load("llama_7b")
    assert panel.wait(HANG) and panel.status == "failed" and panel.model is None
    assert panel.error["message"] == message and "Traceback" in panel.error["details"]
    hub.outcome = works
    panel.load("llama_7b")
    assert panel.wait(HANG) and panel.status == "done" and panel.error is None


def test_a_model_without_a_panel_fails_with_a_reason(hub):
    hub.outcome.preprocessor = None
    panel = BrowsePanel(PRESETS)
    panel.load("llama_7b")
    assert panel.wait(HANG) and panel.status == "failed"
    assert "no preprocessor" in panel.error["message"] and panel.model is hub.outcome


def test_in_the_foreground_the_load_is_over_when_it_returns(hub, monkeypatch):
    monkeypatch.setattr(load_job, "needs_foreground", lambda: True)
    panel = BrowsePanel(PRESETS)
    panel.load("stories_tiny_en")
    assert panel.status == "done" and panel.below.lm is panel.model


# -- what the page says ---------------------------------------------------------------------


def test_the_page_selects_and_loads(hub):
    panel = BrowsePanel(PRESETS)
    update(panel, selected="llama_7b", dtype="int8")
    assert panel.selected == "llama_7b" and panel.dtype == "int8"
    hub.hold()
    for _ in range(3):
        command(panel, "load", name="stories_tiny_en", dtype="float32")
    hub.go_on()
    assert panel.wait(HANG) and panel.status == "done" and panel.error is None
    assert hub.calls == [("stories_tiny_en", "float32")] and panel.selected == "stories_tiny_en"
    update(panel, selected="")
    assert panel.selected == ""


def test_the_page_cancels(hub):
    hub.hold()
    panel = BrowsePanel(PRESETS)
    command(panel, "load", name="stories_tiny_en", dtype="auto")
    assert hub.half_way.wait(HANG)
    command(panel, "cancel")
    assert panel.wait(HANG) and panel.status == "cancelled"


def test_a_question_is_answered_with_the_state():
    panel = BrowsePanel(PRESETS)
    panel.comm.drain()
    command(panel, "sync")
    messages = [data for _, _, data in panel.comm.drain()]
    assert any("progress" in data.get("state", {}) for data in messages)
    assert {"type": "synced"} in [data.get("content") for data in messages]


HOSTILE = [
    {},
    None,
    "text",
    {"method": "explode"},
    {"method": "update", "state": {"rows": []}},
    {"method": "update", "state": {"machine": {"limit": 10**18}}},
    {"method": "update", "state": {"opened": "0" * 32}},
    {"method": "update", "state": {"status": "done"}},
    {"method": "update", "state": {"selected": "no_such_preset"}},
    {"method": "update", "state": {"selected": ["stories_tiny_en"]}},
    {"method": "update", "state": {"selected": {"name": "stories_tiny_en"}}},
    {"method": "update", "state": {"selected": "x" * 10_000_000}},
    {"method": "update", "state": {"dtype": "float8"}},
    {"method": "update", "state": {"dtype": None}},
    {"method": "update", "state": {"dtype": {"class_name": "Policy"}}},
    {"method": "update", "state": {"_esm": "alert(1)"}},
    {"method": "custom", "content": {"command": "load"}},
    {"method": "custom", "content": {"command": "load", "name": "/etc/passwd", "dtype": "auto"}},
    {"method": "custom", "content": {"command": "load", "name": "../../x", "dtype": "auto"}},
    {"method": "custom", "content": {"command": "load", "name": "hf://a/b", "dtype": "auto"}},
    {"method": "custom", "content": {"command": "load", "name": "elsewhere", "dtype": "int8"}},
    {"method": "custom", "content": {"command": "load", "name": "", "dtype": "auto"}},
    {"method": "custom", "content": {"command": "load", "name": [], "dtype": "auto"}},
    {"method": "custom", "content": {"command": "load", "name": "stories_tiny_en", "dtype": 7}},
    {"method": "custom", "content": {"command": "load", "name": "stories_tiny_en", "dtype": []}},
    {"method": "custom", "content": {"command": "cancel", "force": True}},
    {"method": "custom", "content": {"command": "close"}},
    {"method": "custom", "content": {"command": "adopt", "model": "x"}},
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_message_changes_nothing_and_shows_one_error(data, hub):
    panel = BrowsePanel(PRESETS)
    before = panel.get_state()
    say(panel, data)
    after = panel.get_state()
    message = after.pop("error")["message"]
    assert message.startswith("The panel refused") and len(message) < 500
    assert {**after, "error": None} == before and hub.calls == []


def test_an_impossible_dtype_or_preset_is_refused_in_python():
    widgets = len(_instances)
    with pytest.raises(SettingError, match="dtype"):
        browse(PRESETS, dtype="float8")
    assert len(_instances) == widgets
    panel = BrowsePanel(PRESETS)
    for action in (lambda: panel.select("nothing"), lambda: panel.load("nothing"), panel.load):
        with pytest.raises(SettingError, match="no preset"):
            action()


# -- a life and its end ---------------------------------------------------------------------


def test_closing_frees_everything(hub):
    def live(index):
        panel = BrowsePanel(PRESETS)
        panel.load("stories_tiny_en")
        if index % 2:
            panel.wait(HANG)
        panel.close()
        assert panel.wait(HANG)
        return weakref.ref(panel)

    live(0), live(1)
    gc.collect()
    widgets, threads = len(_instances), threading.active_count()
    comms = len(comm.get_comm_manager().comms)
    refs = [live(index) for index in range(100)]
    until(lambda: threading.active_count() == threads)
    gc.collect()
    assert len(_instances) == widgets and len(comm.get_comm_manager().comms) == comms
    assert sum(ref() is not None for ref in refs) == 0


def test_closing_closes_the_panel_below_and_keeps_the_model(hub):
    panel = BrowsePanel(PRESETS)
    panel.load("stories_tiny_en")
    panel.wait(HANG)
    panel.close()
    assert panel.comm is None and panel.below.comm is None and panel.model is hub.outcome


def test_the_panel_below_belongs_to_the_browser_and_to_no_cell(hub, monkeypatch):
    monkeypatch.setattr(cells, "_made", {})
    execution = ["cell-1", "run-1"]
    monkeypatch.setattr(cells, "_current_cell", lambda: tuple(execution))
    panel = BrowsePanel(PRESETS)
    execution[:] = ["cell-2", "run-2"]  # another cell runs when the load ends
    panel.load("stories_tiny_en")
    panel.wait(HANG)
    execution[:] = ["cell-2", "run-3"]
    BrowsePanel(PRESETS)
    assert panel.below.comm is not None
    execution[:] = ["cell-1", "run-4"]
    BrowsePanel(PRESETS)
    assert panel.comm is None and panel.below.comm is None
