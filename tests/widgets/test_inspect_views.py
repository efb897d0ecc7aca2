"""The inspect panel's views without a page: what they answer, when, and what they refuse."""

import gc
import time
import weakref

import numpy as np
import pytest
from patience import HANG
from tiny import byte_tokenizer, tiny_backbone
from view_doubles import FakeInspection, ViewsPanel, held
from workbench.widgets.inspect import views
from workbench.widgets.inspect.views import LEVELS, attention_answer, lens_answer

from workbench.errors import PromptError
from workbench.preprocessing.preprocessor import CausalLMPreprocessor
from workbench.tasks.causal_lm import CausalLM

pytestmark = pytest.mark.usefixtures("kernel")


def ask(panel, name, /, **arguments):
    data = {"method": "custom", "content": {"command": name, **arguments}}
    panel.comm.handle_msg({"content": {"data": data}, "buffers": []})


def heard(panel):
    """The messages up to the first that is an answer."""
    messages, deadline = [], time.monotonic() + HANG
    while not (messages and messages[-1][0]["state"] in ("ready", "failed")):
        assert time.monotonic() < deadline, f"no answer, only {messages}"
        time.sleep(0.005)
        messages += drained(panel)
    return messages


def drained(panel):
    return [
        (data["content"], data.get("buffers", []))
        for _, _, data in panel.comm.drain()
        if data.get("method") == "custom"
    ]


def states(messages):
    return [content["state"] for content, _ in messages]


@pytest.fixture(scope="module")
def real():
    lm = CausalLM(tiny_backbone("llama"), CausalLMPreprocessor(byte_tokenizer()))
    return lm.inspect("Once upon")


# -- answers --------------------------------------------------------------------------------


def test_the_lens_is_sent_once_it_has_been_read():
    panel = ViewsPanel(FakeInspection())
    ask(panel, "lens", key=1)
    messages = heard(panel)
    assert states(messages) == ["working", "ready"]
    assert all(content["type"] == "lens" and content["key"] == 1 for content, _ in messages)
    assert len(messages[-1][1]) == 5


@pytest.mark.parametrize("kind", ["fake", "real"])
def test_the_page_is_given_the_lens_as_it_is(kind, real):
    inspection = FakeInspection() if kind == "fake" else real
    lens = (FakeInspection() if kind == "fake" else real).lens()
    fields, buffers = lens_answer(inspection)
    layers, size, k = len(lens.layers), len(inspection.ids), 5
    assert (fields["layers"], fields["places"], fields["k"]) == (list(lens.layers), size, k)
    assert len(set(fields["pieces"])) <= len(fields["pieces"]) <= layers * size * k + size
    numbers, logprobs, own, ranks, entropies = (
        np.frombuffer(buffer, dtype).reshape(layers, size, -1)
        for buffer, dtype in zip(buffers, ("<i4", "<f4", "<f4", "<i4", "<f4"), strict=True)
    )
    pieces = np.array(fields["pieces"], object)
    expected = [[[inspection.piece(t) for t in row] for row in part[1:]] for part in lens.ids]
    assert pieces[numbers].tolist() == expected
    np.testing.assert_array_equal(logprobs, lens.logprobs[:, 1:])
    np.testing.assert_array_equal(own[..., 0], lens.token_logprobs[:, 1:])
    np.testing.assert_array_equal(ranks[..., 0], lens.token_ranks[:, 1:])
    np.testing.assert_array_equal(entropies[..., 0], lens.entropies[:, 1:])
    there = [pieces[number] for number in fields["text"][:-1]]
    assert there == fields["tokens"] == list(inspection.pieces[1:]) and fields["text"][-1] == -1
    assert fields["first"] == inspection.pieces[0]


@pytest.mark.parametrize("kind", ["fake", "real"])
def test_the_page_is_given_one_layers_attention(kind, real):
    inspection = FakeInspection() if kind == "fake" else real
    weights = inspection.attention(1)
    fields, [buffer] = attention_answer(inspection, 1)
    heads, size = weights.shape[:2]
    assert (fields["heads"], fields["size"], fields["layers"]) == (heads, size, inspection.layers)
    assert fields["causal"] and fields["pieces"] == list(inspection.pieces)
    levels = np.frombuffer(buffer, "<u2").reshape(heads, -1)
    assert levels.shape[1] == size * (size + 1) // 2
    again = np.zeros_like(weights)
    again[:, *np.tril_indices(size)] = levels / LEVELS
    np.testing.assert_allclose(again, weights, atol=1e-5)


def test_attention_that_looks_ahead_is_sent_whole():
    inspection = FakeInspection()
    inspection.attention = lambda layer: np.full((2, 3, 3), 1 / 3, np.float32)
    fields, [buffer] = attention_answer(inspection, 0)
    assert not fields["causal"] and len(buffer) == 2 * 2 * 3 * 3


def test_what_is_too_large_for_a_page_is_said(monkeypatch):
    monkeypatch.setattr(views, "MOST_BYTES", 500)
    panel = ViewsPanel(FakeInspection())
    ask(panel, "attention", key=1, layer=0)
    content, _ = heard(panel)[-1]
    assert content["state"] == "failed" and "read a shorter text" in content["message"]


