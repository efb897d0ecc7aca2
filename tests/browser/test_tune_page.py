"""The tune panel on a page of its own: data, settings, curves, samples, runs, files, states."""

import functools
import re
import struct
import time

import pytest
from patience import HANG, SLOW
from stage import check_looks
from tune_doubles import STORIES, FakeTrainingJob, tiny_lm
from workbench.widgets import TunePanel

PROMPT = "The captain"

shared_lm = functools.cache(tiny_lm)


class NeverLoads(TunePanel):
    """A panel whose preset is still on its way."""

    def _begin_load(self, claim):
        pass


class NeverReads(TunePanel):
    """A panel whose data are still being read."""

    def _read_data(self, given_up):
        pass


@pytest.fixture
def stage(put, monkeypatch, tmp_path):
    """Puts a panel on a fresh page."""
    monkeypatch.chdir(tmp_path)
    panels = []

    def open_(lm=None, data=STORIES, width=960, cls=TunePanel, plan=None, **options):
        FakeTrainingJob.set_up(**(plan or {}))
        monkeypatch.setattr("workbench.tuning.job.TrainingJob", FakeTrainingJob)
        options = {"sample_prompts": [PROMPT], "steps": 60, **options}
        panel = cls(lm or shared_lm(), data, **options)
        panels.append(panel)
        if cls is TunePanel:
            assert panel.wait_loaded(time.monotonic() + HANG)
        return put(panel, width, height=900)

    yield open_
    for panel in panels:
        panel.cancel()
        if panel.job is not None:
            panel.job.wait(HANG)
    lm = shared_lm()
    for name in list(lm.adapters):
        lm.adapters.remove(name)


def press(on, name):
    on.page.get_by_role("button", name=name, exact=True).click()


def status(on):
    return on.page.locator(".wb-status").text_content()


def start(on):
    press(on, "Start")


def finish(on):
    before = on.panel.job
    start(on)
    on.until(lambda: on.panel.job is not before and on.panel.job.done)
    on.until(lambda: status(on) in ("done", "failed", "stopped"))
    on.run(0.1)


def reach(on, step):
    on.until(lambda: f"step {step}/60" in status(on))


def curve(on, key):
    found = on.page.locator(f".wb-chart .wb-curve[data-key='{key}']")
    return found.get_attribute("d") if found.count() else ""


def drawn(on):
    on.run(0.05)
    on.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def frame(on):
    return on.page.locator(".wb-chart")


# -- data and settings ------------------------------------------------------------------------


def test_the_data_row_and_its_preview_show_what_the_model_sees(stage):
    on = stage(data=[("What?", " A ship\n sailed.")] * 3 + [("Who?", " Ann")], length=20)
    facts = on.page.locator(".wb-tune-facts").text_content()
    assert facts.startswith("4 examples · ") and "longest 21" in facts and "3 cut" in facts
    assert re.search(r"\d+ % in the loss · 1 for validation$", facts)
    press(on, "Preview")
    chips = on.page.locator(".wb-tune-tokens .wb-chip")
    on.until(lambda: chips.count())
    example = on.panel._source.used(on.panel.settings)[0]
    assert chips.count() == len(example)
    learned = chips.evaluate_all("all => all.map((e) => e.classList.contains('wb-learned'))")
    assert learned == [False, *example.loss[1:].tolist()] and any(learned) and not all(learned)
    assert "↵" in "".join(chips.all_text_contents()), "a line break can be seen"
    assert on.page.locator(".wb-tune-place").text_content() == "Example 1 of 4"
    press(on, "Next example")
    assert on.page.locator(".wb-tune-place").text_content() == "Example 2 of 4"
    for _ in range(2):
        press(on, "Next example")
    on.until(lambda: chips.count() != len(example))
    assert on.page.get_by_role("button", name="Next example").is_disabled()
    histogram = on.page.get_by_role("img", name=re.compile("^Lengths from"))
    assert histogram.is_visible()


