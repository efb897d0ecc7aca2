"""The listen panel in a real JupyterLab: the microphone, messages with sound, themes, a reload."""

import ast
import shutil

import pytest
import soundfile
from audio_doubles import RATE, bursts
from axe_playwright_python.sync_playwright import Axe
from lab import CHROMIUM_FLAGS, Lab, Notebook
from patience import SLOW

CELLS = [
    "import workbench as wb\n"
    "from audio_doubles import FakeHearingLM, bursts\n"
    "panel = wb.listen(FakeHearingLM(delay=0.01))\n"
    "panel"
]


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    heard = folder / "said.wav"
    soundfile.write(heard, bursts(6.0), RATE)
    flags = [
        *CHROMIUM_FLAGS,
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
    ]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    ears = browser.browser_type.launch(executable_path=chromium, args=flags)
    with Lab(folder / "server") as lab:
        lab.write("listen.ipynb", CELLS)
        notebook = Notebook(
            ears.new_page(viewport={"width": 1280, "height": 800}), lab, "listen.ipynb"
        )
        notebook.open()
        notebook.run_all()
        status_is(notebook, "idle")
        notebook.ready()
        yield notebook
    ears.close()


def status_is(notebook, text):
    found = notebook.page.locator(".wb-status", has_text=text)
    found.wait_for()


def press(notebook, name):
    notebook.page.get_by_role("button", name=name, exact=True).click()


def transcript(notebook):
    return "".join(notebook.page.locator(".wb-token").all_text_contents()).split()


def kernel_text(notebook):
    return ast.literal_eval(notebook.value("panel.text")).split()


def test_what_is_said_into_the_microphone_is_written_down_and_played(notebook, screenshots):
    page = notebook.page
    press(notebook, "Record")
    page.wait_for_function("document.querySelector('.wb-mic-time').textContent >= '0:03.0'")
    press(notebook, "Stop recording")
    page.get_by_role("slider").wait_for()
    assert 2.5 < float(notebook.value("len(panel.audio[0]) / panel.audio[1]")) < 8 * SLOW
    assert float(notebook.value("float(abs(panel.audio[0]).max())")) > 0.1
    press(notebook, "Transcribe")
    status_is(notebook, "done")
    assert transcript(notebook) == kernel_text(notebook) != []
    press(notebook, "Play")
    page.wait_for_function("!document.querySelector('.wb-clock').textContent.startsWith('0:00.0')")
    press(notebook, "Pause")
    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.screenshot(path=screenshots / f"listen-lab-{theme.lower()}.png")
        found = Axe().run(page, context=".wb-listen")
        assert found.violations_count == 0, found.generate_report()


def test_a_long_recording_comes_from_python_and_survives_a_reload(notebook):
    notebook.value("setattr(panel, 'audio', (bursts(60.0, 16_000), 16_000))")
    press(notebook, "Transcribe")
    status_is(notebook, "done")
    assert len(transcript(notebook)) == 120
    notebook.save()
    notebook.open()
    notebook.page.locator(".wb-token").nth(119).wait_for()
    assert transcript(notebook) == kernel_text(notebook)
    press(notebook, "Play")
    notebook.page.wait_for_function(
        "!document.querySelector('.wb-clock').textContent.startsWith('0:00.0')"
    )
    press(notebook, "Pause")
