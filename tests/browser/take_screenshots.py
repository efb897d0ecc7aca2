"""Take the README's pictures in JupyterLab, in light and in dark: the generate panel streaming, the
preset browser with a card open; or, with an instruct model, a conversation; or, with a model that
hears, digits as they are played; or a fine-tune on the way to tales of the sea.

python tests/browser/take_screenshots.py widgets/screenshots "A shy lighthouse stood by the sea." 1
python tests/browser/take_screenshots.py widgets/screenshots \
    "What is the capital of France?" 2 --chat SmolLM2-135M-Instruct.Q4_1.gguf
python tests/browser/take_screenshots.py widgets/screenshots "detect red circle" 0 --look
python tests/browser/take_screenshots.py widgets/screenshots "three one four one five" 7 \
    --listen digits_tiny
python tests/browser/take_screenshots.py widgets/screenshots "The captain" 0 --tune
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
CHAT = """import workbench as wb

lm = wb.models.CausalLM.from_preset("{preset}")
panel = wb.generate(lm, chat=True, system="You answer in one or two short sentences.", seed={seed})
panel"""
LISTEN = """import workbench as wb
from workbench.presets.embedded.digits.generator import say

spoken = say("{words}", seed={seed})
panel = wb.listen("{preset}", audio=(spoken.samples, 16_000))
panel"""
LOOK = """from PIL import Image, ImageDraw
import workbench as wb

picture = Image.new("RGB", (336, 252), (246, 243, 236))
draw = ImageDraw.Draw(picture)
draw.ellipse((40, 36, 160, 132), fill=(214, 40, 40))
draw.rectangle((184, 132, 300, 222), fill=(40, 90, 220))
panel = wb.look("shapes_tiny", picture, "{prompt}")
panel"""
TUNE = """import itertools
import workbench as wb

who = ["The captain", "A pirate", "The cook", "The parrot", "The sailor", "An old mate"]
what = ["found a map of gold", "sang to the whales", "lost the anchor", "saw a storm"]
end = ["Ahoy! said the crew, and they sailed on.", "Arr! cried the crew. What a day at sea!"]
tales = [f"{{a}} {{b}} one windy day. {{c}}" for a, b, c in itertools.product(who, what, end)]
lm = wb.models.CausalLM.from_preset("stories_tiny_en")
prompts = ["{prompt}", "The cook"]
panel = wb.tune(lm, tales, sample_prompts=prompts, sample_tokens=30, seed={seed})
panel"""
FOLLOW_UPS = ("And what is it known for?", "Which river runs through it?")
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
    box = page.locator(".jp-CodeCell").first.bounding_box()
    page.screenshot(path=path, clip={**box, "height": box["height"] - 1})


def take_browser(page, lab, folder):
    page.set_viewport_size({"width": 1180, "height": 1200})
    notebook = open_notebook(page, lab, "presets.ipynb")
    page.get_by_label("fits here").check()
    notebook.value(f"panel.select('{CARD}')")
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        shoot(page, folder / f"browse_{theme.lower()}.png")


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


def take_chat(page, lab, folder, prompt):
    """Two turns and the next message in its box; written twice, since the first time compiles."""
    page.set_viewport_size({"width": 1180, "height": 1100})
    notebook = open_notebook(page, lab, "chat.ipynb")
    for _ in range(2):
        notebook.value("panel.clear()")
        for question in (prompt, *FOLLOW_UPS[:1]):
            notebook.value(f"(panel.send({question!r}), panel.wait())")
    notebook.value(f"setattr(panel, 'message', {FOLLOW_UPS[1]!r})")
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.wait_for_timeout(1500)  # the theme's own curtain
        shoot(page, folder / f"chat_{theme.lower()}.png")


def take_listen(page, lab, folder):
    """A transcript, and the playhead two thirds through."""
    page.set_viewport_size({"width": 1180, "height": 900})
    notebook = open_notebook(page, lab, "listen.ipynb")
    notebook.value("(panel.start(), panel.wait())")
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.wait_for_timeout(1500)  # the theme's own curtain
        wave = page.get_by_role("slider").bounding_box()
        page.mouse.click(wave["x"] + 0.64 * wave["width"], wave["y"] + 40)
        shoot(page, folder / f"listen_{theme.lower()}.png")


def take_look(page, lab, folder):
    """The answer to the prompt, and where its last word but one looked."""
    page.set_viewport_size({"width": 1180, "height": 1100})
    notebook = open_notebook(page, lab, "look.ipynb")
    page.get_by_role("button", name="Generate").click()
    page.locator(".wb-status", has_text="done").wait_for(timeout=180_000)
    page.get_by_role("checkbox", name="Attention").check()
    page.locator(".wb-look-heat").wait_for(timeout=180_000)
    page.get_by_label("Token", exact=True).fill("4")
    page.get_by_label("Opacity").fill("60")
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.wait_for_timeout(1500)  # the theme's own curtain
        shoot(page, folder / f"look_{theme.lower()}.png")


def take_tune(page, lab, folder):
    """A run on its way: curves, strips, and samples beside those of the first step."""
    page.set_viewport_size({"width": 1180, "height": 1200})
    notebook = open_notebook(page, lab, "tune.ipynb")
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.wait_for_timeout(1500)  # the theme's own curtain
        page.get_by_role("button", name="Start", exact=True).click()
        script = "Number(document.querySelector('.wb-chart').ariaValueNow) >= 128"
        page.wait_for_function(script, timeout=600_000)
        shoot(page, folder / f"tune_{theme.lower()}.png")
        notebook.value("(panel.cancel(), panel.wait(), panel.reset())")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("prompt")
    parser.add_argument("seed", type=int)
    parser.add_argument("--tokens", type=int, default=45, help="how far the text has come")
    parser.add_argument("--chat", help="an instruct model: draw a conversation with it instead")
    parser.add_argument("--listen", help="a model that hears digits: draw it hearing the prompt")
    parser.add_argument("--look", action="store_true", help="ask the prompt of a picture instead")
    parser.add_argument("--tune", action="store_true", help="fine-tune, with the prompt's samples")
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
            if asked.look:
                lab.write("look.ipynb", [LOOK.format(prompt=asked.prompt)])
                take_look(page, lab, asked.folder)
            elif asked.tune:
                cell = TUNE.format(prompt=asked.prompt, seed=asked.seed)
                lab.write("tune.ipynb", [cell])
                take_tune(page, lab, asked.folder)
            elif asked.chat:
                shutil.copy(asked.chat, lab.notebooks)
                preset = Path(asked.chat).name
                lab.write("chat.ipynb", [CHAT.format(preset=preset, seed=asked.seed), SLOW])
                take_chat(page, lab, asked.folder, asked.prompt)
            elif asked.listen:
                cell = LISTEN.format(words=asked.prompt, seed=asked.seed, preset=asked.listen)
                lab.write("listen.ipynb", [cell])
                take_listen(page, lab, asked.folder)
            else:
                take_browser(page, lab, asked.folder)
                take(page, lab, asked.folder, asked.tokens)
            browser.close()


if __name__ == "__main__":
    main()