def test_settings_reach_the_kernel_and_wrong_ones_are_told_at_their_field(stage):
    on = stage()
    on.page.get_by_label("Rank", exact=True).fill("4")
    on.page.get_by_label("Alpha", exact=True).fill("")
    on.until(lambda: on.panel.settings["rank"] == 4 and on.panel.settings["alpha"] is None)
    rate = on.page.get_by_label("Learning rate", exact=True)
    rate.fill("fast")
    on.until(lambda: on.panel.problems)
    on.run(0.1)
    problem = on.page.locator("[data-name='learning_rate'] .wb-tune-problem")
    assert problem.text_content() == "Expected a finite number above 0, got 'fast'"
    assert rate.get_attribute("aria-invalid") == "true" and rate.input_value() == "fast"
    assert on.page.get_by_role("button", name="Start").is_disabled()
    assert on.panel.settings["learning_rate"] == 1e-3
    rate.fill("2e-4")
    on.until(lambda: on.panel.settings["learning_rate"] == 2e-4)
    on.run(0.1)
    assert problem.is_hidden() and on.page.get_by_role("button", name="Start").is_enabled()
    assert rate.get_attribute("aria-invalid") is None
    on.page.get_by_label("Train for: unit").select_option("epochs")
    on.until(lambda: on.panel.settings["epochs"] == 60 and on.panel.settings["steps"] is None)
    on.page.get_by_label("Train for", exact=True).fill("2")
    on.until(lambda: on.panel.settings["epochs"] == 2)
    on.run(0.1)
    assert "4 steps" in on.page.locator(".wb-tune-estimate").text_content()
    on.page.get_by_text("More settings").click()
    on.page.get_by_role("checkbox", name="down").check()
    on.until(lambda: on.panel.settings["targets"] == ("query", "value", "down"))
    on.page.get_by_label("Sample prompts, one a line").fill("One\n\nTwo ")
    on.until(lambda: on.panel.settings["sample_prompts"] == ("One", "Two "))
    on.panel.settings = {"rank": 32}
    on.run(0.1)
    assert on.page.get_by_label("Rank", exact=True).input_value() == "32"


# -- a run ------------------------------------------------------------------------------------


def test_a_run_is_started_watched_paused_resumed_and_stopped(stage):
    on = stage(plan={"delay": 0.01, "hold_at": (30, 45)})
    before = on.page.locator(".wb-tune-text").count()
    start(on)
    reach(on, 30)
    assert status(on) == "running · step 30/60 · 0:15 left"
    drawn(on)
    early = curve(on, "-train")
    assert early.count("L") > 10 and curve(on, "-smooth") and curve(on, "-valid")
    texts = on.page.locator(".wb-tune-text")
    on.until(lambda: "windy day" in texts.nth(1).text_content())
    assert before == 0 and "quiet day" in texts.nth(0).text_content()
    assert on.page.locator(".wb-strip-value").first.text_content() not in ("", "–")
    press(on, "Pause")
    on.until(lambda: status(on).startswith("paused · step 30/60"))
    assert on.page.get_by_label("Rank", exact=True).is_disabled()
    press(on, "Resume")
    on.until(lambda: status(on).startswith("running"))
    FakeTrainingJob.plan.go_on.set()
    reach(on, 45)
    drawn(on)
    assert curve(on, "-train").count("L") > early.count("L"), "the curve moves"
    press(on, "Stop")
    on.until(lambda: status(on) == "stopped")
    assert on.panel.job.status == "cancelled"
    assert on.page.get_by_role("button", name="Start", exact=True).is_enabled()


def test_samples_stand_beside_those_of_the_first_step(stage):
    on = stage(sample_prompts=[PROMPT, "Two"])
    finish(on)
    texts = on.page.locator(".wb-tune-text")
    assert texts.count() == 4
    assert "quiet" in texts.nth(0).text_content() and "gold" in texts.nth(1).text_content()
    chooser = on.page.get_by_label("Samples of step")
    assert chooser.locator("option").first.text_content() == "60 · newest"
    chooser.select_option("24")
    assert "windy" in texts.nth(1).text_content() and "quiet" in texts.nth(0).text_content()


