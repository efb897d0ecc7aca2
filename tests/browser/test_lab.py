"""The generate panel in a real JupyterLab: what only a server, a kernel and a browser can show."""

import ast
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import NOTEBOOK, Lab, Notebook

PROMPT = "Once upon a time, there was a small fox named Pip."
CELLS = [
    "import workbench as wb\n"
    f'panel = wb.generate("stories_tiny_en", prompt="{PROMPT}", seed=7, max_new_tokens=400)\n'
    "panel",
    "from doubles import slow_down\npanel.wait()\npace = slow_down(panel.lm, 0.01)",
]
HELD = 40  # tokens of a run that is held in its middle
STOPS = re.compile("stopping|stopped")  # at once where it was between two tokens
WAITS = """
import pathlib, threading, time
from patience import waited_for
waiting = waited_for(panel._run.job)
def let_go():
    waiting.wait()
    pathlib.Path("waiting").touch()
    while panel._run.job.status not in ("stopping", "cancelled"):
        time.sleep(0.01)
    pace.allow()
threading.Thread(target=let_go).start()
panel.wait()
interrupted = panel.status
"""


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("panel.ipynb", CELLS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        notebook = Notebook(page, lab, "panel.ipynb")
        notebook.open()
        notebook.run_all()
        page.locator(".wb-status", has_text="idle").wait_for()
        notebook.ready()
        yield notebook
        page.close()


@pytest.fixture(autouse=True)
def at_rest(notebook):
    """Every test leaves the panel idle."""
    yield
    notebook.value("(panel.cancel(), pace.allow(), panel.history and panel.wait())")


def text_of(notebook):
    return notebook.page.locator(".wb-completion").text_content()


def kernel_text(notebook):
    return ast.literal_eval(notebook.value("panel.text"))


def status_is(notebook, text):
    found = notebook.page.locator(".wb-status", has_text=text)
    found.wait_for()


def generate(notebook):
    notebook.page.get_by_role("button", name="Generate").click()


def stream(notebook):
    """A run that waits in its middle, and is shown so far."""
    notebook.value(f"pace.allow({HELD})")
    generate(notebook)
    status_is(notebook, "tok/s")
    shown(notebook, HELD - 10)  # a page is told the last ones with those that follow


def shown(notebook, tokens):
    notebook.page.locator(".wb-token").nth(tokens - 1).wait_for()


def stop(notebook):
    """Stop by the button, while the model writes a token."""
    notebook.page.get_by_role("button", name="Stop", exact=True).click()
    status_is(notebook, STOPS)
    notebook.value("pace.allow()")
    status_is(notebook, "stopped")


def agrees(notebook):
    """Until the page shows what the kernel has, which is a text."""
    notebook.until(lambda: text_of(notebook) == kernel_text(notebook) != "")


def test_stop_in_the_browser_stops_the_text_and_keeps_it(notebook):
    stream(notebook)
    notebook.until(lambda: notebook.value("pace.holds") == "True")
    stop(notebook)
    assert notebook.value("len(panel.tokens)") == str(HELD + 1), "the token at work is the last"
    agrees(notebook)


def test_the_next_run_equals_a_fresh_one(notebook):
    generate(notebook)
    status_is(notebook, "done")
    fresh = notebook.value(
        "panel.lm.generate(panel.prompt, strip_prompt=True, seed=7, max_new_tokens=400, "
        "sampler=wb.samplers.TopPSampler(p=0.92, temperature=0.8))"
    )
    assert text_of(notebook) == ast.literal_eval(fresh) != ""


def test_the_kernels_interrupt_is_the_second_stop(notebook):
    stream(notebook)
    kernel = f"{NOTEBOOK}.sessionContext.session.kernel"
    notebook.page.evaluate(f"(code) => {kernel}.requestExecute({{ code }}) && null", WAITS)
    waiting = notebook.lab.notebooks / "waiting"
    notebook.until(waiting.exists)  # an interrupt before wait() would stop the cell alone
    notebook.page.evaluate("jupyterapp.commands.execute('notebook:interrupt-kernel')")
    status_is(notebook, "stopped")
    assert notebook.value("interrupted") == "'stopped'"
    agrees(notebook)


def test_shift_enter_in_the_prompt_stays_in_the_prompt(notebook):
    panel = notebook.value("panel.model_id")
    prompt = notebook.page.get_by_label("Prompt", exact=True)
    prompt.click()
    for key in ("End", "Shift+Enter", "a", "b", "d", "d"):
        notebook.page.keyboard.press(key)
    notebook.until(lambda: notebook.value("panel.prompt") == repr(f"{PROMPT}\nabdd"))
    assert notebook.value("panel.model_id") == panel
    notebook.value(f"pace.allow({HELD})")
    notebook.page.keyboard.press("Control+Enter")
    status_is(notebook, "tok/s")
    notebook.page.keyboard.press("Escape")
    status_is(notebook, STOPS)
    notebook.value("pace.allow()")
    status_is(notebook, "stopped")
    assert notebook.value("panel.model_id") == panel
    prompt.fill(PROMPT)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_follows_the_theme(notebook, theme, screenshots):
    notebook.theme(f"JupyterLab {theme}")
    stream(notebook)
    notebook.page.screenshot(path=screenshots / f"lab-{theme.lower()}.png")
    found = Axe().run(notebook.page, context=".wb-generate")
    assert found.violations_count == 0, found.generate_report()
    back = "getComputedStyle(document.querySelector('.wb-generate')).backgroundColor"
    red = int(notebook.page.evaluate(back).split("(")[1].split(",")[0])
    assert red > 200 if theme == "Light" else red < 60


def test_a_page_that_is_loaded_again_mid_run_has_the_text(notebook):
    stream(notebook)
    notebook.save()
    notebook.open()
    shown(notebook, HELD)
    assert notebook.value("panel.busy") == "True"
    notebook.value(f"pace.allow({2 * HELD})")
    shown(notebook, 2 * HELD - 10)
    stop(notebook)
    agrees(notebook)


def test_running_the_cell_again_closes_the_old_panel(notebook):
    old = notebook.value("globals().__setitem__('old', panel) or panel.model_id")
    count = "len(__import__('ipywidgets').widgets.widget._instances)"
    widgets = notebook.value(count)
    notebook.run_all()
    notebook.until(lambda: notebook.value("panel.model_id") != old)
    notebook.ready()
    assert notebook.value("old.comm") == "None" and notebook.value(count) == widgets


def test_a_kernel_that_was_restarted_is_noticed(notebook):
    stream(notebook)
    notebook.page.evaluate(f"{NOTEBOOK}.sessionContext.restartKernel()")
    status_is(notebook, "no answer")
    assert "run the cell again" in notebook.page.get_by_role("alert").text_content()
    notebook.ready()
    notebook.run_all()
    notebook.page.locator(".wb-status", has_text="idle").wait_for()
    notebook.until(lambda: notebook.value("'pace' in globals()") == "True")
