"""The inspect panel on a page of its own: the arithmetic of the cuts, places, branches, keys,
accessibility."""

import math

import make_cuts
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from inspect_doubles import FakeInspectLM
from patience import HANG, SLOW
from stage import AXE
from workbench.widgets.inspect import InspectPanel
from workbench.widgets.shared.pages import page

from workbench.inspection import Distribution

TEXT = "once upon a time there was\nsmall  fox"
BIN = 0.25  # of a logit
VECTORS = [case for case in make_cuts.read_cases() if "prompt" not in case]  # no penalties here
CUTS = """
([state, all]) => {
  const distribution = Object.fromEntries(
    Object.entries(state).map(([name, values]) => [
      name,
      name === "restCounts" ? Int32Array.from(values) : Float32Array.from(values),
    ]),
  );
  return all.map((settings) => {
    const cut = cutDistribution(distribution, settings);
    return { ...cut, shares: [...cut.shares] };
  });
}
"""


@pytest.fixture
def stage(put):
    """Puts a panel on a fresh page."""

    def open_(lm=None, text=TEXT, scheme="light", width=960, **settings):
        panel = InspectPanel(lm or FakeInspectLM(), text, **settings)
        assert panel.wait(HANG)
        on = put(panel, width, height=900, scheme=scheme)
        on.run(0.05)
        return on

    return open_


@pytest.fixture(scope="module")
def arithmetic(browser):
    """The page's own functions: (distribution, list of settings) to a list of what they keep."""
    tab = browser.new_page()
    tab.add_script_tag(content=page("inspect/cuts.js"))

    def cut(distribution, settings):
        state = {
            "logits": distribution.logits.tolist(),
            "restLogits": distribution.rest_logits.tolist(),
            "restCounts": distribution.rest_counts.tolist(),
        }
        return tab.evaluate(CUTS, [state, settings])

    yield cut
    tab.close()


def random_settings(noise, vocabulary):
    """Each cut on or off; the temperature anywhere a slider goes, 0 included."""

    def maybe(value):
        return value if noise.uniform() < 0.6 else None

    chosen = {
        "top_k": maybe(int(noise.integers(1, vocabulary + 10))),
        "top_p": maybe(float(np.float32(noise.uniform(1e-6, 1)))),
        "min_p": maybe(float(np.float32(noise.uniform(0, 0.6) ** 3))),
    }
    temperature = float(np.float32(noise.choice([0.0, 0.05, noise.uniform(0.1, 2), 10.0])))
    return {"temperature": temperature, **{k: v for k, v in chosen.items() if v is not None}}


def random_logits(noise, vocabulary, ties):
    logits = noise.gumbel(scale=noise.uniform(0.3, 4), size=vocabulary)
    return (np.round(logits * 4) / 4 if ties else logits).astype(np.float32)


# -- the arithmetic -------------------------------------------------------------------------


@pytest.mark.parametrize("vocabulary, ties", [(40, True), (400, False), (700, True), (5000, False)])
def test_the_page_keeps_what_the_sampler_keeps(arithmetic, vocabulary, ties):
    noise = np.random.default_rng(vocabulary)
    for _ in range(8):
        distribution = Distribution.of(random_logits(noise, vocabulary, ties))
        settings = [random_settings(noise, vocabulary) for _ in range(12)]
        for one, found in zip(settings, arithmetic(distribution, settings), strict=True):
            np.testing.assert_allclose(
                found["shares"], distribution.shares(**one), atol=1e-6, err_msg=str(one)
            )
            # Sums in another order may differ by the last bit, and with it by a token of the tail.
            assert abs(found["kept"] - distribution.kept(**one)) <= (found["kept"] > 512), one
        [plain] = arithmetic(distribution, [{"temperature": 1.0}])
        np.testing.assert_allclose(plain["shares"], distribution.shares(), atol=1e-9)


