// The logit lens as a table: a row for each layer, the last on top, a column for each place of the
// text. Columns out of sight are not in the page, so that a long text costs no more than a short one.

import { make, setText, uniqueId } from "../shared/dom.js";
import { visible } from "../shared/tokens.js";
import { wholeText } from "../shared/units.js";
import { createViewState, exactPercent, inkText, layerText, numbersOf, quoted } from "./views.js";

const LENS_COLUMN = 80; // px, as in lens.css
const LENS_HEAD = 96; // px of the layers' names
const LENS_MARGIN = 4; // columns rendered beside those in sight, and as many again in store
const LENS_IDLE = "Read a text first; then this shows what each layer would have written at its places.";

/** The kernel's message as a table of numbers: place 1 is column 0. */
function lensTable(message, [ids, logprobs, own, ranks, entropies]) {
  const { layers, places, k, pieces, text, tokens } = message;
  const found = {
    ids: numbersOf(Int32Array, ids),
    logprobs: numbersOf(Float32Array, logprobs),
    own: numbersOf(Float32Array, own),
    ranks: numbersOf(Int32Array, ranks),
    entropies: numbersOf(Float32Array, entropies),
  };
  const top = (layer, column) => found.ids[(layer * places + column) * k];
  return {
    layers,
    places,
    /** The token that stands there; "" for the one still to come. */
    token: (column) => tokens[column] ?? "",
    isOpen: (column) => text[column] < 0,
    /** All that is known of a cell. */
    cell(layer, column) {
      const at = layer * places + column;
      const best = Array.from({ length: k }, (_, i) => ({
        piece: pieces[found.ids[at * k + i]],
        share: Math.exp(found.logprobs[at * k + i]),
        own: found.ids[at * k + i] === text[column],
      }));
      return {
        best,
        share: best[0].share,
        settled: top(layer, column) === top(layers.length - 1, column),
        right: best[0].own,
        own: Math.exp(found.own[at]),
        rank: found.ranks[at],
        entropy: found.entropies[at],
      };
    },
  };
}

/** What is said of a cell: to the eye under the list, to the ear with everything else. */
function lensFacts(table, { own, rank, entropy }, column) {
  const parts = rank === 0 ? [] : [`${quoted(table.token(column))} ${exactPercent(own)}, rank ${wholeText(rank)}`];
  return [...parts, `entropy ${Math.max(0, entropy / Math.LN2).toFixed(2)} bits`].join(" · ");
}

function lensSpoken(table, layer, column) {
  const cell = table.cell(layer, column);
  const marks = [cell.settled ? "as the last layer" : "", cell.right ? "the token there" : ""].filter(Boolean);
  const [{ piece, share }] = cell.best;
  const first = `${layerText(table.layers[layer])}, place ${column + 1}: ${[`${visible(piece)} ${exactPercent(share)}`, ...marks].join(", ")}`;
  return `${first}. ${lensFacts(table, cell, column)}`;
}

