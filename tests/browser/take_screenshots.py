"""Take the pictures of all panels in JupyterLab, in light and in dark, from real runs.

python tests/browser/take_screenshots.py widgets/screenshots
python tests/browser/take_screenshots.py widgets/screenshots look tune    # these alone
python tests/browser/take_screenshots.py widgets/screenshots chat --chat SmolLM2-135M-Instruct.gguf

Every panel runs an embedded preset but for the conversation, which takes the instruct model it is
given and is left out without one.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from lab import CHROMIUM_FLAGS, Lab, Notebook
from playwright.sync_api import Page, sync_playwright

STORIES = """import workbench as wb

lm = wb.models.CausalLM.from_preset("stories_tiny_en")
panel = wb.generate(lm, prompt="A shy lighthouse stood by the sea.", seed=1)
panel"""
SLOW = "from doubles import slow_down\npace = slow_down(lm, 0)"
BROWSE = """import workbench as wb

panel = wb.browse()
panel"""
CHAT = """import workbench as wb

lm = wb.models.CausalLM.from_preset("{preset}")
panel = wb.generate(lm, chat=True, system="You answer in one or two short sentences.", seed=2)
panel"""
LISTEN = """import workbench as wb
from workbench.toy_data.digits.generator import say

spoken = say("three one four one five", seed=7)
panel = wb.listen("digits_tiny", audio=(spoken.samples, 16_000))
panel"""
LOOK = """from PIL import Image, ImageDraw
import workbench as wb

picture = Image.new("RGB", (336, 252), (246, 243, 236))
draw = ImageDraw.Draw(picture)
draw.ellipse((40, 36, 160, 132), fill=(214, 40, 40))
draw.rectangle((184, 132, 300, 222), fill=(40, 90, 220))
panel = wb.look("shapes_tiny", picture, "detect red circle")
panel"""
TUNE = """import itertools
import workbench as wb

who = ["The captain", "A pirate", "The cook", "The parrot", "The sailor", "An old mate"]
what = ["found a map of gold", "sang to the whales", "lost the anchor", "saw a storm"]
end = ["Ahoy! said the crew, and they sailed on.", "Arr! cried the crew. What a day at sea!"]
tales = [f"{a} {b} one windy day. {c}" for a, b, c in itertools.product(who, what, end)]
lm = wb.models.CausalLM.from_preset("stories_tiny_en")
prompts = ["The captain", "The cook"]
panel = wb.tune(lm, tales, sample_prompts=prompts, sample_tokens=30, seed=0)
panel"""
INSPECT = """import workbench as wb

lm = wb.models.CausalLM.from_preset("stories_tiny_en")
panel = wb.inspect(lm, "A shy lighthouse stood by the sea.", top_p=0.9, max_new_tokens=12, seed=1)
panel"""
TALES = TUNE.split("lm =")[0]
COMPARE = f"""{TALES}
lm = wb.models.CausalLM.from_preset("stories_tiny_en")
job = wb.TrainingJob(lm, tales, None, name="sea tales", targets="all", steps=80, learning_rate=2e-3)
job.start()
job.wait()"""
COLUMNS = """drawn = wb.samplers.TopPSampler(p=0.9, temperature=0.7)
panel = wb.compare(
    wb.Column(lm, adapter="sea tales", sampler="greedy"),
    wb.Column(lm, adapter=None, sampler="greedy"),
    wb.Column(lm, adapter=None, sampler=drawn),
    prompts=["A small fox lost", "A clever fox saw a storm"],
    max_new_tokens=64,
    seed=1,
)
panel"""
QUESTIONS = ("What is the capital of France?", "And what is it known for?")
NEXT = "Which river runs through it?"
AT_REST = re.compile("idle|done")
CARD = "gemma3_instruct_270m"

TO_THE_TOP = """
for (let e = document.querySelector(".jp-CodeCell"); e; e = e.parentElement) e.scrollTop = 0
"""


@dataclass
class View:
    """One panel in JupyterLab, and where its pictures go."""

    page: Page
    lab: Lab
    folder: Path
    chat_model: str | None

    def open(self, name: str, cells: list[str], height: int) -> None:
        """A notebook of these cells, run, its first panel at rest."""
        self.name = name
        self.page.set_viewport_size({"width": 1180, "height": height})
        self.lab.write(f"{name}.ipynb", cells)
        self.notebook = Notebook(self.page, self.lab, f"{name}.ipynb")
        self.notebook.open()
        if self.page.locator("#jp-left-stack").is_visible():
            self.page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
        self.notebook.run_all()
        self.page.locator(".wb-status", has_text=AT_REST).wait_for()
        self.notebook.ready()

    def themes(self) -> Iterator[None]:
        """The panel in light and in dark, photographed at the end of each round."""
        for theme in ("Light", "Dark"):
            self.notebook.theme(f"JupyterLab {theme}")
            yield
            self.page.evaluate(TO_THE_TOP)
            cell = self.page.locator(".jp-CodeCell", has=self.page.locator(".wb-panel"))
            box = cell.first.bounding_box()
            clip = {**box, "height": box["height"] - 1}
            self.page.screenshot(path=self.folder / f"{self.name}_{theme.lower()}.png", clip=clip)

    def run(self, code: str) -> None:
        self.notebook.value(code)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()


def browse(view: View) -> None:
    """A preset's card, among those that fit."""
    view.open("browse", [BROWSE], height=1200)
    view.page.get_by_label("fits here").check()
    view.run(f"panel.select('{CARD}')")
    for _ in view.themes():
        pass


