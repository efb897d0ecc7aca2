"""The look panel on a page of its own: pictures in, boxes and heat maps over them, keys, states."""

import base64
import io
import re
from threading import Event

import numpy as np
import pytest
from picture_doubles import FakeLookLM, shapes_picture
from PIL import Image
from stage import check_looks, let_go
from workbench.widgets import LookPanel

from workbench.images import MaskDecoder
from workbench.images.masks import mask_decoder_shapes

PROMPT = "detect red circle ; blue square"
GIVE = """
(root, { kind, name, type, content }) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  const fields = { bubbles: true, cancelable: true };
  root.dispatchEvent(
    kind === "paste"
      ? new ClipboardEvent("paste", { ...fields, clipboardData: transfer })
      : new DragEvent(kind, { ...fields, dataTransfer: transfer }),
  );
}
"""
CAMERA = """
const canvas = Object.assign(document.createElement("canvas"), { width: 160, height: 120 });
const context = canvas.getContext("2d");
const paint = () => {
  context.fillStyle = "#20a060";
  context.fillRect(0, 0, 160, 120);
  requestAnimationFrame(paint);
};
paint();
const getUserMedia = async () => {
  if (window.refusal) throw new DOMException("no", window.refusal);
  return (window.stream = canvas.captureStream());
};
Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia }, configurable: true });
"""


class NeverLoads(LookPanel):
    """A panel whose preset is still on its way."""

    def _begin_load(self, claim):
        pass


@pytest.fixture
def stage(put):
    """Puts a panel on a fresh page."""

    def open_(lm=None, image=..., prompt=PROMPT, width=960, cls=LookPanel, script="", **options):
        image = shapes_picture() if image is ... else image
        panel = cls(lm or FakeLookLM(), image, prompt, **options)

        def scripted(page):
            page.goto("about:blank")
            page.evaluate(f"() => {{{script}}}")

        return put(panel, width, height=640, before=scripted if script else None)

    return open_


def file_of(image, kind="PNG"):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def give(on, kind, content, name="dropped.png", type_="image/png", to=".wb-look-stage"):
    fields = {"kind": kind, "name": name, "type": type_}
    fields["content"] = base64.b64encode(content).decode()
    on.page.locator(to).evaluate(GIVE, fields)


def generate(on):
    on.page.get_by_role("button", name="Generate").click()


def finish(on):
    generate(on)
    status = on.page.locator(".wb-status")
    on.until(lambda: status.text_content() in ("done", "failed"))


def attend(on):
    finish(on)
    on.page.get_by_role("checkbox", name="Attention").check()
    on.until(lambda: on.page.locator(".wb-look-heat:visible").count() == 1)


def labels(on):
    return on.page.locator(".wb-look-label").all_text_contents()


def heat_peak(on):
    """Where the heat map is brightest, as [row, column]."""
    return on.page.locator(".wb-look-heat").evaluate(
        """(canvas) => {
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          const at = (i) => data[4 * i] + data[4 * i + 1];
          const light = Array.from({ length: width * height }, (_, i) => at(i));
          const best = light.indexOf(Math.max(...light));
          return [Math.floor(best / width), best % width];
        }"""
    )


# -- pictures -------------------------------------------------------------------------------


def test_a_dropped_picture_is_shown_and_asked_about(stage):
    on = stage(image=None, prompt="")
    assert on.page.get_by_text("Drop a picture here").is_visible()
    assert on.page.get_by_role("button", name="Generate").is_disabled()
    content = file_of(shapes_picture())
    give(on, "dragover", content)
    assert "wb-over" in on.page.locator(".wb-look-stage").get_attribute("class")
    give(on, "drop", content)
    on.until(lambda: on.panel.image is not None)
    on.run(0.1)
    image = on.page.get_by_role("img", name="dropped.png, 320 by 240 pixels")
    assert image.is_visible() and image.evaluate("e => e.naturalWidth") == 320
    assert on.page.get_by_text("Drop a picture here").is_hidden()
    on.page.get_by_role("button", name="detect").click()
    on.page.keyboard.type("red circle")
    on.page.keyboard.press("Control+Enter")
    on.until(lambda: on.page.locator(".wb-status").text_content() == "done")
    assert on.panel.prompt == "detect red circle"
    assert labels(on) == ["red circle", "blue square"]
    assert on.panel.lm.pictures[0].size == (320, 240)


