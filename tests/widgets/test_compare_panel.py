"""ComparePanel without a page: what it shows, what it asks of its job, and hostile pages."""

import csv
import gc
import json
import time
import weakref

import pytest
from compare_doubles import ComparedLM
from doubling import grows_in_proportion
from hypothesis import given
from hypothesis import strategies as st
from ipywidgets.widgets.widget import _instances
from patience import HANG, SLOW, until
from workbench.widgets import ComparePanel, compare
from workbench.widgets.compare import columns, static
from workbench.widgets.compare.diff import common_units

import workbench as wb
from workbench import models, samplers
from workbench.errors import AdapterError, PresetError, SettingError, WorkbenchError
from workbench.jobs.column import Result
from workbench.jobs.comparison import Column, ComparisonJob

PROMPTS = ["Once upon a time", "The sea"]

pytestmark = pytest.mark.usefixtures("kernel")


def panel_of(lm=None, **options):
    lm = lm or ComparedLM(stop_at=12)
    return ComparePanel(lm, **{"adapters": ["pirate", None], "prompts": PROMPTS, **options})


def say(panel, data):
    panel.comm.handle_msg({"content": {"data": data}, "buffers": []})


def update(panel, **state):
    say(panel, {"method": "update", "state": state, "buffer_paths": []})


def command(panel, name, **arguments):
    say(panel, {"method": "custom", "content": {"command": name, **arguments}})


def customs(panel, kind):
    return [
        data["content"]
        for _, _, data in panel.comm.drain()
        if data.get("method") == "custom" and data["content"]["type"] == kind
    ]


def ran(panel):
    panel.start()
    assert panel.wait(HANG)
    return panel


def job_of(columns, prompts=PROMPTS, **settings):
    job = ComparisonJob(columns, prompts, **{"max_new_tokens": 128, "seed": 0, **settings})
    job.run()
    return job


# -- driven from Python ---------------------------------------------------------------------


def test_a_panel_is_driven_like_a_job():
    lm = ComparedLM(stop_at=12)
    panel = compare(lm, adapters=["pirate", None], prompts=PROMPTS, seed=7)
    assert panel.status == "idle" and panel.results == () and panel.table() == []
    assert [column["title"] for column in panel.columns] == ["pirate", "no adapter"]
    ran(panel)
    adapters = ("pirate", None)
    alone = job_of([Column(lm, adapter=a, sampler=lm.sampler) for a in adapters], seed=7)
    assert [[one.text for one in row] for row in panel.results] == [
        [one.text for one in row] for row in alone.results
    ]
    assert panel.status == "done" and panel.history[0].job.status == "done"
    assert [row["column"] for row in panel.table()] == ["pirate", "no adapter"] * 2
    assert panel.output["summary"] == "2 prompts, 2 columns, 48 tokens"
    cells = [*panel.past, panel.output["cells"]]
    shown = [["".join(cell["pieces"]) for cell in row] for row in cells]
    assert shown == [[one.text for one in row] for row in panel.results]
    assert all(len(cell["alternatives"]) == 12 for row in cells for cell in row)
    assert {cell["ending"] for row in cells for cell in row} == {"stop: end token"}


@pytest.mark.parametrize(
    ("columns", "options", "titles"),
    [
        (1, {"adapters": ["poet", None]}, ["poet", "no adapter"]),
        (1, {"samplers": ["greedy", samplers.TopPSampler(p=0.9)]}, ["greedy", "top-p 0.9"]),
        (
            1,
            {"samplers": [samplers.TopPSampler(p=0.9, temperature=t) for t in (0.5, 1)]},
            ["top-p 0.9, temperature 0.5", "top-p 0.9"],
        ),
        (2, {}, ["fake_1", "fake_2"]),
        (
            1,
            {"adapters": ["poet", None], "samplers": ["greedy", "random"]},
            ["poet · greedy", "poet · random", "no adapter · greedy", "no adapter · random"],
        ),
    ],
)
def test_titles_say_what_differs(columns, options, titles):
    lms = [ComparedLM(name=f"fake_{n}", stop_at=3) for n in range(1, columns + 1)]
    panel = compare(*lms, prompts="A fox", **options)
    assert [column["title"] for column in panel.columns] == titles
    assert ran(panel).history[0].job.titles == titles


