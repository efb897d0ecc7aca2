"""Chat mode on a page of its own: turns, keys, what is kept, hostile text, accessibility."""

import re
from threading import Event

import pytest
from doubles import FakeChatLM, FakeLM
from patience import HANG, until
from stage import check_looks, let_go
from workbench.widgets import GeneratePanel


class NeverLoads(GeneratePanel):
    """A panel whose preset is still on its way."""

    def _begin_load(self, claim):
        pass


@pytest.fixture
def stage(put):
    """Puts a panel on a fresh page."""

    def open_(lm=None, width=960, cls=GeneratePanel, said=(), **options):
        panel = cls(lm or FakeChatLM(stop_at=20), **{"chat": True, "seed": 7, **options})
        for text in said:
            panel.send(text)
            panel.wait(HANG)
        return put(panel, width, height=720)

    return open_


def box(on):
    return on.page.get_by_label("Message", exact=True)


def press(on, name):
    on.page.get_by_role("button", name=name, exact=True).click()


def say(on, text):
    box(on).fill(text)
    press(on, "Send")


def settle(on, status="done"):
    on.run(0.05)
    on.until(lambda: not on.panel.busy and on.panel.status == status)
    on.run(0.1)


def replies(on):
    return on.page.locator(".wb-reply .wb-completion").all_text_contents()


def told(on):
    """Everything that is said in the conversation, as the page has it."""
    return on.page.locator(".wb-said, .wb-reply .wb-completion").all_text_contents()


def kept(on):
    return [message["content"] for message in on.panel.messages]


def agrees(on):
    return [text.strip() for text in told(on)] == kept(on)


def stop(on):
    """Stop, by the button, while the model writes a token."""
    press(on, "Stop")
    on.until(lambda: on.panel.status in ("stopping", "stopped"))
    on.panel.lm.pace.allow()
    settle(on, "stopped")


def summary(on):
    return on.page.locator(".wb-tally").text_content()


# -- work -----------------------------------------------------------------------------------


def test_turns_stream_in_place(stage):
    on = stage(FakeChatLM(delay=0.005, stop_at=80, hold_at=40))
    say(on, "Hello")
    on.until(lambda: replies(on) and len(replies(on)[0]) > 40)
    assert on.panel.busy and box(on).input_value() == ""
    status = on.page.locator(".wb-status").text_content()
    assert re.fullmatch(r"streaming( \d+ tok/s)?", status)
    on.panel.lm.pace.allow()
    settle(on)
    say(on, "And then?")
    settle(on)
    assert agrees(on) and len(replies(on)) == 2
    names = on.page.locator(".wb-turn strong").all_text_contents()
    assert names == ["You", "Model", "You", "Model"]
    pattern = r"80 tokens · \d+ tok/s · 2 of \d+ prompt tokens from the cache · stop: end token"
    assert re.fullmatch(pattern, summary(on))
    assert on.page.locator(".wb-token[style]").count() == 160, "coloured by probability"


def test_keys(stage):
    on = stage(FakeChatLM(delay=0.01, hold_at=20))
    box(on).click()
    on.page.keyboard.type("A fox")
    on.page.keyboard.press("Enter")
    on.page.keyboard.type("ran")
    on.page.keyboard.press("Control+Enter")
    on.until(lambda: replies(on) and replies(on)[0])
    assert kept(on)[0] == "A fox\nran"
    on.page.keyboard.type("next")
    on.page.keyboard.press("Escape")
    on.until(lambda: on.panel.status in ("stopping", "stopped"))
    on.panel.lm.pace.allow()
    settle(on, "stopped")
    assert box(on).input_value() == "next", "what was typed meanwhile stays"
    assert agrees(on) and on.page.locator(".wb-turn .wb-note").last.text_content() == "stopped"
    assert on.page.evaluate("document.activeElement.tagName") == "TEXTAREA"


def test_an_empty_message_is_not_sent(stage):
    on = stage()
    say(on, "  \n ")
    on.run(0.1)
    assert on.heard == [] or all(data["method"] == "update" for data in on.heard)
    assert on.panel.messages == [] and on.panel.error is None


def test_only_the_last_reply_is_regenerated(stage):
    on = stage(said=("One", "Two"))
    before = kept(on)
    assert on.page.get_by_role("button", name="Regenerate").count() == 1
    press(on, "Regenerate")
    settle(on)
    assert kept(on)[:3] == before[:3] and kept(on)[3] != before[3] and agrees(on)
    assert on.page.get_by_label("Seed", exact=True).input_value() == "8"


