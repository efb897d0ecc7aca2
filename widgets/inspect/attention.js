// The attention of one layer: its maps, and the text as the chosen token looks at it. A query is the
// token that looks, a key one that is looked at.

import { make, setText, uniqueId } from "../shared/dom.js";
import { makeToken } from "../shared/tokens.js";
import { attentionPeak, attentionTable } from "./attention_map.js";
import { ATTENTION_MEAN, createAttentionLegend, createMaps, headText } from "./maps.js";
import { createViewState, exactPercent, quoted } from "./views.js";

const ATTENTION_IDLE = "Read a text first; then this shows where each of its tokens looks.";

/** The text, shaded by how much the chosen token looks at each of its own. */
function createAttended({ choose, point, leave }) {
  const node = make("div", {
    class: "wb-attention-text",
    role: "group",
    tabindex: "0",
    "aria-label": "The text, as the chosen token looks at it. The left and right arrows choose another token.",
  });
  let spans = [];
  let chosen = 0;
  const indexOf = (event) => {
    const span = event.target.closest(".wb-token");
    return span ? Number(span.dataset.index) : null;
  };
  node.addEventListener("click", (event) => indexOf(event) !== null && choose(indexOf(event)));
  node.addEventListener("pointerover", (event) => (indexOf(event) === null ? leave() : point(chosen, indexOf(event))));
  node.addEventListener("pointerleave", leave);
  node.addEventListener("keydown", (event) => {
    const last = spans.length - 1;
    const target = { ArrowRight: Math.min(last, chosen + 1), ArrowLeft: Math.max(0, chosen - 1), Home: 0, End: last }[event.key];
    if (target === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    choose(target);
    spans[target].scrollIntoView({ block: "nearest" });
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    node,
    fill(pieces) {
      spans = pieces.map((piece, index) => makeToken(index, piece, null));
      node.replaceChildren(...spans);
    },
    shade(table, head, query, first) {
      chosen = query;
      const peak = attentionPeak(table, head, first, query) || 1;
      spans.forEach((span, key) => {
        const within = key >= first && table.reaches(query, key);
        span.style.setProperty("--a", `${within ? (100 * table.share(head, query, key)) / peak : 0}%`);
        span.classList.toggle("wb-attention-out", !within);
        span.classList.toggle("wb-attention-asks", key === query);
      });
      return peak;
    },
  };
}

/** The choice of the layer, and whether the first token counts. */
function createAttentionControls(request, changed) {
  const id = uniqueId("layer");
  const layers = make("select", { id, onchange: () => request(Number(layers.value)) });
  const without = make("input", { type: "checkbox", onchange: changed });
  const busy = make("span", { class: "wb-note", role: "status" });
  const label = make("label", { for: id }, "Layer");
  const check = make("label", { class: "wb-radio" }, without, "Leave out the first token");
  return {
    node: make("div", { class: "wb-attention-controls" }, label, layers, check, busy),
    /** The first token that is shown. */
    first: () => (without.checked ? 1 : 0),
    say: (text) => setText(busy, text),
    show(table) {
      const choices = Array.from({ length: table.layers }, (_, i) => make("option", { value: i }, `block ${i}`));
      if (layers.length !== table.layers) layers.replaceChildren(...choices);
      layers.value = table.layer;
    },
  };
}

/** What is said of a weight, and of all of a token's. */
function createReadout() {
  const node = make("p", { class: "wb-attention-readout", id: uniqueId("attention") });
  const spoken = make("div", { class: "wb-spoken", role: "status", "aria-live": "polite" });
  return {
    node,
    spoken,
    point(table, head, query, key) {
      const name = (index) => `${quoted(table.pieces[index])} (${index})`;
      const text = table.reaches(query, key)
        ? `${name(query)} gives ${name(key)} ${exactPercent(table.share(head, query, key))}`
        : `${name(query)} cannot look ahead to ${name(key)}`;
      setText(node, text);
      setText(spoken, text);
    },
    summarize(table, head, query, first) {
      const found = Array.from({ length: query + 1 }, (_, key) => [table.share(head, query, key), key]).slice(first);
      const best = found.sort(([one], [other]) => other - one).slice(0, 3);
      const parts = best.map(([share, key]) => `${quoted(table.pieces[key])} ${exactPercent(share)}`);
      const where = `${quoted(table.pieces[query])} in block ${table.layer}, ${headText(head)}`;
      setText(node, `${where}: ${parts.join(" · ") || "nothing else to look at"}`);
    },
  };
}

/** The map to the left, the text to the right. */
function drawAttentionColumns(left, right) {
  const note = make("p", { class: "wb-note" }, "A row is a token that looks, a column one it looks at.");
  return make(
    "div",
    { class: "wb-attention-columns" },
    make("div", { class: "wb-attention-left" }, ...left, note),
    make("div", { class: "wb-attention-right" }, ...right),
  );
}

/**
 * A layer as it is drawn: heads, map, text and what is said of them. `request(layer)` asks for
 * another one, `choose(query)` is told which token was chosen.
 */
function createLayer({ request, choose }) {
  const legend = createAttentionLegend("wb-attention-shade");
  const readout = createReadout();
  let table = null;
  let head = ATTENTION_MEAN;
  let place = 0; // of the panel
  /** The token that looks: at the last place of the panel there is none yet. */
  const query = () => Math.min(place, table.size - 1);
  const first = () => controls.first();
  const summarize = () => readout.summarize(table, head, query(), first());
  const marks = {
    point: (from, to) => readout.point(table, head, from, to),
    leave: () => table && summarize(),
    choose,
  };
  const mark = () => {
    if (table === null) return;
    maps.mark(query());
    legend.show(text.shade(table, head, query(), first()));
    summarize();
  };
  const draw = () => {
    if (table === null) return;
    maps.draw(table, head, first());
    mark();
  };
  const chose = (chosen) => {
    head = chosen;
    draw();
  };
  const controls = createAttentionControls(request, draw);
  const maps = createMaps(marks, { chose, changed: draw });
  const text = createAttended(marks);
  const columns = drawAttentionColumns(maps.nodes, [text.node, legend.node, readout.node]);
  return {
    node: make("div", { class: "wb-attention-body" }, controls.node, maps.heads, columns),
    hints: [readout.spoken, maps.probe],
    say: controls.say,
    draw,
    get table() {
      return table;
    },
    /** The panel's place is another; it is shown where the view is in sight. */
    go(to, inSight = true) {
      place = to;
      if (inSight) mark();
    },
    clear: () => (table = null),
    present(found) {
      table = found;
      controls.show(table);
      if (head >= table.heads || table.heads === 1) head = table.heads === 1 ? 0 : ATTENTION_MEAN;
      maps.fit(table.pieces);
      text.fill(table.pieces);
      draw();
    },
  };
}

/**
 * The view. `ask({layer})` requests a layer; `pick(place)` is told which token was chosen.
 */
export function createAttention({ ask, pick }) {
  let wanted = 0; // the layer asked for
  const layer = createLayer({
    request(number) {
      wanted = number;
      layer.say(`Reading block ${number}.`);
      ask({ layer: number });
    },
    choose(query) {
      layer.go(query);
      pick(query);
    },
  });
  const state = createViewState(ATTENTION_IDLE, () => ask({ layer: wanted }));
  const node = make("div", { class: "wb-view wb-attention" }, state.node, layer.node, ...layer.hints);
  layer.node.hidden = true;
  return {
    node,
    /** A message of the kernel, and its buffers. */
    show(message, buffers) {
      if (message.layer !== wanted) return;
      if (layer.table !== null && message.state !== "failed" && message.state !== "ready") return;
      layer.say("");
      const ready = state.take(message);
      layer.node.hidden = !ready;
      if (ready) layer.present(attentionTable(message, buffers));
      else layer.clear();
    },
    clear() {
      layer.clear();
      layer.node.hidden = true;
      layer.say("");
      state.clear();
    },
    /** The panel's `place`, or the `pieces` of its text, are others; `written` is false of a text
     * that is not read yet. */
    refresh(now) {
      state.text(now);
      layer.go(now.place, state.open);
    },
    /** The view has come to sight, or gone. */
    visible(on) {
      state.visible(on);
      if (on) layer.draw();
    },
    dispose: () => state.dispose(),
  };
}