def test_the_edges_of_every_cut(arithmetic):
    logits = np.array([1, 3, 3, 2, 3, -np.inf, 0], np.float32)
    distribution = Distribution.of(logits)
    assert distribution.ids.tolist() == [1, 2, 4, 3, 0, 6, 5]
    settings = [
        {"temperature": 0.0, "top_k": 5},
        {"temperature": 1.0, "top_k": 2},  # of three equal ones the lowest ids
        {"temperature": 1.0, "top_k": 1},
        {"temperature": 1.0, "top_p": 1e-6},
        {"temperature": 1.0, "top_k": 2, "top_p": 0.5},  # exactly reached by the first
        {"temperature": 1.0, "min_p": 0.99},
        {"temperature": 1e-30, "top_p": 1.0},
        {"temperature": 1.0, "top_k": 100, "top_p": 1.0, "min_p": 0.0},
    ]
    found = arithmetic(distribution, settings)
    assert [one["kept"] for one in found] == [1, 2, 1, 1, 1, 3, 7, 7]
    assert [[end["cut"] for end in one["ends"]] for one in found] == [
        ["temperature"],
        ["top_k"],
        ["top_k"],
        ["top_p"],
        ["top_k", "top_p"],
        ["min_p"],
        [],
        [],
    ]
    assert found[-1]["mass"] == 1 and math.isclose(found[1]["shares"][0], 0.5)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["name"])
def test_the_vectors_of_the_cuts(arithmetic, case):
    distribution = Distribution.of(make_cuts.logits_of(case))
    [found] = arithmetic(distribution, [case["settings"]])
    kept = distribution.ids[: found["kept"]]
    possible = np.isfinite(distribution.logits[: found["kept"]])
    assert kept[possible].tolist() == case["kept"]
    shares = np.zeros(len(case["logits"]))
    shares[distribution.ids] = found["shares"]
    np.testing.assert_allclose(shares[case["kept"]], case["probabilities"], rtol=1e-5, atol=1e-12)
    assert shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("temperature", [0.25, 0.7, 1.0, 2.0])
def test_what_the_bins_of_the_tail_cost_is_bounded_as_the_comment_says(arithmetic, temperature):
    noise = np.random.default_rng(5)
    bound = math.exp((BIN / temperature) ** 2 / 8) - 1
    for scale in (0.2, 1.0, 3.0):
        logits = noise.normal(scale=scale, size=20_000).astype(np.float32)
        [found] = arithmetic(Distribution.of(logits), [{"temperature": temperature}])
        exact = np.sort(np.exp((logits - logits.max()).astype(np.float64) / temperature))[::-1]
        exact = (exact / exact.sum())[:512]
        over = np.array(found["shares"]) / exact - 1
        # The tail weighs no more than it should, so the listed tokens no less.
        assert over.min() > -1e-6 and over.max() < bound + 1e-6


# -- places and sliders ---------------------------------------------------------------------


def option(on, place):
    return on.page.get_by_role("listbox").get_by_role("option").nth(place)


def bars(on):
    return on.page.locator(".wb-inspect-bar")


def kept(on):
    return on.page.locator(".wb-inspect-kept").text_content()


def rows(on):
    """(piece, model, sampler) of every bar."""
    texts = bars(on).evaluate_all(
        "(all) => all.map((bar) => [...bar.children].map((c) => c.textContent))"
    )
    return [(piece, model, drawn) for piece, _, model, drawn in texts]


def slide(on, label, value):
    on.page.get_by_label(label, exact=True).fill(str(value))


def facts(on):
    names = on.page.locator(".wb-inspect-name").all_text_contents()
    values = on.page.locator(".wb-inspect-value").all_text_contents()
    return dict(zip(names, values, strict=True))


def choose(on, place):
    option(on, place).click()
    on.until(lambda: on.panel.place == place and on.panel.distribution.get("place") == place)
    on.run(0.05)


def test_a_text_is_shown_token_by_token_with_its_figures(stage):
    on = stage()
    pieces = on.panel.inspection.pieces
    shown = on.page.get_by_role("listbox").get_by_role("option")
    assert shown.count() == len(pieces) + 1 and shown.last.text_content() == "next token"
    assert [shown.nth(i).text_content() for i in range(len(pieces))] == list(pieces)
    assert option(on, len(pieces)).get_attribute("aria-selected") == "true"
    choose(on, 3)
    inspection = on.panel.inspection
    found = facts(on)
    assert found["Token"] == "␣time" and found["Id"] == str(inspection.ids[3])
    assert found["Log-prob."] == f"{inspection.logprobs[3]:.2f}".replace("-", "−")
    assert found["Rank"] == str(inspection.ranks[3])
    assert found["Entropy"] == f"{inspection.entropies[3] / math.log(2):.2f} bits"
    line_break = pieces.index("\n")
    sign = option(on, line_break).locator("[data-sign]")
    assert sign.get_attribute("data-sign") == "⏎"


