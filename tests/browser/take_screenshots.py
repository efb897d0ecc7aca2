"""Take the README's pictures in JupyterLab, in light and in dark: the generate panel streaming,
and the preset browser with a card open.

python tests/browser/take_screenshots.py widgets/screenshots "A shy lighthouse stood by the sea." 1
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lab import CHROMIUM_FLAGS, Lab, Notebook
from playwright.sync_api import sync_playwright

CELL = """import workbench as wb

lm = wb.models.CausalLM.from_preset("stories_tiny_en")
panel = wb.generate(lm, prompt="{prompt}", seed={seed})
panel"""
SLOW = "from doubles import slow_down\npace = slow_down(lm, 0)"
BROWSE = """import workbench as wb

panel = wb.browse()
panel"""
CARD = "gemma3_instruct_270m"

TO_THE_TOP = """
for (let e = document.querySelector(".jp-CodeCell"); e; e = e.parentElement) e.scrollTop = 0
"""


def open_notebook(page, lab, name):
    notebook = Notebook(page, lab, name)
    notebook.open()
    if page.locator("#jp-left-stack").is_visible():
        page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    notebook.run_all()
    page.locator(".wb-status", has_text="idle").wait_for(timeout=60_000)
    notebook.ready()
    return notebook


def shoot(page, path):
    """The first cell with its output."""
    page.evaluate(TO_THE_TOP)
    page.screenshot(path=path, clip=page.locator(".jp-CodeCell").first.bounding_box())


def take_browser(page, lab, folder):
    page.set_viewport_size({"width": 1180, "height": 1200})
    notebook = open_notebook(page, lab, "presets.ipynb")
    page.get_by_label("fits here").check()
    notebook.value(f"panel.select('{CARD}')")
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        shoot(page, folder / f"browse-{theme.lower()}.png")


def take(page, lab, folder, tokens):
    notebook = open_notebook(page, lab, "stories.ipynb")
    notebook.value("(panel.start(), panel.wait())")  # compiles
    notebook.value("setattr(pace, 'delay', 0.006)")
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.get_by_role("button", name="Generate").click()
        page.locator(".wb-status", has_text="tok/s").wait_for()
        page.wait_for_function(f"document.querySelectorAll('.wb-token').length > {tokens}")
        shoot(page, folder / f"generate_{theme.lower()}.png")
        notebook.value("panel.wait()")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("prompt")
    parser.add_argument("seed", type=int)
    parser.add_argument("--tokens", type=int, default=45, help="how far the text has come")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, Lab(Path(temporary) / "lab") as lab:
        lab.write("stories.ipynb", [CELL.format(prompt=asked.prompt, seed=asked.seed), SLOW])
        lab.write("presets.ipynb", [BROWSE])
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS
            )
            page = browser.new_page(
                viewport={"width": 1180, "height": 960}, device_scale_factor=1.5
            )
            take_browser(page, lab, asked.folder)
            take(page, lab, asked.folder, asked.tokens)
            browser.close()


if __name__ == "__main__":
    main()
