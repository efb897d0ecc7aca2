"""The inspect panel driven from Python: reading, places, branches, answers that come too late."""

import itertools
import math
import threading

import numpy as np
import pytest
from inspect_doubles import FakeInspectLM
from patience import HANG, until
from preset_doubles import Hub
from tiny import GOLDENS
from traitlets import TraitError
from workbench.widgets import InspectPanel, inspect
from workbench.widgets.inspect import base, branches
from workbench.widgets.inspect.settings import cuts_of, read_code, sampler_of

from workbench import models
from workbench.errors import PromptError, SettingError, WorkbenchError
from workbench.samplers import RandomSampler, TopKSampler, TopPSampler

pytestmark = pytest.mark.usefixtures("kernel")
TEXT = "once upon a time there was\nsmall fox"


def opened(lm=None, text=TEXT, **settings):
    panel = InspectPanel(lm or FakeInspectLM(), text, **settings)
    assert panel.wait(HANG)
    return panel


def array(content, kind):
    return np.frombuffer(content, kind)


def messages(panel):
    return [data for _, kind, data in panel.comm.drain() if kind == "comm_msg"]


def say(panel, command, **fields):
    content = {"method": "custom", "content": {"command": command, **fields}}
    panel.comm.handle_msg({"content": {"data": content}, "buffers": []})


# -- reading --------------------------------------------------------------------------------


def test_a_text_is_read_and_shown_in_numbers():
    panel = opened()
    inspection, reading = panel.inspection, panel.reading
    assert panel.status == "done" and panel.error is None
    assert panel.place == len(inspection.ids) and panel.shown is panel.branches[0]
    assert reading["pieces"] == list(inspection.pieces) and reading["written"]
    np.testing.assert_array_equal(array(reading["ids"], "<i4"), inspection.ids)
    np.testing.assert_array_equal(array(reading["logprobs"], "<f4"), inspection.logprobs[:-1])
    np.testing.assert_array_equal(array(reading["entropies"], "<f4"), inspection.entropies)
    np.testing.assert_array_equal(array(reading["ranks"], "<i4"), inspection.ranks)


def test_the_distribution_follows_the_place():
    panel = opened()
    for place in (3, 1, 3):
        panel.place = place
        assert panel.wait(HANG)
        sent, real = panel.distribution, panel.inspection.distribution(place)
        assert sent["place"] == place and sent["key"] == panel.shown_key
        np.testing.assert_array_equal(array(sent["ids"], "<i4"), real.ids)
        np.testing.assert_array_equal(array(sent["logits"], "<f4"), real.logits)
        np.testing.assert_array_equal(array(sent["rest_counts"], "<i4"), real.rest_counts)
        assert sent["pieces"][0] == panel.inspection.piece(int(real.ids[0]))
    panel.place = 0
    assert panel.distribution == {}


def test_a_distribution_is_computed_once():
    lm = FakeInspectLM()
    panel = opened(lm)
    for place in (2, 3, 2, 3):
        panel.place = place
        assert panel.wait(HANG)
    assert lm.looks == [len(panel.inspection.ids), 2, 3]


def test_another_text_begins_anew():
    panel = opened()
    panel.branch(2, 7)
    assert panel.wait(HANG)
    panel.read("a boat")
    assert panel.wait(HANG)
    assert len(panel.branches) == 1 and panel.shown.text == "a boat"
    assert panel.text == "a boat" and panel.place == 2


def test_a_text_that_is_asked_for_later_wins():
    lm = FakeInspectLM(read_seconds=0.1)
    panel = InspectPanel(lm, "a boat")
    panel.read("a kite")
    assert panel.wait(HANG)
    assert panel.shown.text == "a kite" and len(panel.branches) == 1


def test_a_place_that_is_asked_for_later_wins():
    lm = FakeInspectLM()
    panel = opened(lm)
    lm.gate.clear()
    panel.place = 2
    panel.place = 4
    lm.gate.set()
    assert panel.wait(HANG)
    assert panel.distribution["place"] == 4 == panel.place