def test_the_bars_show_model_and_sampler_and_mark_the_token_of_the_text(stage):
    on = stage(temperature=0.5, top_p=1.0, top_k=7)
    choose(on, 4)
    distribution = on.panel.inspection.distribution(4)
    shares = distribution.shares(temperature=0.5, top_k=7)
    piece, model, drawn = rows(on)[0]
    assert piece.strip("␣ ") == on.panel.inspection.piece(int(distribution.ids[0])).strip()
    assert (
        model == f"{100 * distribution.shares()[0]:.0f} %" and drawn == f"{100 * shares[0]:.0f} %"
    )
    assert [row[2] == "cut" for row in rows(on)[:20]] == [False] * 7 + [True] * 13
    assert kept(on).startswith("Kept 7 of 1,000 tokens") and "Cut by top-k 7" in kept(on)
    here = on.page.locator(".wb-inspect-here")
    assert here.locator(".wb-inspect-bar-piece").text_content() == "␣there"
    assert here.count() == 1 and bars(on).count() == 21  # it is far down, and shown all the same
    on.page.get_by_role("button", name="More").click()
    assert bars(on).count() == 41


def test_sliders_work_with_a_kernel_that_does_not_answer(stage):
    on = stage(temperature=1.0, top_p=1.0)
    choose(on, 2)
    on.alive = False
    distribution = on.panel.inspection.distribution(2)
    before = len(on.heard)
    for top_p in (0.3, 0.6, 0.9):
        slide(on, "Top-p", top_p)
        asked = distribution.kept(temperature=1.0, top_p=top_p)
        assert kept(on).startswith(f"Kept {asked} of 1,000 tokens")
        assert sum(row[2] != "cut" for row in rows(on)[:20]) == min(asked, 20)
    slide(on, "Temperature", 0)
    assert kept(on).startswith("Kept 1 of 1,000") and rows(on)[0][2] == "100 %"
    assert len(on.heard) == before or on.heard[-1]["method"] == "update"


def test_a_slider_answers_within_a_frame(stage):
    on = stage()
    choose(on, 2)
    for _ in range(25):
        on.page.get_by_role("button", name="More").click()
    assert bars(on).count() >= 512
    slowest = on.page.evaluate(
        """() => {
          const slider = document.querySelector("input[type=range]");
          const times = [];
          for (let i = 1; i < 20; i += 1) {
            slider.value = i / 10;
            const began = performance.now();
            slider.dispatchEvent(new Event("input"));
            times.push(performance.now() - began);
          }
          return times.sort((a, b) => a - b)[10];
        }"""
    )
    assert slowest < 50 * SLOW  # milliseconds


def test_the_arrow_keys_walk_and_only_the_last_place_is_asked_for(stage):
    lm = FakeInspectLM()
    on = stage(lm)
    last = len(on.panel.inspection.ids)
    on.page.get_by_role("listbox").focus()
    on.page.keyboard.press("Home")
    assert option(on, 0).get_attribute("aria-selected") == "true"
    assert "given" in on.page.locator(".wb-inspect-note").text_content()
    on.run(0.1)
    asked = len(on.heard)
    for _ in range(5):
        on.page.keyboard.press("ArrowRight")
    assert facts(on)["Token"] == "␣was"
    assert len(on.heard) == asked + 1  # until the kernel answers
    on.until(lambda: on.panel.distribution.get("place") == 5)
    on.run(0.1)
    assert len(on.heard) == asked + 2 and on.panel.place == 5
    on.page.keyboard.press("ArrowDown")
    assert option(on, 5).get_attribute("aria-selected") == "false"
    on.page.keyboard.press("End")
    on.until(lambda: on.panel.distribution.get("place") == last)
    assert facts(on)["Token"] == "to come"