def test_columns_may_have_all_of_their_own():
    lm, other = ComparedLM(stop_at=9), ComparedLM(name="other", stop_at=9)
    panel = compare(
        Column(lm, title="mine", adapter="poet", sampler="greedy", max_new_tokens=4),
        Column(other, seed=3),
        prompts="A fox",
    )
    assert panel.columns[0]["title"] == "mine"
    assert panel.columns[0]["about"] == "fake_tiny_en · poet · max tokens 4"
    ran(panel)
    assert [len(result.tokens) for result in panel.results[0]] == [4, 9]
    assert panel.output["cells"][0]["ending"] == "stop: max tokens"
    assert lm.calls[0]["adapter"] == "poet" and "Greedy" in repr(lm.calls[0]["sampler"])


def test_samplers_are_changed_and_count_from_the_next_run():
    lm = ComparedLM(stop_at=3)
    panel = compare(lm, samplers=["greedy", "top_p"], prompts="A fox")
    panel.set_sampler(0, sampler="top_k", top_k=7, temperature=0.5)
    assert [c["title"] for c in panel.columns] == ["top-k 7, temperature 0.5", "top-p 0.1"]
    ran(panel)
    assert repr(lm.calls[0]["sampler"]) == "TopKSampler(k=7, temperature=0.5)"
    with pytest.raises(SettingError, match="temperature"):
        panel.set_sampler(0, temperature=-1)
    with pytest.raises(SettingError, match="no column 2"):
        panel.set_sampler(2, temperature=1)
    with pytest.raises(SettingError, match="max_new_tokens"):
        panel.set_sampler(0, max_new_tokens=3)


def test_a_sampler_without_controls_stays_as_it_is():
    odd = samplers.TopPSampler(p=0.9, presence_penalty=0.3)
    lm = ComparedLM(stop_at=3)
    panel = compare(lm, samplers=[odd, "greedy"], prompts="A fox")
    assert panel.columns[0]["values"] is None
    assert "presence_penalty=0.3" in panel.columns[0]["title"]
    with pytest.raises(SettingError, match="no controls"):
        panel.set_sampler(0, temperature=0.5)
    assert ran(panel) and lm.calls[0]["sampler"] is odd


@pytest.mark.parametrize(
    "sampler",
    ["greedy", "random", "top_k", "top_p", samplers.TopKSampler(k=3, temperature=0.7, min_p=0.1)],
)
def test_the_controls_of_a_sampler_make_the_same_one(sampler):
    values = columns.settings_of(sampler)
    assert repr(columns.sampler_of(values)) == repr(samplers.get(sampler))


def test_too_few_too_many_and_impossible_columns_are_refused():
    lm = ComparedLM()
    for arguments, options in [
        ((lm,), {}),
        ((), {}),
        ((lm,), {"adapters": ["pirate"]}),
        ((lm,), {"samplers": ["greedy"] * 9}),
    ]:
        with pytest.raises(SettingError, match="2 to 8 columns"):
            compare(*arguments, **options)
    with pytest.raises(SettingError, match="give no others"):
        compare(Column(lm), Column(lm), samplers=["greedy", "random"])
    with pytest.raises(SettingError, match="adapters must be a list"):
        compare(lm, adapters="pirate")
    with pytest.raises(AdapterError, match="parrot"):
        compare(lm, adapters=["parrot", None])
    with pytest.raises(SettingError, match="nucleus"):
        compare(lm, samplers=["nucleus", "greedy"])
    with pytest.raises(SettingError, match="prompts"):
        panel_of(prompts=[])
    with pytest.raises(SettingError, match="seed"):
        panel_of(seed=-1)
    with pytest.raises(TypeError, match="temprature"):
        compare(lm, lm, temprature=1)


# -- models that are loaded -----------------------------------------------------------------


@pytest.fixture
def presets(monkeypatch):
    """Handles `good_1`, `good_2`, and what was loaded, in order."""
    loaded, broken = [], set()

    def load(handle, dtype=None):
        loaded.append(handle)
        if handle in broken:
            raise PresetError(f"{handle}: there is no such preset")
        return ComparedLM(name=handle, stop_at=5)

    monkeypatch.setattr(models.CausalLM, "from_preset", load)
    return loaded, broken


def test_handles_are_loaded_one_after_another_and_each_once(presets):
    panel = compare("good_1", "good_2", samplers=["greedy", "top_p"], prompts="A fox")
    panel.start()
    assert panel.wait(HANG) and panel.status == "done"
    assert presets[0] == ["good_1", "good_2"]
    assert panel.heading["name"] == "Compare · good_1, good_2"
    assert panel.columns[2]["title"] == "good_2 · greedy"
    assert 'lm_2 = wb.models.CausalLM.from_preset("good_2")' in panel.code


