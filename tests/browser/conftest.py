"""A real Chromium for these tests. Where there is none they are skipped, except in CI."""

import os
import shutil
import sys
from pathlib import Path

import comm
import pytest
from ipywidgets import Widget

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `doubles`
sys.path.insert(0, str(Path(__file__).parent))  # for `stage` and `lab`


@pytest.fixture(scope="session")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        reason = "no Chromium on the path (Debian: apt-get install chromium)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from lab import CHROMIUM_FLAGS
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def put(browser, monkeypatch):
    """Puts a panel on a fresh page, which must end without an error of its own.

    A test asks for it before it makes a panel, so that the panel speaks to the page.
    """
    from doubles import RecordingComm
    from stage import Stage

    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    contexts, errors = [], []

    def put(panel, width=960, height=720, scheme="light", browser=browser, before=None):
        viewport = {"width": width + 40, "height": height}
        context = browser.new_context(color_scheme=scheme, viewport=viewport)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        if before is not None:
            before(page)
        return Stage(page, panel, width)

    yield put
    for context in contexts:
        context.close()
    Widget.close_all()
    assert errors == []


@pytest.fixture(scope="session")
def tiny_model():
    from tune_doubles import tiny_lm

    return tiny_lm("gpt2", 64)


@pytest.fixture
def kinds(put, tiny_model, monkeypatch, tmp_path):
    """Every kind of panel for `put`, as `all_panels` makes and starts it; loads, trainings and
    files are those of the test."""
    from doubles import FakeLM
    from panel_doubles import all_panels
    from preset_doubles import Hub
    from tune_doubles import FakeTrainingJob

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("workbench.models.CausalLM", Hub(FakeLM(stop_at=5)))
    monkeypatch.setattr("workbench.tuning.job.TrainingJob", FakeTrainingJob.set_up())
    return all_panels(tiny_model)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory):
    """Where pictures go: the folder WORKBENCH_SCREENSHOTS names, else a temporary one."""
    asked = os.environ.get("WORKBENCH_SCREENSHOTS")
    folder = Path(asked) if asked else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