def generate(view: View) -> None:
    """A story half way through."""
    view.open("generate", [STORIES, SLOW], height=960)
    view.run("(panel.start(), panel.wait())")  # compiles
    view.run("setattr(pace, 'delay', 0.006)")
    for _ in view.themes():
        view.run("panel.wait()")
        view.press("Generate")
        view.page.locator(".wb-status", has_text="tok/s").wait_for()
        view.page.wait_for_function("document.querySelectorAll('.wb-token').length > 45")


def chat(view: View) -> None:
    """Two turns and the next message in its box; written twice, since the first time compiles."""
    if view.chat_model is None:
        return
    shutil.copy(view.chat_model, view.lab.notebooks)
    view.open("chat", [CHAT.format(preset=Path(view.chat_model).name), SLOW], height=1100)
    for _ in range(2):
        view.run("panel.clear()")
        for question in QUESTIONS:
            view.run(f"(panel.send({question!r}), panel.wait())")
    view.run(f"setattr(panel, 'message', {NEXT!r})")
    for _ in view.themes():
        pass


def listen(view: View) -> None:
    """A transcript, and the playhead two thirds through."""
    view.open("listen", [LISTEN], height=900)
    view.run("(panel.start(), panel.wait())")
    for _ in view.themes():
        wave = view.page.get_by_role("slider").bounding_box()
        view.page.mouse.click(wave["x"] + 0.64 * wave["width"], wave["y"] + 40)


def look(view: View) -> None:
    """The answer to the prompt, and where its last word but one looked."""
    view.open("look", [LOOK], height=1100)
    view.press("Generate")
    view.page.locator(".wb-status", has_text="done").wait_for()
    view.page.get_by_role("checkbox", name="Attention").check()
    view.page.locator(".wb-look-heat").wait_for()
    view.page.get_by_label("Token", exact=True).fill("4")
    view.page.get_by_label("Opacity").fill("60")
    for _ in view.themes():
        pass


def tune(view: View) -> None:
    """A run on its way: curves, strips, and samples beside those of the first step."""
    view.open("tune", [TUNE], height=1200)
    for _ in view.themes():
        view.run("panel.job and (panel.cancel(), panel.wait(), panel.reset())")
        view.press("Start")
        script = "Number(document.querySelector('.wb-chart').ariaValueNow) >= 128"
        view.page.wait_for_function(script)


def inspect(view: View) -> None:
    """Two branches of a sentence, one below the other, and what else could have stood there."""
    view.open("inspect", [INSPECT], height=1280)
    for place, rank in ((4, 2), (8, 1)):
        branch = f"panel.branch({place}, panel.inspection.distribution({place}).ids[{rank}])"
        view.run(f"(panel.wait(), {branch}, panel.wait())")
    for _ in view.themes():
        pass


def compare(view: View) -> None:
    """An adapter, the model without it and another sampler: where they part, and why there."""
    view.open("compare", [COMPARE, COLUMNS], height=1400)
    view.run("(setattr(panel, 'reference', 1), panel.start(), panel.wait())")
    for _ in view.themes():
        drawn = view.page.locator(".wb-compare-column").nth(2)
        drawn.locator(".wb-differs").first.hover()


_ALL = (browse, generate, chat, listen, look, tune, inspect, compare)
SCENES = {scene.__name__: scene for scene in _ALL}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("scenes", nargs="*", default=list(SCENES), help=", ".join(SCENES))
    parser.add_argument("--chat", help="an instruct model for the conversation")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS
        )
        page = browser.new_page(viewport={"width": 1180, "height": 960}, device_scale_factor=1.5)
        with Lab(Path(temporary) / "lab") as lab:
            for name in asked.scenes:
                SCENES[name](View(page, lab, asked.folder, asked.chat))
        browser.close()


if __name__ == "__main__":
    main()