def test_editing_says_what_it_drops(stage):
    on = stage(said=("One", "Two", "Three"))
    first = on.page.get_by_role("button", name="Edit").first
    first.click()
    editor = on.page.get_by_label("Edit message").first
    assert editor.input_value() == "One"
    assert on.page.get_by_text("Drops 4 later turns.").is_visible()
    on.page.keyboard.press("Escape")
    assert editor.is_hidden() and on.page.get_by_text("Drops 4").is_hidden()
    assert on.page.evaluate("document.activeElement.textContent") == "Edit"
    first.click()
    editor.fill("Uno")
    on.page.keyboard.press("Control+Enter")
    settle(on)
    assert kept(on)[0] == "Uno" and len(kept(on)) == 2 and agrees(on)
    label = on.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label == "Conversation", "the focus stays in the conversation"


def test_clear(stage):
    on = stage(said=("One",))
    on.page.get_by_role("button", name="Clear the conversation").click()
    on.run(0.1)
    assert told(on) == [] and on.panel.messages == [] and summary(on) == ""
    assert on.page.get_by_text("Write a message and press Send").is_visible()


def test_the_system_prompt_is_folded_and_sent(stage):
    on = stage()
    prompt = on.page.get_by_label("System prompt")
    assert prompt.is_hidden()
    on.page.get_by_text("System prompt").click()
    prompt.fill("Be brief.")
    box(on).fill("Hi")
    box(on).press("Control+Enter")
    settle(on)
    assert on.panel.system == "Be brief." and "Be brief." in on.panel.lm.calls[0]["prompt"]
    on.page.get_by_text("System prompt").click()
    assert on.page.locator(".wb-gist").text_content() == "Be brief."


def test_the_switch(stage):
    on = stage(FakeChatLM(stop_at=20), chat=False, prompt="Once")
    assert box(on).is_hidden()
    on.page.get_by_label("Chat", exact=True).check()
    on.run(0.1)
    assert on.panel.mode == "chat" and on.page.get_by_label("Prompt", exact=True).is_hidden()
    say(on, "Hi")
    settle(on)
    on.page.get_by_label("Complete", exact=True).check()
    on.run(0.1)
    press(on, "Generate")
    settle(on)
    text = on.page.locator(".wb-completion:visible").text_content()
    assert text == on.panel.history[0].text != ""
    on.page.get_by_label("Complete", exact=True).focus()
    on.page.keyboard.press("ArrowRight")
    on.run(0.1)
    assert on.panel.mode == "chat" and agrees(on)


def test_a_base_model_says_why_it_does_not_chat(stage):
    on = stage(FakeLM(), chat=False)
    assert on.page.get_by_label("Chat", exact=True).is_disabled()
    assert on.page.get_by_text("no chat template").is_visible()


def test_the_switch_waits_for_a_run(stage):
    on = stage(FakeChatLM(delay=0.01, hold_at=20))
    say(on, "Hi")
    on.until(lambda: replies(on) and replies(on)[0])
    assert on.page.get_by_label("Complete", exact=True).is_disabled()
    stop(on)
    assert on.page.get_by_label("Complete", exact=True).is_enabled()


def test_only_the_controls_of_the_sampler_are_shown(stage):
    on = stage()
    on.page.get_by_label("Sampler").select_option("greedy")
    rows = on.page.locator(".wb-rows .wb-row:visible label")
    assert rows.all_text_contents() == ["Max tokens"]
    say(on, "Hi")
    settle(on)
    assert repr(on.panel.lm.calls[0]["sampler"]) == "GreedySampler()"


def test_alternatives_of_an_earlier_reply(stage):
    on = stage(said=("One", "Two"))
    on.page.locator(".wb-reply").first.locator(".wb-token").nth(4).hover()
    on.until(lambda: on.page.locator(".wb-tip-row").count() == 5)
    on.page.locator(".wb-reply").last.focus()
    on.page.keyboard.press("End")
    assert on.page.locator(".wb-current").get_attribute("data-index") == "19"


def test_copy_as_code_has_the_whole_conversation(stage):
    on = stage(said=("One", "Two"))
    press(on, "Menu")
    on.page.get_by_role("menuitem", name="Copy as code").click()
    on.run(0.1)
    code = on.page.locator(".wb-code").text_content()
    assert code == on.panel.code and code.count("chat.send(") == 2


# -- trouble --------------------------------------------------------------------------------


def test_a_second_view_mid_reply_shows_the_conversation(stage):
    on = stage(FakeChatLM(stop_at=80), said=("One",))
    on.panel.lm.pace.delay = 0.01
    on.panel.lm.pace.allow(40)
    say(on, "Two")
    on.until(lambda: len(replies(on)) == 2 and len(replies(on)[1]) > 60)
    on.page.evaluate("window.unmount()")
    assert on.page.evaluate("window.listenerCount()") == 0
    on.run(0.1)
    on.mount()
    on.run(0.1)
    assert len(replies(on)[1]) > 60
    on.panel.lm.pace.allow()
    settle(on)
    assert agrees(on) and len(kept(on)) == 4