def test_a_load_that_fails_says_so_and_is_tried_again(presets):
    loaded, broken = presets
    broken.add("good_2")
    panel = compare("good_1", "good_2", prompts="A fox")
    assert panel.wait(HANG) and panel.status == "failed"
    assert "good_2: there is no such preset" in panel.error["message"]
    broken.clear()
    panel.start()
    assert panel.wait(HANG) and panel.status == "done" and panel.error is None
    assert loaded == ["good_1", "good_2", "good_2"]


# -- runs -----------------------------------------------------------------------------------


def test_a_column_that_fails_is_shown_and_the_others_go_on():
    broken = ComparedLM(name="broken", fail_at=2)
    panel = ran(compare(broken, ComparedLM(stop_at=9), prompts="A fox"))
    assert panel.status == "done" and panel.error is None
    failed, fine = panel.output["cells"]
    assert failed["error"] == "the model broke" and failed["ending"] == "failed"
    assert len(failed["pieces"]) == 2 and len(fine["pieces"]) == 9
    assert "the model broke" in panel._repr_mimebundle_()[0]["text/html"]


def test_when_all_columns_fail_the_panel_says_so():
    panel = ran(compare(*(ComparedLM(fail_at=0) for _ in range(2)), prompts="A fox"))
    assert panel.status == "failed" and "the model broke" in panel.error["message"]


def test_cancel_keeps_what_is_written():
    panel = panel_of(ComparedLM(hold_at=6))
    panel.start()
    until(lambda: sum(panel.history[0].counts) >= 6)
    panel.cancel()
    panel.lm.pace.allow()
    assert panel.wait(HANG) and panel.status == "stopped"
    assert all(result.text for result in panel.results[0])
    assert panel.output["cells"][0]["ending"] == "stopped"
    assert panel.output["summary"].endswith("stopped")
    with pytest.raises(SettingError, match="no run 7"):
        panel.restore(7)


def test_a_run_is_restored_with_its_prompts_settings_and_texts():
    panel = ran(panel_of())
    texts = [[one.text for one in row] for row in panel.results]
    panel.prompts, panel.seed = "A fox", 9
    panel.set_sampler(0, temperature=0.5)
    ran(panel)
    assert [run["number"] for run in panel.runs] == [1, 2]
    panel.restore(1)
    assert panel.prompts == PROMPTS and panel.seed == 0
    assert panel.settings["columns"][0]["temperature"] == 1.0
    assert [[one.text for one in row] for row in panel.results] == texts
    assert len(panel.past) == 1
    panel.reset()
    assert panel.results == () and panel.runs == [] and panel.output == {}


def test_nothing_is_changed_while_a_run_is_under_way():
    panel = panel_of(ComparedLM(hold_at=6))
    panel.start()
    for action in (panel.start, panel.reset, lambda: panel.restore(1)):
        with pytest.raises(WorkbenchError, match="cancel"):
            action()
    panel.cancel()
    panel.lm.pace.allow()
    assert panel.wait(HANG)


def test_messages_are_few_and_lose_nothing():
    panel = panel_of(ComparedLM(delay=0.002, stop_at=250), prompts="A fox", max_new_tokens=250)
    panel.comm.drain()
    began = time.monotonic()
    ran(panel)
    messages = panel.comm.drain()
    assert len(messages) <= 12 + 20 * (time.monotonic() - began)
    # A page that keeps all it is told has what the panel has.
    cells = []
    for _, _, data in messages:
        if data.get("method") == "update" and "output" in data["state"]:
            cells = [list(cell["pieces"]) for cell in data["state"]["output"]["cells"]]
        elif data.get("method") == "custom" and data["content"]["type"] == "tokens":
            for cell, new in zip(cells, data["content"]["cells"], strict=True):
                assert new["offset"] == len(cell)
                cell += new["pieces"]
    assert ["".join(cell) for cell in cells] == [one.text for one in panel.results[0]]


def test_the_state_is_plain_json():
    panel = ran(panel_of())
    skipped = ("layout", "_dom_classes")
    state = {name: value for name, value in panel.get_state().items() if name not in skipped}
    assert json.loads(json.dumps(state)) == state