def test_what_cannot_be_read_is_said_and_the_rest_stays():
    panel = opened()
    before = panel.reading
    panel.read("")
    assert panel.wait(HANG)
    assert panel.status == "failed" and "at least one token" in panel.error["message"]
    panel.lm.read_error = RuntimeError("the weights are gone")
    panel.read("a boat")
    assert panel.wait(HANG)
    assert "RuntimeError: the weights are gone" in panel.error["message"]
    assert "Traceback" in panel.error["details"]
    assert panel.reading == before
    panel.lm.read_error = None
    panel.read()
    assert panel.wait(HANG)
    assert panel.error is None and panel.status == "done"


@pytest.mark.parametrize("place", [-1, 99, 1.5, True, "2", None])
def test_a_place_must_be_there(place):
    panel = opened()
    with pytest.raises((SettingError, TraitError), match="place"):
        panel.place = place


def test_in_the_foreground_everything_is_there_at_once(monkeypatch):
    monkeypatch.setattr("workbench.jobs.job.needs_foreground", lambda: True)
    monkeypatch.setattr("workbench.jobs.generation.needs_foreground", lambda: True)
    monkeypatch.setattr("workbench.widgets.shared.model_panel.needs_foreground", lambda: True)
    monkeypatch.setattr(threading, "Thread", None)
    panel = InspectPanel(FakeInspectLM(), TEXT, max_new_tokens=3)
    assert panel.foreground and panel.status == "done"
    branch = panel.branch(3, 8)
    assert branch.length == 4 and branch.inspection is not None
    panel.place = 2
    assert panel.distribution["place"] == 2


# -- branches -------------------------------------------------------------------------------


def test_a_branch_goes_on_with_sampler_and_seed():
    lm = FakeInspectLM()
    panel = opened(lm, top_p=0.5, top_k=9, temperature=0.7, seed=3, max_new_tokens=5)
    root = panel.shown
    branch = panel.branch(3, 8)
    assert panel.wait(HANG) and panel.status == "done"
    assert branch.ids[:4] == [*root.ids[:3], 8] and branch.length == 6
    assert branch.word == lm.piece(8) and branch.parent is root
    call = lm.calls[-1]
    assert call["ids"] == branch.ids[:4] and call["seed"] == 3
    assert repr(call["sampler"]) == repr(TopPSampler(p=0.5, k=9, temperature=0.7))
    assert lm.reads[-1] == branch.ids
    assert math.isclose(branch.logprob, branch.inspection.logprobs[3:-1].sum(), rel_tol=1e-5)
    assert panel.shown is branch and panel.place == 3 and panel.inspection is branch.inspection


def test_without_more_tokens_it_is_only_read():
    lm = FakeInspectLM()
    panel = opened(lm, max_new_tokens=0)
    branch = panel.branch(2, 8)
    assert panel.wait(HANG)
    assert branch.length == 1 and lm.calls == [] and panel.place == 2


def test_going_back_and_branching_again():
    panel = opened(max_new_tokens=4)
    root = panel.shown
    first = panel.branch(3, 8)
    assert panel.wait(HANG)
    again = panel.branch(3, 9)  # at the place where it left: beside it
    assert panel.wait(HANG)
    below = panel.branch(5, 10)
    assert panel.wait(HANG)
    assert [branch.parent for branch in (first, again, below)] == [root, root, again]
    assert panel.branches == [root, first, again, below]
    panel.go_to(root)
    assert panel.shown is root and panel.wait(HANG)
    assert [entry["number"] for entry in panel.tree] == [b.number for b in panel.branches]
    panel.go_to(again.number)
    assert panel.shown is again
    panel.delete(again)
    assert panel.branches == [root, first] and panel.shown is root
    with pytest.raises(SettingError, match="no branch"):
        panel.go_to(below)
    with pytest.raises(SettingError, match="text itself"):
        panel.delete(root)