def test_lost_messages_are_made_good(stage):
    on = stage(FakeChatLM(delay=0.01, stop_at=120, hold_at=30))
    say(on, "Hi")
    on.until(lambda: replies(on) and len(replies(on)[0]) > 40)
    on.panel.lm.pace.allow(60)
    until(lambda: len(on.panel.tokens) == 60)
    on.panel.comm.drain()
    on.panel.lm.pace.allow()
    settle(on)
    assert agrees(on)


def test_a_failed_turn_is_told_and_the_message_comes_back(stage):
    on = stage(said=("One",))
    on.panel.lm.fail_at = 0
    say(on, "Two")
    settle(on, "failed")
    assert "the model broke" in on.page.get_by_role("alert").text_content()
    assert box(on).input_value() == "Two" and agrees(on) and len(kept(on)) == 2
    on.panel.lm.fail_at = None
    press(on, "Send")
    settle(on)
    assert agrees(on) and len(kept(on)) == 4 and box(on).input_value() == ""


MARKUP = [
    "<img src=x onerror=window.hacked=1>",
    "<script>window.hacked=1</script>",
    "</textarea><svg onload=window.hacked=1>",
    '<a href="javascript:hacked=1" data-commandlinker-command="docmanager:delete-file">x</a>',
    "<style>*{display:none}</style>",
    "<details open ontoggle=window.hacked=1>",
]


def test_hostile_text_stays_text(stage):
    evil = "".join(MARKUP)
    on = stage(FakeChatLM(words=MARKUP, stop_at=20, name=MARKUP[0]), system=evil, said=(evil,))
    say(on, evil)
    settle(on)
    assert agrees(on) and kept(on)[2] == evil
    on.page.get_by_role("button", name="Edit").first.click()
    on.page.locator(".wb-token").nth(3).hover()
    on.panel.lm.fail_at, on.panel.lm.error = 2, RuntimeError(evil)
    press(on, "Regenerate")
    settle(on, "failed")
    on.run(0.1)
    assert on.page.evaluate("window.hacked") is None
    foreign = "img, script, svg, iframe, a, style, [onerror], [data-commandlinker-command]"
    assert on.page.locator("#stage").locator(foreign).count() == 0
    assert on.page.locator("#stage details").count() == 2, "the error's and the system prompt's"


# -- states, looked at ----------------------------------------------------------------------

ASKED = ("What lives in the river?", "And who watches the boats?")


def stream(on):
    on.panel.lm.pace.allow(40)
    say(on, "Tell me more.")
    on.until(lambda: len(replies(on)) == 3 and len(replies(on)[2]) > 60)


def stopped(on):
    stream(on)
    stop(on)


def compile_(on):
    say(on, "Hi")
    on.until(lambda: on.panel.status == "compiling")
    on.run(0.1)


def edit(on):
    on.page.get_by_role("button", name="Edit").first.click()


def fail(on):
    on.panel.lm.fail_at = 4
    say(on, "Tell me more.")
    settle(on, "failed")


def hover(on):
    on.page.locator(".wb-reply").first.locator(".wb-token").nth(3).hover()
    on.until(lambda: on.page.locator(".wb-tip-row").count() == 5)


def unfold(on):
    on.page.get_by_text("System prompt").click()


def slow():
    return dict(lm=FakeChatLM(delay=0.02, stop_at=60), said=ASKED)


STATES = {
    "loading": (lambda: dict(lm="stories_tiny_en", cls=NeverLoads), lambda on: None),
    "empty": (dict, lambda on: None),
    "refused": (lambda: dict(lm=FakeLM(), chat=False), lambda on: None),
    "compiling": (lambda: dict(lm=FakeChatLM(compiled=Event())), compile_),
    "streaming": (slow, stream),
    "stopped": (slow, stopped),
    "failed": (lambda: dict(said=ASKED), fail),
    "editing": (lambda: dict(said=ASKED), edit),
    "alternatives": (lambda: dict(said=ASKED), hover),
    "system": (lambda: dict(said=ASKED, system="You are a patient guide."), unfold),
    "narrow": (lambda: dict(said=ASKED, width=480), lambda on: None),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_accessible_and_drawn(stage, state, screenshots):
    options, reach = STATES[state]
    on = stage(**options())
    reach(on)
    check_looks(on, screenshots, f"chat-{state}")
    let_go(on.panel)
