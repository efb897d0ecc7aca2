"""The logit lens on a page of its own: its numbers, keys, marks, long texts, states."""

import numpy as np
import pytest
from stage import check_looks
from view_doubles import TEXT, WORDS, FakeInspection, ViewsPanel, held

from workbench.errors import PromptError

GRID = ".wb-lens-grid"


@pytest.fixture
def stage(put):
    """Puts a panel of the one view on a fresh page, which must end without an error of its own."""

    def open_(inspection=None, width=960):
        panel = ViewsPanel(inspection, "lens")
        return put(panel, width, height=640)

    return open_


@pytest.fixture(scope="module")
def whole():
    """The lens of the text, as it was before it went to the page."""
    return FakeInspection().lens()


def ready(on):
    on.until(lambda: on.page.locator(".wb-lens-cell").count() > 0)


def cell(on, layer, place):
    return on.page.locator(f'.wb-lens-cell[data-layer="{layer}"][data-column="{place - 1}"]')


def tip(on):
    return on.page.locator(".wb-lens-tip")


def test_layers_are_rows_the_last_on_top(stage, whole):
    on = stage(FakeInspection())
    ready(on)
    assert on.panel.inspection.asked == ["lens"]
    names = on.page.get_by_role("rowheader").all_text_contents()
    assert names == ["block 3", "block 2", "block 1", "block 0", "embedding"]
    tokens = on.page.locator(".wb-lens-token").all_text_contents()
    assert tokens == [*(piece.strip() for piece in TEXT[1:]), "next"]
    piece = on.panel.inspection.piece
    for layer, place in ((4, 1), (4, len(TEXT)), (0, 3), (2, 5)):
        best = whole.ids[layer, place, 0]
        at = cell(on, layer, place)
        assert at.text_content() == (piece(best).strip() or "⏎")
        percent = float(at.evaluate("e => e.style.getPropertyValue('--p')").rstrip("%"))
        assert percent == pytest.approx(100 * np.exp(whole.logprobs[layer, place, 0]), abs=1e-3)
        settled = best == whole.ids[-1, place, 0]
        right = place < len(TEXT) and best == on.panel.inspection.ids[place]
        classes = at.get_attribute("class")
        assert ("wb-lens-settled" in classes, "wb-lens-right" in classes) == (settled, right)


def test_pointing_at_a_cell_shows_its_best_five(stage, whole):
    on = stage(FakeInspection())
    ready(on)
    cell(on, 2, 4).hover()
    lines = tip(on).locator("li")
    assert lines.count() == 5
    texts = lines.locator(".wb-tip-text").all_text_contents()
    expected = [on.panel.inspection.piece(token) for token in whole.ids[2, 4]]
    assert [text.replace("␣", " ").replace("⏎", "\n") for text in texts] == expected
    facts = tip(on).locator(".wb-tip-note").text_content()
    rank, entropy = whole.token_ranks[2, 4], whole.entropies[2, 4] / np.log(2)
    assert f"rank {rank}" in facts and f"entropy {entropy:.2f} bits" in facts
    cell(on, 4, len(TEXT)).hover()
    assert "rank" not in tip(on).locator(".wb-tip-note").text_content()
    on.page.mouse.move(2, 2)
    assert tip(on).is_hidden()


def test_it_is_walked_with_keys(stage):
    on = stage(FakeInspection())
    ready(on)
    grid = on.page.locator(GRID)
    on.page.keyboard.press("Tab")
    on.page.keyboard.press("ArrowDown")
    on.page.keyboard.press("ArrowRight")
    active = grid.get_attribute("aria-activedescendant")
    assert active.endswith("-3-1") and tip(on).is_visible()
    spoken = on.page.locator(f"#{active}").get_attribute("aria-label")
    assert spoken.startswith("block 2, place 2: ") and "entropy" in spoken
    on.page.keyboard.press("Enter")
    on.until(lambda: on.panel.place == 2)
    on.page.keyboard.press("End")
    assert grid.get_attribute("aria-activedescendant").endswith(f"-3-{len(TEXT) - 1}")
    on.page.keyboard.press("Escape")
    assert tip(on).is_hidden() and grid.evaluate("e => e === document.activeElement")