def test_a_branch_that_was_let_go_of_is_read_again(monkeypatch):
    monkeypatch.setattr(base, "KEPT_INSPECTIONS", 2)
    lm = FakeInspectLM()
    panel = opened(lm, max_new_tokens=1)
    root = panel.shown
    for token in (8, 9):
        panel.branch(3, token)
        assert panel.wait(HANG)
    assert root.inspection is None and len(lm.reads) == 3
    panel.go_to(root)
    assert panel.wait(HANG)
    assert panel.inspection is root.inspection is not None and lm.reads[-1] == root.ids


def test_stopping_keeps_what_is_written_and_reads_it():
    lm = FakeInspectLM(hold_at=8)
    panel = opened(lm, max_new_tokens=500)
    branch = panel.branch(3, 8)
    until(lambda: branch.length >= 5)
    panel.cancel()
    lm.pace.allow()
    assert panel.wait(HANG)
    assert panel.status == "stopped" and 5 <= branch.length < 500
    assert branch.inspection is not None and lm.reads[-1] == branch.ids


def test_an_error_while_writing_is_shown_and_the_rest_is_read():
    lm = FakeInspectLM(fail_at=3)
    panel = opened(lm, max_new_tokens=20)
    branch = panel.branch(3, 8)
    assert panel.wait(HANG)
    assert panel.status == "failed" and "the model broke" in panel.error["message"]
    assert branch.length == 4 and branch.inspection is not None


def test_one_thing_at_a_time():
    lm = FakeInspectLM(hold_at=8)
    panel = opened(lm, max_new_tokens=50)
    panel.branch(3, 8)
    for action in (
        lambda: panel.branch(2, 8),
        lambda: panel.go_to(panel.branches[0]),
        lambda: panel.delete(panel.branches[1]),
        lambda: panel.read("a boat"),
        panel.reset,
    ):
        with pytest.raises(WorkbenchError, match="cancel"):
            action()
    panel.cancel()
    lm.pace.allow()
    assert panel.wait(HANG)


@pytest.mark.parametrize(
    "place, token, sentence",
    [
        (0, 8, "place"),
        (99, 8, "place"),
        (2, -1, "token_id"),
        (2, 1000, "token_id"),
        (2, 1.5, "tok"),
    ],
)
def test_a_branch_needs_a_place_and_a_token(place, token, sentence):
    panel = opened()
    with pytest.raises(SettingError, match=sentence):
        panel.branch(place, token)


def test_without_a_text_there_is_no_branch():
    panel = opened(text="")
    assert panel.status == "idle" and panel.branches == [] and panel.shown is None
    with pytest.raises(PromptError, match="no text"):
        panel.branch(1, 1)


def test_the_text_of_an_encoder_decoder_is_read_but_does_not_branch():
    lm = models.CausalLM.from_preset(str(GOLDENS / "keras_hub" / "bart"), dtype="float32")
    panel = opened(lm, "a fox")
    assert panel.status == "done" and panel.inspection.layers == len(lm.backbone.blocks)
    with pytest.raises(PromptError, match="cannot branch"):
        panel.branch(1, 5)


def test_the_number_of_branches_is_bounded(monkeypatch):
    monkeypatch.setattr(branches, "MAX_BRANCHES", 2)
    panel = opened(max_new_tokens=0)
    panel.branch(2, 8)
    assert panel.wait(HANG)
    with pytest.raises(SettingError, match="which is the most: delete one"):
        panel.branch(2, 9)
    assert len(panel.branches) == 2


# -- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, sampler",
    [
        ({"top_p": 1.0}, RandomSampler(temperature=0.8)),
        ({"top_p": 1.0, "top_k": 5, "min_p": 0.1}, TopKSampler(k=5, temperature=0.8, min_p=0.1)),
        ({"top_p": 0.5, "top_k": 5}, TopPSampler(p=0.5, k=5, temperature=0.8)),
        ({"top_p": 1.0, "top_k": 5000, "temperature": 0.0}, RandomSampler(temperature=0.0)),
    ],
)
def test_the_sampler_has_the_settings(settings, sampler):
    panel = opened(text="", **settings)
    assert repr(sampler_of(panel.settings, 1000)) == repr(sampler)


