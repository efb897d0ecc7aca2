"""GeneratePanel without a page: the protocol it speaks, and what it makes of hostile pages."""

import gc
import json
import math
import random
import threading
import time
import weakref

import pytest
from doubles import FakeLM, RecordingComm
from ipywidgets.widgets.widget import _instances
from patience import HANG, SLOW, until
from workbench.widgets import GeneratePanel, generate
from workbench.widgets.shared import cells, settings

from workbench import samplers
from workbench.errors import PresetError, SettingError, WorkbenchError
from workbench.jobs import generation as jobs
from workbench.samplers.settings import STREAMING

PROMPT = "Once upon a time"

pytestmark = pytest.mark.usefixtures("kernel")


def panel_of(lm=None, **options):
    return GeneratePanel(lm or FakeLM(stop_at=12), **{"prompt": PROMPT, "seed": 7, **options})


def say(panel, data):
    """A message of the page, as the comm delivers it."""
    panel.comm.handle_msg({"content": {"data": data}, "buffers": []})


def update(panel, **state):
    say(panel, {"method": "update", "state": state, "buffer_paths": []})


def command(panel, name, **arguments):
    say(panel, {"method": "custom", "content": {"command": name, **arguments}})


def updates(messages, name):
    return [
        data["state"][name]
        for _, kind, data in messages
        if kind == "comm_msg" and data["method"] == "update" and name in data["state"]
    ]


def customs(messages, kind):
    return [
        data["content"]
        for _, _, data in messages
        if data.get("method") == "custom" and data["content"]["type"] == kind
    ]


# -- driven from Python ---------------------------------------------------------------------


def test_a_panel_is_driven_like_a_job():
    panel = generate(FakeLM(stop_at=12), prompt=PROMPT, seed=7, sampler="greedy")
    assert panel.status == "idle" and panel.text == "" and panel.history == []
    panel.start()
    assert panel.wait(HANG) is True
    assert panel.status == "done" and len(panel.tokens) == 12
    assert panel.text == "".join(token.text for token in panel.tokens)
    assert panel.output["pieces"] == [token.text for token in panel.tokens]
    assert panel.output["final"] and panel.output["summary"].startswith("12 tokens · ")
    assert panel.output["summary"].endswith("stop: end token")
    assert [run.text for run in panel.history] == [panel.text]


def test_the_heading_says_what_the_model_is():
    assert panel_of().heading == {
        "name": "fake_tiny_en",
        "family": "Fake",
        "parameters": "2.90 M",
        "dtype": "float32",
    }


def test_settings_are_checked_and_counted_from_the_next_run():
    lm = FakeLM(stop_at=12, hold_at=6)
    panel = panel_of(lm)
    panel.start()
    panel.temperature = 0.3
    panel.settings = {"sampler": "top_k", "top_k": 7}
    lm.pace.allow()
    assert panel.wait(HANG) and panel.history[0].settings["sampler"] == "top_p"
    panel.start()
    panel.wait(HANG)
    assert repr(lm.calls[1]["sampler"]) == "TopKSampler(k=7, temperature=0.3)"
    assert lm.calls[1]["seed"] == 7 and lm.calls[1]["max_new_tokens"] == 128


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", True),
        ("temperature", "hot"),
        ("top_k", 0),
        ("top_k", 2.5),
        ("top_p", 1.01),
        ("min_p", -0.1),
        ("repetition_penalty", math.inf),
        ("max_new_tokens", 0),
        ("seed", -1),
        ("seed", 2**32),
        ("sampler", "beam"),
        ("sampler", ["greedy"]),
        ("prompt", 7),
        ("prompt", "\ud800"),
        ("prompt", "x" * 200_001),
        ("show", "pretty"),
    ],
)
def test_an_impossible_setting_is_refused_everywhere(name, value):
    panel = panel_of()
    before = panel.get_state()
    with pytest.raises(SettingError):
        setattr(panel, name, value)
    update(panel, **{name: value})
    after = panel.get_state()
    assert name in after.pop("error")["message"]
    assert {**after, "error": None} == before