def test_the_chart_is_read_by_pointer_and_keys_and_zoomed(stage):
    on = stage()
    finish(on)
    drawn(on)
    chart, tip = frame(on), on.page.locator(".wb-chart-tip")
    box = chart.bounding_box()
    assert tip.is_hidden()
    on.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
    assert tip.is_visible()
    rows = on.page.locator(".wb-chart-tip-row").all_text_contents()
    assert [re.sub(r"[\d.,]+$", "", row).split(",")[0] for row in rows] == [
        "train",
        "smoothed",
        "validation",
    ]
    chart.focus()
    on.page.keyboard.press("Home")
    on.page.keyboard.press("ArrowRight")
    assert chart.get_attribute("aria-valuenow") == "2"
    spoken = chart.get_attribute("aria-valuetext")
    assert re.match(r"step 2: train [\d.]+, smoothed [\d.]+, validation [\d.]+ at 0", spoken)
    strip = on.page.get_by_role("group", name="gradient norm").locator(".wb-strip-value")
    there = strip.text_content()
    on.page.keyboard.press("End")
    assert chart.get_attribute("aria-valuenow") == "60" and strip.text_content() != there
    on.page.keyboard.press("Escape")
    assert tip.is_hidden()
    whole = curve(on, "-train")
    left, right = box["x"] + 0.4 * box["width"], box["x"] + 0.7 * box["width"]
    on.page.mouse.move(left, box["y"] + 60)
    on.page.mouse.down()
    on.page.mouse.move(right, box["y"] + 90, steps=4)
    on.page.mouse.up()
    drawn(on)
    ticks = on.page.locator(".wb-chart-axes text").all_text_contents()
    assert "0" not in ticks and curve(on, "-train") != whole
    press(on, "Show all")
    drawn(on)
    assert curve(on, "-train") == whole
    chart.focus()
    on.page.keyboard.press("+")
    drawn(on)
    assert curve(on, "-train") != whole
    on.page.keyboard.press("0")
    on.page.get_by_label("log").check()
    on.until(lambda: on.panel.view["log"])
    drawn(on)
    assert curve(on, "-train") != whole
    on.page.get_by_label("log").uncheck()
    on.page.get_by_label("Smoothing").fill("0")
    on.until(lambda: on.panel.view["smoothing"] == 0)
    drawn(on)
    assert curve(on, "-smooth") == ""
    on.page.get_by_text("As a table").click()
    first_row = on.page.locator(".wb-tune-table tr").nth(1)
    first_row.wait_for()  # a fold says that it was opened a moment after the click
    cells = first_row.locator("th, td").all_text_contents()
    assert cells[0] == "1" and float(cells[1]) == pytest.approx(on.panel.history[0].first, abs=0.01)


def test_runs_are_compared_and_brought_back(stage):
    on = stage()
    finish(on)
    on.page.get_by_label("Rank", exact=True).fill("2")
    on.until(lambda: on.panel.settings["rank"] == 2)
    finish(on)
    drawn(on)
    assert curve(on, "run 1-smooth") == "" and curve(on, "-smooth")
    on.page.get_by_role("checkbox", name="Run 1").check()
    on.until(lambda: on.panel.shown == [1])
    drawn(on)
    assert curve(on, "run 1-smooth") and curve(on, "run 2-valid")
    colours = [
        on.page.locator(f".wb-chart [data-key='run {n}-smooth']").get_attribute("data-curve")
        for n in (1, 2)
    ]
    assert colours[0] != colours[1]
    assert on.panel.lm.adapters.active == "default-2"
    press(on, "Restore run 1")
    on.until(lambda: on.panel.settings["rank"] == 8)
    on.run(0.1)
    assert on.panel.lm.adapters.active == "default" and on.panel.run["run"] == 1
    assert on.page.get_by_label("Rank", exact=True).input_value() == "8"
    assert on.page.get_by_role("checkbox", name="Run 1").is_disabled(), "it is the one shown"


