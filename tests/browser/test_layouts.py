"""Panels are readable at every width, alone and in every box of ipywidgets."""

import time

import pytest
from lab import Lab, Notebook
from patience import HANG
from stage import SPILLS

NAMES = ("generate", "chat", "look", "listen", "browse", "tune", "inspect", "compare")
WIDTHS = (1400, 700, 320)
READABLE = 276  # what the frames of a tab and of a cell leave of 320


@pytest.mark.parametrize("name", NAMES)
def test_a_panel_fits_its_width(put, kinds, name, screenshots):
    make, begin = kinds[name]
    panel = make()
    begin(panel)
    assert panel.wait(HANG)
    on = put(panel, max(WIDTHS))
    for width in (*WIDTHS, READABLE):
        on.page.evaluate(f"document.querySelector('.wb-host').style.width = '{width}px'")
        on.run(0.2)
        on.page.screenshot(path=screenshots / f"{name}-{width}.png", full_page=True)
        spilled = on.page.evaluate(SPILLS)
        assert spilled == [], f"at {width}: {spilled}"


# -- in boxes -------------------------------------------------------------------------------

SETUP = """
from ipywidgets import *
from workbench import models
from workbench.widgets import GeneratePanel
import workbench.tuning.job
from doubles import FakeLM
from panel_doubles import all_panels
from patience import HANG
from preset_doubles import Hub
from tune_doubles import FakeTrainingJob, tiny_lm

models.CausalLM = Hub(FakeLM(stop_at=5))
workbench.tuning.job.TrainingJob = FakeTrainingJob.set_up()
lm = tiny_lm("gpt2", 64)
kinds = all_panels(lm)

class NeverLoads(GeneratePanel):
    def _begin_load(self, claim):
        pass

def made(*names):
    panels = [kinds[name][0]() for name in names]
    for name, panel in zip(names, panels):
        kinds[name][1](panel)
        panel.wait(HANG)
    return panels

def output(shown):
    area = Output()
    area.append_display_data(shown)
    return area
"""
BOXES = f"""
every = [*made(*{NAMES}), NeverLoads("stories_tiny_en")]
half = NeverLoads("stories_tiny_en")
two = Layout(grid_template_columns="1fr 1fr", grid_gap="8px")
header, left, center, right, footer = made(*{NAMES[:5]})
first, second, third = made(*{NAMES[5:]})
boxes = {{
    "HBox": HBox(every),
    "Box": Box(every[:3]),
    "VBox": VBox(every),
    "GridBox": GridBox(every, layout=two),
    "Tab": Tab(every),
    "Accordion": Accordion(every),
    "AppLayout": AppLayout(
        header=header, left_sidebar=left, center=center, right_sidebar=right, footer=footer
    ),
    "TwoByTwoLayout": TwoByTwoLayout(
        top_left=first, top_right=second, bottom_left=third, bottom_right=output(lm)
    ),
    "Output": HBox([output(panel) for panel in every]),
    "nested": HBox([
        VBox([Tab([HBox(every[:2])]), GridBox(every[2:4], layout=two)]),
        VBox(every[4:]),
        IntSlider(),
    ]),
    "half": HBox([half, every[0]]),
}}
stage = VBox(list(boxes.values()))
stage
"""
BOX_NAMES = (
    *("HBox", "Box", "VBox", "GridBox", "Tab", "Accordion", "AppLayout", "TwoByTwoLayout"),
    *("Output", "nested", "half"),
)
# Of each box: the widths of the panels in sight, how often two overlap, and what is wider than
# its place.
MEASURE = """
() => [...document.querySelector(".jp-OutputArea-output .widget-vbox").children].map((box) => {
  const panels = [...box.querySelectorAll(".wb-panel")].filter((panel) => panel.offsetWidth);
  const rects = panels.map((panel) => panel.getBoundingClientRect());
  const before = (a, b) => a.right <= b.left + 1 || a.bottom <= b.top + 1;
  const over = (a) => (b) => !before(a, b) && !before(b, a);
  const overlaps = rects.flatMap((a, i) => rects.slice(i + 1).filter(over(a)));
  const places = [box, ...box.querySelectorAll(".widget-container, .jp-OutputArea")];
  const wide = places.filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1);
  return [rects.map(({ width }) => width), overlaps.length, wide.map((e) => e.className)];
})
"""
# What draws itself by its width, and nothing of it there.
EMPTY = """
() => {
  const seen = (name) => [...document.querySelectorAll(name)].filter((node) => node.offsetWidth);
  const line = (node) => node.querySelector("path")?.getAttribute("d");
  const bare = (node) => !(node.matches(".wb-look-world") ? node.style.width : line(node));
  const drawn = [".wb-chart", ".wb-wave", ".wb-look-world"];
  return drawn.flatMap(seen).filter(bare).map((node) => node.className);
}
"""


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("boxes") / "lab") as lab:
        lab.write("boxes.ipynb", [SETUP, BOXES])
        page = browser.new_page(viewport={"width": 1800, "height": 1000})
        notebook = Notebook(page, lab, "boxes.ipynb")
        notebook.open()
        notebook.run_all()
        page.locator(".wb-panel").first.wait_for()
        notebook.ready()
        page.wait_for_timeout(1000)
        yield notebook
        page.close()


def check_boxes(notebook, width):
    """Once the page has settled; if it never does, what is wrong to the last."""
    end = time.monotonic() + HANG
    while True:
        try:
            return check_boxes_now(notebook, width)
        except AssertionError:
            if time.monotonic() > end:
                raise
            notebook.page.wait_for_timeout(200)


def check_boxes_now(notebook, width):
    for name, (widths, overlaps, wide) in zip(
        BOX_NAMES, notebook.page.evaluate(MEASURE), strict=True
    ):
        assert all(READABLE <= one <= width for one in widths), f"{name} at {width}: {widths}"
        assert (overlaps, wide) == (0, []), f"{name} at {width}"
    spilled = notebook.page.evaluate(SPILLS)
    assert spilled == [], f"at {width}: {spilled}"
    assert notebook.page.evaluate(EMPTY) == [], width


def test_panels_are_readable_in_every_box(notebook, screenshots):
    page = notebook.page
    for width in WIDTHS:
        notebook.value(f"setattr(stage.layout, 'width', '{width}px')")
        page.wait_for_timeout(1000)
        check_boxes(notebook, width)
    for at in range(len(NAMES) + 1):
        for box in ("Tab", "Accordion"):
            notebook.value(f"setattr(boxes['{box}'], 'selected_index', {at})")
        page.wait_for_timeout(300)
        check_boxes(notebook, WIDTHS[-1])
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.locator(".jp-OutputArea-output .widget-tab").first.screenshot(
            path=screenshots / f"tab-{theme.lower()}.png"
        )


def test_the_width_that_a_user_gives_a_panel_counts(notebook):
    notebook.value("setattr(stage.layout, 'width', '700px')")
    notebook.value("setattr(half.layout, 'width', '50%')")

    def is_half():
        half, _ = notebook.page.evaluate(MEASURE)[-1][0]
        return half + 4 == pytest.approx(350, abs=3)

    notebook.until(is_half)
