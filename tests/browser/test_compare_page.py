"""The compare panel on a page of its own: columns, marks, keys, prompts, tables, accessibility."""

import difflib
import random
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from compare_doubles import ComparedLM
from stage import AXE
from workbench.widgets import ComparePanel
from workbench.widgets.shared.pages import page

from workbench.jobs.comparison import Column

PROMPTS = ["Once upon a time", "The sea"]


class NeverLoads(ComparePanel):
    """A panel whose presets are still on their way."""

    def _begin_load(self, claim):
        pass


@pytest.fixture
def stage(put):
    """Puts a panel on a fresh page."""

    def open_(*columns, scheme="light", width=960, cls=ComparePanel, **options):
        columns = columns or [ComparedLM(stop_at=12)]
        one = len(columns) == 1 and "samplers" not in options
        usual = {"prompts": PROMPTS, **({"adapters": ["pirate", None]} if one else {})}
        panel = cls(*columns, **{**usual, **options})
        return put(panel, width, height=800, scheme=scheme)

    return open_


class HeldLM(ComparedLM):
    """A model whose pace holds the texts of one prompt alone."""

    def __init__(self, held, **options):
        super().__init__(**options)
        self.held = held

    def stream(self, prompt, **settings):
        self.prompt = prompt
        return super().stream(prompt, **settings)

    def _wait(self, index):
        if self.prompt == self.held:
            super()._wait(index)


def press(on, name):
    on.page.get_by_role("button", name=name, exact=True).click()


def finish(on):
    before = len(on.panel.runs)
    press(on, "Generate")
    on.until(lambda: len(on.panel.runs) > before)
    on.run(0.1)


def stopped(on):
    """Until what is asked to stop has stopped: the model is given the token at work."""
    on.until(lambda: on.panel.status in ("stopping", "stopped"))
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "stopped")


def texts(on):
    return on.page.locator(".wb-completion").all_text_contents()


def marked(on, column):
    """The indices of the tokens that are marked."""
    tokens = on.page.locator(".wb-compare-column").nth(column).locator(".wb-token")
    script = "nodes => nodes.flatMap((n, i) => n.classList.contains('wb-differs') ? [i] : [])"
    return tokens.evaluate_all(script)


def status(on):
    return on.page.locator(".wb-status").text_content()


def clean(on):
    found = Axe().run(on.page, context=".wb-compare", options=AXE)
    return "" if found.violations_count == 0 else found.generate_report()


# -- where texts differ ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def diff(browser):
    """The page's own arithmetic: `differencesOf(cells, at)`."""
    tab = browser.new_page()
    tab.add_script_tag(content=page("compare/diff.js"))
    yield lambda cells, at=0: tab.evaluate("([c, at]) => differencesOf(c, at)", [cells, at])
    tab.close()


def cell(words, final=True):
    return tokens_cell([f" {word}" for word in words], final)


def tokens_cell(pieces, final=True):
    return {"pieces": pieces, "final": final}


def longest(a, b):
    """The length of a longest common subsequence, the plain way."""
    best = [0] * (len(b) + 1)
    for x in a:
        row = [0]
        for j, y in enumerate(b):
            row.append(best[j] + 1 if x == y else max(row[j], best[j + 1]))
        best = row
    return best[-1]


def test_what_is_not_marked_is_a_longest_common_subsequence(diff):
    choose = random.Random(0)
    for _ in range(60):
        a, b = ([choose.choice("abcd") for _ in range(choose.randint(1, 30))] for _ in range(2))
        of_a, of_b = diff([cell(a), cell(b)])
        kept_a = [x for x, mark in zip(a, of_a, strict=True) if not mark]
        kept_b = [x for x, mark in zip(b, of_b, strict=True) if not mark]
        assert kept_a == kept_b and len(kept_a) == longest(a, b)
        matches = difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
        assert len(kept_a) >= sum(match.size for match in matches)


def test_only_the_one_that_differs_is_marked_once_all_is_written(diff):
    assert diff([cell("abcdef"), cell("abXdef")]) == [
        [False, False, True, False, False, False],
        [False, False, True, False, False, False],
    ]
    assert diff([cell("abcdef"), cell("abXdef")], 1)[0][2]
    assert diff([cell("abc"), cell("abc")]) == [[False] * 3] * 2


