// The distribution at a place as bars, and the cuts where the sampler's settings put them.

import { button, make, setText } from "../shared/dom.js";
import { visible } from "../shared/tokens.js";
import { wholeText } from "../shared/units.js";
import { cutDistribution, modelShares } from "./cuts.js";
import { exactPercent, numbersOf } from "./views.js";

const BARS = 20; // rows at first, and more with every press
const BAR_REACHES = [0.05, 0.1, 0.25, 0.5, 1]; // what the longest bar may stand for

/** The state of the kernel as the functions of cuts.js take it. */
export function distributionOf(state) {
  if (!state.pieces) return null;
  return {
    key: state.key,
    place: state.place,
    pieces: state.pieces,
    ids: numbersOf(Int32Array, state.ids),
    logits: numbersOf(Float32Array, state.logits),
    restLogits: numbersOf(Float32Array, state.rest_logits),
    restCounts: numbersOf(Int32Array, state.rest_counts),
  };
}

/** What the settings keep, in a sentence. */
function keptText({ kept, count, mass, ends }, settings, cutText) {
  if (kept === count) return `All ${wholeText(count)} tokens are kept.`;
  const at = `at temperature ${settings.temperature.toFixed(2)}`;
  const cuts = ends.map(({ cut }) => cutText(cut, settings[cut])).join(", ");
  return `Kept ${wholeText(kept)} of ${wholeText(count)} tokens, ${exactPercent(mass)} of the probability ${at}. Cut by ${cuts}.`;
}

/** A row: the token, two bars, and its probability for the model and for the sampler. */
function createBar(onclick) {
  const piece = make("span", { class: "wb-inspect-bar-piece" });
  const [model, drawn] = [make("span", { class: "wb-inspect-model" }), make("span", { class: "wb-inspect-drawn" })];
  const numbers = [make("span", { class: "wb-inspect-number" }), make("span", { class: "wb-inspect-number" })];
  const bars = make("span", { class: "wb-inspect-lengths", "aria-hidden": "true" }, model, drawn);
  const node = make("button", { type: "button", class: "wb-inspect-bar", tabindex: "-1", onclick }, piece, bars, ...numbers);
  return {
    node,
    /** `share` under the model, `chance` under the sampler, `reach` what the longest bar stands for. */
    show({ text, here, share, chance, reach, order }) {
      setText(piece, visible(text) || "∅");
      setText(numbers[0], exactPercent(share));
      setText(numbers[1], chance > 0 ? exactPercent(chance) : "cut");
      model.style.setProperty("--share", `${(100 * Math.min(1, share / reach)).toFixed(2)}%`);
      drawn.style.setProperty("--share", `${(100 * Math.min(1, chance / reach)).toFixed(2)}%`);
      node.classList.toggle("wb-inspect-out", !(chance > 0));
      node.classList.toggle("wb-inspect-here", here);
      node.style.order = order;
      const said = chance > 0 ? `sampler ${exactPercent(chance)}` : "cut";
      const label = `${visible(text)}, model ${exactPercent(share)}, ${said}${here ? ", in the text" : ""}`;
      node.setAttribute("aria-label", label);
      node.title = here ? "In the text. Press to write on from it anew." : "Press to branch the text here.";
    },
  };
}

function createCutLine() {
  const label = make("span");
  const node = make("div", { class: "wb-inspect-cut" }, label);
  return {
    node,
    show(text, end) {
      setText(label, text);
      node.style.order = 2 * end - 1;
    },
  };
}

/**
 * What the bars show: the distribution `found` at a place, the token that stands there, `truth`, and
 * the sampler's `settings`. An index is that of a listed token, or of the true one beyond them.
 */
function createExpectation(found, truth) {
  const shares = modelShares(found);
  const listed = found.ids.length;
  /** The true token beyond the listed ones: its logit follows from its probability, its fate from its rank. */
  const beyond = (cut, { temperature }) => {
    const logit = truth.logprob - Math.log(shares[0]);
    const weight = temperature > 0 ? Math.exp(logit / temperature) : 0;
    return { share: Math.exp(truth.logprob), chance: truth.row < cut.kept ? weight * cut.shares[0] : 0 };
  };
  return {
    listed,
    place: found.place,
    row: truth?.row,
    /** So many leading indices, and that of the token of the text where it is not among them. */
    indices(most) {
      const indices = Array.from({ length: Math.min(most, listed) }, (_, i) => i);
      const real = truth ? truth.row : -1;
      return real >= indices.length ? [...indices, real] : indices;
    },
    idAt: (index) => (index < listed ? found.ids[index] : truth.id),
    cut: (settings) => cutDistribution(found, settings),
    valuesAt: (index, cut, settings) =>
      index < listed
        ? { text: found.pieces[index], share: shares[index], chance: cut.shares[index] }
        : { text: truth.piece, ...beyond(cut, settings) },
    /** What the longest bar stands for. */
    reach(cut) {
      const longest = Math.max(shares[0], cut.shares[0]);
      return BAR_REACHES.find((one) => one >= longest - 1e-9);
    },
  };
}

