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

/** The large map. `point(query, key)` is told where one is, `choose(query)` which row is taken. */
function createMap({ point, choose, leave }) {
  const canvas = make("canvas", { class: "wb-attention-canvas", "aria-hidden": "true" });
  const [cross, row] = ["cross", "row"].map((name) => make("div", { class: `wb-attention-${name}`, "aria-hidden": "true" }));
  const field = make("div", {
    class: "wb-attention-field",
    role: "group",
    tabindex: "0",
    "aria-label": "Map of weights, a row for each token that looks. Arrow keys walk, Enter chooses the row's token.",
  }, canvas, row, cross);
  const queries = make("div", { class: "wb-attention-queries", "aria-hidden": "true" });
  const keys = make("div", { class: "wb-attention-keys", "aria-hidden": "true" });
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
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -Infinity], End: [0, Infinity] };
  field.addEventListener("keydown", (event) => {
    if (!size || event.ctrlKey || event.metaKey || event.altKey) return;
    const within = (index) => Math.min(size - 1, Math.max(0, index));
    const [query, key] = at ?? [size - 1, 0];
    if (moves[event.key]) read(within(query + moves[event.key][0]), within(key + moves[event.key][1]));
    else if (event.key === "Enter" || event.key === " ") choose(query);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  field.addEventListener("pointermove", (event) => read(...under(event)));
  field.addEventListener("pointerleave", clear);
  field.addEventListener("blur", clear);
  field.addEventListener("focus", () => field.matches(":focus-visible") && read(...(at ?? [size - 1, 0])));
  field.addEventListener("click", (event) => choose(under(event)[0]));
  cross.hidden = true;
  const name = (piece) => make("span", {}, inkText(piece));
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
      queries.replaceChildren(...(named ? pieces.map(name) : []));
      keys.replaceChildren(...(named ? pieces.map(name) : []));
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

/**
 * The view. `ask({layer})` requests a layer; `pick(place)` is told which token was chosen.
 */
export function createAttention({ ask, pick }) {
  const [layerId, noteId] = [uniqueId("layer"), uniqueId("attention")];
  const layers = make("select", { id: layerId, onchange: () => request(Number(layers.value)) });
  const without = make("input", { type: "checkbox", onchange: () => draw() });
  const busy = make("span", { class: "wb-note", role: "status" });
  const readout = make("p", { class: "wb-attention-readout", id: noteId });
  const spoken = make("div", { class: "wb-spoken", role: "status", "aria-live": "polite" });
  const legend = ["wb-attention-scale", "wb-attention-shade"].map((name) => {
    const most = make("span", {});
    const scale = make("span", { class: name, role: "img", "aria-label": "colour scale of the weights" });
    return { most, node: make("span", { class: "wb-attention-legend" }, make("span", {}, "0"), scale, most) };
  });
  const point = (query, key) => {
    const share = table.reaches(query, key) ? exactPercent(table.share(head, query, key)) : "cannot look ahead to";
    const name = (index) => `${quoted(table.pieces[index])} (${index})`;
    const text = table.reaches(query, key) ? `${name(query)} gives ${name(key)} ${share}` : `${name(query)} ${share} ${name(key)}`;
    setText(readout, text);
    setText(spoken, text);
  };
  const leave = () => table && summarize();
  const choose = (query) => {
    place = query;
    mark();
    pick(query);
  };
  const heads = createHeads((chosen) => {
    head = chosen;
    draw();
  });
  const map = createMap({ point, choose, leave });
  const text = createAttended({ point, choose, leave });
  const state = createViewState(ATTENTION_IDLE, () => ask({ layer: wanted }));
  const ramp = createRamp(() => table && draw());
  const controls = make(
    "div",
    { class: "wb-attention-controls" },
    make("label", { for: layerId }, "Layer"),
    layers,
    make("label", { class: "wb-radio" }, without, "Leave out the first token"),
    busy,
  );
  const body = make(
    "div",
    { class: "wb-attention-body" },
    controls,
    heads.node,
    make(
      "div",
      { class: "wb-attention-columns" },
      make("div", { class: "wb-attention-left" }, map.node, legend[0].node, make("p", { class: "wb-note" }, "A row is a token that looks, a column one it looks at.")),
      make("div", { class: "wb-attention-right" }, text.node, legend[1].node, readout),
    ),
  );
  const node = make("div", { class: "wb-view wb-attention" }, state.node, body, spoken, ramp.probe);
  let table = null;
  let head = ATTENTION_MEAN;
  let place = 0; // of the panel
  let wanted = 0; // the layer asked for
  body.hidden = true;

  const request = (layer) => {
    wanted = layer;
    setText(busy, `Reading block ${layer}.`);
    ask({ layer });
  };
  const first = () => (without.checked ? 1 : 0);
  /** The token that looks: at the last place of the panel there is none yet. */
  const query = () => Math.min(place, table.size - 1);
  const summarize = () => {
    const found = Array.from({ length: query() + 1 }, (_, key) => [table.share(head, query(), key), key]).slice(first());
    const best = found.sort(([one], [other]) => other - one).slice(0, 3);
    const parts = best.map(([share, key]) => `${quoted(table.pieces[key])} ${exactPercent(share)}`);
    setText(readout, `${quoted(table.pieces[query()])} in block ${table.layer}, ${headText(head)}: ${parts.join(" · ") || "nothing else to look at"}`);
  };
  const mark = () => {
    if (table === null) return;
    map.mark(query());
    setText(legend[1].most, exactPercent(text.shade(table, head, query(), first())));
    summarize();
  };
  const draw = () => {
    if (table === null) return;
    ramp.forget();
    heads.draw(table, ramp, first());
    heads.mark(head);
    const peak = attentionPeak(table, head, first());
    drawAttention(map.canvas, table, ramp, { head, first: first(), peak, most: ATTENTION_SIDE });
    setText(legend[0].most, exactPercent(peak));
    mark();
  };
  const present = () => {
    const choices = Array.from({ length: table.layers }, (_, i) => make("option", { value: i }, `block ${i}`));
    if (layers.length !== table.layers) layers.replaceChildren(...choices);
    layers.value = table.layer;
    if (head >= table.heads || table.heads === 1) head = table.heads === 1 ? 0 : ATTENTION_MEAN;
    body.hidden = false;
    map.fit(table.pieces);
    text.fill(table.pieces);
    draw();
  };
  return {
    node,
    /** A message of the kernel, and its buffers. */
    show(message, buffers) {
      if (message.layer !== wanted) return;
      if (table !== null && message.state !== "failed" && message.state !== "ready") return;
      setText(busy, "");
      const ready = state.take(message);
      body.hidden = !ready;
      if (!ready) table = null;
      else {
        table = attentionTable(message, buffers);
        present();
      }
    },
    clear() {
      table = null;
      body.hidden = true;
      setText(busy, "");
      state.clear();
    },
    /** The panel's `place`, or the `pieces` of its text, are others; `written` is false of a text
     * that is not read yet. */
    refresh(now) {
      place = now.place;
      state.text(now);
      if (state.open) mark();
    },
    /** The view has come to sight, or gone. */
    visible(on) {
      state.visible(on);
      if (on) draw();
    },
    dispose: () => state.dispose(),
  };
}