def test_while_they_write_all_from_the_first_difference_on_is_marked(diff):
    of_a, of_b = diff([cell("abcdef", final=False), cell("abXdef", final=False)])
    assert of_a == of_b == [False, False, True, True, True, False]  # the last may go on
    # What the other has not come to is not known to differ, unless the other has ended.
    assert diff([cell("abcd", final=False), cell("ab", final=False)])[0] == [False] * 4
    assert diff([cell("ab"), cell("abcd", final=False)])[1] == [False, False, True, False]
    assert diff([cell("abcd", final=False), cell("ab")])[0] == [False, False, True, False]


def test_the_reference_shows_what_no_other_column_has(diff):
    of_reference, _, _ = diff([cell("abcd"), cell("abXd"), cell("aYcd")])
    assert of_reference == [False] * 4
    of_reference, _, _ = diff([cell("abcd"), cell("abXd"), cell("abYd")])
    assert of_reference == [False, False, True, False]


def test_texts_are_compared_by_words_however_they_are_cut_into_tokens(diff):
    a = tokens_cell([" the", " light", "house", " is", " old", "."])
    b = tokens_cell([" the light", "ho", "use", " was", " old.", "\n"])
    assert diff([a, b]) == [
        [False, False, False, True, False, False],
        [False, False, False, True, False, False],
    ]
    growing = tokens_cell([" the light", "ho"], final=False)
    assert diff([a, growing])[1] == [False, False]  # the last word may still be "lighthouse"
    anchor = tokens_cell([" the", " an", "chor", "."])
    echo = tokens_cell([" the", " an", " echo", "."])
    assert diff([anchor, echo])[0] == [False, True, True, False]  # not half of a word
    rain, shine = tokens_cell(["今日", "は雨", "です"]), tokens_cell(["今日", "は晴", "です"])
    assert diff([rain, shine])[0] == [False, True, False]


def test_cells_without_text_do_not_count(diff):
    assert diff([cell(""), cell("ab")]) == [[], [False, False]]
    assert diff([cell("ab"), cell("")]) == [[False, False], []]
    assert diff([cell("ab")]) == [[False, False]]


def test_long_texts_are_compared_in_time(diff):
    choose = random.Random(1)
    a, b = ([choose.choice("abcdefgh") for _ in range(1500)] for _ in range(2))
    assert sum(not mark for mark in diff([cell(a), cell(b)])[0]) == longest(a, b)
    a, b = (choose.choices("abcdefgh", k=3000) for _ in range(2))
    marks = diff([cell(["x", *a, "y"]), cell(["x", *b, "y"])])[0]
    assert not marks[0] and not marks[-1] and all(marks[5:-5])


# -- work -----------------------------------------------------------------------------------


def test_columns_stream_together_and_end_as_the_kernel_has_them(stage):
    lm = ComparedLM(delay=0.02, stop_at=60, hold_at=30)
    on = stage(lm, adapters=["pirate", None, "poet"])
    assert on.page.locator(".wb-compare-title").all_text_contents() == [
        "pirate",
        "no adapter",
        "poet",
    ]
    press(on, "Generate")
    on.until(lambda: all(len(text) > 20 for text in texts(on)))
    counts = [on.page.locator(".wb-compare-column").nth(i).locator(".wb-token") for i in range(3)]
    counts = [tokens.count() for tokens in counts]
    assert max(counts) - min(counts) <= 1
    on.until(lambda: re.fullmatch(r"prompt 1 of 2, streaming \d+ tok/s", status(on)))
    lm.pace.delay = 0
    lm.pace.allow()
    on.until(lambda: on.panel.status == "done")
    on.run(0.1)
    assert texts(on) == [result.text.lstrip() for result in on.panel.results[1]]
    on.page.get_by_role("button", name="Prompt 1").click()
    assert texts(on) == [result.text.lstrip() for result in on.panel.results[0]]
    assert on.page.locator(".wb-compare-ending").all_text_contents() == ["stop: end token"] * 3
    figures = on.page.locator(".wb-compare-figures dd").all_text_contents()
    assert figures[0] == "60" and figures[2].startswith("−") and len(figures) == 15
    assert on.page.locator(".wb-summary").text_content() == "2 prompts, 3 columns, 360 tokens"