def test_a_text_of_one_token_has_a_lens_and_an_attention():
    inspection = FakeInspection(("Once",))
    fields, buffers = lens_answer(inspection)
    assert fields["places"] == 1 and fields["text"] == [-1] and len(buffers[1]) == 4 * 5 * 5
    fields, [buffer] = attention_answer(inspection, 0)
    assert np.frombuffer(buffer, "<u2").tolist() == [LEVELS] * 4


# -- in time --------------------------------------------------------------------------------


def test_reading_waits_for_the_model():
    busy, panel = ViewsPanel(FakeInspection(hold=held())), ViewsPanel(FakeInspection())
    panel._lm = busy._lm
    ask(busy, "lens", key=1)
    ask(panel, "attention", key=1, layer=2)
    messages = []
    while not messages:
        time.sleep(0.005)
        messages += drained(panel)
    assert states(messages) == ["queued"] and messages[0][0]["layer"] == 2
    busy.inspection.hold.set()
    assert states(heard(panel)) == ["working", "ready"]
    assert heard(busy)[-1][0]["state"] == "ready"


def test_the_last_layer_asked_for_is_the_one_that_is_sent():
    inspection = FakeInspection(hold=held())
    panel = ViewsPanel(inspection)
    for layer in (0, 1, 2, 3):
        ask(panel, "attention", key=1, layer=layer)
    inspection.hold.set()
    messages = heard(panel)
    ready = [content for content, _ in messages if content["state"] == "ready"]
    assert [content["layer"] for content in ready] == [3]
    assert inspection.asked == [0, 3], "those in line were never read"
    time.sleep(0.05)
    assert drained(panel) == []


def test_an_answer_about_another_text_is_dropped():
    before = FakeInspection(hold=held())
    panel = ViewsPanel(before)
    ask(panel, "lens", key=1)
    panel.read(FakeInspection())
    before.hold.set()
    ask(panel, "lens", key=1)  # from a page that does not know yet
    ask(panel, "lens", key=2)
    messages = heard(panel)
    assert {content["key"] for content, _ in messages if content["state"] == "ready"} == {2}
    assert states(messages).count("ready") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PromptError("the model has been trained: read it again"), "the model has been trained"),
        (MemoryError("4 GB"), "this run: the memory ran out (4 GB)"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(error, said):
    panel = ViewsPanel(FakeInspection(error=error))
    ask(panel, "lens", key=1)
    content, _ = heard(panel)[-1]
    assert content["state"] == "failed" and content["message"].startswith(said)
    panel.inspection.error = None
    ask(panel, "lens", key=1)
    assert heard(panel)[-1][0]["state"] == "ready"


def test_where_threads_cannot_reach_the_page_it_is_read_at_once(monkeypatch):
    monkeypatch.setattr("workbench.jobs.job.needs_foreground", lambda: True)
    panel = ViewsPanel(FakeInspection())
    ask(panel, "lens", key=1)
    assert states(drained(panel)) == ["working", "ready"]


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lens", {}),
        ("lens", {"key": "1"}),
        ("lens", {"key": 1, "k": 5}),
        ("attention", {"key": 1}),
        ("attention", {"key": 1, "layer": 4}),
        ("attention", {"key": 1, "layer": -1}),
        ("attention", {"key": 1, "layer": 1.0}),
        ("attention", {"key": 1, "layer": True}),
        ("attention", {"key": 1, "layer": "9" * 10_000}),
        ("attention", {"key": None, "layer": 0}),
    ],
    ids=str,
)
def test_a_page_that_asks_nonsense_is_refused(name, arguments):
    panel = ViewsPanel(FakeInspection())
    ask(panel, name, **arguments)
    assert panel.error["message"].startswith("The panel refused a message from the page")
    assert len(panel.error["message"]) < 500
    assert panel.inspection.asked == [] and drained(panel) == []


@pytest.mark.parametrize("key", [0, 2, -1, 10**9])
def test_questions_about_what_is_not_shown_are_left_out(key):
    panel = ViewsPanel(FakeInspection())
    ask(panel, "lens", key=key)
    ask(panel, "attention", key=key, layer=99)
    empty = ViewsPanel()
    ask(empty, "lens", key=0)
    assert panel.error is None and empty.error is None
    assert panel.inspection.asked == [] and drained(panel) == drained(empty) == []


def test_a_closed_panel_is_free_once_what_it_reads_has_ended():
    inspection = FakeInspection(hold=held())
    panel = ViewsPanel(inspection)
    ask(panel, "lens", key=1)
    ask(panel, "attention", key=1, layer=0)
    panel.close()
    gone = weakref.ref(panel)
    inspection.hold.set()
    del panel
    deadline = time.monotonic() + HANG
    while gone() is not None:
        assert time.monotonic() < deadline, "something still holds the panel"
        gc.collect()
        time.sleep(0.02)
    assert inspection.asked == ["lens"]
