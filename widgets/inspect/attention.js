// The attention of one layer: its heads side by side, one of them large, and the text as the chosen
// token looks at it. A query is the token that looks, a key one that is looked at.

import { make, setText, uniqueId } from "../shared/dom.js";
import { makeToken } from "../shared/tokens.js";
import { attentionPeak, attentionTable, createRamp, drawAttention } from "./attention_map.js";
import { createViewState, exactPercent, inkText, quoted } from "./views.js";

const ATTENTION_IDLE = "Read a text first; then this shows where each of its tokens looks.";
const ATTENTION_SIDE = 336; // px of the large map
const ATTENTION_THUMB = 48; // px of a head's
const ATTENTION_NAMED = 10; // px a token needs for its name beside the map
const ATTENTION_MEAN = -1;

function headText(head) {
  return head === ATTENTION_MEAN ? "mean of heads" : `head ${head}`;
}

/** The heads of a layer as small maps, one of which is chosen. */
function createHeads(choose) {
  const node = make("div", { class: "wb-attention-heads", role: "radiogroup", "aria-label": "Head" });
  let thumbs = [];
  const mark = (head) => {
    for (const { head: own, thumb } of thumbs) {
      thumb.setAttribute("aria-checked", String(own === head));
      thumb.tabIndex = own === head ? 0 : -1;
    }
  };
  const build = (count) => {
    const heads = count > 1 ? [ATTENTION_MEAN, ...Array(count).keys()] : [0];
    thumbs = heads.map((head) => {
      const canvas = make("canvas", { "aria-hidden": "true" });
      const label = head === ATTENTION_MEAN ? "mean" : String(head);
      const thumb = make(
        "button",
        { type: "button", class: "wb-attention-thumb", role: "radio", "aria-label": headText(head), onclick: () => choose(head) },
        canvas,
        make("span", { "aria-hidden": "true" }, label),
      );
      return { head, thumb, canvas };
    });
    node.replaceChildren(...thumbs.map(({ thumb }) => thumb));
  };
  node.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!move) return;
    const at = thumbs.findIndex(({ thumb }) => thumb === document.activeElement);
    const { head, thumb } = thumbs[(at + move + thumbs.length) % thumbs.length];
    choose(head);
    thumb.focus();
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    node,
    mark,
    draw(table, ramp, first) {
      if (thumbs.filter(({ head }) => head !== ATTENTION_MEAN).length !== table.heads) build(table.heads);
      for (const { head, canvas } of thumbs) {
        drawAttention(canvas, table, ramp, { head, first, peak: attentionPeak(table, head, first), most: ATTENTION_THUMB });
      }
    },
  };
}

const MOVES = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  Home: [0, -Infinity],
  End: [0, Infinity],
};

