"""The look panel in a real JupyterLab: a picture dropped on it, asked about, and looked at."""

import ast
import base64
import io

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import Lab, Notebook
from PIL import Image, ImageDraw

BOX = (0.15, 0.11, 0.54, 0.5)  # of the red circle: y0, x0, y1, x1
CELLS = [
    'import workbench as wb\npanel = wb.look("shapes_tiny")\npanel',
    "from doubles import slow_down\npanel.wait()\npace = slow_down(panel.lm, 0.1)",
]
DROP = """
(stage, { name, type, content }) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type }));
  const event = (kind) => new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer });
  stage.dispatchEvent(event("dragover"));
  stage.dispatchEvent(event("drop"));
}
"""
HEAT = """
(canvas) => canvas.hidden ? null : [...canvas.getContext("2d")
  .getImageData(0, 0, canvas.width, canvas.height).data].filter((_, i) => i % 4 === 1)
"""


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("look.ipynb", CELLS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        notebook = Notebook(page, lab, "look.ipynb")
        notebook.open()
        notebook.run_all()
        page.locator(".wb-status", has_text="idle").wait_for()
        notebook.ready()
        yield notebook
        page.close()


def picture_file(kind="PNG", side=224):
    """A red circle and a blue square on a light ground."""
    image = Image.new("RGB", (side, side), (246, 243, 236))
    draw = ImageDraw.Draw(image)
    y0, x0, y1, x1 = (round(side * edge) for edge in BOX)
    draw.ellipse((x0, y0, x1, y1), fill=(214, 40, 40))
    draw.rectangle([round(side * edge) for edge in (0.54, 0.52, 0.88, 0.86)], fill=(40, 90, 220))
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def drop(notebook, name, content):
    fields = {"name": name, "type": "image/png", "content": base64.b64encode(content).decode()}
    notebook.page.locator(".wb-look-stage").evaluate(DROP, fields)


def status_is(notebook, text):
    notebook.page.locator(".wb-status", has_text=text).wait_for()


def overlap(a, b):
    """Intersection over union of two boxes."""
    high, low = np.minimum(a[2:], b[2:]), np.maximum(a[:2], b[:2])
    both = np.prod(np.maximum(high - low, 0))
    areas = [np.prod(np.subtract(box[2:], box[:2])) for box in (a, b)]
    return both / (sum(areas) - both)


def test_a_dropped_picture_is_asked_about_and_its_box_is_drawn(notebook):
    page = notebook.page
    drop(notebook, "shapes.png", picture_file())
    page.get_by_role("img", name="shapes.png, 224 by 224 pixels").wait_for()
    assert notebook.value("panel.image.size") == "(224, 224)"
    page.get_by_role("button", name="detect", exact=True).click()
    page.keyboard.type("red circle")
    notebook.value("pace.allow(4)")
    page.keyboard.press("Control+Enter")
    status_is(notebook, "tok/s")  # it streams
    notebook.value("pace.allow()")
    status_is(notebook, "done")
    assert notebook.value("panel.prompt") == repr("detect red circle")
    label = page.locator(".wb-look-label").first
    assert label.text_content() == "red circle"
    found = ast.literal_eval(notebook.value("list(panel.regions[0].box)"))
    assert overlap(np.array(found), np.array(BOX)) >= 0.5
    box = page.locator(".wb-look-box").first.bounding_box()
    world = page.locator(".wb-look-world").bounding_box()
    left, top = (box["x"] - world["x"]) / world["width"], (box["y"] - world["y"]) / world["height"]
    assert [top, left] == pytest.approx(found[:2], abs=0.02)
    page.locator(".wb-token[data-region='0']").first.hover()
    assert "wb-lit" in label.get_attribute("class")


def test_the_heat_map_follows_the_scrubber(notebook):
    page = notebook.page
    page.get_by_role("checkbox", name="Attention").check()
    heat = page.locator(".wb-look-heat")
    heat.wait_for()
    scrubber = page.get_by_label("Token", exact=True)
    shape = ast.literal_eval(notebook.value("panel.attention().shape"))
    maps = []
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight"):
        scrubber.press(key)
        maps.append(heat.evaluate(HEAT))
    assert len(maps[0]) == shape[1] * shape[2] and shape[0] >= 5
    assert len({tuple(values) for values in maps}) > 1, "tokens look at different places"
    brightest = [int(np.argmax(values)) for values in maps]
    kernels = ast.literal_eval(
        notebook.value("panel.attention()[:4].reshape(4, -1).argmax(1).tolist()")
    )
    assert brightest == kernels


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_follows_the_theme(notebook, theme, screenshots):
    notebook.theme(f"JupyterLab {theme}")
    notebook.page.screenshot(path=screenshots / f"lab-look-{theme.lower()}.png")
    found = Axe().run(notebook.page, context=".wb-look")
    assert found.violations_count == 0, found.generate_report()


def test_a_page_that_is_loaded_again_has_picture_and_answer(notebook):
    notebook.save()
    notebook.open()
    page = notebook.page
    page.get_by_role("img", name="shapes.png, 224 by 224 pixels").wait_for()
    page.locator(".wb-look-label", has_text="red circle").first.wait_for()
    assert page.get_by_role("img", name="shapes.png").evaluate("e => e.naturalWidth") == 224


def test_a_file_larger_than_a_message_may_be_arrives_whole(notebook):
    content = picture_file("BMP", 2000)
    assert len(content) > 10 * 2**20, "what the server takes at once"
    drop(notebook, "large.bmp", content)
    image = notebook.page.get_by_role("img", name="large.bmp, 2000 by 2000 pixels")
    image.wait_for()
    assert notebook.value("panel.image.size") == "(2000, 2000)"
    assert notebook.page.locator(".wb-look-label").count() == 0
