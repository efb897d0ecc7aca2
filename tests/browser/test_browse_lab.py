"""The preset browser in a real JupyterLab: from the table to a loaded model that writes."""

import ast
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import Lab, Notebook

CELLS = [
    "import workbench as wb\npanel = wb.browse()\npanel",
    "from preset_doubles import slow_reading\npace = slow_reading(0.02)",
]
HELD = 20  # weights that a load has read when it is held in its middle
PROMPT = "Once upon a time, there was a small fox named Pip."


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("browse.ipynb", CELLS)
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        notebook = Notebook(page, lab, "browse.ipynb")
        notebook.open()
        notebook.run_all()
        browse_status(notebook, "idle")
        notebook.ready()
        yield notebook
        page.close()


def browse_status(notebook, text):
    found = notebook.page.locator(".wb-browse .wb-status", has_text=re.compile(text))
    found.wait_for()


def open_card(notebook):
    notebook.page.get_by_label("fits here").check()
    notebook.page.get_by_role("searchbox", name="Search").fill("stories")
    notebook.page.keyboard.press("ArrowDown")
    notebook.page.keyboard.press("Enter")
    notebook.page.locator(".wb-preset-card", has_text="built in").wait_for()


def load(notebook):
    notebook.page.get_by_role("button", name="Load", exact=True).click()


def test_fits_here_is_a_part_of_the_catalog_by_this_machines_memory(notebook):
    count = notebook.page.locator(".wb-preset-count")
    everything = int(notebook.value("len(panel.rows)"))
    assert everything > 158 and count.text_content() == f"{everything} presets"
    notebook.page.get_by_label("fits here").check()
    fitting = notebook.value(
        "sum(r['supported'] and r['needs']['auto'] <= panel.machine['limit'] for r in panel.rows)"
    )
    assert count.text_content() == f"{fitting} of {everything} presets"
    assert 0 < int(fitting) < everything


def test_a_load_can_be_cancelled(notebook):
    open_card(notebook)
    notebook.value(f"pace.allow({HELD})")
    load(notebook)
    browse_status(notebook, r"loading \d+ %")
    notebook.page.get_by_role("button", name="Cancel").click()
    browse_status(notebook, "stopping|stopped")
    notebook.value("pace.allow()")
    browse_status(notebook, "stopped")
    assert notebook.value("(panel.status, panel.model)") == "('cancelled', None)"


def test_from_fits_here_over_the_card_to_a_text(notebook):
    open_card(notebook)
    notebook.value(f"pace.allow({HELD})")
    load(notebook)
    amount = re.compile(r"MB of [\d.]+ MB · .* left")
    notebook.page.locator(".wb-preset-amount", has_text=amount).wait_for()
    browse_status(notebook, r"loading \d+ %")
    assert "reading model.weights.h5" in notebook.page.locator(".wb-preset-stage").text_content()
    notebook.value("pace.allow()")
    browse_status(notebook, "loaded")
    below = notebook.page.locator(".wb-below .wb-generate")
    below.get_by_label("Prompt", exact=True).fill(PROMPT)
    below.get_by_role("button", name="Generate").click()
    below.locator(".wb-status", has_text="done").wait_for()
    text = below.locator(".wb-completion").text_content()
    assert text == ast.literal_eval(notebook.value("panel.below.text")) != ""
    assert notebook.value("panel.model is panel.below.lm") == "True"


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_follows_the_theme(notebook, theme, screenshots):
    notebook.theme(f"JupyterLab {theme}")
    notebook.page.locator(".wb-below .wb-completion").wait_for()
    notebook.page.screenshot(path=screenshots / f"browse-lab-{theme.lower()}.png")
    for panel in (".wb-browse", ".wb-generate"):
        found = Axe().run(notebook.page, context=panel)
        assert found.violations_count == 0, found.generate_report()


def test_a_page_that_is_loaded_again_shows_the_model(notebook):
    notebook.save()
    notebook.open()
    browse_status(notebook, "loaded")
    notebook.page.locator(".wb-below .wb-generate .wb-completion").wait_for()
    assert notebook.page.locator(".wb-preset-card").is_visible()


def test_running_the_cell_again_closes_both_panels(notebook):
    notebook.value("globals().__setitem__('old', panel)")
    count = "len(__import__('ipywidgets').widgets.widget._instances)"
    notebook.run_all()
    browse_status(notebook, "idle")
    notebook.ready()
    assert notebook.value("(old.comm, old.below.comm)") == "(None, None)"
    assert notebook.value(f"{count}") == "2", "a panel and its layout"