/** The lines between the bars where the settings cut: one for each of the cuts `names`. */
function createCutLines(names, cutText) {
  const lines = names.map(createCutLine);
  return {
    nodes: lines.map(({ node }) => node),
    /** Those of the cuts among the first `most` bars. */
    draw({ ends }, settings, most) {
      for (const line of lines) line.node.hidden = true;
      ends.forEach(({ cut, end }, i) => {
        if (end > most) return;
        lines[i].node.hidden = false;
        lines[i].node.classList.toggle("wb-inspect-last", i === ends.length - 1);
        lines[i].show(`cut by ${cutText(cut, settings[cut])}`, end);
      });
    },
  };
}

/** The rows of the bars: one can be reached with Tab, the others from it with the arrow keys. */
function createBarList(lines, branch) {
  const label = "Likeliest tokens. Press one to branch the text.";
  const node = make("div", { class: "wb-inspect-bars", role: "group", "aria-label": label });
  let rows = [];
  let enabled = true;
  const roving = (row) => rows.forEach(({ node: one }) => one.setAttribute("tabindex", one === row ? "0" : "-1"));
  const mark = () => rows.forEach(({ node: one }) => one.setAttribute("aria-disabled", String(!enabled)));
  node.addEventListener("keydown", (event) => {
    const at = rows.findIndex(({ node: one }) => one === document.activeElement);
    const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (at < 0 || target === undefined) return;
    event.preventDefault();
    rows[Math.max(0, Math.min(target, rows.length - 1))].node.focus();
  });
  node.addEventListener("focusin", (event) => roving(event.target.closest(".wb-inspect-bar")));
  return {
    node,
    get rows() {
      return rows;
    },
    build(indices) {
      rows = indices.map((index) => ({ index, ...createBar(() => enabled && branch(index)) }));
      node.replaceChildren(...rows.map((row) => row.node), ...lines);
      roving(rows[0].node);
      mark();
    },
    enable(value) {
      enabled = value;
      mark();
    },
  };
}

function createBarHead() {
  return make(
    "div",
    { class: "wb-inspect-bar-head", "aria-hidden": "true" },
    make("span", {}, "Token"),
    make("span", {}),
    make("span", { class: "wb-inspect-number wb-inspect-head-model" }, "model"),
    make("span", { class: "wb-inspect-number wb-inspect-head-drawn" }, "sampler"),
  );
}

/**
 * The bars; `branch(token)` is called with the id of a token to go on from. `cutNames` are the cuts,
 * and `cutText(name, value)` says one in words.
 */
export function createBars({ branch, cutNames, cutText }) {
  const summary = make("div", { class: "wb-inspect-kept" });
  const head = createBarHead();
  const lines = createCutLines(cutNames, cutText);
  const list = createBarList(lines.nodes, (index) => branch(expected.idAt(index)));
  const more = button("More", () => grow(), { class: "wb-button wb-quiet" });
  const note = make("div", { class: "wb-note wb-inspect-note" });
  let expected = null;
  let settings = null;
  let shown = BARS;
  const build = () => {
    list.build(expected.indices(shown));
    more.hidden = shown >= expected.listed;
  };
  const draw = () => {
    const cut = expected.cut(settings);
    const reach = expected.reach(cut);
    for (const { index, show } of list.rows) {
      const here = index === expected.row;
      show({ ...expected.valuesAt(index, cut, settings), here, reach, order: 2 * Math.min(index, expected.listed) });
    }
    lines.draw(cut, settings, Math.min(shown, expected.listed));
    setText(summary, keptText(cut, settings, cutText));
  };
  const grow = () => {
    const from = list.rows.at(Math.min(shown, list.rows.length) - 1).node;
    shown += BARS;
    build();
    draw();
    (list.rows[shown - BARS]?.node ?? from).focus();
  };
  return {
    node: make("div", { class: "wb-inspect-distribution" }, summary, head, list.node, more, note),
    /** The distribution at a place, and the token that stands there: { id, piece, logprob, row } or null. */
    show(distribution, truth, values) {
      const held = list.node.contains(document.activeElement);
      if (expected?.place !== distribution.place) shown = BARS;
      expected = createExpectation(distribution, truth);
      settings = values;
      for (const part of [summary, head, list.node]) part.hidden = false;
      setText(note, "");
      build();
      draw();
      if (held) (list.rows.find(({ index }) => index === expected.row) ?? list.rows[0]).node.focus();
    },
    /** The settings have moved: everything is worked out here. */
    move(values) {
      settings = values;
      if (expected) draw();
    },
    /** There is no distribution; a sentence says why. */
    clear(text) {
      expected = null;
      for (const part of [summary, head, list.node, more]) part.hidden = true;
      setText(note, text);
    },
    enable: list.enable,
  };
}