def test_the_page_follows_the_prompt_under_way_if_it_is_watched(stage):
    lm = HeldLM("The sea", stop_at=30, hold_at=15)
    on = stage(lm, prompts=[*PROMPTS, "A fox"])
    press(on, "Generate")
    on.until(lambda: on.panel.history and on.panel.history[0].now == 1)
    box = on.page.locator(".wb-prompt")
    on.until(lambda: box.input_value() == "The sea")
    on.page.get_by_role("button", name="Prompt 1").click()
    lm.pace.allow()
    on.until(lambda: on.panel.status == "done")
    on.run(0.1)
    assert box.input_value() == PROMPTS[0]
    assert texts(on) == [result.text.lstrip() for result in on.panel.results[0]]


def test_stop_is_quick_and_keeps_the_texts(stage):
    on = stage(ComparedLM(delay=0.01, hold_at=20))
    press(on, "Generate")
    on.until(lambda: all(len(text) > 10 for text in texts(on)))
    on.until(lambda: on.panel.lm.pace.holds)
    press(on, "Stop")
    stopped(on)
    assert sum(len(one.tokens) for one in on.panel.results[0]) == 41, (
        "the token at work is the last"
    )
    on.run(0.1)
    assert texts(on) == [result.text.lstrip() for result in on.panel.results[0]]
    assert on.page.locator(".wb-compare-ending").all_text_contents() == ["stopped"] * 2
    on.page.get_by_role("button", name="Prompt 2").click()
    assert texts(on) == ["", ""]


def test_a_column_that_fails_says_why_beside_the_others(stage):
    on = stage(ComparedLM(fail_at=2), ComparedLM(stop_at=9), prompts="A fox", scheme="dark")
    finish(on)
    failed = on.page.locator(".wb-compare-column").first
    assert failed.locator(".wb-compare-error").text_content() == "the model broke"
    assert on.page.locator(".wb-compare-error").nth(1).is_hidden()
    assert on.page.get_by_role("alert").is_hidden() and clean(on) == ""


def test_keys(stage):
    on = stage(ComparedLM(delay=0.01, hold_at=20), prompts="")
    on.page.get_by_label("Prompt", exact=True).click()
    on.page.keyboard.type("A fox")
    on.page.keyboard.press("Control+Enter")
    on.until(lambda: all(texts(on)))
    assert on.panel.prompts == ["A fox"] == [on.panel.lm.calls[0]["prompt"]]
    on.page.keyboard.press("Escape")
    stopped(on)


def test_arrows_walk_through_a_text_with_its_alternatives(stage):
    on = stage()
    finish(on)
    column = on.page.get_by_role("log", name=re.compile("^no adapter"))
    column.focus()
    for _ in range(3):
        on.page.keyboard.press("ArrowRight")
    tip = on.page.locator(".wb-tip:visible")
    assert tip.count() == 1 and tip.locator(".wb-tip-row").count() == 5
    token = on.panel.results[1][1].tokens[2 if "2" in tip.text_content() else 3]
    assert token.text.strip()
    chosen = tip.locator(".wb-chosen .wb-tip-text").text_content()
    current = on.page.locator(".wb-current").text_content().strip()
    assert chosen.strip("␣") == current


def test_alternatives_that_are_not_there_are_asked_for(stage):
    on = stage(ComparedLM(stop_at=120), max_new_tokens=400, adapters=["pirate", None, "poet"])
    finish(on)
    assert on.panel.output["cells"][0]["alternatives"] == []
    on.page.locator(".wb-compare-column").nth(2).locator(".wb-token").nth(7).hover()
    on.until(lambda: on.page.locator(".wb-tip:visible .wb-tip-row").count() == 5)
    asked = on.heard[-1]["content"]
    assert {**asked, "command": ""} == {
        "command": "",
        "run": 1,
        "prompt": 1,
        "column": 2,
        "index": 7,
    }


def test_marks_follow_the_reference_and_the_view(stage):
    on = stage()
    finish(on)
    page = on.page
    pieces = [[token.text for token in result.tokens] for result in on.panel.results[1]]
    common = longest(*pieces)
    assert [12 - len(marked(on, column)) for column in (0, 1)] == [common, common]
    ink = page.locator(".wb-differs .wb-ink").first
    line = "node => getComputedStyle(node).textDecorationLine"
    assert ink.evaluate(line) == "underline"
    page.get_by_label("no adapter is the reference").check()
    on.run(0.05)
    assert on.panel.reference == 1 and page.get_by_label("pirate is the reference").count() == 1
    page.get_by_label("probability", exact=True).check()
    on.run(0.05)
    assert on.panel.show == "probability" and ink.evaluate(line) == "none"
    assert page.locator(".wb-legend").is_visible()
    back = "node => getComputedStyle(node).backgroundColor"
    assert page.locator(".wb-token .wb-ink").first.evaluate(back) != "rgba(0, 0, 0, 0)"


