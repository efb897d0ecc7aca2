"""A model in a cell of a real JupyterLab: a tree that folds, in light and dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import Lab, Notebook

CELLS = [
    "import workbench as wb\n"
    'lm = wb.models.CausalLM.from_preset("stories_tiny_en", dtype="float32")\n'
    "lm",
    "lm.count_params()",
]
NAME = "stories_tiny_en"


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("tree.ipynb", CELLS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        notebook = Notebook(page, lab, "tree.ipynb")
        notebook.open()
        notebook.run_all()
        page.locator("details summary", has_text=NAME).first.wait_for()
        notebook.ready()
        yield notebook
        page.close()


def test_a_model_unfolds_in_a_cell(notebook, screenshots):
    page = notebook.page
    tree = page.locator(".jp-OutputArea-output details").first
    blocks = tree.locator("details", has_text="decoder blocks 0-3").last
    kernel = blocks.get_by_text("(4, 64, 256)").first
    assert tree.get_by_text("2,754,816 parameters").is_visible()
    assert page.get_by_text("2754816", exact=True).is_visible(), "as Keras counts"
    assert kernel.is_hidden()
    for part in ("decoder blocks 0-3", "attention Attention", "query Projection"):
        tree.locator("summary", has_text=part).first.click()
    assert kernel.is_visible()
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.screenshot(path=screenshots / f"tree-lab-{theme.lower()}.png")
        found = Axe().run(page, context=".jp-OutputArea-output", options={"runOnly": ["wcag2aa"]})
        assert found.violations_count == 0, found.generate_report()
