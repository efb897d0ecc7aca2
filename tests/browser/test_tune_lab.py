"""The tune panel in a real JupyterLab: a fine-tune, watched, left alone, and taken away."""

import ast

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import Lab, Notebook

PROMPT = "Once upon a time"
STEPS = 20_000  # more than any machine takes before it is told to stop
SETTINGS = (
    f"steps={STEPS}, warmup_steps=0, schedule='constant', batch_size=2, rank=4, "
    "learning_rate=5e-3, validation=0.2, validation_every=10, sample_every=10, sample_tokens=10, "
    f"sample_prompts=[{PROMPT!r}]"
)
CELL = f"""import workbench as wb
names = ["Anna", "Bert", "Cleo", "Dora", "Emil", "Fred", "Gina", "Hugo"]
text = "Once upon a time the robot {{0}} found gears. Beep, said {{0}}."
stories = [text.format(name) for name in names]
panel = wb.tune("stories_tiny_en", stories, {SETTINGS})
panel"""
LOADS = """
lm = wb.models.CausalLM.from_preset("stories_tiny_en", dtype="float32")
lm.adapters.load("adapters/mine")
"""
SAME = "lm.generate({0}, max_new_tokens=12, sampler='greedy') == panel.lm.generate({0}, " + (
    "max_new_tokens=12, sampler='greedy')"
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("tune.ipynb", [CELL])
        yield lab


@pytest.fixture(scope="module")
def view(browser, lab):
    """The notebook as it is open now, a run begun; a test may close its tab and open another."""
    view = opened(browser, lab)
    view.run_all()
    status_is(view, "idle")
    view.ready()
    press(view, "Start")
    kept = [view]
    yield kept
    kept[0].page.close()


def opened(browser, lab):
    page = browser.new_page(viewport={"width": 1280, "height": 1100})
    notebook = Notebook(page, lab, "tune.ipynb")
    notebook.open()
    return notebook


def status_is(view, text):
    view.page.locator(".wb-tune .wb-status", has_text=text).wait_for()


def press(view, name):
    view.page.get_by_role("button", name=name, exact=True).click()


def steps_drawn(view):
    """The last step the chart tells of."""
    return int(view.page.locator(".wb-chart").get_attribute("aria-valuenow"))


def past(view, steps):
    script = "(n) => Number(document.querySelector('.wb-chart').ariaValueNow) >= n"
    view.page.wait_for_function(script, arg=steps)


def curve(view):
    return view.page.locator(".wb-chart [data-key='-train']").get_attribute("d")


def texts(view):
    return view.page.locator(".wb-tune-text").all_text_contents()


def test_the_curve_moves_and_pause_and_resume_are_obeyed(view):
    [now] = view
    past(now, 3)
    early = curve(now)
    press(now, "Pause")
    status_is(now, "paused")
    rested = int(now.value("panel.job.step"))
    assert steps_drawn(now) == rested
    now.page.wait_for_timeout(700)
    assert int(now.value("panel.job.step")) == rested
    press(now, "Resume")
    past(now, rested + 5)
    assert curve(now) != early
    assert float(now.value("panel.job.history.steps[0].loss")) > 0


def test_a_tab_closed_and_opened_again_shows_everything(view, browser, lab):
    now = view[0]
    past(now, 12)
    now.save()
    before = steps_drawn(now)
    now.page.close()
    view[0] = now = opened(browser, lab)
    status_is(now, "running")
    past(now, before + 3)
    assert curve(now).count("L") + 1 >= before + 3, "from the first step on"
    assert now.page.locator(".wb-tune-facts").text_content().startswith("8 examples")
    assert texts(now)[0] != "" and now.page.get_by_label("Rank", exact=True).input_value() == "4"


def test_sample_texts_change_and_stop_is_obeyed(view):
    [now] = view
    past(now, 31)
    now.page.wait_for_function(
        "document.querySelector('.wb-tune-samples select').value === 'newest'"
    )
    first, newest = texts(now)[:2]
    assert first != newest, "it writes otherwise than before"
    press(now, "Stop")
    status_is(now, "stopped")
    assert int(now.value("panel.job.step")) < STEPS
    assert now.value("panel.job.status") == repr("cancelled")


def test_the_adapter_is_exported_and_loads(view, lab):
    [now] = view
    press(now, "Keep best")
    now.page.locator(".wb-tune-best", has_text="in the model").wait_for()
    press(now, "Export")
    now.page.get_by_label("to", exact=True).fill("adapters/mine")
    press(now, "Write")
    now.page.locator(".wb-tune-result", has_text="Written").wait_for()
    assert (lab.notebooks / "adapters" / "mine" / "adapter_model.safetensors").exists()
    now.value(f"exec({LOADS!r}, globals())")
    assert ast.literal_eval(now.value("lm.adapters.active")) == "mine"
    assert now.value(SAME.format(repr(PROMPT))) == "True"


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_follows_the_theme(view, theme, screenshots):
    [now] = view
    now.theme(f"JupyterLab {theme}")
    now.page.screenshot(path=screenshots / f"lab-tune-{theme.lower()}.png")
    found = Axe().run(now.page, context=".wb-tune")
    assert found.violations_count == 0, found.generate_report()
