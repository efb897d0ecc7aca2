"""Attention on a page of its own: heads and layers, the map, the text, keys, colours, states."""

import numpy as np
import pytest
from patience import SLOW
from stage import check_looks
from view_doubles import TEXT, WORDS, FakeInspection, ViewsPanel, held

from workbench.errors import PromptError

SIZE = len(TEXT)
PIXELS = """
(canvas) => {
  const { width, height } = canvas;
  return [width, height, [...canvas.getContext("2d").getImageData(0, 0, width, height).data]];
}
"""
CANCEL = """
() => {
  const probe = document.querySelector(".wb-attention-probe");
  probe.style.transition = "none";
  document.body.dataset.jpThemeLight = "true";
  probe.dispatchEvent(new TransitionEvent("transitioncancel"));
}
"""
CLOCK = """
() => {
  const from = performance.now();
  window.view.visible(true);
  return performance.now() - from;
}
"""


@pytest.fixture
def stage(put):
    """Puts a panel of the one view on a fresh page, which must end without an error of its own."""

    def open_(inspection=None, width=960):
        panel = ViewsPanel(inspection, "attention")
        return put(panel, width, height=640)

    return open_


def ready(on):
    on.until(lambda: on.page.locator(".wb-attention-body").is_visible())


def shades(on):
    """How much each token of the text is shaded, in percent of the most."""
    tokens = on.page.locator(".wb-attention-text .wb-token")
    texts = tokens.evaluate_all("all => all.map((e) => e.style.getPropertyValue('--a'))")
    return np.array([float(text.rstrip("%")) for text in texts])


def pixels(on):
    """The large map as an array (rows, columns, 4)."""
    width, height, data = on.page.locator(".wb-attention-canvas").evaluate(PIXELS)
    return np.array(data).reshape(height, width, 4)


def readout(on):
    return on.page.locator(".wb-attention-readout").text_content()


def expected(weights, query, first=0):
    row = weights[query].copy()
    row[:first] = 0
    return 100 * row / row.max()


def choose(on, place):
    on.panel.place = place
    on.run(0.1)


def test_the_text_is_shaded_by_where_the_chosen_token_looks(stage):
    on = stage(FakeInspection())
    ready(on)
    weights = FakeInspection().attention(0)
    assert on.panel.inspection.asked == [0]
    choose(on, 7)
    np.testing.assert_allclose(shades(on), expected(weights.mean(0), 7), atol=0.1)
    on.page.get_by_role("radio", name="head 2").click()
    np.testing.assert_allclose(shades(on), expected(weights[2], 7), atol=0.1)
    assert "in block 0, head 2" in readout(on)
    choose(on, SIZE)  # the next token is foretold at the last one
    np.testing.assert_allclose(shades(on), expected(weights[2], SIZE - 1), atol=0.1)
    on.page.locator(".wb-attention-text .wb-token").nth(3).click()
    on.until(lambda: on.panel.place == 3)
    assert shades(on)[4:].max() == 0


def test_the_first_token_can_be_left_out(stage):
    on = stage(FakeInspection())
    ready(on)
    weights = FakeInspection().attention(0).mean(0)
    choose(on, 7)
    before = pixels(on)
    on.page.get_by_role("checkbox", name="Leave out the first token").check()
    np.testing.assert_allclose(shades(on), expected(weights, 7, first=1), atol=0.1)
    after = pixels(on)
    assert before[:, 0, 3].min() == 255 and after[:, 0, 3].max() == 0
    most = on.page.locator(".wb-attention-legend").first.text_content()
    assert most == f"0{100 * weights[:, 1:].max():.0f} %"


def test_the_map_shows_the_weights(stage):
    on = stage(FakeInspection())
    ready(on)
    weights = FakeInspection().attention(0)
    on.page.get_by_role("radio", name="head 0").click()
    seen = pixels(on)
    assert seen.shape[:2] == (SIZE, SIZE)
    there = seen[..., 3] == 255
    np.testing.assert_array_equal(there, np.tril(np.ones((SIZE, SIZE), bool)))
    light = seen[..., :3].sum(-1)[there]
    order = np.argsort(weights[0][there])
    assert np.all(np.diff(light[order]) <= 3), "on white, more is darker"
    field = on.page.locator(".wb-attention-field")
    box = field.bounding_box()
    side = box["width"] / SIZE
    on.page.mouse.move(box["x"] + 2.5 * side, box["y"] + 6.5 * side)
    share = f"{100 * weights[0, 6, 2]:.1f} %" if weights[0, 6, 2] < 0.0995 else None
    assert readout(on).startswith("“␣small” (6) gives “␣a” (2)")
    assert share is None or readout(on).endswith(share)
    on.page.mouse.move(box["x"] + 8.5 * side, box["y"] + 6.5 * side)
    assert "cannot look ahead" in readout(on)
    on.page.mouse.click(box["x"] + 0.5 * side, box["y"] + 4.5 * side)
    on.until(lambda: on.panel.place == 4)


