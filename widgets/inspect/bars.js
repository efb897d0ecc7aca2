// The distribution at a place as bars, and the cuts where the sampler's settings put them.

import { button, make, setText } from "../shared/dom.js";
import { visible } from "../shared/tokens.js";
import { wholeText } from "../shared/units.js";
import { cutDistribution, modelShares } from "./cuts.js";
import { exactPercent, numbersOf } from "./views.js";

const BARS = 20; // rows at first, and more with every press
const BAR_REACHES = [0.05, 0.1, 0.25, 0.5, 1]; // what the longest bar may stand for
const CUT_TEXTS = {
  temperature: () => "temperature 0",
  topK: ({ topK }) => `top-k ${wholeText(topK)}`,
  topP: ({ topP }) => `top-p ${topP.toFixed(2)}`,
  minP: ({ minP }) => `min-p ${minP.toFixed(2)}`,
};

/** The state of the kernel as the functions of inspect_cuts.js take it. */
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
function keptText({ kept, count, mass, ends }, settings) {
  if (kept === count) return `All ${wholeText(count)} tokens are kept.`;
  const at = `at temperature ${settings.temperature.toFixed(2)}`;
  const cuts = ends.map(({ cut }) => CUT_TEXTS[cut](settings)).join(", ");
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

/** The bars; `branch(token)` is called with the id of a token to go on from. */
export function createBars({ branch }) {
  const summary = make("div", { class: "wb-inspect-kept" });
  const head = make(
    "div",
    { class: "wb-inspect-bar-head", "aria-hidden": "true" },
    make("span", {}, "Token"),
    make("span", {}),
    make("span", { class: "wb-inspect-number wb-inspect-head-model" }, "model"),
    make("span", { class: "wb-inspect-number wb-inspect-head-drawn" }, "sampler"),
  );
  const list = make("div", { class: "wb-inspect-bars", role: "group", "aria-label": "Likeliest tokens. Press one to branch the text." });
  const lines = ["topK", "topP", "minP", "temperature"].map(createCutLine);
  const more = button("More", () => grow(), { class: "wb-button wb-quiet" });
  const note = make("div", { class: "wb-note wb-inspect-note" });
  const node = make("div", { class: "wb-inspect-distribution" }, summary, head, list, more, note);
  let found = null;
  let shares = [];
  let truth = null;
  let settings = null;
  let shown = BARS;
  let rows = [];
  let enabled = true;

  const roving = (row) => rows.forEach(({ node: one }) => one.setAttribute("tabindex", one === row ? "0" : "-1"));
  /** As many rows as are shown, and one for the token of the text where it is not among them. */
  const rowIndices = () => {
    const indices = Array.from({ length: Math.min(shown, found.ids.length) }, (_, i) => i);
    const real = truth ? truth.row : -1;
    return real >= indices.length ? [...indices, real] : indices;
  };
  const idAt = (index) => (index < found.ids.length ? found.ids[index] : truth.id);
  const build = () => {
    rows = rowIndices().map((index) => ({ index, ...createBar(() => enabled && branch(idAt(index))) }));
    list.replaceChildren(...rows.map((row) => row.node), ...lines.map((line) => line.node));
    roving(rows[0].node);
    more.hidden = shown >= found.ids.length;
    enable();
  };
  const enable = () => rows.forEach(({ node: one }) => one.setAttribute("aria-disabled", String(!enabled)));
  const grow = () => {
    const from = rows.at(Math.min(shown, rows.length) - 1).node;
    shown += BARS;
    build();
    draw();
    (rows[shown - BARS]?.node ?? from).focus();
  };
  /** A token beyond the listed ones: its logit follows from its probability, its fate from its rank. */
  const beyond = (cut) => {
    const logit = truth.logprob - Math.log(shares[0]);
    const { temperature } = settings;
    const weight = temperature > 0 ? Math.exp(logit / temperature) : 0;
    return { share: Math.exp(truth.logprob), chance: truth.row < cut.kept ? weight * cut.shares[0] : 0 };
  };
  const valuesAt = (index, cut) =>
    index < found.ids.length
      ? { text: found.pieces[index], share: shares[index], chance: cut.shares[index] }
      : { text: truth.piece, ...beyond(cut) };
  const drawLines = ({ ends }) => {
    for (const line of lines) line.node.hidden = true;
    ends.forEach(({ cut, end }, i) => {
      if (end > Math.min(shown, found.ids.length)) return;
      lines[i].node.hidden = false;
      lines[i].node.classList.toggle("wb-inspect-last", i === ends.length - 1);
      lines[i].show(`cut by ${CUT_TEXTS[cut](settings)}`, end);
    });
  };
  const draw = () => {
    const cut = cutDistribution(found, settings);
    const longest = Math.max(shares[0], cut.shares[0]);
    const reach = BAR_REACHES.find((one) => one >= longest - 1e-9);
    for (const { index, show } of rows) {
      const here = index === truth?.row;
      show({ ...valuesAt(index, cut), here, reach, order: 2 * Math.min(index, found.ids.length) });
    }
    drawLines(cut);
    setText(summary, keptText(cut, settings));
  };

  list.addEventListener("keydown", (event) => {
    const at = rows.findIndex(({ node: one }) => one === document.activeElement);
    const target = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (at < 0 || target === undefined) return;
    event.preventDefault();
    rows[Math.max(0, Math.min(target, rows.length - 1))].node.focus();
  });
  list.addEventListener("focusin", (event) => roving(event.target.closest(".wb-inspect-bar")));

  return {
    node,
    /** The distribution at a place, and the token that stands there: { id, piece, logprob, row } or null. */
    show(distribution, real, values) {
      const held = list.contains(document.activeElement);
      if (found?.place !== distribution.place) shown = BARS;
      [found, truth, settings] = [distribution, real, values];
      shares = modelShares(found);
      for (const part of [summary, head, list]) part.hidden = false;
      setText(note, "");
      build();
      draw();
      if (held) (rows.find(({ index }) => index === truth?.row) ?? rows[0]).node.focus();
    },
    /** The settings have moved: everything is worked out here. */
    move(values) {
      settings = values;
      if (found) draw();
    },
    /** There is no distribution; a sentence says why. */
    clear(text) {
      found = null;
      for (const part of [summary, head, list, more]) part.hidden = true;
      setText(note, text);
    },
    enable(value) {
      enabled = value;
      enable();
    },
  };
}
