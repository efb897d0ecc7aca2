"""The compare panel in a real JupyterLab, over two adapters of an embedded preset."""

import ast
import csv
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import Lab, Notebook

ADAPTERS = """import dataclasses

import numpy as np
import workbench as wb

lm = wb.models.CausalLM.from_preset("stories_tiny_en")
noise = np.random.default_rng(0)
for name in ("calm", "wild"):
    fresh = lm.adapters.add(name, rank=4, seed=1)
    b = {path: noise.normal(scale=0.1, size=u.b.shape) for path, u in fresh.updates.items()}
    updates = {path: u._replace(b=b[path].astype("float32")) for path, u in fresh.updates.items()}
    lm.adapters[name] = dataclasses.replace(fresh, updates=updates)
lm.adapters.use(None)
prompts = ["Once upon a time, there was a small fox.", "The sea"]
panel = wb.compare(lm, adapters=["calm", "wild"], prompts=prompts, seed=7, max_new_tokens=400)
panel"""
SLOW = "from doubles import slow_down\npace = slow_down(lm, 0.01)"
HELD = 40  # tokens of each column of a run that is held in its middle
STOPS = re.compile("stopping|stopped")  # at once where it was between two tokens


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("compare.ipynb", [ADAPTERS, SLOW])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        notebook = Notebook(page, lab, "compare.ipynb")
        notebook.open()
        notebook.run_all()
        page.locator(".wb-status", has_text="idle").wait_for()
        notebook.ready()
        yield notebook
        page.close()


@pytest.fixture(autouse=True)
def at_rest(notebook):
    """Every test leaves the panel idle."""
    yield
    notebook.value("(panel.cancel(), pace.allow(), panel.wait())")


def texts(notebook):
    return notebook.page.locator(".wb-completion").all_text_contents()


def kernel_texts(notebook, prompt):
    found = notebook.value(f"[r.text.lstrip() for r in panel.results[{prompt}]]")
    return ast.literal_eval(found)


def status_is(notebook, text):
    notebook.page.locator(".wb-status", has_text=text).wait_for()


def press(notebook, name):
    notebook.page.get_by_role("button", name=name, exact=True).click()


def stream(notebook, characters=60):
    """A run whose columns wait in their middle, and are shown so far."""
    notebook.value(f"pace.allow({HELD})")
    press(notebook, "Generate")
    status_is(notebook, "tok/s")  # the first time it compiles
    lengths = "[...document.querySelectorAll('.wb-completion')].map(n => n.textContent.length)"
    notebook.page.wait_for_function(f"Math.min(...{lengths}) > {characters}")


def stop(notebook):
    """Stop by the button, while a model writes a token."""
    press(notebook, "Stop")
    status_is(notebook, STOPS)
    notebook.value("pace.allow()")
    status_is(notebook, "stopped")


def agrees(notebook):
    """Until the page shows what the kernel has."""
    notebook.until(lambda: texts(notebook) == kernel_texts(notebook, 0))


def test_two_adapters_stream_together_until_they_are_stopped(notebook):
    stream(notebook)
    notebook.page.locator(".wb-differs").first.wait_for()
    stop(notebook)
    agrees(notebook)
    shown = texts(notebook)
    assert shown[0] != shown[1]
    counts = ast.literal_eval(notebook.value("[len(r.tokens) for r in panel.results[0]]"))
    assert max(counts) - min(counts) <= 1
    assert notebook.value("lm.adapters.active") == "None"


def test_a_page_that_is_loaded_again_mid_run_has_the_texts(notebook):
    stream(notebook)
    notebook.save()
    notebook.open()
    notebook.page.locator(".wb-token").nth(HELD).wait_for()
    assert notebook.value("panel.busy") == "True"
    stop(notebook)
    agrees(notebook)


def test_whole_runs_equal_each_adapter_alone_and_are_exported(notebook):
    notebook.value("setattr(panel, 'max_new_tokens', 24)")
    press(notebook, "Generate")
    status_is(notebook, "done")
    # The box has followed to the last prompt.
    assert notebook.page.locator(".wb-prompt").input_value() == "The sea"
    shown = texts(notebook)
    alone = []
    for name in ("calm", "wild"):
        notebook.value(f"lm.adapters.use('{name}')")
        made = "lm.generate('The sea', max_new_tokens=24, seed=7, strip_prompt=True).lstrip()"
        alone.append(ast.literal_eval(notebook.value(made)))
    notebook.value("lm.adapters.use(None)")
    assert shown == alone
    notebook.page.get_by_role("button", name="Export table").click()
    notebook.page.get_by_label("or into the file").fill("table.csv")
    press(notebook, "Save")
    notebook.page.get_by_text("Saved: table.csv").wait_for()
    with (notebook.lab.notebooks / "table.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["column"] for row in rows] == ["calm", "wild"] * 2
    assert [row["text"].lstrip() for row in rows[2:]] == shown


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_follows_the_theme(notebook, theme, screenshots):
    notebook.theme(f"JupyterLab {theme}")
    notebook.value("setattr(panel, 'max_new_tokens', 400)")
    stream(notebook)
    notebook.page.screenshot(path=screenshots / f"compare-lab-{theme.lower()}.png")
    found = Axe().run(notebook.page, context=".wb-compare")
    assert found.violations_count == 0, found.generate_report()