/** The box that opens at a cell. */
function createLensTip() {
  const node = make("div", { class: "wb-tip wb-lens-tip", role: "tooltip", id: uniqueId("lens-tip") });
  node.hidden = true;
  const row = ({ piece, share, own }) => {
    const bar = make("span", { class: "wb-tip-bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", `${100 * share}%`);
    return make(
      "li",
      { class: own ? "wb-tip-row wb-chosen" : "wb-tip-row" },
      make("span", { class: "wb-tip-text" }, visible(piece)),
      bar,
      make("span", { class: "wb-tip-percent" }, exactPercent(share)),
    );
  };
  return {
    node,
    hide: () => (node.hidden = true),
    show(table, layer, column, element, frame) {
      const cell = table.cell(layer, column);
      const there = table.isOpen(column) ? "next" : visible(table.token(column));
      node.replaceChildren(
        make("div", { class: "wb-lens-tip-head" },
          make("span", {}, layerText(table.layers[layer])),
          make("span", { class: "wb-tip-text" }, `${column + 1} ${there}`),
        ),
        make("ol", { class: "wb-tip-list" }, ...cell.best.map(row)),
        make("div", { class: "wb-tip-note" }, lensFacts(table, cell, column)),
      );
      node.hidden = false;
      const [at, box] = [element.getBoundingClientRect(), frame.getBoundingClientRect()];
      const beside = at.right - box.left + 8;
      const left = beside + node.offsetWidth <= box.width ? beside : at.left - box.left - node.offsetWidth - 8;
      const top = Math.min(at.top - box.top, box.height - node.offsetHeight);
      node.style.left = `${Math.max(0, left)}px`;
      node.style.top = `${Math.max(0, top)}px`;
    },
  };
}

/** What colours and marks mean. */
function createLensLegend() {
  const sample = (name, text) => make("span", { class: "wb-lens-key" }, make("span", { class: `wb-lens-sample ${name}`, "aria-hidden": "true" }), text);
  return make(
    "div",
    { class: "wb-lens-legend" },
    make("span", {}, "0 %"),
    make("span", { class: "wb-lens-scale", role: "img", "aria-label": "colour scale, from 0 to 100 percent" }),
    make("span", {}, "100 %"),
    sample("wb-lens-settled", "as the last layer"),
    sample("wb-lens-right", "the token there"),
  );
}

/** One layer of the table. `cells(from, to)` puts its columns into the page. */
function createLensRow(table, layer, gridId) {
  const label = make("div", { class: "wb-lens-layer", role: "rowheader", title: `${table.layers[layer]}/output` }, layerText(table.layers[layer]));
  const index = table.layers.length - layer + 1;
  const node = make("div", { class: "wb-lens-row", role: "row", "aria-rowindex": index }, label);
  const cellOf = (column) => {
    const { best: [{ piece }], share, settled, right } = table.cell(layer, column);
    const marks = `${settled ? " wb-lens-settled" : ""}${right ? " wb-lens-right" : ""}`;
    const cell = make("div", {
      class: `wb-lens-cell${marks}`,
      role: "gridcell",
      id: `${gridId}-${layer}-${column}`,
      "aria-colindex": column + 2,
      "aria-label": lensSpoken(table, layer, column),
      "data-layer": layer,
      "data-column": column,
    }, make("span", {}, inkText(piece)));
    cell.style.setProperty("--p", `${100 * share}%`);
    return cell;
  };
  return {
    node,
    cells: (from, to) => node.replaceChildren(label, ...lensSpan(from, to, cellOf)),
  };
}

/** The elements of the columns from one to before another, at their place in the row. */
function lensSpan(from, to, element) {
  const nodes = Array.from({ length: to - from }, (_, i) => element(from + i));
  if (nodes.length) nodes[0].style.marginLeft = `${from * LENS_COLUMN}px`;
  return nodes;
}

/**
 * The view. `ask({})` requests its data; `pick(place)` is told which place was chosen.
 */
export function createLens({ ask, pick }) {
  const tip = createLensTip();
  const grid = make("div", { class: "wb-lens-grid", role: "grid", tabindex: "0", id: uniqueId("lens"), "aria-label": "Likeliest token by layer and place. Arrow keys walk, Enter chooses the place." });
  const scroller = make("div", { class: "wb-lens-scroll" }, grid);
  const note = make("p", { class: "wb-note wb-lens-note" });
  const body = make("div", { class: "wb-lens-body" }, createLensLegend(), scroller, note);
  const state = createViewState(LENS_IDLE, () => ask({}));
  const node = make("div", { class: "wb-view wb-lens" }, state.node, body, tip.node);
  let table = null;
  let rows = [];
  let titles = null;
  let [from, to] = [0, 0];
  let [layer, column] = [0, 0]; // where the keys are
  let place = 0; // of the panel
  let frame = 0;
  body.hidden = true;

  const idOf = (at, of) => `${grid.id}-${at}-${of}`;
  const cellAt = (at, of) => grid.querySelector(`#${idOf(at, of)}`);
  const titleOf = (at) => {
    const text = table.isOpen(at) ? "next" : inkText(table.token(at));
    const cell = make("div", { class: "wb-lens-title", role: "columnheader", "aria-colindex": at + 2, "data-column": at, title: table.isOpen(at) ? "the token that would come next" : visible(table.token(at)) },
      make("span", { class: "wb-lens-number" }, String(at + 1)), make("span", { class: "wb-lens-token" }, text));
    cell.classList.toggle("wb-lens-next", table.isOpen(at));
    return cell;
  };
  const highlight = () => {
    for (const element of grid.querySelectorAll("[data-column]")) {
      element.classList.toggle("wb-lens-chosen", Number(element.dataset.column) === place - 1);
    }
  };
  const activate = () => {
    for (const element of grid.querySelectorAll(".wb-lens-active")) element.classList.remove("wb-lens-active");
    cellAt(layer, column)?.classList.add("wb-lens-active");
    if (cellAt(layer, column)) grid.setAttribute("aria-activedescendant", idOf(layer, column));
    else grid.removeAttribute("aria-activedescendant");
  };
  /** Puts those columns into the page that are in sight, and some beside them. */
  const render = (anew = false) => {
    frame = 0;
    if (table === null || !scroller.clientWidth) return;
    const first = Math.floor(scroller.scrollLeft / LENS_COLUMN) - LENS_MARGIN;
    const count = Math.ceil(scroller.clientWidth / LENS_COLUMN) + 2 * LENS_MARGIN;
    const [start, end] = [Math.max(0, first), Math.min(table.places, first + count)];
    const inside = start >= from && end <= to && to - from <= 2 * count;
    if (inside && !anew) return;
    [from, to] = [Math.max(0, start - LENS_MARGIN), Math.min(table.places, end + LENS_MARGIN)];
    titles.replaceChildren(titles.firstChild, ...lensSpan(from, to, titleOf));
    for (const row of rows) row.cells(from, to);
    highlight();
    activate();
  };
  const reveal = (at) => {
    const [left, width] = [at * LENS_COLUMN, scroller.clientWidth - LENS_HEAD];
    if (left < scroller.scrollLeft) scroller.scrollLeft = left;
    else if (left + LENS_COLUMN > scroller.scrollLeft + width) scroller.scrollLeft = left + LENS_COLUMN - width;
    render();
  };
  const build = () => {
    const corner = make("div", { class: "wb-lens-layer", role: "columnheader", "aria-colindex": 1 }, "place");
    titles = make("div", { class: "wb-lens-row wb-lens-titles", role: "row", "aria-rowindex": 1 }, corner);
    const order = Array.from(table.layers, (_, i) => table.layers.length - 1 - i);
    rows = order.map((at) => createLensRow(table, at, grid.id));
    for (const part of [titles, ...rows.map((row) => row.node)]) part.style.width = `${LENS_HEAD + table.places * LENS_COLUMN}px`;
    grid.replaceChildren(titles, ...rows.map((row) => row.node));
    grid.setAttribute("aria-rowcount", rows.length + 1);
    grid.setAttribute("aria-colcount", table.places + 1);
  };
  const read = (at, of) => {
    [layer, column] = [at, of];
    reveal(column);
    activate();
    const cell = cellAt(layer, column);
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
    tip.show(table, layer, column, cell, node);
  };
  const keyTarget = (key) => {
    const [top, last] = [table.layers.length - 1, table.places - 1];
    const page = Math.max(1, Math.floor((scroller.clientWidth - LENS_HEAD) / LENS_COLUMN) - 1);
    return {
      ArrowUp: [Math.min(top, layer + 1), column],
      ArrowDown: [Math.max(0, layer - 1), column],
      ArrowLeft: [layer, Math.max(0, column - 1)],
      ArrowRight: [layer, Math.min(last, column + 1)],
      PageUp: [layer, Math.max(0, column - page)],
      PageDown: [layer, Math.min(last, column + page)],
      Home: [layer, 0],
      End: [layer, last],
    }[key];
  };
  const onKey = (event) => {
    if (table === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = keyTarget(event.key);
    if (target) read(...target);
    else if (event.key === "Enter" || event.key === " ") pick(column + 1);
    else if (event.key === "Escape" && !tip.node.hidden) tip.hide();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const onPointer = (event) => {
    const cell = event.target.closest(".wb-lens-cell");
    if (cell) tip.show(table, Number(cell.dataset.layer), Number(cell.dataset.column), cell, node);
    else tip.hide();
  };
  const onClick = (event) => {
    const at = event.target.closest("[data-column]");
    if (!at) return;
    column = Number(at.dataset.column);
    if (at.dataset.layer) layer = Number(at.dataset.layer);
    activate();
    pick(column + 1);
  };
  grid.addEventListener("keydown", onKey);
  grid.addEventListener("click", onClick);
  grid.addEventListener("pointerover", onPointer);
  grid.addEventListener("pointerleave", tip.hide);
  grid.addEventListener("blur", tip.hide);
  grid.addEventListener("focus", () => {
    if (table && grid.matches(":focus-visible")) read(layer, column);
  });
  scroller.addEventListener("scroll", () => {
    if (!grid.matches(":focus")) tip.hide();
    frame ||= requestAnimationFrame(() => render());
  });
  const sizes = new ResizeObserver(() => (frame ||= requestAnimationFrame(() => render())));
  sizes.observe(scroller);

  const present = () => {
    body.hidden = false;
    build();
    [from, to] = [0, 0];
    render(true);
    if (place > 0) reveal(place - 1);
  };
  return {
    node,
    /** A message of the kernel, and its buffers. */
    show(message, buffers) {
      if (!state.take(message)) return;
      table = lensTable(message, buffers);
      [layer, column] = [table.layers.length - 1, Math.min(table.places, Math.max(1, place)) - 1];
      setText(note, `A row is what the model would write if it ended after that layer. Place 0, ${quoted(message.first)}, has nothing before it.`);
      present();
    },
    clear() {
      table = null;
      body.hidden = true;
      tip.hide();
      state.clear();
    },
    /** The panel's `place`, or the `pieces` of its text, are others; `written` is false of a text
     * that is not read yet. */
    refresh(now) {
      place = now.place;
      state.text(now);
      if (table === null) return;
      highlight();
      if (!state.open || !place || place > table.places) return;
      column = place - 1;
      reveal(column);
      activate();
    },
    /** The view has come to sight, or gone. */
    visible(on) {
      state.visible(on);
      if (!on) tip.hide();
      else render(true);
    },
    dispose() {
      sizes.disconnect();
      cancelAnimationFrame(frame);
      state.dispose();
    },
  };
}