def test_code_writes_the_same_table():
    lm = ComparedLM(stop_at=6)
    panel = ran(compare(lm, adapters=["poet", None], prompts=PROMPTS, seed=3, max_new_tokens=9))
    lines = panel.code.splitlines()
    assert 'lm.adapters.load("poet")' in panel.code
    lines = [line for line in lines if not line.startswith("lm")]  # which load the model
    names = {"lm": lm}
    exec("\n".join(lines[:-1]) + "\ntable = job.table()", names)
    keys = ("prompt", "text", "tokens", "reason")
    assert [[row[k] for k in keys] for row in names["table"]] == [
        [row[k] for k in keys] for row in panel.table()
    ]


# -- what the page may do -------------------------------------------------------------------


def test_the_page_starts_with_its_prompts_and_settings():
    panel = panel_of()
    shared = {"max_new_tokens": 5, "seed": 4}
    command(panel, "start", prompts=["A fox"], settings=shared)
    assert panel.wait(HANG) and panel.prompts == ["A fox"] and panel.seed == 4
    assert [len(result.tokens) for result in panel.results[0]] == [5, 5]
    values = {**panel.columns[1]["values"], "sampler": "random", "temperature": 0.4}
    command(panel, "sampler", column=1, values=values)
    assert panel.columns[1]["sampler"] == "random, temperature 0.4" and panel.error is None


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("start", {"prompts": "A fox" * 50_000, "settings": {"max_new_tokens": 5, "seed": 4}}),
        ("start", {"prompts": [7], "settings": {"max_new_tokens": 5, "seed": 4}}),
        ("start", {"prompts": ["a"] * 51, "settings": {"max_new_tokens": 5, "seed": 4}}),
        ("start", {"prompts": ["a"], "settings": {"seed": 4}}),
        ("start", {"prompts": ["a"], "settings": []}),
        ("sampler", {"column": 0, "values": {"temperature": -1}}),
        ("sampler", {"column": True, "values": {}}),
        ("alternatives", {"run": 1, "prompt": -1, "column": 0, "index": 0}),
        ("alternatives", {"run": 1, "prompt": 0, "column": 2, "index": 0}),
        ("alternatives", {"run": 1, "prompt": 0, "column": 0, "index": "0"}),
        ("alternatives", {"run": 2, "prompt": 0, "column": 0, "index": 0}),
        ("table", {"format": "xlsx"}),
        ("table", {"format": ["csv"]}),
        ("save", {"format": "csv", "path": "/table.csv"}),
        ("save", {"format": "csv", "path": "../table.csv"}),
        ("save", {"format": "csv", "path": "table.md"}),
        ("save", {"format": "csv", "path": ""}),
        ("restore", {"run": "1"}),
        ("__class__", {}),
    ],
)
def test_what_a_page_may_not_ask_is_refused(name, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = ran(panel_of())
    before = panel.get_state()
    command(panel, name, **arguments)
    after = panel.get_state()
    assert "refused" in after.pop("error")["message"]
    assert {**after, "error": None} == before and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value"),
    [("reference", 2), ("reference", "0"), ("show", "all"), ("prompts", [[]]), ("columns", [])],
)
def test_what_a_page_may_not_set_is_refused(name, value):
    panel = panel_of()
    update(panel, **{name: value})
    assert panel.reference == 0 and panel.show == "differences" and panel.prompts == PROMPTS
    assert "refused" in panel.error["message"] and len(panel.columns) == 2


def test_the_page_asks_for_alternatives_and_for_what_it_missed():
    panel = ran(panel_of())
    panel.comm.drain()
    command(panel, "alternatives", run=1, prompt=1, column=0, index=2)
    (answer,) = customs(panel, "alternatives")
    assert answer["items"] == panel.output["cells"][0]["alternatives"][2] and answer["column"] == 0
    command(panel, "sync")
    states = [data["state"] for _, _, data in panel.comm.drain() if data["method"] == "update"]
    assert states[0]["output"] == panel.output and states[0]["past"] == panel.past


def test_the_page_has_the_table_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = ran(panel_of())
    panel.comm.drain()
    command(panel, "table", format="markdown")
    (table,) = customs(panel, "table")
    assert table["text"] == panel.to_markdown() and table["path"] == "comparison.md"
    command(panel, "save", format="csv", path="comparison.csv")
    assert customs(panel, "saved") == [{"type": "saved", "path": "comparison.csv"}]
    with open("comparison.csv", newline="", encoding="utf-8") as file:
        assert [row["text"] for row in csv.DictReader(file)] == [r["text"] for r in panel.table()]
    command(panel, "table", format="csv")
    (again,) = customs(panel, "table")
    assert again["path"] == "comparison-2.csv"
    command(panel, "save", format="csv", path="comparison.csv")
    assert "there is something already" in panel.error["message"]
    panel.to_csv("comparison.csv")