def test_it_works_with_keys(stage):
    on = stage(FakeInspection())
    ready(on)
    on.page.keyboard.press("Tab")
    assert on.page.get_by_role("combobox", name="Layer").evaluate(
        "e => e === document.activeElement"
    )
    on.page.get_by_role("radio", name="mean of heads").focus()
    on.page.keyboard.press("ArrowRight")
    assert on.page.get_by_role("radio", name="head 0").get_attribute("aria-checked") == "true"
    on.page.keyboard.press("Tab")
    field = on.page.locator(".wb-attention-field")
    assert field.evaluate("e => e === document.activeElement")
    for key in ("Home", "ArrowDown", "ArrowDown", "ArrowRight"):
        on.page.keyboard.press(key)
    assert readout(on).startswith("“␣a” (2) gives “␣upon” (1)")
    on.page.keyboard.press("Enter")
    on.until(lambda: on.panel.place == 2)
    on.page.keyboard.press("Tab")
    on.page.keyboard.press("ArrowRight")
    on.until(lambda: on.panel.place == 3)
    on.page.keyboard.press("End")
    on.until(lambda: on.panel.place == SIZE - 1)


def test_another_layer_is_asked_for_and_the_last_wish_counts(stage):
    inspection = FakeInspection()
    on = stage(inspection)
    ready(on)
    inspection.hold = held()
    select = on.page.get_by_role("combobox", name="Layer")
    select.select_option("1")
    on.until(lambda: inspection.asked[-1] == 1)
    assert on.page.get_by_text("Reading block 1.").is_visible()
    assert on.page.locator(".wb-attention-body").is_visible(), "the layer before stays meanwhile"
    select.select_option("3")
    on.run(0.1)
    inspection.hold.set()
    on.until(lambda: "in block 3" in readout(on))
    assert on.page.get_by_text("Reading block").count() == 0
    weights = FakeInspection().attention(3).mean(0)
    choose(on, 9)
    np.testing.assert_allclose(shades(on), expected(weights, 9), atol=0.1)


def test_colours_follow_the_theme(stage):
    on = stage(FakeInspection())
    ready(on)
    light = pixels(on)
    on.page.emulate_media(color_scheme="dark")
    on.until(lambda: not np.array_equal(pixels(on), light))
    there = light[..., 3] == 255
    weights = FakeInspection().attention(0).mean(0)[there]
    order = np.argsort(weights)
    brightness = pixels(on)[..., :3].sum(-1)[there][order]
    assert np.all(np.diff(brightness) >= -3), "on black, more is lighter"
    on.page.evaluate(CANCEL)  # as in JupyterLab
    on.until(lambda: np.array_equal(pixels(on), light))


def test_what_is_not_causal_is_whole(stage):
    inspection = FakeInspection()
    both = np.full((4, SIZE, SIZE), 1 / SIZE, np.float32)
    inspection.attention = lambda layer: both
    on = stage(inspection)
    ready(on)
    assert pixels(on)[..., 3].min() == 255
    choose(on, 2)
    np.testing.assert_allclose(shades(on), 100)


def test_a_long_text_with_many_heads_is_drawn_quickly(stage):
    on = stage(FakeInspection(("Once", *WORDS * 11), heads=6))
    size = 1 + 11 * len(WORDS)
    on.until(lambda: on.page.locator(".wb-attention-body").is_visible())
    assert pixels(on).shape[0] == 336 < size
    assert on.page.evaluate(CLOCK) < 400 * SLOW  # milliseconds; 76 on a busy machine of two cores
    on.page.get_by_role("radio", name="head 5").scroll_into_view_if_needed()
    assert on.page.get_by_role("radio").count() == 7


def test_a_failure_says_why_and_may_be_tried_again(stage):
    inspection = FakeInspection(error=PromptError("the weights have been overwritten by training"))
    on = stage(inspection)
    on.until(lambda: on.page.get_by_role("button", name="Try again").is_visible())
    assert "overwritten by training" in on.page.locator(".wb-view-state").text_content()
    inspection.error = None
    on.page.get_by_role("button", name="Try again").click()
    ready(on)
    on.panel.read(FakeInspection(TEXT[:4]))
    on.until(lambda: on.page.locator(".wb-attention-text .wb-token").count() == 4)


def chosen(on):
    ready(on)
    choose(on, 7)


def pointed(on):
    chosen(on)
    on.page.get_by_role("checkbox", name="Leave out the first token").check()
    on.page.locator(".wb-attention-field").focus()
    on.page.keyboard.press("ArrowRight")


LONG = ("Once", *WORDS * 3)
STATES = {
    "ready": (FakeInspection, 960, chosen),
    "long": (lambda: FakeInspection(LONG, heads=12), 960, pointed),
    "narrow": (FakeInspection, 480, pointed),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_accessible_and_drawn(stage, state, screenshots):
    make, width, reach = STATES[state]
    on = stage(make(), width)
    reach(on)
    check_looks(on, screenshots, f"attention-{state}", lambda on: on.run(0.15))