def test_an_unknown_setting_is_refused():
    with pytest.raises(SettingError, match="temprature"):
        generate(FakeLM(), temprature=1.0)


def test_a_model_that_cannot_read_text_is_refused():
    lm, widgets = FakeLM(), len(_instances)
    lm.preprocessor = None
    with pytest.raises(SettingError, match="no preprocessor"):
        generate(lm)
    assert len(_instances) == widgets


def test_only_one_run_at_a_time():
    panel = panel_of(FakeLM(hold_at=6))
    panel.start()
    for action in (panel.start, panel.reset, lambda: panel.restore(1)):
        with pytest.raises(WorkbenchError, match="generating"):
            action()
    panel.cancel()
    panel.lm.pace.allow()
    assert panel.wait(HANG)


def test_cancel_keeps_the_text_and_the_next_run_equals_a_fresh_one():
    panel = panel_of(FakeLM(hold_at=4), max_new_tokens=40)
    panel.start()
    until(lambda: len(panel.tokens) > 3)
    panel.cancel()
    panel.lm.pace.allow()
    assert panel.wait(HANG) and panel.status == "stopped" and panel.text
    assert panel.output["pieces"] == [token.text for token in panel.tokens]
    assert panel.output["summary"].endswith("stopped")
    panel.start()
    panel.wait(HANG)
    fresh = panel_of(FakeLM(), max_new_tokens=40)
    fresh.start()
    fresh.wait(HANG)
    assert panel.text == fresh.text


def test_a_failure_is_one_sentence_with_the_traceback_apart():
    panel = panel_of(FakeLM(fail_at=3))
    panel.start()
    panel.wait(HANG)
    assert panel.status == "failed" and len(panel.tokens) == 3
    assert panel.error["message"].startswith("RuntimeError: the model broke.")
    assert "Traceback" in panel.error["details"]
    panel.lm.fail_at = None
    panel.start()
    panel.wait(HANG)
    assert panel.status == "done" and panel.error is None


def test_two_panels_on_one_model_queue():
    lm = FakeLM(stop_at=30, hold_at=6)
    first, second = panel_of(lm), panel_of(lm)
    first.start()
    second.start()
    until(lambda: second.position == 1)
    assert second.status == "queued"
    lm.pace.allow()
    assert second.wait(HANG) and second.status == "done" and second.position == 0
    assert first.text == second.text


def test_history_restores_prompt_settings_and_text():
    panel = panel_of()
    for seed in (1, 2, 3):
        panel.seed = seed
        panel.prompt = f"Prompt {seed}"
        panel.start()
        panel.wait(HANG)
    texts = [run.text for run in panel.history]
    assert [entry["number"] for entry in panel.runs] == [1, 2, 3]
    panel.restore(2)
    assert (panel.prompt, panel.seed, panel.text) == ("Prompt 2", 2, texts[1])
    assert panel.output["run"] == 2 and panel.output["prompt"] == "Prompt 2"
    assert "seed=2" in panel.code and '"Prompt 2"' in panel.code
    with pytest.raises(SettingError, match="no run 9"):
        panel.restore(9)
    panel.start()
    panel.wait(HANG)
    assert panel.output["run"] == 4


def test_history_is_bounded():
    panel = panel_of(FakeLM(stop_at=1))
    for _ in range(25):
        panel.start()
        panel.wait(HANG)
    assert [run.number for run in panel.history] == list(range(6, 26))


def test_reset_goes_back_to_the_beginning():
    panel = panel_of(temperature=0.5)
    panel.temperature, panel.sampler = 1.5, "random"
    panel.start()
    panel.wait(HANG)
    panel.reset()
    assert panel.settings == {**settings.DEFAULTS, "temperature": 0.5, "seed": 7}
    assert panel.history == [] and panel.output == {} and panel.status == "idle"


