"""The compare panel in a real JupyterLab, over two adapters of an embedded preset."""

import ast
import csv

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


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("compare.ipynb", [ADAPTERS, SLOW])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        notebook = Notebook(page, lab, "compare.ipynb")
        notebook.open()
        notebook.run_all()
        page.locator(".wb-status", has_text="idle").wait_for(timeout=60_000)
        notebook.ready()
        yield notebook
        page.close()


@pytest.fixture(autouse=True)
def at_rest(notebook):
    """Every test leaves the panel idle."""
    notebook.value("setattr(pace, 'delay', 0.01)")
    yield
    notebook.value("(panel.cancel(), panel.wait(HANG))")


def texts(notebook):
    return notebook.page.locator(".wb-completion").all_text_contents()


def kernel_texts(notebook, prompt):
    found = notebook.value(f"[r.text.lstrip() for r in panel.results[{prompt}]]")
    return ast.literal_eval(found)


def status_is(notebook, text, seconds=20):
    notebook.page.locator(".wb-status", has_text=text).wait_for(timeout=seconds * 1000)


def press(notebook, name):
    notebook.page.get_by_role("button", name=name, exact=True).click()


def stream(notebook, characters=60):
    press(notebook, "Generate")
    status_is(notebook, "tok/s", 90)  # the first time it compiles
    lengths = "[...document.querySelectorAll('.wb-completion')].map(n => n.textContent.length)"
    notebook.page.wait_for_function(f"Math.min(...{lengths}) > {characters}")


def test_two_adapters_stream_together_until_they_are_stopped(notebook):
    stream(notebook)
    notebook.page.locator(".wb-differs").first.wait_for()
    press(notebook, "Stop")
    status_is(notebook, "stopped")
    notebook.page.wait_for_timeout(300)
    shown = texts(notebook)
    assert shown == kernel_texts(notebook, 0) and shown[0] != shown[1]
    counts = ast.literal_eval(notebook.value("[len(r.tokens) for r in panel.results[0]]"))
    assert max(counts) - min(counts) <= 1
    assert notebook.value("lm.adapters.active") == "None"


def test_a_page_that_is_loaded_again_mid_run_has_the_texts(notebook):
    notebook.value("setattr(pace, 'delay', 0.05)")
    stream(notebook, 20)
    notebook.save()
    notebook.page.wait_for_timeout(300)
    notebook.open()
    notebook.page.locator(".wb-token").nth(20).wait_for(timeout=20_000)
    assert notebook.value("panel.busy") == "True"
    press(notebook, "Stop")
    status_is(notebook, "stopped")
    notebook.page.wait_for_timeout(300)
    assert texts(notebook) == kernel_texts(notebook, 0)


def test_whole_runs_equal_each_adapter_alone_and_are_exported(notebook):
    notebook.value("setattr(pace, 'delay', 0)")
    notebook.value("setattr(panel, 'max_new_tokens', 24)")
    press(notebook, "Generate")
    status_is(notebook, "done", 60)
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
    stream(notebook, 100)
    notebook.page.screenshot(path=screenshots / f"compare-lab-{theme.lower()}.png")
    found = Axe().run(notebook.page, context=".wb-compare")
    assert found.violations_count == 0, found.generate_report()