def test_the_chosen_place_is_a_column(stage):
    on = stage(FakeInspection())
    ready(on)
    on.panel.place = 6
    on.run(0.1)
    chosen = on.page.locator(".wb-lens-cell.wb-lens-chosen")
    assert chosen.count() == 5 and set(
        chosen.evaluate_all("all => all.map((e) => e.dataset.column)")
    ) == {"5"}
    cell(on, 1, 3).click()
    on.until(lambda: on.panel.place == 3)
    on.run(0.1)
    assert chosen.first.get_attribute("data-column") == "2"


def test_of_a_long_text_only_what_is_in_sight_is_in_the_page(stage):
    on = stage(FakeInspection(("Once", *WORDS * 12), layers=12))
    ready(on)
    places = on.page.locator(GRID).get_attribute("aria-colcount")
    assert int(places) > 380
    assert on.page.locator(".wb-lens-cell").count() < 13 * 60
    on.panel.place = 300
    on.until(lambda: cell(on, 12, 300).count() == 1)
    box = cell(on, 12, 300).bounding_box()
    scroll = on.page.locator(".wb-lens-scroll").bounding_box()
    name = on.page.get_by_role("rowheader").first.bounding_box()
    assert scroll["x"] + name["width"] - 1 <= box["x"] <= scroll["x"] + scroll["width"]
    assert name["x"] == pytest.approx(scroll["x"] + 1, abs=1), "the names of the layers stay"
    on.page.locator(".wb-lens-scroll").evaluate("e => (e.scrollLeft = 80 * 100)")
    on.until(lambda: cell(on, 0, 101).count() == 1)
    assert cell(on, 0, 300).count() == 0


def test_another_text_is_asked_for_anew(stage):
    on = stage()
    assert "Read a text first" in on.page.locator(".wb-view-state").text_content()
    assert on.heard == []
    on.panel.read(FakeInspection())
    ready(on)
    other = FakeInspection(TEXT[:4])
    on.panel.read(other)
    on.until(lambda: other.asked == ["lens"])
    on.until(lambda: on.page.locator(".wb-lens-token").count() == 4)


def test_what_is_still_written_is_not_asked_about(stage):
    on = stage()
    on.page.evaluate("view.refresh({ place: 1, pieces: ['Once', ' upon'], written: false })")
    state = on.page.locator(".wb-view-state").text_content()
    assert "once what is being written has been read" in state and on.heard == []
    on.page.evaluate("view.visible(false)")
    on.panel.read(FakeInspection())
    on.run(0.1)
    assert on.heard == [], "nobody looks"
    on.page.evaluate("view.visible(true)")
    ready(on)


def test_text_enters_as_text(stage):
    on = stage(
        FakeInspection(("Once", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>"))
    )
    ready(on)
    assert on.page.locator(".wb-lens-grid script, .wb-lens-grid img").count() == 0
    assert on.page.locator(".wb-lens-token").first.text_content() == "<script>alert(1)</script>"


def test_a_failure_says_why_and_may_be_tried_again(stage):
    inspection = FakeInspection(error=PromptError("the weights have been overwritten by training"))
    on = stage(inspection)
    on.until(lambda: on.page.get_by_role("button", name="Try again").is_visible())
    assert "overwritten by training" in on.page.locator(".wb-view-state").text_content()
    inspection.error = None
    on.page.get_by_role("button", name="Try again").click()
    ready(on)
    assert on.page.locator(".wb-view-state").is_hidden()


def walked(on):
    ready(on)
    on.page.keyboard.press("Tab")
    for _ in range(3):
        on.page.keyboard.press("ArrowRight")
    on.page.keyboard.press("ArrowDown")


def chosen(on):
    ready(on)
    on.panel.place = 5
    on.run(0.1)


def working(on):
    on.until(lambda: "layer by layer" in on.page.locator(".wb-view-state").text_content())


def failed(on):
    on.until(lambda: on.page.get_by_role("button", name="Try again").is_visible())


LONG = ("Once", *WORDS * 4)
STATES = {
    "empty": (lambda: None, 960, lambda on: None),
    "working": (lambda: FakeInspection(hold=held()), 960, working),
    "failed": (lambda: FakeInspection(error=PromptError("the weights are gone")), 960, failed),
    "ready": (FakeInspection, 960, chosen),
    "walked": (lambda: FakeInspection(LONG, layers=9), 960, walked),
    "narrow": (FakeInspection, 480, walked),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_accessible_and_drawn(stage, state, screenshots):
    make, width, reach = STATES[state]
    on = stage(make(), width)
    reach(on)
    check_looks(on, screenshots, f"lens-{state}")
    if on.panel.inspection is not None and on.panel.inspection.hold is not None:
        on.panel.inspection.hold.set()