def test_after_a_reset_the_code_is_that_of_the_prompt():
    panel = panel_of()
    panel.start()
    panel.wait(HANG)
    panel.prompt = "Other words"
    panel.reset()
    assert "Other words" in panel.code


def test_the_prompt_is_counted_as_it_is_typed():
    panel = panel_of()
    assert panel.prompt_tokens == 4
    panel.prompt = "two words"
    assert panel.prompt_tokens == 2
    panel.prompt = "x " * 10_001
    assert panel.prompt_tokens is None


@pytest.mark.parametrize("sampler", STREAMING)
def test_the_code_writes_the_same_text_again(sampler):
    panel = panel_of(sampler=sampler, top_k=3, min_p=0.1, prompt='He said "hi"\n\\o/ \u2028 ü')
    panel.start()
    panel.wait(HANG)

    class Workbench:
        pass

    calls = []
    lm = FakeLM(stop_at=12)
    lm.generate = lambda prompt, **call: calls.append((prompt, call))
    Workbench.samplers = samplers
    lines = [line for line in panel.code.split("\n") if not line.startswith(("import", "lm ="))]
    exec("\n".join(lines), {"wb": Workbench, "lm": lm})
    [(prompt, call)] = calls
    done = list(lm.stream(prompt, **call))[-1]
    assert done.text == panel.text
    assert 'lm = wb.models.CausalLM.from_preset("fake_tiny_en")' in panel.code


def test_code_without_a_run_follows_the_controls():
    panel = panel_of(temperature=0.8, max_new_tokens=128)
    assert panel.code.endswith(
        "lm.generate(prompt, sampler=wb.samplers.TopPSampler(p=0.92, temperature=0.8), "
        "seed=7, max_new_tokens=128)"
    )
    panel.sampler = "greedy"
    assert panel.code.endswith("sampler=wb.samplers.GreedySampler(), max_new_tokens=128)")


def test_an_interrupt_cancels(monkeypatch):
    panel = panel_of(FakeLM(hold_at=6))
    panel.start()
    until(lambda: panel.tokens)
    waits = iter([KeyboardInterrupt])

    def wait(_, seconds):
        for error in waits:
            raise error
        panel.lm.pace.allow()
        return threading.Event.wait(event, seconds)

    event = panel._run.job._finished
    monkeypatch.setattr(
        panel._run.job, "_finished", type("E", (), {"wait": wait, "set": event.set})()
    )
    assert panel.wait() is True
    assert panel.status == "stopped" and panel.text


# -- loading --------------------------------------------------------------------------------


@pytest.fixture
def presets(monkeypatch):
    """What `from_preset` does, one action a call."""
    from workbench import models

    actions = []

    class Loaded:
        @staticmethod
        def from_preset(handle, dtype=None):
            return actions.pop(0)(handle)

    monkeypatch.setattr(models, "CausalLM", Loaded)
    return actions


def test_a_handle_is_loaded_in_the_background(presets):
    gate = threading.Event()
    presets.append(lambda handle: gate.wait(HANG) and FakeLM(name=handle, stop_at=5))
    panel = generate("tiny", prompt=PROMPT)
    assert panel.status == "loading" and panel.heading == {"name": "tiny"} and panel.lm is None
    panel.start()
    assert panel.wait(0.05) is False
    gate.set()
    assert panel.wait(HANG) and panel.status == "done" and len(panel.tokens) == 5
    assert panel.heading["parameters"] == "2.90 M" and panel.prompt_tokens == 4


def test_a_preset_that_does_not_load_can_be_tried_again(presets):
    def refuse(handle):
        raise PresetError(f"no preset {handle!r}")

    presets += [refuse, lambda handle: FakeLM(stop_at=2)]
    panel = generate("tiny", prompt=PROMPT)
    assert panel.wait(HANG) and panel.status == "failed"
    assert panel.error["message"] == "no preset 'tiny'"
    panel.start()
    assert panel.wait(HANG) and panel.status == "done" and panel.error is None


