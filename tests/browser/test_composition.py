"""A word that an input method composes is its own: keys, kernel and notebook leave it alone."""

import re
from functools import partial
from pathlib import Path

import pytest
from doubles import FakeLM
from patience import HANG
from stage import let_go
from workbench.widgets import GeneratePanel

PAGES = Path(__file__).parents[2] / "widgets"
HALF, TYPED = "か", 0.3  # half a word; seconds after which the kernel hears of what was typed
CTRL = 2  # as Chromium's protocol counts modifiers
OUTSIDE = """
() => {
  window.outside = [];
  const note = (event) => window.outside.push(`${event.type} ${event.key ?? ""}`);
  for (const name of ["keydown", "compositionend"]) document.addEventListener(name, note);
  document.querySelectorAll("details").forEach((fold) => (fold.open = true));
}
"""


@pytest.fixture
def stage(put):
    """Puts a panel on a page that notes which keys leave it, all its settings in sight."""

    def open_(panel):
        on = put(panel, height=860)
        on.input_method = on.page.context.new_cdp_session(on.page)
        on.page.evaluate(OUTSIDE)
        on.run(0.1)
        return on

    return open_


def press_keys(on):
    """The keys that a panel or a notebook has a meaning for, pressed within a word."""
    keys = [("Enter", 0), ("Enter", CTRL), ("Escape", 0), ("Tab", 0)]
    if on.page.evaluate("document.activeElement.type !== 'number'"):  # Chromium itself would count
        keys.append(("ArrowDown", 0))
    for key, modifiers in keys:
        event = {"key": key, "code": key, "modifiers": modifiers, "windowsVirtualKeyCode": 229}
        on.input_method.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **event})


def begin_word(on, field):
    field.select_text()
    half = {"text": HALF, "selectionStart": 1, "selectionEnd": 1}
    on.input_method.send("Input.imeSetComposition", half)


def end_word(on, word):
    on.input_method.send("Input.insertText", {"text": word})


def check_word(on, field, word, held, write=None):
    """Composes `word` in the field while `write()` sets its value in the kernel, which in the end
    has `word` as what `held()` returns."""
    heard = len(on.heard)
    begin_word(on, field)
    half = field.input_value()
    press_keys(on)
    on.run(TYPED)
    assert on.heard[heard:] == [], "half a word is nothing for the kernel"
    if write is not None:
        write()
        on.run(0.05)
    assert field.is_visible() and field.input_value() == half
    assert on.page.evaluate("outside") == [], "no key left the panel, and the word is still open"
    end_word(on, word)
    on.until(lambda: held() == (word if isinstance(held(), str) else float(word)))
    on.run(TYPED)
    assert field.input_value() == word
    on.page.evaluate("() => { outside.length = 0; }")


def labelled(on, name):
    return on.page.get_by_label(name, exact=True)


def check_trait(on, label, trait, word, other):
    held, write = partial(getattr, on.panel, trait), partial(setattr, on.panel, trait, other)
    check_word(on, labelled(on, label), word, held, write)


@pytest.mark.parametrize("name", ("generate", "look", "inspect"))
def test_a_word_in_a_prompt_or_a_number(stage, kinds, name):
    on = stage(kinds[name][0]())
    text = {"inspect": ("Text", "text")}.get(name, ("Prompt", "prompt"))
    check_trait(on, *text, "書く", "from a cell")
    if labelled(on, "Seed").is_visible():  # not with a greedy sampler
        check_trait(on, "Seed", "seed", "75", 3)


def test_a_word_in_a_conversation(stage, kinds):
    make, begin = kinds["chat"]
    on = stage(make())
    begin(on.panel)
    on.panel.wait(HANG)
    on.run(0.1)
    check_trait(on, "Message", "message", "書く", "from a cell")
    check_trait(on, "System prompt", "system", "短く", "from a cell")
    on.page.get_by_role("button", name="Edit").click()
    edited = labelled(on, "Edit message")
    check_word(on, edited, "直す", edited.input_value)