def test_the_best_is_kept_and_adapters_are_written(stage, tmp_path):
    on = stage()
    assert on.page.get_by_role("button", name="Export").is_hidden()
    finish(on)
    best = on.page.locator(".wb-tune-best")
    assert re.fullmatch(r"best step \d+, validation [\d.]+", best.text_content())
    press(on, "Keep best")
    on.until(lambda: on.panel.job.kept == 1)
    on.run(0.1)
    assert best.text_content().endswith("in the model")
    press(on, "Export")
    path = on.page.get_by_label("to", exact=True)
    assert path.input_value() == "adapters/default"
    on.page.get_by_label("Format").select_option("keras_hub")
    assert path.input_value() == "adapters/default.lora.h5"
    path.fill("../elsewhere.lora.h5")
    press(on, "Write")
    on.until(lambda: on.panel.error)
    on.run(0.1)
    assert "inside the notebook's folder" in on.page.get_by_role("alert").text_content()
    path.fill("mine/captain.lora.h5")
    press(on, "Write")
    on.until(lambda: on.panel.exports["done"])
    on.run(0.1)
    written = tmp_path / "mine" / "captain.lora.h5"
    size = written.stat().st_size
    assert size > 0
    result = on.page.locator(".wb-tune-result").text_content()
    assert result.startswith("Written: mine/captain.lora.h5 · ")
    assert on.page.get_by_role("alert").is_hidden()


def test_a_problem_that_a_run_can_do_without_is_told(stage):
    on = stage(plan={"problem_at": 12})
    finish(on)
    told = on.page.locator(".wb-tune-trouble").text_content()
    assert told == "Step 12: the checkpoint was not written: the disk is full"
    assert status(on) == "done" and on.page.get_by_role("alert").is_hidden()


def test_a_page_opened_mid_run_shows_everything(stage):
    on = stage(plan={"delay": 0.005, "hold_at": (40,)})
    start(on)
    on.until(lambda: on.panel.history and on.panel.history[0].count == 40)
    on.page.evaluate("window.unmount()")
    assert on.page.evaluate("window.listenerCount()") == 0
    on.mount()
    reach(on, 40)
    drawn(on)
    assert curve(on, "-train").count("L") == 39, "what came after the snapshot too"
    assert status(on).startswith("running")
    assert on.page.locator(".wb-tune-text").count() == 2
    FakeTrainingJob.plan.go_on.set()
    on.until(lambda: status(on) == "done")
    drawn(on)
    assert curve(on, "-train").count("L") == 59


def test_what_the_page_missed_is_asked_for(stage):
    on = stage(plan={"delay": 0.01, "hold_at": (10, 40)})
    start(on)
    reach(on, 10)
    on.alive = False
    FakeTrainingJob.plan.go_on.set()
    on.until(lambda: on.panel.history[0].count >= 30)
    on.alive = True
    reach(on, 40)
    drawn(on)
    assert curve(on, "-train").count("L") == 39


def test_a_kernel_that_is_gone_is_said(stage):
    on = stage(plan={"hold_at": (20,)})
    start(on)
    reach(on, 20)
    on.alive = False
    on.until(lambda: status(on) == "no answer")
    assert on.page.get_by_role("alert").is_visible()
    on.alive = True
    on.panel.cancel()
    on.until(lambda: status(on) == "stopped")


def test_a_hundred_thousand_steps_stay_quick(stage):
    on = stage()
    finish(on)
    count = 100_000
    rows = b"".join(
        struct.pack("<6f", i + 1, 9.0 if i == 77_777 else 2.0, 1e-3, 0.5, 1e4, 0.7)
        for i in range(count)
    )
    on.panel.run = {**on.panel.run, "rows": rows, "steps": count, "validation": []}
    on.run(0.3)
    seconds = on.page.evaluate(
        """async () => {
          const chart = document.querySelector(".wb-chart");
          const began = performance.now();
          chart.focus();
          for (let i = 0; i < 20; i += 1) {
            const key = i % 2 ? "+" : "-";
            chart.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
            await new Promise((done) => requestAnimationFrame(() => done()));
          }
          return (performance.now() - began) / 20000;
        }"""
    )
    assert seconds < 0.1 * SLOW, "a drawing takes a moment at most"
    on.page.keyboard.press("0")
    drawn(on)
    path = curve(on, "-train")
    assert 100 < path.count("L") <= 2002
    tops = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
    assert min(tops) < 40 and sorted(tops)[5] > 150, "the one peak is not lost"