# -- the protocol ---------------------------------------------------------------------------


def test_deltas_join_to_the_text_and_snapshots_hold_it_whole():
    panel = panel_of(FakeLM(delay=0.004), max_new_tokens=300)
    panel.comm.drain()
    panel.start()
    assert panel.wait(HANG)
    messages = panel.comm.drain()
    expected = [token.text for token in panel.tokens]
    shown = []
    for _, _, data in messages:
        if data["method"] == "custom":
            delta = data["content"]
            assert delta["run"] == 1 and delta["offset"] == len(shown)
            assert len(delta["pieces"]) == len(delta["percents"])
            shown += delta["pieces"]
        elif "output" in data["state"]:
            assert data["state"]["output"]["pieces"][: len(shown)] == shown
            shown = data["state"]["output"]["pieces"]
    assert shown == expected
    snapshots = [s for s in updates(messages, "output")]
    assert len(snapshots) >= 3 and snapshots[-1]["final"]
    assert all(0 <= percent <= 100 for percent in snapshots[-1]["percents"])
    assert len(snapshots[-1]["alternatives"]) == 300
    times = [at for at, _, _ in messages]
    busiest = max(sum(t <= u < t + 1 for u in times) for t in times)
    assert busiest <= 22, "17 in their spacing, one that was late, four that tell the status"


def test_twenty_thousand_tokens_stay_within_the_rate(monkeypatch):
    """A second of wall clock stands for ten: the clock that paces the messages runs faster."""
    from workbench.widgets.shared import pace

    began = time.monotonic()
    monkeypatch.setattr(pace.Pace.__init__, "__defaults__", (lambda: 10 * time.monotonic(),))
    panel = panel_of(FakeLM(delay=0.00005, max_length=20_000), max_new_tokens=20_000)
    panel.comm.drain()
    panel.start()
    assert panel.wait(HANG)
    seconds = 10 * (time.monotonic() - began)
    messages = panel.comm.drain()
    size = sum(len(json.dumps(data)) for _, _, data in messages)
    assert len(messages) / seconds <= 20
    assert size / seconds <= 100_000
    assert panel.output["pieces"] == [token.text for token in panel.tokens]


def test_a_page_that_missed_something_is_given_everything():
    panel = panel_of(FakeLM(delay=0.01, hold_at=20))
    panel.start()
    until(lambda: len(panel.tokens) > 5)
    panel.comm.drain()
    command(panel, "sync")
    messages = panel.comm.drain()
    assert len(updates(messages, "output")[-1]["pieces"]) > 5
    assert customs(messages, "synced")
    panel.cancel()
    panel.lm.pace.allow()
    panel.wait(HANG)
    time.sleep(0.25)
    panel.comm.drain()
    command(panel, "sync")
    messages = panel.comm.drain()
    assert updates(messages, "output"), "also when nothing has changed"
    assert updates(messages, "status") == ["stopped"], "it ended while a page was being opened"


def test_alternatives_are_answered():
    panel = panel_of()
    panel.start()
    panel.wait(HANG)
    panel.comm.drain()
    command(panel, "alternatives", run=1, index=3)
    [answer] = customs(panel.comm.drain(), "alternatives")
    assert (answer["run"], answer["index"], len(answer["items"])) == (1, 3, 5)
    assert answer["items"] == panel.output["alternatives"][3]
    shares = [percent for _, percent, _ in answer["items"]]
    assert shares == sorted(shares, reverse=True)
    assert [text for text, _, chosen in answer["items"] if chosen] == [panel.tokens[3].text]
    command(panel, "alternatives", run=1, index=99)
    assert customs(panel.comm.drain(), "alternatives")[0]["items"] == []


