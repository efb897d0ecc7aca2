"""No panel has anything that axe finds, at any time of a run, in light and dark, with the colours
of JupyterLab's own themes and without any."""

import sys
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from patience import HANG
from stage import AXE

THEMES = Path(sys.prefix, "share", "jupyter", "lab", "themes", "@jupyterlab")
NAMES = ("generate", "chat", "look", "listen", "browse", "tune", "inspect", "compare")


@pytest.fixture
def stage(put, kinds, name):
    """The panel of the name that the test has, with what sets it to work."""
    make, begin = kinds[name]
    return put(make(), height=900), begin


def found(page):
    """What axe finds in both of the page's schemes."""
    reports = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        result = Axe().run(page, options=AXE)
        reports += [f"{scheme}: {result.generate_report()}"] * bool(result.violations_count)
    return reports


def put_theme(page, kind):
    """The variables of a theme of JupyterLab, and how its page says which it is."""
    sheet = (THEMES / f"theme-{kind}-extension" / "index.css").read_text(encoding="utf-8")
    page.evaluate(
        """([sheet, light]) => {
          document.getElementById("theme")?.remove();
          const style = Object.assign(document.createElement("style"), { id: "theme" });
          style.textContent = sheet;
          document.head.append(style);
          document.body.dataset.jpThemeLight = String(light);
          document.body.style.background = "var(--jp-layout-color0)";
          document.body.style.color = "var(--jp-ui-font-color0)";
        }""",
        [sheet, kind == "light"],
    )


def until_status(on, words):
    on.until(lambda: on.page.locator(".wb-status").first.text_content() in words)
    on.run(0.2)


def press(on, name):
    on.page.get_by_role("menuitem", name=name).click()


def menu(on):
    on.page.get_by_role("button", name="Menu").first.click()


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing(stage, name, screenshots):
    on, begin = stage
    until_status(on, ("idle",))
    assert found(on.page) == [], "before a run"
    begin(on.panel)
    assert on.panel.wait(HANG)
    until_status(on, ("done", "loaded"))
    for entry in ("Help", "Copy as code"):
        menu(on)
        press(on, entry)
    on.panel.show_error("Something went wrong. Try again.", "the details of it")
    on.run(0.1)
    menu(on)
    assert found(on.page) == [], "after a run, with all that the frame can show"
    for kind in ("light", "dark"):
        put_theme(on.page, kind)
        on.run(0.1)
        on.page.screenshot(path=screenshots / f"axe-{name}-{kind}.png", full_page=True)
        result = Axe().run(on.page, options=AXE)
        assert result.violations_count == 0, f"JupyterLab {kind}: {result.generate_report()}"