def test_the_colour_may_mean_three_things(stage):
    on = stage()
    seen = set()
    for kind in ("probability", "entropy", "rank"):
        on.page.get_by_label(kind, exact=True).check()
        on.until(lambda kind=kind: on.panel.colour == kind)
        ends = on.page.locator(".wb-inspect-legend span").all_text_contents()
        seen.add((*ends, option(on, 2).evaluate("(node) => node.style.getPropertyValue('--p')")))
    assert len(seen) == 3
    assert option(on, 0).evaluate("(node) => node.style.length") == 0  # nothing is known of it
    rank = on.panel.inspection.ranks[2]
    share = float(option(on, 2).evaluate("(n) => parseFloat(n.style.getPropertyValue('--p'))"))
    assert share == pytest.approx(100 * (1 - min(1, math.log(rank) / math.log(1000))), abs=0.06)


# -- branches -------------------------------------------------------------------------------


def branch_names(on):
    return [text.split("1")[0] for text in on.page.get_by_role("treeitem").all_text_contents()]


def settle(on):
    on.until(lambda: on.panel.status in ("done", "stopped", "failed"))
    on.run(0.1)


def test_branch_go_back_and_branch_again(stage):
    on = stage(max_new_tokens=6)
    choose(on, 3)
    bars(on).nth(1).click()
    on.until(lambda: len(on.panel.branches) == 2)
    settle(on)
    first = on.panel.shown
    assert first.place == 3 and first.length == 7
    assert (
        option(on, 3).text_content() == first.word
        and option(on, 3).get_attribute("aria-selected") == "true"
    )
    assert on.page.locator(".wb-inspect-own").count() == 7
    tree = on.page.get_by_role("treeitem")
    assert tree.count() == 2 and tree.nth(1).get_attribute("aria-selected") == "true"
    tree.nth(0).click()
    on.until(lambda: on.panel.shown is on.panel.branches[0])
    on.run(0.05)
    assert option(on, 3).text_content() == " time" and on.panel.place == 3
    bars(on).nth(2).click()
    on.until(lambda: len(on.panel.branches) == 3)
    settle(on)
    second = on.panel.shown
    assert second.parent is first.parent and second.word != first.word
    on.page.get_by_role("button", name="Delete branch").click()
    on.until(lambda: len(on.panel.branches) == 2)
    on.run(0.05)
    assert on.panel.shown is on.panel.branches[0]
    assert on.page.get_by_role("button", name="Delete branch").is_disabled()


def test_a_branch_streams_in_and_can_be_stopped(stage):
    lm = FakeInspectLM(delay=0.02, hold_at=30)
    on = stage(lm, max_new_tokens=120)
    choose(on, 3)
    bars(on).nth(0).click()
    shown = on.page.get_by_role("listbox").get_by_role("option")
    on.until(lambda: shown.count() > 12)
    assert on.panel.status == "streaming" and on.panel.inspection is None
    assert bars(on).first.get_attribute("aria-disabled") == "true"
    on.page.get_by_role("button", name="Stop", exact=True).click()
    on.until(lambda: on.panel.status in ("stopping", "stopped"))
    lm.pace.allow()
    on.until(lambda: on.panel.status == "stopped")
    on.run(0.1)
    branch = on.panel.shown
    assert 8 < branch.length < 120 and branch.inspection is not None
    assert shown.count() == len(branch.ids) + 1
    assert [shown.nth(i).text_content() for i in range(len(branch.ids))] == branch.pieces


def test_the_tree_is_walked_with_the_keys(stage):
    on = stage(max_new_tokens=3)
    for parent, place in ((0, 2), (1, 4), (0, 5)):
        on.panel.go_to(on.panel.branches[parent])
        on.panel.branch(place, 40 + place)
        assert on.panel.wait(HANG)
    on.run(0.1)
    tree = on.page.get_by_role("treeitem")
    assert [tree.nth(i).get_attribute("aria-level") for i in range(4)] == ["1", "2", "3", "2"]
    tree.nth(3).focus()
    for key, index in (("ArrowUp", 2), ("ArrowLeft", 1), ("ArrowLeft", 0), ("ArrowRight", 1)):
        on.page.keyboard.press(key)
        assert tree.nth(index).evaluate("(node) => node === document.activeElement"), key
    on.page.keyboard.press("Enter")
    on.until(lambda: on.panel.shown is on.panel.branches[1])
    on.page.keyboard.press("Delete")
    on.until(lambda: len(on.panel.branches) == 2)
    assert on.panel.shown is on.panel.branches[0]


