"""The first tutorial's panel where readers may open it: JupyterLab and Notebook 7, with the latest
kernel and with an older one whose pages speak on its main thread."""

import ast
import os
import re

import pytest
from lab import LATEST, OLDER, OLDER_PYTHON, Lab, Notebook, Notebook7, cells_to_first_panel

PROMPT = "Once there was a kite that was afraid of heights."
SLOWLY = "from doubles import slow_down\npace = slow_down(lm, 0.03)"
HELD = 20  # tokens of a run that is held in its middle
STOPS = re.compile("stopping|stopped")  # at once where it was between two tokens
WHERE = f"tests/.cache/{OLDER}"
HOW = f"python3.11 -m venv {WHERE} && {WHERE}/bin/pip install ipykernel==6.31"


def check_is_there(kernel):
    if kernel == OLDER and not OLDER_PYTHON.exists():
        reason = f"there is no {OLDER}; make it with: {HOW}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(
    scope="module",
    params=[(Lab, OLDER), (Notebook7, LATEST), (Notebook7, OLDER)],
    ids=lambda place: f"{place[0].module}-{place[1]}",
)
def view(request, browser, tmp_path_factory):
    """The tutorial up to its panel, run by the page; other files test JupyterLab with LATEST."""
    server, kernel = request.param
    check_is_there(kernel)
    with server(tmp_path_factory.mktemp("place")) as place:
        place.write("first.ipynb", [*cells_to_first_panel(), SLOWLY], kernel)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        view = Notebook(page, place, "first.ipynb")
        view.open()
        version = ast.literal_eval(view.value("__import__('ipykernel').__version__"))
        assert version.startswith("6.31.") == (kernel == OLDER), version
        view.run_all()
        status_is(view, "idle")
        view.ready()
        assert view.value("pace.delay") == "0.03", "the notebook was run to its end"
        yield view
        page.close()


def status_is(view, text):
    found = view.page.locator(".wb-generate .wb-status", has_text=text)
    found.wait_for()


def completion(view):
    return view.page.locator(".wb-completion").text_content()


def generate(view):
    """A reader's own prompt, until some of its story is there; it waits for more to come."""
    view.value(f"(setattr(panel, 'max_new_tokens', 400), pace.allow({HELD}))")
    view.page.get_by_label("Prompt", exact=True).fill(PROMPT)
    view.page.get_by_role("button", name="Generate", exact=True).click()
    view.page.locator(".wb-token").nth(5).wait_for()


def stop(view):
    """Stop by the button, while the model writes a token."""
    view.page.get_by_role("button", name="Stop", exact=True).click()
    status_is(view, STOPS)
    view.value("pace.allow()")
    status_is(view, "stopped")


def test_a_readers_own_prompt_streams_and_stops(view):
    generate(view)
    assert ast.literal_eval(view.value("panel.prompt")) == PROMPT
    early = completion(view)
    view.value(f"pace.allow({2 * HELD})")
    view.page.locator(".wb-token").nth(HELD).wait_for()
    assert completion(view).startswith(early) and view.value("panel.busy") == "True"
    stop(view)
    view.until(lambda: completion(view) == ast.literal_eval(view.value("panel.text")) != "")


def test_stop_is_heard_after_the_page_was_loaded_again(view):
    generate(view)
    view.save()
    view.open()
    view.page.locator(".wb-token").nth(HELD - 1).wait_for()
    assert view.value("panel.busy") == "True"
    stop(view)
    assert view.value("panel.status") == repr("stopped")