# -- prompts and settings -------------------------------------------------------------------


def test_prompts_are_added_changed_and_removed(stage):
    on = stage(prompts="A fox")
    page, box = on.page, on.page.locator(".wb-prompt")
    assert page.get_by_role("button", name="Remove this prompt").is_hidden()
    press(on, "Add a prompt")
    page.keyboard.type("A hen")
    press(on, "Add a prompt")
    page.keyboard.type("An owl")
    on.until(lambda: on.panel.prompts == ["A fox", "A hen", "An owl"])
    page.get_by_role("button", name="Prompt 2").click()
    assert box.input_value() == "A hen"
    assert page.get_by_label("Prompt 2 of 3").count() == 1
    press(on, "Remove this prompt")
    on.until(lambda: on.panel.prompts == ["A fox", "An owl"])
    assert box.input_value() == "An owl"
    on.panel.prompts = ["One"]
    on.run(0.1)
    assert box.input_value() == "One" and page.locator(".wb-compare-numbers button").count() == 0


def test_a_prompt_that_has_changed_says_what_the_texts_were_written_from(stage):
    on = stage(prompts="A fox")
    finish(on)
    note = on.page.locator(".wb-compare-from")
    assert note.is_hidden()
    on.page.locator(".wb-prompt").fill("A fox and a hen")
    assert note.text_content() == "Written from: A fox" and all(texts(on))
    finish(on)
    assert note.is_hidden()


def test_the_sampler_of_a_column_is_changed_on_the_page(stage):
    on = stage(ComparedLM(stop_at=5), samplers=["greedy", "top_p"])
    column = on.page.locator(".wb-compare-column").first
    column.locator("summary").click()
    column.get_by_role("combobox").select_option("top_k")
    column.get_by_role("slider", name="Top-k").fill("7")
    column.get_by_role("slider", name="Temperature").fill("0.5")
    title = column.locator(".wb-compare-title")
    on.until(lambda: title.text_content() == "top-k 7, temperature 0.5")
    assert on.panel.columns[0]["title"] == "top-k 7, temperature 0.5"
    assert column.get_by_role("slider", name="Top-p").count() == 0
    column.get_by_role("slider", name="Temperature").fill("0.6")
    finish(on)  # what was changed a moment ago counts
    assert repr(on.panel.lm.calls[0]["sampler"]) == "TopKSampler(k=7, temperature=0.6)"


def test_seed_and_length_count_from_the_next_run(stage):
    on = stage(ComparedLM())
    on.page.get_by_label("Seed", exact=True).fill("5")
    on.page.get_by_label("Max tokens").fill("6")
    finish(on)
    assert on.panel.seed == 5 and {len(r.tokens) for row in on.panel.results for r in row} == {6}


# -- runs, tables, and what surrounds them --------------------------------------------------


def test_runs_are_come_back_to(stage):
    on = stage()
    finish(on)
    before = texts(on)
    on.page.get_by_label("Seed", exact=True).fill("5")
    finish(on)
    assert texts(on) != before
    on.page.get_by_role("button", name=re.compile("^Run 1:")).click()
    on.until(lambda: texts(on) == before)
    assert on.page.get_by_label("Seed", exact=True).input_value() == "0"


