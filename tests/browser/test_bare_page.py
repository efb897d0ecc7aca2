"""The generate panel on a page of its own: states, keys, colours, hostile text, accessibility."""

import itertools
import re
from threading import Event

import pytest
from doubles import FakeLM
from patience import SLOW, until
from stage import check_looks, let_go
from workbench.widgets import GeneratePanel

PROMPT = "Once upon a time"


class NeverLoads(GeneratePanel):
    """A panel whose preset is still on its way."""

    def _begin_load(self, claim):
        pass


@pytest.fixture
def stage(put):
    """Puts a panel on a fresh page."""

    def open_(lm=None, scheme="light", width=960, cls=GeneratePanel, **options):
        panel = cls(lm or FakeLM(stop_at=40), **{"prompt": PROMPT, "seed": 7, **options})
        return put(panel, width, height=560, scheme=scheme)

    return open_


def generate(stage):
    stage.page.get_by_role("button", name="Generate").click()


def finish(stage):
    generate(stage)
    stage.until(lambda: stage.panel.status == "done")
    stage.run(0.1)


def shown(stage):
    return stage.page.locator(".wb-completion").text_content()


def status(stage):
    return stage.page.locator(".wb-status").text_content()


def stop(on):
    """Stop by the button, while the model writes a token."""
    on.page.get_by_role("button", name="Stop", exact=True).click()
    on.until(lambda: on.panel.status in ("stopping", "stopped"))
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "stopped")


# -- work -----------------------------------------------------------------------------------


def test_text_streams_and_ends_as_the_kernel_has_it(stage):
    on = stage(FakeLM(delay=0.004, stop_at=150, hold_at=75), max_new_tokens=200)
    generate(on)
    on.until(lambda: len(shown(on)) > 40)
    on.until(lambda: re.fullmatch(r"streaming \d+ tok/s", status(on)))
    assert not on.panel.history[0].job.done
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "done")
    on.run(0.1)
    assert shown(on) == on.panel.text and status(on) == "done"
    assert on.page.locator(".wb-echo").text_content() == PROMPT
    summary = on.page.locator(".wb-summary").text_content()
    assert re.fullmatch(r"150 tokens · \d+\.\d s · stop: end token", summary)


def test_stop_is_quick_and_keeps_the_text(stage):
    on = stage(FakeLM(delay=0.01, hold_at=30))
    generate(on)
    on.until(lambda: len(shown(on)) > 40)
    on.until(lambda: on.panel.lm.pace.holds)
    stop(on)
    assert len(on.panel.tokens) == 31, "the token at work is the last"
    on.run(0.1)
    assert shown(on) == on.panel.text != "" and status(on) == "stopped"
    on.panel.lm.pace.delay = 0
    finish(on)
    assert shown(on) == "".join(
        event.text
        for event in list(FakeLM().stream(PROMPT, **on.panel.history[1].job._arguments))[2:-1]
    )


def test_keys(stage):
    on = stage(FakeLM(delay=0.01, hold_at=30), prompt="")
    prompt = on.page.get_by_label("Prompt", exact=True)
    prompt.click()
    on.page.keyboard.type("A fox")
    on.page.keyboard.press("Shift+Enter")
    on.page.keyboard.type("ran")
    on.page.keyboard.press("Control+Enter")
    on.until(lambda: shown(on))
    assert on.panel.lm.calls[0]["prompt"] == "A fox\nran" == on.panel.prompt
    on.page.keyboard.press("Escape")
    on.until(lambda: on.panel.status in ("stopping", "stopped"))
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "stopped")


def test_everything_is_reached_by_tab(stage):
    on = stage()
    finish(on)
    on.page.get_by_label("Prompt", exact=True).focus()
    reached = []
    for _ in range(14):
        on.page.keyboard.press("Tab")
        reached.append(
            on.page.evaluate(
                "document.activeElement.labels?.[0]?.textContent"
                " ?? document.activeElement.getAttribute('aria-label')"
                " ?? document.activeElement.textContent"
            )
        )
    expected = ["Generate", "Prompt and completion", "Run 1", "Sampler", "Temperature", "Top-p"]
    expected += ["Min-p", "Repetition", "Max tokens", "Seed", "new seed", "probability"]
    for name in expected:
        assert any((label or "").startswith(name) for label in reached), (name, reached)


