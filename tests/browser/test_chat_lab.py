"""A conversation in a real JupyterLab: sent, streamed, stopped, regenerated and edited by hand."""

import ast
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from lab import Lab, Notebook

TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.content }} {% endfor %}"
CELLS = [
    "import workbench as wb\n"
    'lm = wb.models.CausalLM.from_preset("stories_tiny_en")\n'
    f"lm.preprocessor.tokenizer.chat_template = {TEMPLATE!r}\n"
    "panel = wb.generate(lm, chat=True, seed=7, max_new_tokens=60)\n"
    "panel",
    "from doubles import slow_down\npace = slow_down(lm, 0.03)",
]
HELD = 20  # tokens of a reply that is held in its middle
STOPS = re.compile("stopping|stopped")  # at once where it was between two tokens


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("chat.ipynb", CELLS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        notebook = Notebook(page, lab, "chat.ipynb")
        notebook.open()
        notebook.run_all()
        page.locator(".wb-status", has_text="idle").wait_for()
        notebook.ready()
        yield notebook
        page.close()


def status_is(notebook, text):
    notebook.page.locator(".wb-status", has_text=text).wait_for()


def press(notebook, name):
    notebook.page.get_by_role("button", name=name, exact=True).click()


def messages(notebook):
    return ast.literal_eval(notebook.value("panel.messages"))


def hold(notebook):
    """The replies to come wait in their middle."""
    notebook.value(f"pace.allow({HELD})")


def finish(notebook):
    """A reply streams, and goes on to its end."""
    status_is(notebook, "tok/s")
    notebook.value("pace.allow()")
    status_is(notebook, "done")


def stop(notebook):
    """Stop a reply while the model writes a token."""
    press(notebook, "Stop")
    status_is(notebook, STOPS)
    notebook.value("pace.allow()")
    status_is(notebook, "stopped")


def agrees(notebook):
    """Until the page shows what the kernel has."""
    said = notebook.page.locator(".wb-said, .wb-reply .wb-completion")

    def same():
        shown = [text.strip() for text in said.all_text_contents()]
        return shown == [m["content"] for m in messages(notebook)]

    notebook.until(same)


def test_a_conversation_by_hand(notebook, screenshots):
    page = notebook.page
    box = page.get_by_label("Message", exact=True)
    box.fill("Pip the fox found a red kite.")
    hold(notebook)
    box.press("Control+Enter")
    finish(notebook)
    agrees(notebook)
    assert len(messages(notebook)) == 2 and box.input_value() == ""

    box.fill("Then the wind came.")
    hold(notebook)
    press(notebook, "Send")
    finish(notebook)
    agrees(notebook)
    assert len(messages(notebook)) == 4
    assert "prompt tokens from the cache" in page.locator(".wb-tally").text_content()
    assert int(notebook.value("panel.history == [] and panel._run.job.stats.reused_tokens")) > 60

    before = messages(notebook)
    hold(notebook)
    press(notebook, "Regenerate")
    finish(notebook)
    assert messages(notebook)[:3] == before[:3] and messages(notebook)[3] != before[3]
    agrees(notebook)

    page.get_by_role("button", name="Edit", exact=True).first.click()
    page.get_by_label("Edit message").first.fill("Mia the owl found a blue boat.")
    hold(notebook)
    press(notebook, "Send again")
    status_is(notebook, "tok/s")
    stop(notebook)
    agrees(notebook)
    mia, reply = messages(notebook)
    assert mia["content"] == "Mia the owl found a blue boat." and reply["end"] == "cancelled"

    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.screenshot(path=screenshots / f"lab-chat-{theme.lower()}.png")
        found = Axe().run(page, context=".wb-generate")
        assert found.violations_count == 0, found.generate_report()


def test_a_page_loaded_again_mid_reply_has_the_conversation(notebook):
    hold(notebook)
    notebook.value("(panel.clear(), panel.send('One day'))")
    notebook.page.locator(".wb-token").nth(3).wait_for()
    notebook.save()
    notebook.open()
    notebook.page.locator(".wb-token").nth(HELD - 1).wait_for()
    assert notebook.value("panel.busy") == "True"
    stop(notebook)
    agrees(notebook)
    assert len(messages(notebook)) == 2