def test_too_many_branches_are_refused_in_a_sentence(stage, monkeypatch):
    from workbench.widgets.inspect import branches

    monkeypatch.setattr(branches, "MAX_BRANCHES", 1)
    on = stage()
    choose(on, 2)
    bars(on).nth(1).click()
    on.until(lambda: on.panel.error is not None)
    on.run(0.05)
    assert "which is the most" in on.page.get_by_role("alert").text_content()


# -- reading --------------------------------------------------------------------------------


def test_a_text_is_written_and_read_with_the_keys(stage):
    on = stage(text="")
    assert "press Read" in on.page.locator(".wb-empty").text_content()
    on.page.get_by_label("Text", exact=True).click()
    on.page.keyboard.type("a <b>boat</b>")
    on.page.keyboard.press("Control+Enter")
    on.until(lambda: on.panel.inspection is not None)
    settle(on)
    assert on.panel.text == "a <b>boat</b>"
    assert option(on, 1).text_content() == " <b>boat</b>"
    assert (
        on.page.locator(".wb-actions .wb-note").text_content().startswith("2 tokens · perplexity")
    )


def test_what_fails_is_said(stage):
    on = stage(text="")
    on.panel.lm.read_error = RuntimeError("the weights are gone")
    on.page.get_by_label("Text", exact=True).fill("a boat")
    on.page.get_by_role("button", name="Read").click()
    on.until(lambda: on.panel.status == "failed")
    on.run(0.1)
    assert "RuntimeError: the weights are gone" in on.page.get_by_role("alert").text_content()


def test_a_page_that_opens_later_shows_everything(stage):
    on = stage(max_new_tokens=3)
    choose(on, 3)
    bars(on).nth(1).click()
    on.until(lambda: len(on.panel.branches) == 2)
    settle(on)
    pieces, found = on.panel.shown.pieces, rows(on)
    on.page.evaluate("window.unmount()")
    assert on.page.evaluate("window.listenerCount()") == 0
    on.alive = False  # what is saved with a notebook is enough
    on.mount()
    shown = on.page.get_by_role("listbox").get_by_role("option")
    assert [shown.nth(i).text_content() for i in range(len(pieces))] == pieces
    assert rows(on) == found and on.page.get_by_role("treeitem").count() == 2
    slide(on, "Top-p", 0.5)
    assert kept(on).startswith("Kept")


def test_messages_are_small(stage):
    words = " ".join(["boat"] * 400)
    on = stage(text=words)
    on.panel.comm.drain()
    on.panel.place = 300
    assert on.panel.wait(HANG)
    sent = [data for _, _, data in on.panel.comm.drain()]
    assert sum(len(repr(data)) for data in sent) < 120_000
    assert max(len(str(data.get("state", {}))) for data in sent) < 60_000


# -- views, look, accessibility -------------------------------------------------------------


def test_a_token_chosen_in_a_view_is_chosen_everywhere(stage):
    on = stage()
    on.page.get_by_role("tab", name="Layers").click()
    on.until(lambda: on.page.locator(".wb-lens-grid").count())
    on.run(0.2)
    on.page.get_by_role("tab", name="Attention").click()
    on.until(lambda: on.page.locator(".wb-attention-thumb").count())
    on.page.get_by_role("tab", name="Attention").focus()
    on.page.keyboard.press("ArrowRight")
    on.until(lambda: on.panel.tab == "distribution")
    choose(on, 2)
    assert facts(on)["Token"] == "␣a"


@pytest.mark.parametrize(
    "scheme, width, tab",
    [("light", 960, "distribution"), ("dark", 960, "distribution"), ("light", 480, "layers")],
)
def test_nothing_is_wrong_for_those_who_cannot_see_it(stage, scheme, width, tab, screenshots):
    on = stage(scheme=scheme, width=width, max_new_tokens=4)
    choose(on, 3)
    bars(on).nth(1).click()
    on.until(lambda: len(on.panel.branches) == 2)
    settle(on)
    on.panel.tab = tab
    on.run(0.5)
    on.page.screenshot(path=screenshots / f"inspect-{scheme}-{width}.png", full_page=True)
    found = Axe().run(on.page, context=".wb-inspect", options=AXE)
    assert found.violations_count == 0, found.generate_report()
    panel = on.page.locator(".wb-inspect")
    assert panel.evaluate("(node) => node.scrollWidth <= node.clientWidth")