def test_the_distribution_takes_the_same_settings():
    panel = opened(temperature=0.5, top_k=3, top_p=1.0)
    assert cuts_of(panel.settings) == {
        "temperature": 0.5,
        "top_k": 3,
        "top_p": None,
        "min_p": None,
    }
    shares = panel.inspection.distribution(2).shares(**cuts_of(panel.settings))
    assert (shares > 0).sum() == 3


@pytest.mark.parametrize(
    "settings",
    [{"temperature": -1}, {"top_p": 0}, {"min_p": 1.0}, {"max_new_tokens": -1}, {"warmth": 1}],
)
def test_settings_are_checked(settings):
    with pytest.raises(SettingError, match=next(iter(settings))):
        InspectPanel(FakeInspectLM(), **settings)


def test_the_code_gives_the_same_distribution():
    panel = opened(top_k=3)
    panel.place = 2
    assert panel.wait(HANG)
    assert panel.code.startswith("import workbench as wb\n\nlm = wb.models.CausalLM.from_preset(")
    scope = {"lm": panel.lm}
    *lines, last = panel.code.splitlines()[3:]
    exec("\n".join(lines), scope)
    got = eval(last, scope)
    expected = panel.inspection.distribution(2).shares(temperature=0.8, top_k=3, top_p=0.92)
    np.testing.assert_array_equal(got, expected)
    panel.branch(2, 8)
    assert panel.wait(HANG)
    assert read_code("fake_tiny_en", panel.shown.ids, 2, panel.settings) == panel.code


def test_a_model_that_writes_no_text_is_refused():
    from doubles import FakeLM

    with pytest.raises(SettingError, match="writes no text"):
        InspectPanel(FakeLM())


# -- what the page is told, and what it may say ---------------------------------------------


def test_a_branch_streams_at_a_moderate_pace():
    panel = opened(FakeInspectLM(delay=0.002), max_new_tokens=300)
    panel.comm.drain()
    branch = panel.branch(3, 8)
    assert panel.wait(HANG)
    sent = [(when, data) for when, kind, data in panel.comm.drain() if kind == "comm_msg"]
    times = [when for when, _ in sent]
    seconds = max(times[-1] - times[0], 0.5)
    assert len(sent) < 20 * seconds + 12  # those of beginning and end besides
    deltas = [data["content"] for _, data in sent if data["method"] == "custom"]
    deltas = [one for one in deltas if one.get("type") == "tokens"]
    assert deltas
    for one, other in itertools.pairwise(deltas):
        assert other["offset"] >= one["offset"] + len(one["pieces"])
    for one in deltas:
        end = one["offset"] + len(one["pieces"])
        assert one["pieces"] == branch.pieces[one["offset"] : end]
        assert one["ids"] == branch.ids[one["offset"] : end]


def test_what_the_page_asks_of_another_text_is_left_out():
    panel = opened()
    old = panel.shown_key
    panel.read("a small boat")
    assert panel.wait(HANG)
    settings = panel.settings
    say(panel, "choose", key=old, place=1)
    say(panel, "branch", key=old, place=1, token=3, settings=settings)
    assert panel.place == 3 and len(panel.branches) == 1 and panel.error is None
    say(panel, "choose", key=panel.shown_key, place=1)
    assert panel.place == 1


