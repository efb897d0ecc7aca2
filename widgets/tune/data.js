// The data as the model will see it: counts, how long the examples are, and each one's tokens with
// those marked that it learns to predict.

import { button, make, makeSvg, setText, uniqueId } from "../shared/dom.js";
import { wholeText } from "../shared/units.js";
import { createScale, linearTicks, tickText } from "./scale.js";

const HISTOGRAM = { width: 300, height: 88, top: 6, bottom: 18, left: 8, right: 8 };

function shortCountText(count) {
  if (count >= 999_500) return `${(count / 1e6).toPrecision(3)} M`;
  return count >= 10_000 ? `${Math.round(count / 1e3)} k` : wholeText(count);
}

export function plural(count, word) {
  return `${wholeText(count)} ${word}${count === 1 ? "" : "s"}`;
}

/** "512 examples · 41 k tokens · longest 118 · 2 cut", as far as it is known. */
function dataText({ examples, tokens, longest, cut, dropped, share, validation }) {
  const parts = [
    plural(examples, "example"),
    `${shortCountText(tokens)} tokens`,
    `longest ${wholeText(longest)}`,
    `${Math.round(100 * share)} % in the loss`,
  ];
  if (cut) parts.splice(3, 0, `${wholeText(cut)} cut`);
  if (dropped) parts.push(`${wholeText(dropped)} dropped`);
  if (validation) parts.push(`${wholeText(validation)} for validation`);
  return parts.join(" · ");
}

/** How many examples have how many tokens. `edges` are one more than `counts`. */
function createHistogram() {
  const svg = makeSvg("svg", { class: "wb-tune-histogram", viewBox: `0 0 ${HISTOGRAM.width} ${HISTOGRAM.height}`, role: "img" });
  return {
    node: svg,
    show({ edges, counts }) {
      if (!counts?.length) return svg.replaceChildren();
      const base = HISTOGRAM.height - HISTOGRAM.bottom;
      const x = createScale(edges[0], edges.at(-1), HISTOGRAM.left, HISTOGRAM.width - HISTOGRAM.right);
      const most = Math.max(...counts);
      const bars = counts.map((count, i) => {
        if (!count) return "";
        const [from, to] = [x.pixel(edges[i]) + 0.5, x.pixel(edges[i + 1]) - 0.5];
        const top = base - Math.max(1.5, ((base - HISTOGRAM.top) * count) / most);
        return `M${from.toFixed(1)} ${base}V${top.toFixed(1)}H${to.toFixed(1)}V${base}Z`;
      });
      const ticks = linearTicks(edges[0], edges.at(-1), 5, 1);
      svg.replaceChildren(
        makeSvg("path", { class: "wb-tune-bars", d: bars.join("") }),
        makeSvg("path", { class: "wb-chart-base", d: `M${HISTOGRAM.left} ${base + 0.5}H${HISTOGRAM.width - HISTOGRAM.right}` }),
        ...ticks.map((tick) => {
          const text = makeSvg("text", { x: x.pixel(tick), y: HISTOGRAM.height - 4, "text-anchor": "middle" });
          text.textContent = tickText(tick, ticks);
          return text;
        }),
      );
      const tallest = counts.indexOf(most);
      svg.setAttribute(
        "aria-label",
        `Lengths from ${edges[0]} to ${edges.at(-1)} tokens; most examples have ${Math.round(edges[tallest])} to ${Math.round(edges[tallest + 1])}`,
      );
    },
  };
}

/** White space that a token holds is made visible. */
function chipText(piece) {
  return piece.replaceAll("\n", "↵\n").replaceAll("\t", "⇥");
}

/** One example: a chip for each token; runs of the same kind are named for who hears the page. */
function createExample() {
  const facts = make("span", { class: "wb-note" });
  const tokens = make("div", { class: "wb-tune-tokens", tabindex: "0", role: "group" });
  return {
    facts,
    node: tokens,
    show({ number, pieces, mask, learned, length }) {
      setText(facts, `${plural(length, "token")} · ${wholeText(learned)} in the loss`);
      tokens.setAttribute("aria-label", `Tokens of example ${number + 1}, those in the loss marked`);
      tokens.replaceChildren(
        ...pieces.map((piece, i) =>
          make("span", { class: mask[i] ? "wb-chip wb-learned" : "wb-chip" }, chipText(piece)),
        ),
        ...(pieces.length < length ? [make("span", { class: "wb-note" }, ` … ${wholeText(length - pieces.length)} more`)] : []),
      );
      tokens.scrollTop = 0;
    },
  };
}

/** The examples one by one; `ask(number)` requests one, `count()` is how many there are. */
function createExamples(ask, count) {
  const example = createExample();
  const place = make("span", { class: "wb-tune-place" });
  const step = (label, by, name) =>
    button(label, () => go(at + by), { class: "wb-button wb-quiet", "aria-label": name });
  const [back, on] = [step("‹", -1, "Previous example"), step("›", 1, "Next example")];
  let at = 0;
  const go = (number) => {
    at = Math.max(0, Math.min(count() - 1, number));
    back.disabled = at === 0;
    on.disabled = at >= count() - 1;
    setText(place, `Example ${wholeText(at + 1)} of ${wholeText(count())}`);
    if (count()) ask(at);
  };
  const key = make(
    "div",
    { class: "wb-note wb-tune-key" },
    make("span", { class: "wb-chip wb-learned" }, "in the loss"),
    make("span", { class: "wb-chip" }, "read only"),
  );
  const head = make("div", { class: "wb-tune-example-head" }, back, place, on, example.facts);
  return {
    node: make("div", { class: "wb-tune-example" }, head, example.node, key),
    again: () => go(at),
    answer(message) {
      if (message.number === at) example.show(message);
    },
  };
}

export function createData(model, { ask }) {
  const count = () => model.get("data").examples ?? 0;
  const summary = make("span", { class: "wb-tune-facts" });
  const opener = button("Preview", () => toggle(panel.hidden), { "aria-expanded": "false" });
  const histogram = createHistogram();
  const examples = createExamples(ask, count);
  const title = make("div", { class: "wb-label" }, "Tokens of an example");
  const lengths = make("div", { class: "wb-tune-lengths" }, title, histogram.node);
  const panel = make("div", { class: "wb-tune-preview", id: uniqueId("preview") }, lengths, examples.node);
  opener.setAttribute("aria-controls", panel.id);
  panel.hidden = true;
  const toggle = (open) => {
    panel.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    setText(opener, open ? "Close preview" : "Preview");
    if (open) examples.again();
  };
  return {
    node: make(
      "div",
      { class: "wb-tune-data" },
      make("div", { class: "wb-tune-row" }, make("span", { class: "wb-label" }, "Data"), summary, opener),
      panel,
    ),
    refresh() {
      const data = model.get("data");
      summary.classList.toggle("wb-note", !data.examples);
      if (data.examples) setText(summary, dataText(data));
      opener.disabled = !data.examples;
      histogram.show(data.histogram ?? {});
      if (!panel.hidden) examples.again();
    },
    /** What stands there before the data are read. */
    explain(status) {
      if (count()) return;
      const texts = { loading: "read once the model is loaded", reading: "reading …", failed: "not read" };
      setText(summary, texts[status] ?? "");
      summary.classList.add("wb-note");
    },
    answer: examples.answer,
  };
}