def test_a_table_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = ran(panel_of())
    (tmp_path / "file").write_text("mine")
    command(panel, "save", format="csv", path="file/comparison.csv")
    assert "not saved" in panel.error["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_there_is_no_table_before_a_run():
    with pytest.raises(SettingError, match="start"):
        panel_of().to_markdown()


# -- on paper -------------------------------------------------------------------------------


def test_without_a_page_it_is_a_text_and_a_table():
    panel = panel_of(ComparedLM(stop_at=12, words=("<b>", "a&b", "|")))
    idle = panel._repr_mimebundle_()[0]
    assert "Prompt: Once upon a time" in idle["text/plain"] and "<table" not in idle["text/html"]
    ran(panel)
    data = panel._repr_mimebundle_()[0]
    assert f"pirate: {panel.results[0][0].text}" in data["text/plain"]
    assert "12 tokens · " in data["text/plain"] and "stop: end token" in data["text/plain"]
    page = data["text/html"]
    assert page.count("<tr>") == 3 and page.count("<td") == 4
    assert "<b>" not in page and "&lt;b&gt;" in page and "<u>" in page
    assert "Underlined: differs from pirate." in page


def test_on_paper_all_text_is_there_and_what_differs_is_marked():
    reference, units = list("abcxdef"), list("abydefz")
    found = list(static.stretches(reference, units))
    assert "".join(text for text, _ in found) == "abydefz"
    assert found == [("ab", True), ("y", False), ("def", True), ("z", False)]


def longest_common(a, b):
    """The length of the longest common subsequence, cell by cell."""
    row = [0] * (len(b) + 1)
    for one in a:
        before = list(row)
        for place, other in enumerate(b):
            row[place + 1] = (
                before[place] + 1 if one == other else max(before[place + 1], row[place])
            )
    return row[-1]


@given(st.text("abc", max_size=12), st.text("abcd", max_size=12))
def test_what_is_not_marked_is_the_longest_that_both_have(reference, units):
    kept = common_units(reference, units)
    same = [unit for unit, common in zip(units, kept, strict=True) if common]
    left = iter(reference)
    assert all(unit in left for unit in same)  # in this order
    assert len(same) == longest_common(reference, units)


TEXTS = {
    "in other order": lambda n: ("the cat " * n, "cat the " * n + "dog"),
    "of one word": lambda n: ("word " * n, "other " + "word " * (2 * n)),
    "of which one is short": lambda n: ("a b c d", "word c " * (10 * n)),
    "of nothing in common": lambda n: ("a " * n, "b " * n),
    "all new": lambda n: (" ".join(map(str, range(n))), " ".join(map(str, range(n, 0, -1)))),
    "equal": lambda n: ("the cat " * n, "the cat " * n),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_long_texts_are_compared_in_proportion_to_their_length(kind):
    def compare(size):
        reference, text = map(static._units, TEXTS[kind](size))
        return list(static.stretches(reference, text))

    assert grows_in_proportion(compare, 5000)


def test_a_table_of_a_thousand_repeating_words_is_shown_at_once():
    results = [
        Result(prompt="a", title=title, tokens=[], tail=text, reason="stop")
        for title, text in zip("AB", TEXTS["in other order"](500), strict=True)
    ]
    began = time.process_time()
    page = static.table_html("heading", [results], [["", ""]], 0)
    assert time.process_time() - began < 2 * SLOW and page.count("<u>") < 5


# -- what is left behind --------------------------------------------------------------------


def test_a_closed_panel_is_gone():
    before = len(_instances)
    lm = ComparedLM(hold_at=6)
    panel = panel_of(lm)
    panel.start()
    job = panel.history[0].job
    panel.close()
    lm.pace.allow()
    assert job.wait(HANG) and job.status == "cancelled"
    assert len(_instances) == before and lm.adapters.active is None
    panel, job = weakref.ref(panel), None
    gc.collect()
    assert panel() is None


def test_it_works_in_the_foreground(monkeypatch):
    monkeypatch.setattr("workbench.jobs.job.needs_foreground", lambda: True)
    monkeypatch.setattr("workbench.jobs.generation.needs_foreground", lambda: True)
    monkeypatch.setattr("workbench.widgets.shared.model_panel.needs_foreground", lambda: True)
    panel = panel_of()
    panel.start()
    assert panel.foreground and panel.status == "done"


def test_the_names_are_public():
    assert wb.compare is compare and wb.Column is Column and wb.ComparisonJob is ComparisonJob