def test_a_control_counts_from_the_next_run_and_interrupts_nothing(stage):
    on = stage(FakeLM(delay=0.005, stop_at=60, hold_at=30))
    generate(on)
    on.until(lambda: shown(on))
    slider = on.page.get_by_label("Temperature")
    slider.focus()
    for _ in range(10):
        on.page.keyboard.press("ArrowRight")
    on.until(lambda: on.panel.temperature == pytest.approx(0.9))
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "done")
    on.run(0.2)
    assert on.panel.temperature == pytest.approx(0.9)
    assert on.page.locator("output").first.text_content() == "0.90"
    assert len(on.panel.tokens) == 60 and on.panel.history[0].settings["temperature"] == 0.8


def test_only_the_controls_of_the_sampler_are_shown(stage):
    on = stage()
    rows = on.page.locator(".wb-rows .wb-row:visible label")
    expected = {
        "greedy": ["Max tokens"],
        "random": ["Temperature", "Min-p", "Repetition", "Max tokens", "Seed"],
        "top_k": ["Temperature", "Top-k", "Min-p", "Repetition", "Max tokens", "Seed"],
        "top_p": ["Temperature", "Top-p", "Min-p", "Repetition", "Max tokens", "Seed"],
    }
    for sampler, labels in expected.items():
        on.page.get_by_label("Sampler").select_option(sampler)
        assert rows.all_text_contents() == labels
        on.run(0.2)
        assert on.panel.sampler == sampler
    on.panel.sampler = "greedy"
    on.run()
    assert rows.all_text_contents() == ["Max tokens"]


def test_python_moves_the_controls_too(stage):
    on = stage()
    on.panel.settings = {"min_p": 0.25, "max_new_tokens": 900, "seed": 99}
    on.panel.prompt = "From Python"
    on.run()
    values = on.page.locator("output:visible").all_text_contents()
    assert values == ["0.80", "0.92", "0.25", "off", "900"]
    assert on.page.get_by_label("Seed", exact=True).input_value() == "99"
    assert on.page.get_by_label("Prompt", exact=True).input_value() == "From Python"
    on.page.get_by_role("button", name="new seed").click()
    on.run(0.2)
    assert on.panel.seed != 99


def test_runs_can_be_brought_back(stage):
    on = stage()
    for seed in (1, 2):
        on.panel.seed = seed
        on.run()
        finish(on)
    first = on.panel.history[0].text
    on.page.get_by_role("button", name=re.compile("^Run 1")).click()
    on.run(0.1)
    assert on.page.evaluate("document.activeElement.textContent") == "1", "the focus stays"
    assert shown(on) == first != on.panel.history[1].text and on.panel.seed == 1
    pressed = on.page.locator(".wb-run[aria-pressed=true]").all_text_contents()
    assert pressed == ["1"]


def test_the_menu_copies_resets_and_helps(stage):
    on = stage()
    on.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    finish(on)
    opener = on.page.get_by_role("button", name="Menu")
    opener.click()
    on.page.keyboard.press("ArrowDown")
    on.page.keyboard.press("ArrowDown")
    assert on.page.evaluate("document.activeElement.textContent") == "Help"
    on.page.keyboard.press("Enter")
    assert on.page.get_by_text("Ctrl+Enter generates").is_visible()
    opener.click()
    on.page.get_by_role("menuitem", name="Copy as code").click()
    on.run(0.1)
    assert on.page.locator(".wb-code").text_content() == on.panel.code
    opener.click()
    on.page.keyboard.press("Escape")
    assert on.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Menu"
    opener.click()
    on.page.get_by_role("menuitem", name="Reset").click()
    on.run(0.1)
    assert shown(on) == "" and on.panel.history == [] and status(on) == "idle"


# -- alternatives and colours ---------------------------------------------------------------