def test_the_page_starts_with_the_prompt_and_settings_it_shows():
    panel = panel_of()
    command(panel, "start", prompt="From the page", settings={"sampler": "greedy"})
    assert panel.wait(HANG)
    assert panel.prompt == "From the page" and panel.sampler == "greedy"
    assert panel.lm.calls[0]["prompt"] == "From the page"


def test_a_double_click_starts_one_run():
    panel = panel_of(FakeLM(stop_at=20, hold_at=6))
    for _ in range(3):
        command(panel, "start", prompt=PROMPT, settings={})
    panel.lm.pace.allow()
    assert panel.wait(HANG) and len(panel.lm.calls) == 1 and panel.error is None


def test_what_is_sent_is_json_without_nan():
    class Odd(FakeLM):
        def _token(self, *args):
            token = super()._token(*args)
            return type(token)(token.id, token.text, math.nan, token.alternatives)

    panel = panel_of(Odd(stop_at=3))
    panel.start()
    panel.wait(HANG)
    assert panel.output["percents"] == [None] * 3
    json.dumps(panel.output, allow_nan=False)


# -- hostile pages --------------------------------------------------------------------------


HOSTILE = [
    {},
    [],
    "text",
    None,
    {"method": "explode"},
    {"method": "update"},
    {"method": "update", "state": []},
    {"method": "update", "state": {"status": "done"}},
    {"method": "update", "state": {"_esm": "alert(1)"}},
    {"method": "update", "state": {"layout": "IPY_MODEL_0"}},
    {"method": "update", "state": {"error": None, "comm": None}},
    {"method": "update", "state": {"temperature": 0.5, "unknown": 1}},
    {"method": "update", "state": {"temperature": {"nested": []}}},
    {"method": "update", "state": {"prompt": None}, "buffer_paths": [["prompt"]]},
    {"method": "update", "state": {"prompt": "x" * 10_000_000}},
    {"method": "custom"},
    {"method": "custom", "content": "start"},
    {"method": "custom", "content": {"command": 7}},
    {"method": "custom", "content": {"command": "close"}},
    {"method": "custom", "content": {"command": "start"}},
    {"method": "custom", "content": {"command": "start", "prompt": "x", "settings": []}},
    {"method": "custom", "content": {"command": "start", "prompt": 1, "settings": {}}},
    {"method": "custom", "content": {"command": "start", "prompt": "x", "settings": {"a": 1}}},
    {"method": "custom", "content": {"command": "cancel", "force": True}},
    {"method": "custom", "content": {"command": "alternatives", "run": 1, "index": "0"}},
    {"method": "custom", "content": {"command": "alternatives", "run": [], "index": 0}},
    {"method": "custom", "content": {"command": "restore", "run": 1e300}},
    {"method": "custom", "content": {"command": "restore", "run": True}},
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_message_changes_nothing_and_shows_one_error(data):
    panel = panel_of()
    before = panel.get_state()
    say(panel, data)
    after = panel.get_state()
    message = after.pop("error")["message"]
    assert message.startswith("The panel refused") and len(message) < 500
    assert {**after, "error": None} == before
    assert panel.lm.calls == []
    panel.start()
    assert panel.wait(HANG) and panel.status == "done" and panel.error is None


def test_a_flood_of_hostile_messages_is_answered_calmly():
    panel = panel_of()
    panel.start()
    panel.wait(HANG)
    before = panel.get_state()
    choose = random.Random(3)
    values = [None, True, -1, 1e308, math.nan, "x", "x" * 10_000, [], {}, {"a": []}, 2**70]
    names = [*before, "unknown", 7]
    panel.comm.drain()
    times = []
    for _ in range(2_000):
        state = {choose.choice(names): choose.choice(values) for _ in range(3)}
        content = {"command": choose.choice(list(panel.commands)), "run": choose.choice(values)}
        data = choose.choice(
            [
                {"method": "update", "state": {**state, "status": "hacked"}},
                {"method": "custom", "content": {**content, "extra": choose.choice(values)}},
                {"method": choose.choice(values), "state": state},
            ]
        )
        began = time.perf_counter()
        say(panel, data)
        times.append(time.perf_counter() - began)
    after = panel.get_state()
    assert after.pop("error") is not None
    assert {**after, "error": None} == before
    assert sorted(times)[int(0.95 * len(times))] < 0.01 * SLOW
    assert len(panel.comm.drain()) < 20


# -- a life and its end ---------------------------------------------------------------------


def test_closing_frees_everything():
    lm = FakeLM(delay=0.0005)
    warm = panel_of(lm)
    warm.start()
    warm.cancel()
    warm.wait(HANG)
    warm.close()
    gc.collect()
    widgets, threads = len(_instances), threading.active_count()
    import comm

    comms = len(comm.get_comm_manager().comms)
    refs = []
    for round_ in range(200):
        panel = panel_of(lm, seed=round_, max_new_tokens=8)
        refs.append(weakref.ref(panel))
        panel.start()
        if round_ % 2:
            panel.wait(HANG)
        panel.close()
    del panel, warm
    until(lambda: threading.active_count() == threads)
    gc.collect()
    assert len(_instances) == widgets and len(comm.get_comm_manager().comms) == comms
    assert sum(ref() is not None for ref in refs) == 0


def test_a_closed_panel_keeps_what_it_wrote():
    panel = panel_of(FakeLM(hold_at=4))
    panel.start()
    until(lambda: len(panel.tokens) > 3)
    panel.close()
    panel.lm.pace.allow()
    assert panel.wait(HANG) and panel.text and panel.history[0].job.status == "cancelled"
    panel.close()


def test_running_a_cell_again_closes_what_it_made_before(monkeypatch):
    monkeypatch.setattr(cells, "_made", {})
    execution = ["cell-1", "run-1"]
    monkeypatch.setattr(cells, "_current_cell", lambda: tuple(execution))
    first, sibling = panel_of(FakeLM(hold_at=6)), panel_of()
    first.start()
    execution[0] = "cell-2"
    other = panel_of()
    execution[:] = ["cell-1", "run-2"]
    second = panel_of()
    assert first.comm is None and sibling.comm is None
    assert other.comm is not None and second.comm is not None
    first.lm.pace.allow()
    assert first.wait(HANG) and first.history[0].job.status == "cancelled"


def test_outside_a_notebook_no_cell_is_known():
    assert cells._current_cell() == ("", "")


def test_without_a_page_a_panel_prints_itself_escaped():
    evil = ["<img/src=x/onerror=alert(1)>", "</div><script>alert(2)</script>"]
    panel = panel_of(FakeLM(words=evil, stop_at=4), prompt="<b>bold</b>")
    panel.start()
    panel.wait(HANG)
    data, _ = panel._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.model_id
    assert data["text/plain"].split("\n")[:2] == [
        "fake_tiny_en · Fake · 2.90 M · float32 (done)",
        "Prompt: <b>bold</b>",
    ]
    assert panel.text in data["text/plain"] and "4 tokens" in data["text/plain"]
    assert "<script" not in data["text/html"] and "<img" not in data["text/html"]
    assert "&lt;b&gt;bold&lt;/b&gt;" in data["text/html"]


def test_the_page_is_one_module_that_never_writes_markup():
    source = GeneratePanel._esm.replace("http://www.w3.org/2000/svg", "")  # a name
    assert source.count("export default") == 1
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http"):
        assert word not in source
    assert "import " not in source and "url(" not in GeneratePanel._css


def test_in_the_foreground_start_returns_when_the_text_is_written(monkeypatch):
    monkeypatch.setattr(jobs, "needs_foreground", lambda: True)
    panel = panel_of()
    panel.start()
    assert panel.status == "done" and len(panel.tokens) == 12


def test_comms_of_this_test_are_recorded():
    assert isinstance(panel_of().comm, RecordingComm)