/** Pointer and keys on the map; `state()` is { size, at }: its tokens, and [query, key] or null. */
function listenOnMap(field, state, { under, read, clear, choose }) {
  const here = () => state().at ?? [state().size - 1, 0];
  field.addEventListener("keydown", (event) => {
    const { size } = state();
    if (!size || event.ctrlKey || event.metaKey || event.altKey) return;
    const within = (index) => Math.min(size - 1, Math.max(0, index));
    const [query, key] = here();
    if (MOVES[event.key]) read(within(query + MOVES[event.key][0]), within(key + MOVES[event.key][1]));
    else if (event.key === "Enter" || event.key === " ") choose(query);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  field.addEventListener("pointermove", (event) => read(...under(event)));
  field.addEventListener("pointerleave", clear);
  field.addEventListener("blur", clear);
  field.addEventListener("focus", () => field.matches(":focus-visible") && read(...here()));
  field.addEventListener("click", (event) => choose(under(event)[0]));
}

const FIELD = {
  class: "wb-attention-field",
  role: "group",
  tabindex: "0",
  "aria-label": "Map of weights, a row for each token that looks. Arrow keys walk, Enter chooses the row's token.",
};

/** The large map. `point(query, key)` is told where one is, `choose(query)` which row is taken. */
function createMap({ point, choose, leave }) {
  const hidden = (tag, name) => make(tag, { class: `wb-attention-${name}`, "aria-hidden": "true" });
  const canvas = hidden("canvas", "canvas");
  const [cross, row, queries, keys] = ["cross", "row", "queries", "keys"].map((name) => hidden("div", name));
  const field = make("div", FIELD, canvas, row, cross);
  const node = make("div", { class: "wb-attention-map" }, queries, field, keys);
  let size = 0;
  let cell = 0;
  let at = null; // [query, key]
  const place = (element, [query, key], [high, wide]) => {
    Object.assign(element.style, { top: `${query * cell}px`, left: `${key * cell}px`, height: `${high}px`, width: `${wide}px` });
  };
  const read = (query, key) => {
    at = [query, key];
    cross.hidden = false;
    place(cross, at, [Math.max(3, cell), Math.max(3, cell)]);
    point(query, key);
  };
  const clear = () => {
    cross.hidden = true;
    leave();
  };
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const index = (offset) => Math.min(size - 1, Math.max(0, Math.floor(offset / cell)));
    return [index(event.clientY - box.top), index(event.clientX - box.left)];
  };
  listenOnMap(field, () => ({ size, at }), { under, read, clear, choose });
  cross.hidden = true;
  const names = (pieces) => pieces.map((piece) => make("span", {}, inkText(piece)));
  return {
    node,
    canvas,
    /** Room for a text of so many tokens, with their names where there is room for them. */
    fit(pieces) {
      if (size !== pieces.length) at = null;
      size = pieces.length;
      cell = size > ATTENTION_SIDE ? ATTENTION_SIDE / size : Math.min(28, Math.floor(ATTENTION_SIDE / size));
      node.style.setProperty("--cell", `${cell}px`);
      field.style.width = field.style.height = `${cell * size}px`;
      const named = cell >= ATTENTION_NAMED;
      node.classList.toggle("wb-attention-named", named);
      for (const part of [queries, keys]) part.replaceChildren(...(named ? names(pieces) : []));
    },
    /** Where the keys begin: at the chosen token. */
    mark(query) {
      row.hidden = query === null;
      if (query === null) return;
      place(row, [query, 0], [Math.max(2, cell), size * cell]);
      at = [query, Math.min(at?.[1] ?? 0, size - 1)];
      [...queries.children].forEach((element, index) => element.classList.toggle("wb-attention-asks", index === query));
    },
  };
}

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

/** Colours and the most that they stand for: one legend for the map, one for the text. */
function createAttentionLegend(name) {
  const most = make("span", {});
  const scale = make("span", { class: name, role: "img", "aria-label": "colour scale of the weights" });
  return {
    node: make("span", { class: "wb-attention-legend" }, make("span", {}, "0"), scale, most),
    show: (share) => setText(most, exactPercent(share)),
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

/**
 * A layer as it is drawn: heads, map, text and what is said of them. `request(layer)` asks for
 * another one, `choose(query)` is told which token was chosen.
 */
function createLayer({ request, choose }) {
  const [mapLegend, textLegend] = ["wb-attention-scale", "wb-attention-shade"].map(createAttentionLegend);
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
    map.mark(query());
    textLegend.show(text.shade(table, head, query(), first()));
    summarize();
  };
  const draw = () => {
    if (table === null) return;
    ramp.forget();
    heads.draw(table, ramp, first());
    heads.mark(head);
    const peak = attentionPeak(table, head, first());
    drawAttention(map.canvas, table, ramp, { head, first: first(), peak, most: ATTENTION_SIDE });
    mapLegend.show(peak);
    mark();
  };
  const controls = createAttentionControls(request, draw);
  const heads = createHeads((chosen) => {
    head = chosen;
    draw();
  });
  const [map, text] = [createMap(marks), createAttended(marks)];
  const ramp = createRamp(draw);
  const note = make("p", { class: "wb-note" }, "A row is a token that looks, a column one it looks at.");
  const left = make("div", { class: "wb-attention-left" }, map.node, mapLegend.node, note);
  const right = make("div", { class: "wb-attention-right" }, text.node, textLegend.node, readout.node);
  const columns = make("div", { class: "wb-attention-columns" }, left, right);
  return {
    node: make("div", { class: "wb-attention-body" }, controls.node, heads.node, columns),
    hints: [readout.spoken, ramp.probe],
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
      map.fit(table.pieces);
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