def test_alternatives_open_on_hover_and_on_focus(stage):
    on = stage(max_new_tokens=400)
    finish(on)
    tip = on.page.locator(".wb-tip")
    on.page.locator(".wb-token").nth(5).hover()
    assert tip.is_visible()
    token = on.panel.tokens[5]
    rows = on.page.locator(".wb-tip-row .wb-tip-text").all_text_contents()
    assert rows == [other.text.replace(" ", "␣") for other in token.alternatives]
    on.page.mouse.move(2, 2)
    assert tip.is_hidden()
    on.page.get_by_label("Prompt", exact=True).focus()
    for _ in range(2):
        on.page.keyboard.press("Tab")
    assert tip.is_visible(), "opened by the focus"
    on.page.keyboard.press("ArrowRight")
    assert on.page.locator(".wb-current").get_attribute("data-index") == "6", "from where it was"
    on.page.keyboard.press("Home")
    assert on.page.locator(".wb-current").get_attribute("data-index") == "0"
    on.page.keyboard.press("End")
    assert on.page.locator(".wb-current").get_attribute("data-index") == "39"
    assert "%" in on.page.locator(".wb-spoken").text_content()
    on.page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_alternatives_of_a_run_under_way_are_asked_for(stage):
    on = stage(FakeLM(delay=0.02, hold_at=30))
    generate(on)
    on.until(lambda: on.page.locator(".wb-token").count() > 3)
    on.page.locator(".wb-token").nth(2).hover()
    on.until(lambda: on.page.locator(".wb-tip-row").count() == 5)
    on.alive = False
    on.page.mouse.move(2, 2)
    on.page.locator(".wb-token").nth(1).hover()
    on.page.get_by_text("The kernel keeps the alternatives").wait_for()
    let_go(on.panel)


def luminance(rgb):
    def linear(c):
        c /= 255
        return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4

    r, g, b = map(linear, rgb)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