@pytest.mark.parametrize(
    "command, fields",
    [
        ("choose", {"key": 2, "place": "x"}),
        ("choose", {"key": 2, "place": 10**9}),
        ("branch", {"key": 2, "place": 1, "token": 1, "settings": 3}),
        ("branch", {"key": 2, "place": 1, "token": 1, "settings": {"top_p": 7}}),
        ("branch", {"key": 2, "place": [], "token": None, "settings": {}}),
        ("go", {"branch": {}}),
        ("delete", {"branch": "all"}),
        ("start", {"text": 5}),
        ("lens", {"key": "x"}),
        ("shutdown", {}),
    ],
)
def test_what_makes_no_sense_changes_nothing(command, fields):
    panel = opened()
    before = panel.get_state(("reading", "tree", "place", "text", *panel.settings))
    say(
        panel, command, **({**fields, "key": panel.shown_key} if fields.get("key") == 2 else fields)
    )
    assert panel.wait(HANG)
    assert panel.error is not None
    assert panel.get_state(("reading", "tree", "place", "text", *panel.settings)) == before


def test_the_page_gets_what_it_missed():
    panel = opened()
    panel.comm.drain()
    say(panel, "sync")
    sent = messages(panel)
    assert any(data.get("content") == {"type": "synced"} for data in sent)
    assert any("reading" in data.get("state", {}) for data in sent)


def test_closing_stops_the_writing():
    lm = FakeInspectLM(hold_at=8)
    panel = opened(lm, max_new_tokens=5000)
    branch = panel.branch(3, 8)
    until(lambda: branch.length >= 5)
    panel.close()
    lm.pace.allow()
    assert panel.wait(HANG) and branch.length < 5000


def test_reset():
    panel = opened(temperature=0.5)
    panel.temperature = 1.5
    panel.reset()
    assert panel.branches == [] and panel.inspection is None and panel.place == 0
    assert panel.temperature == 0.5 and panel.status == "idle" and panel.text == TEXT


# -- on paper -------------------------------------------------------------------------------


def test_it_is_worth_reading_without_a_page():
    panel = opened()
    bundle = panel._repr_mimebundle_()[0]
    lines = bundle["text/plain"].splitlines()
    assert lines[0].startswith("fake_tiny_en · FakeInspect · 2.90 M · float32 (done)")
    assert "perplexity" in lines[1] and lines[2].split() == [
        "place",
        "token",
        "id",
        "probability",
        "entropy",
        "rank",
    ]
    assert len(lines) == 3 + len(panel.inspection.ids) + 2
    rank = f"{panel.inspection.ranks[2]:,}"
    assert lines[5].split()[1] == "␣a" and lines[5].split()[-1] == rank
    assert lines[-1].startswith("next: ")
    assert "⏎" in bundle["text/plain"]


def test_html_has_colours_and_escapes_the_text():
    panel = opened(text="once <script>alert(1)</script> upon")
    markup = panel._repr_mimebundle_()[0]["text/html"]
    assert "<script" not in markup and "&lt;script&gt;" in markup
    assert markup.count('<span style="background:#') == len(panel.inspection.ids) - 1
    assert markup.count("<tr>") == 2 + len(panel.inspection.ids) and "perplexity" in markup


def test_before_a_text_is_read_it_says_which():
    panel = inspect(FakeInspectLM())
    panel.text = "a boat"
    assert panel.describe()[1:] == ["Text: a boat"]


# -- loading --------------------------------------------------------------------------------


def test_a_text_is_read_once_the_model_is_there(monkeypatch):
    hub = Hub(FakeInspectLM())
    hub.hold()
    monkeypatch.setattr(models, "CausalLM", hub)
    panel = InspectPanel("fake_tiny_en", TEXT)
    assert panel.status == "loading" and panel.inspection is None and not panel.wait(0.05)
    panel.read("a boat")
    hub.go_on()
    assert panel.wait(HANG)
    assert panel.shown.text == "a boat" and panel.heading["name"] == "fake_tiny_en"


def test_a_loaded_model_that_writes_no_text_is_refused(monkeypatch):
    from doubles import FakeLM

    monkeypatch.setattr(models, "CausalLM", Hub(FakeLM()))
    panel = InspectPanel("fake_tiny_en", TEXT)
    until(lambda: panel.status != "loading")
    assert panel.status == "failed"
    assert "writes no text" in panel.error["message"]
