"""A conversation in a real JupyterLab: sent, streamed, stopped, regenerated and edited by hand."""

import ast

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


@pytest.fixture(scope="module")
def notebook(browser, tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.write("chat.ipynb", CELLS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        notebook = Notebook(page, lab, "chat.ipynb")
        notebook.open()
        notebook.run_all()
        page.locator(".wb-status", has_text="idle").wait_for(timeout=60_000)
        notebook.ready()
        yield notebook
        page.close()


def status_is(notebook, text, seconds=60):
    notebook.page.locator(".wb-status", has_text=text).wait_for(timeout=seconds * 1000)


def press(notebook, name):
    notebook.page.get_by_role("button", name=name, exact=True).click()


def messages(notebook):
    return ast.literal_eval(notebook.value("panel.messages"))


def agrees(notebook):
    """Whether the page shows what the kernel has."""
    notebook.page.wait_for_timeout(200)
    shown = notebook.page.locator(".wb-said, .wb-reply .wb-completion").all_text_contents()
    return [text.strip() for text in shown] == [m["content"] for m in messages(notebook)]


def test_a_conversation_by_hand(notebook, screenshots):
    page = notebook.page
    box = page.get_by_label("Message", exact=True)
    box.fill("Pip the fox found a red kite.")
    box.press("Control+Enter")
    status_is(notebook, "tok/s")  # it streams
    status_is(notebook, "done")
    assert agrees(notebook) and len(messages(notebook)) == 2 and box.input_value() == ""

    box.fill("Then the wind came.")
    press(notebook, "Send")
    status_is(notebook, "tok/s")
    status_is(notebook, "done")
    assert agrees(notebook) and len(messages(notebook)) == 4
    assert "prompt tokens from the cache" in page.locator(".wb-tally").text_content()
    assert int(notebook.value("panel.history == [] and panel._run.job.stats.reused_tokens")) > 60

    before = messages(notebook)
    press(notebook, "Regenerate")
    status_is(notebook, "tok/s")
    status_is(notebook, "done")
    assert messages(notebook)[:3] == before[:3] and messages(notebook)[3] != before[3]
    assert agrees(notebook)

    page.get_by_role("button", name="Edit", exact=True).first.click()
    page.get_by_label("Edit message").first.fill("Mia the owl found a blue boat.")
    press(notebook, "Send again")
    status_is(notebook, "tok/s")
    press(notebook, "Stop")
    status_is(notebook, "stopped")
    assert agrees(notebook)
    mia, reply = messages(notebook)
    assert mia["content"] == "Mia the owl found a blue boat." and reply["end"] == "cancelled"

    for theme in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {theme}")
        page.screenshot(path=screenshots / f"lab-chat-{theme.lower()}.png")
        found = Axe().run(page, context=".wb-generate")
        assert found.violations_count == 0, found.generate_report()


def test_a_page_loaded_again_mid_reply_has_the_conversation(notebook):
    notebook.value("(panel.clear(), setattr(pace, 'delay', 0.1), panel.send('One day'))")
    notebook.page.locator(".wb-token").nth(3).wait_for(timeout=20_000)
    notebook.save()
    notebook.page.wait_for_timeout(300)
    notebook.open()
    notebook.page.locator(".wb-token").nth(8).wait_for(timeout=20_000)
    assert notebook.value("panel.busy") == "True"
    press(notebook, "Stop")
    status_is(notebook, "stopped")
    assert agrees(notebook) and len(messages(notebook)) == 2