PAINT = """
(percents) => percents.map((percent) => {
  const ink = document.querySelector(".wb-ink");
  ink.parentElement.style.setProperty("--p", `${percent}%`);
  const canvas = document.createElement("canvas").getContext("2d", { colorSpace: "srgb" });
  const pixel = (color) => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const style = getComputedStyle(ink);
  return [pixel(style.backgroundColor), pixel(style.color)];
})
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colour_scale_is_even_and_readable(stage, scheme):
    on = stage(scheme=scheme)
    finish(on)
    pairs = on.page.evaluate(PAINT, list(range(0, 101, 10)))
    # OKLab lightness of greys grows as the cube root of luminance: near enough to see steps.
    light = [luminance(back) ** (1 / 3) for back, _ in pairs]
    steps = [b - a for a, b in itertools.pairwise(light)]
    assert all(s > 0 for s in steps) or all(s < 0 for s in steps), "lightness alone tells it"
    assert max(map(abs, steps)) < 1.5 * min(map(abs, steps)), "in even steps"
    for back, ink in pairs:
        high, low = sorted((luminance(back), luminance(ink)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_plain_shows_no_colours(stage):
    on = stage()
    finish(on)
    on.page.get_by_label("plain").check()
    on.run(0.1)
    ink = on.page.locator(".wb-ink").first
    assert ink.evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(0, 0, 0, 0)"
    assert on.page.locator(".wb-legend").is_hidden() and on.panel.show == "plain"


# -- trouble --------------------------------------------------------------------------------


def test_a_second_view_mid_run_shows_the_text(stage):
    on = stage(FakeLM(delay=0.01, stop_at=80, hold_at=40))
    generate(on)
    on.until(lambda: len(shown(on)) > 60)
    on.page.evaluate("window.unmount()")
    assert on.page.evaluate("window.listenerCount()") == 0
    on.mount()
    on.run(0.1)
    assert len(shown(on)) > 60
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "done")
    on.run(0.1)
    assert shown(on) == on.panel.text


def test_lost_messages_are_made_good(stage):
    on = stage(FakeLM(delay=0.005, stop_at=60, hold_at=20))
    generate(on)
    on.until(lambda: shown(on))
    on.panel.lm.pace.allow(40)
    until(lambda: len(on.panel.tokens) == 40)
    on.panel.comm.drain()
    on.panel.lm.pace.allow()
    on.until(lambda: on.panel.status == "done")
    on.run(0.1)
    assert shown(on) == on.panel.text


def test_a_kernel_that_is_gone_is_noticed(stage):
    on = stage(FakeLM(delay=0.05, hold_at=30))
    on.page.clock.install()
    on.page.evaluate("window.unmount()")
    on.mount()
    generate(on)
    on.until(lambda: shown(on))
    on.alive = False
    for _ in range(2):  # silence is noticed, then a question goes without an answer
        on.page.clock.fast_forward(4000)
    assert status(on) == "no answer"
    assert "run the cell again" in on.page.get_by_role("alert").text_content()
    on.alive = True
    on.panel.lm.pace.allow(60)
    on.until(lambda: status(on).startswith("streaming"))
    let_go(on.panel)


def test_a_long_text_does_not_slow_the_page(stage):
    on = stage(FakeLM(max_length=8_000), max_new_tokens=8_000)
    generate(on)
    on.until(lambda: on.panel.status == "done")
    on.until(lambda: on.page.locator(".wb-token").count() == 8_000)
    milliseconds = on.page.evaluate(
        """() => {
          const began = performance.now();
          window.fromKernel([{ method: "custom", content: { type: "tokens", run: 1, offset: 8000,
            pieces: [" more"], percents: [50], rate: 1 } }]);
          document.body.getBoundingClientRect();
          return performance.now() - began;
        }"""
    )
    assert milliseconds < 200 * SLOW


MARKUP = [
    "<img src=x onerror=window.hacked=1>",
    "<script>window.hacked=1</script>",
    "</textarea><svg onload=window.hacked=1>",
    '"><iframe srcdoc="<script>parent.hacked=1</script>">',
    "javascript:window.hacked=1",
    '<a href="javascript:hacked=1" data-commandlinker-command="docmanager:delete-file">x</a>',
    "<style>*{display:none}</style>",
    "{{constructor.constructor('window.hacked=1')()}}",
    "\u202e<b>\u2066",
    "<details open ontoggle=window.hacked=1>",
]


def test_hostile_text_stays_text(stage):
    evil = FakeLM(words=MARKUP, stop_at=40, name=MARKUP[0])
    on = stage(evil, prompt="".join(MARKUP))
    finish(on)
    assert shown(on) == on.panel.text
    on.page.locator(".wb-token").nth(3).hover()
    on.panel.lm.fail_at, on.panel.lm.error = 2, RuntimeError("".join(MARKUP))
    generate(on)
    on.until(lambda: on.panel.status == "failed")
    on.run(0.1)
    on.page.get_by_role("button", name="Menu").click()
    on.page.get_by_role("menuitem", name="Copy as code").click()
    on.run(0.2)
    assert on.page.evaluate("window.hacked") is None
    foreign = "img, script, svg, iframe, a, style, b, [onerror], [data-commandlinker-command]"
    assert on.page.locator("#stage").locator(foreign).count() == 0
    assert on.page.get_by_role("button", name="Generate").is_visible()


# -- states, looked at ----------------------------------------------------------------------


def press_stop(on):
    generate(on)
    on.until(lambda: len(shown(on)) > 60)
    stop(on)


def stream_a_while(on):
    generate(on)
    on.until(lambda: len(shown(on)) > 150)


def compile_(on):
    generate(on)
    on.until(lambda: on.panel.status == "compiling")


def queue(on):
    on.ahead = GeneratePanel(on.panel.lm, PROMPT)
    on.ahead.start()
    generate(on)
    on.until(lambda: on.panel.position == 1)


def fail(on):
    generate(on)
    on.until(lambda: on.panel.status == "failed")
    on.run(0.1)
    on.page.get_by_text("Details").click()


def hover(on):
    finish(on)
    on.page.locator(".wb-token").nth(12).hover()


def copy(on):
    finish(on)
    on.page.get_by_role("button", name="Menu").click()
    on.page.get_by_role("menuitem", name="Copy as code").click()
    on.page.get_by_role("button", name="Menu").click()


STATES = {
    "loading": (lambda: dict(lm="stories_tiny_en", cls=NeverLoads), lambda on: None),
    "empty": (lambda: dict(prompt=""), lambda on: None),
    "queued": (lambda: dict(lm=FakeLM(hold_at=0)), queue),
    "compiling": (lambda: dict(lm=FakeLM(compiled=Event())), compile_),
    "streaming": (
        lambda: dict(lm=FakeLM(delay=0.02, hold_at=60), max_new_tokens=400),
        stream_a_while,
    ),
    "stopped": (lambda: dict(lm=FakeLM(delay=0.02, hold_at=40)), press_stop),
    "failed": (lambda: dict(lm=FakeLM(fail_at=20)), fail),
    "alternatives": (dict, hover),
    "code": (dict, copy),
    "narrow": (lambda: dict(width=480), hover),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_accessible_and_drawn(stage, state, screenshots):
    options, reach = STATES[state]
    on = stage(**options())
    reach(on)
    check_looks(on, screenshots, f"generate-{state}")
    for panel in (on.panel, vars(on).get("ahead", on.panel)):
        let_go(panel)