MARKUP = "<img/src=x/onerror=window.hacked=1> <svg/onload=window.hacked=1> <b>x</b>"


def test_hostile_text_stays_text(stage):
    on = stage(
        data=[MARKUP * 2, MARKUP * 3, MARKUP],
        sample_prompts=[MARKUP],
        plan={"texts": (MARKUP,), "fail_at": 50, "error": RuntimeError(MARKUP)},
    )
    press(on, "Preview")
    on.until(lambda: on.page.locator(".wb-tune-tokens .wb-chip").count())
    finish(on)
    assert on.page.get_by_role("alert").is_visible()
    assert on.page.evaluate("window.hacked") is None
    root = on.page.locator("#stage")
    assert root.locator("img, b, script, iframe, [onerror], [onload]").count() == 0


# -- states, looked at ------------------------------------------------------------------------


def running(on):
    start(on)
    reach(on, 40)


def paused(on):
    running(on)
    press(on, "Pause")
    on.until(lambda: status(on).startswith("paused"))


def stopped(on):
    running(on)
    press(on, "Stop")
    on.until(lambda: status(on) == "stopped")


def compiling(on):
    start(on)
    on.until(lambda: status(on) == "compiling")


def failed(on):
    finish(on)
    on.page.get_by_text("Details").click()


def preview(on):
    press(on, "Preview")
    on.until(lambda: on.page.locator(".wb-tune-tokens .wb-chip").count())


def more(on):
    on.page.get_by_text("More settings").click()
    on.page.get_by_label("Dropout").fill("2")
    on.until(lambda: on.panel.problems)
    on.run(0.1)


def compare(on):
    finish(on)
    on.panel.settings = {"rank": 2, "seed": 5, "learning_rate": 3e-4}
    on.run(0.1)
    finish(on)
    on.page.get_by_role("checkbox", name="Run 1").check()
    on.until(lambda: on.panel.shown == [1])
    drawn(on)


def reading(on):
    running(on)
    frame(on).focus()
    for key in ("Home", "PageUp", "PageUp"):
        on.page.keyboard.press(key)


def export(on):
    finish(on)
    press(on, "Export")
    press(on, "Write")
    on.until(lambda: on.panel.exports["done"])
    on.run(0.1)


def nothing(on):
    on.run(0.1)


HELD = {"delay": 0.002, "hold_at": (40,)}
STATES = {
    "idle": (dict, nothing),
    "loading": (lambda: dict(lm="stories_tiny_en", cls=NeverLoads), nothing),
    "reading-data": (lambda: dict(cls=NeverReads), nothing),
    "preview": (dict, preview),
    "more": (dict, more),
    "compiling": (lambda: dict(plan={"compile_seconds": 3600}), compiling),
    "running": (lambda: dict(plan=HELD), running),
    "crosshair": (lambda: dict(plan=HELD), reading),
    "paused": (lambda: dict(plan=HELD), paused),
    "stopped": (lambda: dict(plan=HELD), stopped),
    "failed": (lambda: dict(plan={"fail_at": 41}), failed),
    "done": (lambda: dict(sample_prompts=[PROMPT, "Once upon a time"]), finish),
    "compare": (dict, compare),
    "export": (dict, export),
    "narrow": (lambda: dict(width=480, plan=HELD), running),
    "narrow-preview": (lambda: dict(width=480), preview),
    "narrow-compare": (lambda: dict(width=480), compare),
    "narrow-export": (lambda: dict(width=480), export),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_accessible_and_drawn(stage, state, screenshots):
    options, reach = STATES[state]
    on = stage(**options())
    reach(on)
    check_looks(on, screenshots, f"tune-{state}", drawn)
