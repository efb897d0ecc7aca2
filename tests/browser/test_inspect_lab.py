"""The inspect panel in a real JupyterLab: sliders without the kernel, branches, themes."""

import ast

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import Lab, Notebook
from patience import SLOW

TEXT = "Once upon a time, there was a small fox"
CELLS = [
    "import workbench as wb\n"
    f'panel = wb.inspect("stories_tiny_en", "{TEXT}", temperature=1.0, top_p=1.0, seed=7)\n'
    "panel",
]
SPY = """
(() => {
  const send = WebSocket.prototype.send;
  window.sent = [];
  window.held = null;  // an array while nothing may leave
  WebSocket.prototype.send = function (data) {
    window.sent.push(performance.now());
    if (window.held) window.held.push([this, data]);
    else send.call(this, data);
  };
  window.letGo = () => {
    const waiting = window.held;
    window.held = null;
    waiting.forEach(([socket, data]) => send.call(socket, data));
  };
})();
"""
SLIDE = """
([label, values]) => {
  const slider = [...document.querySelectorAll(".wb-inspect label")]
    .find((one) => one.textContent === label).parentElement.querySelector("input");
  window.sent = [];
  window.held = [];
  const steps = values.map((value) => {
    const began = performance.now();
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    const rows = [...document.querySelectorAll(".wb-inspect-bar")].slice(0, 20);
    const kept = rows.filter((row) => !row.classList.contains("wb-inspect-out")).length;
    document.querySelector(".wb-inspect").getBoundingClientRect();  // laid out by now
    const said = document.querySelector(".wb-inspect-kept").textContent;
    return { kept, said, took: performance.now() - began };
  });
  return { steps, sent: window.sent.length };
}
"""


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("inspect.ipynb", CELLS)
        page = browser.new_page(viewport={"width": 1280, "height": 1100})
        page.add_init_script(SPY)
        notebook = Notebook(page, lab, "inspect.ipynb")
        notebook.open()
        notebook.run_all()
        status_is(notebook, "done")
        notebook.ready()
        yield notebook
        page.close()


def status_is(notebook, text):
    notebook.page.locator(".wb-status", has_text=text).wait_for()


def value(notebook, expression):
    return ast.literal_eval(notebook.value(expression))


def until(notebook, condition):
    """Until an expression is true in the kernel."""
    notebook.until(lambda: notebook.value(condition) == "True")


def read(notebook):
    """Until the branch that is shown has been written and read."""
    notebook.page.locator(".wb-inspect-list[aria-busy='false']").wait_for()


def choose(notebook, place):
    notebook.page.locator(f".wb-inspect-list [data-place='{place}']").click()
    notebook.page.wait_for_function(
        "(token) => document.querySelector('.wb-inspect-here')?.textContent.includes(token)",
        arg=value(notebook, f"panel.inspection.pieces[{place}].strip()"),
    )


def bar(notebook, index):
    return notebook.page.locator(".wb-inspect-bar").nth(index)


def test_sliders_move_the_cut_while_no_message_leaves_the_page(notebook):
    page = notebook.page
    choose(notebook, 9)
    values = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95]
    kept = value(notebook, f"[panel.inspection.distribution(9).kept(top_p=p) for p in {values}]")
    found = page.evaluate(SLIDE, ["Top-p", values])
    page.wait_for_function("window.sent.length > 0")  # the last value, once the hand rests
    page.evaluate("window.letGo()")
    assert found["sent"] == 0
    moved = found["steps"]
    assert [one["kept"] for one in moved] == [min(20, count) for count in kept]
    assert all(one["said"].startswith(f"Kept {n} of") for one, n in zip(moved, kept, strict=True))
    times = sorted(one["took"] for one in moved)
    print(f"a slider's step took {times[3]:.1f} ms, {times[-1]:.1f} at most, with no message")
    assert times[3] < 50 * SLOW  # milliseconds
    until(notebook, "panel.top_p == 0.95")


def test_branch_go_back_and_branch_again(notebook):
    page = notebook.page
    choose(notebook, 9)
    notebook.value("setattr(panel, 'max_new_tokens', 12)")
    second = bar(notebook, 1).locator(".wb-inspect-bar-piece").text_content()
    bar(notebook, 1).click()
    tree = page.get_by_role("treeitem")
    tree.nth(1).wait_for()
    read(notebook)
    assert tree.nth(1).get_attribute("aria-selected") == "true"
    assert second.strip("␣") in tree.nth(1).text_content()
    shown = page.locator(".wb-inspect-list").text_content().removesuffix("next token")
    assert shown == value(notebook, "panel.shown.text") != value(notebook, "panel.branches[0].text")
    tree.nth(0).click()
    page.wait_for_function("document.querySelectorAll('.wb-inspect-own').length === 0")
    until(notebook, "panel.shown is panel.branches[0]")
    bar(notebook, 2).click()
    tree.nth(2).wait_for()
    read(notebook)
    page.wait_for_function("document.querySelectorAll('.wb-inspect-own').length > 0")
    assert notebook.value("[branch.parent.number for branch in panel.branches[1:]]") == "[1, 1]"


def test_what_streams_equals_what_the_model_writes(notebook):
    expected = notebook.value(
        "list(event.id for event in panel.lm.stream_ids(panel.shown.ids[:10], max_new_tokens=12, "
        "seed=7, sampler=wb.samplers.TopPSampler(p=0.95, temperature=1.0)) if hasattr(event, 'id'))"
    )
    assert value(notebook, "panel.shown.ids[10:]") == ast.literal_eval(expected)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("tab", ["Distribution", "Layers", "Attention"])
def test_it_follows_the_theme(notebook, theme, tab, screenshots):
    notebook.theme(f"JupyterLab {theme}")
    notebook.page.get_by_role("tab", name=tab, exact=True).click()
    there = {
        "Distribution": ".wb-inspect-bar",
        "Layers": ".wb-lens-grid",
        "Attention": ".wb-attention-thumb",
    }
    notebook.page.locator(there[tab]).first.wait_for()
    notebook.page.wait_for_timeout(1000)
    path = screenshots / f"inspect-lab-{tab.lower()}-{theme.lower()}.png"
    notebook.page.screenshot(path=path)
    found = Axe().run(notebook.page, context=".wb-inspect")
    assert found.violations_count == 0, found.generate_report()


def test_a_page_that_is_loaded_again_has_everything(notebook):
    page = notebook.page
    page.get_by_role("tab", name="Distribution").click()
    text = value(notebook, "panel.shown.text")
    notebook.save()
    notebook.open()
    page.locator(".wb-inspect-bar").first.wait_for()
    shown = page.locator(".wb-inspect-list").text_content().removesuffix("next token")
    assert shown == text and page.get_by_role("treeitem").count() == 3
    page.get_by_role("treeitem").first.click()
    page.wait_for_function("document.querySelectorAll('.wb-inspect-own').length === 0")
