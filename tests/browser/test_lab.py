"""The generate panel in a real JupyterLab: what only a server, a kernel and a browser can show."""

import ast

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import Lab, Notebook

PROMPT = "Once upon a time, there was a small fox named Pip."
CELLS = [
    "import workbench as wb\n"
    f'panel = wb.generate("stories_tiny_en", prompt="{PROMPT}", seed=7, max_new_tokens=400)\n'
    "panel",
    "from doubles import slow_down\npanel.wait()\npace = slow_down(panel.lm, 0.01)",
]
WATCH = """
() => {
  const text = document.querySelector(".wb-completion");
  const now = () => performance.timeOrigin + performance.now();
  new MutationObserver(() => (window.lastChange = now())).observe(text, { childList: true });
  document.querySelector(".wb-actions").addEventListener("click", () => (window.clicked = now()));
}
"""


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("panel.ipynb", CELLS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        notebook = Notebook(page, lab, "panel.ipynb")
        notebook.open()
        notebook.run_all()
        page.locator(".wb-status", has_text="idle").wait_for(timeout=60_000)
        notebook.ready()
        yield notebook
        page.close()


@pytest.fixture(autouse=True)
def at_rest(notebook):
    """Every test leaves the panel idle."""
    notebook.value("setattr(pace, 'delay', 0.01)")
    yield
    notebook.value("(panel.cancel(), panel.wait(HANG))")


def text_of(notebook):
    return notebook.page.locator(".wb-completion").text_content()


def kernel_text(notebook):
    return ast.literal_eval(notebook.value("panel.text"))


def status_is(notebook, text, seconds=20):
    found = notebook.page.locator(".wb-status", has_text=text)
    found.wait_for(timeout=seconds * 1000)


def generate(notebook):
    notebook.page.get_by_role("button", name="Generate").click()


def stream(notebook, characters=100):
    generate(notebook)
    status_is(notebook, "tok/s", 60)  # the first time it compiles
    condition = f"document.querySelector('.wb-completion').textContent.length > {characters}"
    notebook.page.wait_for_function(condition)


def test_stop_in_the_browser_stops_the_text_and_keeps_it(notebook):
    notebook.page.evaluate(WATCH)
    stream(notebook)
    notebook.page.get_by_role("button", name="Stop", exact=True).click()
    status_is(notebook, "stopped")
    notebook.page.wait_for_timeout(300)
    late = notebook.page.evaluate("window.lastChange - window.clicked")
    print(f"text stopped {late:.0f} ms after the click")
    assert late < 200
    assert text_of(notebook) == kernel_text(notebook) != ""


def test_the_next_run_equals_a_fresh_one(notebook):
    notebook.value("setattr(pace, 'delay', 0)")
    generate(notebook)
    status_is(notebook, "done")
    fresh = notebook.value(
        "panel.lm.generate(panel.prompt, strip_prompt=True, seed=7, max_new_tokens=400, "
        "sampler=wb.samplers.TopPSampler(p=0.92, temperature=0.8))"
    )
    assert text_of(notebook) == ast.literal_eval(fresh) != ""


def test_the_kernels_interrupt_is_the_second_stop(notebook):
    stream(notebook)
    notebook.page.evaluate(
        "jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute("
        "{code: 'panel.wait(); interrupted = panel.status'}) && null"
    )
    notebook.page.wait_for_timeout(300)
    notebook.page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
    status_is(notebook, "stopped")
    assert notebook.value("interrupted") == "'stopped'"
    assert text_of(notebook) == kernel_text(notebook) != ""


def test_shift_enter_in_the_prompt_stays_in_the_prompt(notebook):
    panel = notebook.value("panel.model_id")
    prompt = notebook.page.get_by_label("Prompt", exact=True)
    prompt.click()
    for key in ("End", "Shift+Enter", "a", "b", "d", "d"):
        notebook.page.keyboard.press(key)
    notebook.page.wait_for_timeout(500)
    assert notebook.value("panel.model_id") == panel
    assert notebook.value("panel.prompt") == repr(f"{PROMPT}\nabdd")
    notebook.page.keyboard.press("Control+Enter")
    status_is(notebook, "tok/s")
    notebook.page.keyboard.press("Escape")
    status_is(notebook, "stopped")
    assert notebook.value("panel.model_id") == panel
    prompt.fill(PROMPT)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_follows_the_theme(notebook, theme, screenshots):
    notebook.theme(f"JupyterLab {theme}")
    stream(notebook, 300)
    notebook.page.screenshot(path=screenshots / f"lab-{theme.lower()}.png")
    found = Axe().run(notebook.page, context=".wb-generate")
    assert found.violations_count == 0, found.generate_report()
    back = "getComputedStyle(document.querySelector('.wb-generate')).backgroundColor"
    red = int(notebook.page.evaluate(back).split("(")[1].split(",")[0])
    assert red > 200 if theme == "Light" else red < 60


def test_a_page_that_is_loaded_again_mid_run_has_the_text(notebook):
    notebook.value("setattr(pace, 'delay', 0.05)")
    stream(notebook, 50)
    notebook.save()
    notebook.page.wait_for_timeout(300)
    notebook.open()
    notebook.page.locator(".wb-token").nth(20).wait_for(timeout=20_000)
    assert notebook.value("panel.busy") == "True"
    before = len(text_of(notebook))
    grown = f"document.querySelector('.wb-completion').textContent.length > {before}"
    notebook.page.wait_for_function(grown)
    notebook.page.get_by_role("button", name="Stop", exact=True).click()
    status_is(notebook, "stopped")
    notebook.page.wait_for_timeout(200)
    assert text_of(notebook) == kernel_text(notebook) != ""


def test_running_the_cell_again_closes_the_old_panel(notebook):
    old = notebook.value("globals().__setitem__('old', panel) or panel.model_id")
    count = "len(__import__('ipywidgets').widgets.widget._instances)"
    widgets = notebook.value(count)
    notebook.run_all()
    notebook.page.wait_for_timeout(300)
    notebook.ready()
    assert notebook.value("panel.model_id") != old
    assert notebook.value("old.comm") == "None" and notebook.value(count) == widgets


def test_a_kernel_that_was_restarted_is_noticed(notebook):
    notebook.value("setattr(pace, 'delay', 0.05)")
    stream(notebook, 50)
    notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    status_is(notebook, "no answer", 10)
    assert "run the cell again" in notebook.page.get_by_role("alert").text_content()
    notebook.ready()
    notebook.run_all()
    notebook.page.locator(".wb-status", has_text="idle").wait_for(timeout=30_000)