def test_a_picture_comes_by_paste_and_from_a_file_too(stage):
    on = stage(image=None)
    give(on, "paste", file_of(shapes_picture(40, 30)), "pasted.png", to=".wb-prompt")
    on.until(lambda: on.panel.image is not None)
    assert on.panel.image.size == (40, 30)
    noise = np.random.default_rng(0).integers(0, 256, (800, 1200, 3), "uint8")
    content = file_of(Image.fromarray(noise))
    assert len(content) > 2 * 2**20, "it travels in several parts"
    files = [{"name": "noise.png", "mimeType": "image/png", "buffer": content}]
    on.page.get_by_label("Picture file").set_input_files(files)
    on.until(lambda: on.panel.image.size == (1200, 800))
    assert np.array_equal(np.asarray(on.panel.image), noise)
    on.run(0.1)
    assert on.page.locator(".wb-look-name").text_content() == "noise.png · 1,200 × 800"
    on.page.get_by_role("button", name="Remove").click()
    on.run(0.1)
    assert on.panel.image is None and on.page.get_by_text("Drop a picture here").is_visible()


def test_what_is_no_picture_is_refused_in_one_sentence(stage):
    on = stage()
    give(on, "drop", b"%PDF-1.4 text", "paper.pdf", "application/pdf")
    on.until(lambda: on.panel.error)
    on.run(0.1)
    alert = on.page.get_by_role("alert")
    assert alert.text_content().startswith("paper.pdf") and on.panel.image is not None
    assert "Opening" not in on.page.locator(".wb-look-left").text_content()
    on.page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          const bytes = new Uint8Array(20_000_001);
          transfer.items.add(new File([bytes], "huge.png", { type: "image/png" }));
          document.querySelector(".wb-look").dispatchEvent(
            new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
        }"""
    )
    on.run(0.1)
    message = on.page.locator(".wb-error-message").text_content()
    assert message == "huge.png has 20 MB: a picture may have 20 MB."
    assert "huge.png" not in str(on.heard)


def test_the_camera_takes_a_picture_or_says_why_not(stage):
    on = stage(image=None, script=CAMERA)
    on.page.evaluate("window.refusal = 'NotAllowedError'")
    on.page.get_by_role("button", name="Use the camera").click()
    alert = on.page.get_by_role("alert")
    alert.get_by_text("The browser did not allow the camera").wait_for()
    on.page.evaluate("window.refusal = null")
    on.page.get_by_role("button", name="Use the camera").click()
    on.page.get_by_role("button", name="Take picture").click()
    on.until(lambda: on.panel.image is not None)
    assert on.panel.image.size == (160, 120) and on.panel.image.getpixel((9, 9)) == (32, 160, 96)
    on.run(0.1)
    assert on.page.evaluate("stream.getTracks().every((t) => t.readyState === 'ended')")
    assert alert.is_hidden()
    on.page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    on.page.get_by_role("button", name="Camera", exact=True).click()
    alert.get_by_text("only to pages opened over https").wait_for()


def test_it_zooms_and_pans_by_buttons_wheel_and_keys(stage):
    on = stage()
    finish(on)
    world, frame = on.page.locator(".wb-look-world"), on.page.locator(".wb-look-stage")
    zoom = on.page.locator(".wb-look-zoom")
    whole = world.bounding_box()
    on.page.get_by_role("button", name="Zoom in").click()
    assert zoom.text_content() == "125 %"
    assert world.bounding_box()["width"] == pytest.approx(1.25 * whole["width"], abs=1)
    label = on.page.locator(".wb-look-label").first.bounding_box()["height"]
    frame.focus()
    for _ in range(4):
        on.page.keyboard.press("+")
    before = world.bounding_box()
    on.page.keyboard.press("ArrowRight")
    assert world.bounding_box()["x"] == pytest.approx(before["x"] - 40)
    on.page.keyboard.press("0")
    assert zoom.text_content() == "100 %" and world.bounding_box() == whole
    assert on.page.locator(".wb-look-label").first.bounding_box()["height"] == label
    on.page.mouse.move(whole["x"] + 30, whole["y"] + 30)
    on.page.mouse.wheel(0, -120)
    on.page.wait_for_function("document.querySelector('.wb-look-zoom').textContent !== '100 %'")
    x = world.bounding_box()["x"]
    on.page.mouse.down()
    on.page.mouse.move(whole["x"] + 20, whole["y"] + 30)
    on.page.mouse.up()
    assert world.bounding_box()["x"] == pytest.approx(x - 10, abs=1)
    on.page.get_by_role("button", name="Fit").click()
    assert world.bounding_box() == whole


# -- questions and answers ------------------------------------------------------------------


def test_tasks_write_their_prefix_and_keep_the_words(stage):
    on = stage(prompt="")
    field = on.page.get_by_label("Prompt", exact=True)
    chips = on.page.get_by_role("group", name="Tasks").get_by_role("button")
    assert chips.all_text_contents() == ["caption", "answer", "detect", "segment", "read"]
    expected = {"caption": "caption en", "answer": "answer en ", "detect": "detect "}
    for name, prefix in {**expected, "segment": "segment ", "read": "ocr"}.items():
        on.page.get_by_role("button", name=name, exact=True).click()
        assert field.input_value() == prefix
        place = on.page.evaluate(
            "[document.activeElement.className, document.activeElement.selectionStart]"
        )
        assert place == ["wb-prompt", len(prefix)], "the cursor is where the words go"
        pressed = on.page.locator(".wb-look-task[aria-pressed=true]").all_text_contents()
        assert pressed == [name]
    field.fill("detect blue square")
    on.page.get_by_role("button", name="segment", exact=True).click()
    assert field.input_value() == "segment blue square"
    on.run(0.3)
    assert on.panel.prompt == "segment blue square"


def test_boxes_come_while_the_answer_streams(stage):
    on = stage(FakeLookLM(delay=0.07, hold_at=7))
    generate(on)
    on.until(lambda: labels(on) == ["red circle"] and len(on.panel.tokens) == 7)
    assert on.panel.status == "streaming"
    box = on.page.locator(".wb-look-box").first.bounding_box()
    world = on.page.locator(".wb-look-world").bounding_box()
    inside = [(box["x"] - world["x"]) / world["width"], (box["y"] - world["y"]) / world["height"]]
    assert inside == pytest.approx([154 / 1024, 102 / 1024], abs=0.02)
    on.panel.lm.pace.allow()
    on.until(lambda: on.page.locator(".wb-status").text_content() == "done")
    assert labels(on) == ["red circle", "blue square"]
    assert on.page.locator(".wb-look-fold").all_text_contents() == ["4 loc", "4 loc"]
    shown = on.page.locator(".wb-completion").evaluate("e => e.innerText")
    assert "<loc" not in shown and "red circle" in shown
    on.page.get_by_role("button", name="location tokens: 4 loc").first.click()
    assert "<loc0102><loc0154>" in on.page.locator(".wb-completion").evaluate("e => e.innerText")


def test_words_and_boxes_light_each_other(stage):
    on = stage()
    finish(on)
    lit = on.page.locator(".wb-lit")
    circle = on.page.locator(".wb-look-label").nth(0)
    square = on.page.locator(".wb-look-label").nth(1)
    words = on.page.locator(".wb-token[data-region='1']")
    assert words.all_text_contents() == [" blue", " square"]
    colours = [
        node.evaluate("e => getComputedStyle(e).getPropertyValue('--wb-region')")
        for node in (square, words.first, circle)
    ]
    assert colours[0] == colours[1] != colours[2]
    words.first.hover()
    assert "wb-lit" in square.get_attribute("class") and "wb-lit" in words.nth(1).get_attribute(
        "class"
    )
    on.page.mouse.move(2, 2)
    assert lit.count() == 0
    on.page.locator(".wb-look-region[data-colour='0']").hover(position={"x": 60, "y": 60})
    assert "wb-lit" in circle.get_attribute("class")
    on.page.mouse.move(2, 2)
    square.focus()
    assert "wb-lit" in words.first.get_attribute("class")
    on.page.keyboard.press("Enter")
    on.page.get_by_label("Prompt", exact=True).focus()
    assert square.get_attribute("aria-pressed") == "true" and lit.count() > 0, "it stays lit"
    on.page.locator(".wb-output").focus()
    on.page.keyboard.press("Home")
    assert "wb-lit" in circle.get_attribute("class"), "the arrows light what they come to"


def test_the_heat_map_follows_the_scrubber(stage):
    on = stage()
    attend(on)
    scrubber = on.page.get_by_label("Token", exact=True)
    scrubber.focus()
    assert heat_peak(on) == [0, 0]
    for place in (1, 2, 3):
        on.page.keyboard.press("ArrowRight")
        assert heat_peak(on) == [place, place]
    assert on.page.locator(".wb-look-token").text_content() == "4 of 13"
    assert on.page.locator(".wb-look-piece").text_content() == "<loc0512>"
    assert scrubber.get_attribute("aria-valuetext") == "4 of 13, <loc0512>"
    assert "on one patch" in on.page.locator(".wb-look-peak").text_content()
    on.page.locator(".wb-token[data-region='0']").nth(1).hover()
    assert heat_peak(on) == [5, 5], "and the pointer over the answer"
    opacity = on.page.get_by_label("Opacity")
    opacity.fill("30")
    assert on.page.locator(".wb-look-heat").evaluate("e => e.style.opacity") == "0.3"
    assert on.panel.lm.looks == 1
    on.page.get_by_role("checkbox", name="Attention").uncheck()
    assert on.page.locator(".wb-look-heat").is_hidden()


def test_the_annotated_picture_is_saved(stage):
    on = stage()
    finish(on)
    on.page.get_by_role("button", name="Menu").click()
    with on.page.expect_download() as download:
        on.page.get_by_role("menuitem", name="Save picture").click()
    assert download.value.suggested_filename == "picture-annotated.png"
    image = Image.open(download.value.path()).convert("RGB")
    assert image.size == (640, 480)
    assert image.getpixel((30, 470)) == (239, 230, 216), "the picture itself"
    edge = [image.getpixel((200, y)) for y in range(46, 50)]
    assert (230, 159, 0) in edge, "a box in its colour"


def test_runs_can_be_brought_back_with_their_pictures(stage):
    on = stage()
    finish(on)
    on.panel.image = shapes_picture(64, 64)
    on.panel.prompt = "caption en"
    on.run(0.1)
    assert labels(on) == [] and on.page.locator(".wb-token").count() == 0
    finish(on)
    on.page.get_by_role("button", name=re.compile("^Run 1")).click()
    on.run(0.1)
    assert labels(on) == ["red circle", "blue square"]
    assert on.page.get_by_role("img", name="picture, 320 by 240 pixels").is_visible()
    assert on.page.get_by_label("Prompt", exact=True).input_value() == PROMPT


def test_stop_keeps_the_answer_and_a_second_view_has_it(stage):
    on = stage(FakeLookLM(delay=0.07, hold_at=5))
    generate(on)
    on.until(lambda: labels(on))
    on.page.get_by_label("Prompt", exact=True).focus()
    on.page.keyboard.press("Escape")
    on.until(lambda: on.panel.status in ("stopping", "stopped"))
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "stopped")
    on.page.evaluate("window.unmount()")
    assert on.page.evaluate("window.listenerCount()") == 0
    on.mount()
    on.run(0.1)
    assert on.page.locator(".wb-token").count() == len(on.panel.tokens) > 3
    assert labels(on) == [region.label or "region 1" for region in on.panel.regions]


MARKUP = "<img/src=x/onerror=window.hacked=1> <svg/onload=window.hacked=1> <b>x</b>"


def test_hostile_text_stays_text(stage):
    evil = f"<loc0102><loc0154><loc0461><loc0512> {MARKUP.replace('<', '').strip()} {MARKUP}"
    on = stage(FakeLookLM(answers={"detect": evil}), image=None, prompt="detect " + MARKUP)
    give(on, "drop", file_of(shapes_picture()), MARKUP)
    on.until(lambda: on.panel.image is not None)
    on.run(0.1)
    finish(on)
    on.page.locator(".wb-token").last.hover()
    on.run(0.1)
    assert on.page.evaluate("window.hacked") is None
    root = on.page.locator("#stage")
    assert root.locator("img").count() == 1 and root.locator("svg").count() == 1
    assert root.locator("b, script, iframe, [onerror], [onload]").count() == 0


# -- states, looked at ----------------------------------------------------------------------


def masks():
    weights = {name: np.zeros(shape, "float32") for name, shape in mask_decoder_shapes().items()}
    weights[next(name for name in reversed(weights) if name.endswith("bias"))] += 1.0
    return MaskDecoder(weights)


def camera(on):
    on.page.get_by_role("button", name="Use the camera").click()
    on.page.get_by_role("button", name="Take picture").wait_for()


def streaming(on):
    generate(on)
    on.until(lambda: labels(on))


def compiling(on):
    generate(on)
    on.until(lambda: on.panel.status == "compiling")


def stopped(on):
    streaming(on)
    on.page.get_by_role("button", name="Stop", exact=True).click()
    on.until(lambda: on.panel.status in ("stopping", "stopped"))  # it may be between two tokens
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "stopped")


def failed(on):
    finish(on)
    on.page.get_by_text("Details").click()


def refused(on):
    give(on, "drop", b"GIF89a", "broken.gif", "image/gif")
    on.until(lambda: on.panel.error)


def sampler(on):
    finish(on)
    on.page.locator("summary", has_text="Sampler").click()


def lit(on):
    finish(on)
    on.page.locator(".wb-look-label").first.focus()


STATES = {
    "empty": (lambda: dict(image=None, prompt=""), lambda on: None),
    "loading": (lambda: dict(lm="shapes_tiny", cls=NeverLoads), lambda on: None),
    "camera": (lambda: dict(image=None, script=CAMERA), camera),
    "compiling": (lambda: dict(lm=FakeLookLM(compiled=Event())), compiling),
    "streaming": (lambda: dict(lm=FakeLookLM(delay=0.07, hold_at=9)), streaming),
    "stopped": (lambda: dict(lm=FakeLookLM(delay=0.07, hold_at=9)), stopped),
    "failed": (lambda: dict(lm=FakeLookLM(fail_at=5)), failed),
    "refused": (dict, refused),
    "detect": (dict, lit),
    "segment": (lambda: dict(prompt="segment red circle", decoder=masks()), finish),
    "attention": (dict, attend),
    "sampler": (dict, sampler),
    "narrow": (lambda: dict(width=480), attend),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_accessible_and_drawn(stage, state, screenshots):
    options, reach = STATES[state]
    on = stage(**options())
    reach(on)
    check_looks(on, screenshots, f"look-{state}")
    let_go(on.panel)