def test_the_table_is_copied_and_saved(stage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    on = stage()
    opener = on.page.get_by_role("button", name="Export table")
    assert opener.is_disabled()
    finish(on)
    opener.click()
    table = on.page.get_by_label("Table", exact=True)
    on.until(lambda: table.text_content().startswith('"prompt","column","text"'))
    on.page.get_by_label("Markdown").check()
    on.until(lambda: table.text_content() == on.panel.to_markdown())
    press(on, "Copy")
    on.until(lambda: on.page.get_by_text(re.compile("^(Copied|Selected)")).is_visible())
    assert on.page.get_by_label("or into the file").input_value() == "comparison.md"
    press(on, "Save")
    on.until(lambda: on.page.get_by_text("Saved: comparison.md").is_visible())
    assert (tmp_path / "comparison.md").read_text() == on.panel.to_markdown()
    on.page.get_by_label("or into the file").fill("mine.md")
    on.page.get_by_label("CSV").check()
    on.until(lambda: on.page.get_by_label("or into the file").input_value() == "mine.csv")
    assert clean(on) == ""


def test_code_help_and_reset(stage):
    on = stage()
    finish(on)
    for entry in ("Copy as code", "Help"):
        on.page.get_by_role("button", name="Menu").click()
        on.page.get_by_role("menuitem", name=entry).click()
    assert "wb.ComparisonJob(columns, prompts" in on.page.get_by_label("Python code").text_content()
    assert "same seed" in on.page.locator(".wb-section li").first.text_content()
    on.page.get_by_role("button", name="Menu").click()
    on.page.get_by_role("menuitem", name="Reset").click()
    on.run(0.1)
    assert texts(on) == ["", ""] and on.panel.history == []


def test_while_models_load_the_prompt_can_be_written(stage):
    on = stage("good_1", "good_2", cls=NeverLoads, prompts="A fox")
    assert status(on) == "loading" and on.page.locator(".wb-compare-column").count() == 0
    assert on.page.get_by_role("button", name="Generate").is_disabled()
    on.page.locator(".wb-prompt").fill("A hen")
    on.until(lambda: on.panel.prompts == ["A hen"])
    assert clean(on) == ""


def test_a_page_that_comes_later_has_everything(stage):
    lm = HeldLM("The sea", delay=0.005, stop_at=40, hold_at=20)
    on = stage(lm)
    press(on, "Generate")
    on.until(lambda: on.panel.history and on.panel.history[0].now == 1)
    on.until(lambda: all(texts(on)))
    on.page.evaluate("window.unmount()")
    on.alive = False
    on.run(0.1)
    on.alive = True
    on.panel.comm.drain()
    on.mount()
    on.page.get_by_role("button", name="Prompt 2").click()
    assert on.panel.busy
    lm.pace.allow()
    on.until(lambda: on.panel.status == "done")
    on.run(0.1)
    assert texts(on) == [result.text.lstrip() for result in on.panel.results[1]]
    on.page.get_by_role("button", name="Prompt 1").click()
    assert texts(on) == [result.text.lstrip() for result in on.panel.results[0]]
    on.page.evaluate("window.unmount()")
    assert on.page.evaluate("window.listenerCount()") == 0


def test_hostile_text_stays_text(stage):
    words = ("<img src=x onerror=alert(1)>", "</script>", "&amp;")
    lm = ComparedLM(stop_at=12, words=words, name="<b>bold</b>")
    on = stage(Column(lm, title="<i>title</i>"), Column(lm, sampler="greedy"), prompts="<u>p</u>")
    finish(on)
    assert on.page.locator(".wb-compare img, .wb-compare b, .wb-compare i").count() == 0
    assert on.page.locator(".wb-compare-title").first.text_content() == "<i>title</i>"


@pytest.mark.parametrize(("scheme", "width"), [("light", 960), ("dark", 480)])
def test_it_fits_and_axe_finds_nothing(stage, scheme, width, screenshots):
    on = stage(
        ComparedLM(stop_at=40), scheme=scheme, width=width, adapters=["pirate", None, "poet"]
    )
    finish(on)
    on.page.locator("summary.wb-compare-sampler").nth(1).click()
    on.page.locator(".wb-token").nth(3).hover()
    on.page.screenshot(path=screenshots / f"compare-{scheme}-{width}.png", full_page=True)
    right = "nodes => Math.max(...nodes.map(n => n.getBoundingClientRect().right))"
    inside = on.page.locator(".wb-compare *").evaluate_all(right)
    assert inside <= on.page.locator(".wb-compare").evaluate_all(right)
    tops = "nodes => new Set(nodes.map(n => Math.round(n.getBoundingClientRect().top))).size"
    assert on.page.locator(".wb-output").evaluate_all(tops) == (1 if width > 760 else 3)
    assert clean(on) == ""
    on.page.get_by_label("probability", exact=True).check()
    on.run(0.05)
    assert clean(on) == ""