def test_a_word_in_the_settings_of_a_training(stage, kinds):
    make, begin = kinds["tune"]
    on = stage(make())
    on.until(lambda: on.page.locator(".wb-status").text_content() == "idle")
    panel = on.panel

    def check_setting(label, name, word, other, held):
        write = partial(setattr, panel, "settings", {name: other})
        check_word(on, labelled(on, label), word, held, write)

    check_setting("Rank", "rank", "16", 4, lambda: panel.settings["rank"])
    check_setting("Train for", "steps", "20", 4, lambda: panel.settings["steps"])
    loaded = [{**spec, "hint": spec["hint"] + "."} for spec in panel.form if spec["name"] != "rank"]
    rank = next(spec for spec in panel.form if spec["name"] == "rank")
    write = partial(setattr, panel, "form", [rank, *loaded])
    check_word(on, labelled(on, "Rank"), "2", lambda: panel.settings["rank"], write)
    prompts = ("Sample prompts, one a line", "sample_prompts")
    check_setting(*prompts, "船長", ["A cook"], lambda: panel.settings["sample_prompts"][0])
    begin(panel)
    assert panel.wait(HANG)
    on.run(0.2)
    on.page.get_by_role("button", name="Export").click()
    path = labelled(on, "to")
    check_word(on, path, "船長", path.input_value)
    assert not list(Path().iterdir()), "nothing was written in the middle of a name"


def test_a_word_in_a_comparison(stage, kinds):
    make, begin = kinds["compare"]
    on = stage(make())
    panel = on.panel
    write = partial(setattr, panel, "prompts", ["from a cell"])
    check_word(on, labelled(on, "Prompt"), "書く", lambda: panel.prompts[0], write)
    check_trait(on, "Seed", "seed", "75", 3)
    begin(panel)
    panel.wait(HANG)
    on.run(0.1)
    on.page.get_by_role("button", name="Export table").click()
    path = labelled(on, "or into the file")
    on.until(lambda: path.input_value() == "comparison.csv")
    check_word(on, path, "比較", path.input_value)


def test_a_word_in_the_search(stage, kinds):
    on = stage(kinds["browse"][0]())
    search, rows = on.page.get_by_label("Search"), on.page.locator(".wb-preset-row")
    begin_word(on, search)
    press_keys(on)
    assert rows.count() == 1 and search.input_value() == HALF and on.page.evaluate("outside") == []
    end_word(on, "鯨")
    assert rows.count() == 0


def test_a_word_does_not_stop_a_run_and_its_last_key_is_its_own(stage):
    on = stage(GeneratePanel(FakeLM(delay=0.01, hold_at=40), max_new_tokens=400))
    prompt = labelled(on, "Prompt")
    last = {"key": "Enter", "code": "Enter", "modifiers": CTRL, "windowsVirtualKeyCode": 229}
    prompt.focus()
    on.input_method.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **last})
    on.run(TYPED)
    assert on.panel.status == "idle", "as Safari ends a word: after it, but with the key's code"
    on.panel.start()
    on.until(lambda: on.panel.status == "streaming")
    check_trait(on, "Prompt", "prompt", "書く", "from a cell")
    assert on.panel.status == "streaming"
    let_go(on.panel)
    on.panel.wait(HANG)


def test_no_page_listens_past_the_guard():
    """It stands at the root of a panel: what listens within is guarded, and nothing else may."""
    past = re.compile(r"(?:document|window|globalThis|\bel)\.(?:addEventListener|on)|capture: true")
    pages = {page.relative_to(PAGES).as_posix(): page for page in PAGES.glob("*/*.js")}
    sources = {name: page.read_text(encoding="utf-8") for name, page in pages.items()}
    assert [name for name, source in sources.items() if past.search(source)] == ["shared/dom.js"]
    rooted = {name for name, source in sources.items() if "makeRoot(" in source}
    assert rooted == {"shared/dom.js", "shared/frame.js"}
