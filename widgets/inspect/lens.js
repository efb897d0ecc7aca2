// The logit lens: its table with what opens at a cell, the keys that walk through it, its legend.

import { make, setText, uniqueId } from "../shared/dom.js";
import { visible } from "../shared/tokens.js";
import { createLensGrid } from "./lens_grid.js";
import { lensFacts, lensTable } from "./lens_table.js";
import { createViewState, exactPercent, layerText, quoted } from "./views.js";

const LENS_IDLE = "Read a text first; then this shows what each layer would have written at its places.";

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

/** The cell, [layer, column], that a key leads to from another; undefined where it leads nowhere. */
function cellAfter(key, [layer, column], table, page) {
  const [top, last] = [table.layers.length - 1, table.places - 1];
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
}

/** Keys on the grid; `state()` is { table, cell }: what is shown, and [layer, column] of the keys. */
function listenForLensKeys(grid, state, tip, { read, pick }) {
  grid.node.addEventListener("keydown", (event) => {
    const { table, cell } = state();
    if (table === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = cellAfter(event.key, cell, table, grid.page());
    if (target) read(...target);
    else if (event.key === "Enter" || event.key === " ") pick(cell[1] + 1);
    else if (event.key === "Escape" && !tip.node.hidden) tip.hide();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Pointer and focus on the grid: `point` shows a cell's tip, `choose` goes there. */
function listenForLensPointer({ node }, tip, { point, choose, focused }) {
  const cellOf = ({ dataset }) => [dataset.layer === undefined ? null : Number(dataset.layer), Number(dataset.column)];
  node.addEventListener("click", (event) => {
    const at = event.target.closest("[data-column]");
    if (at) choose(...cellOf(at));
  });
  node.addEventListener("pointerover", (event) => {
    const cell = event.target.closest(".wb-lens-cell");
    if (cell) point(...cellOf(cell), cell);
    else tip.hide();
  });
  node.addEventListener("pointerleave", tip.hide);
  node.addEventListener("blur", tip.hide);
  node.addEventListener("focus", () => node.matches(":focus-visible") && focused());
}

/** Calls `changed` in the next frame when the grid was scrolled or has another size; the result ends it. */
function followSight({ node, scroller }, tip, changed) {
  let frame = 0;
  const draw = () => {
    frame = 0;
    changed();
  };
  const touch = () => (frame ||= requestAnimationFrame(draw));
  scroller.addEventListener("scroll", () => {
    if (!node.matches(":focus")) tip.hide();
    touch();
  });
  const sizes = new ResizeObserver(touch);
  sizes.observe(scroller);
  return () => {
    sizes.disconnect();
    cancelAnimationFrame(frame);
  };
}

/** The table with its tip inside `frame`: where the keys are, and the place that is chosen. */
function createLensBoard(frame, pick) {
  const tip = createLensTip();
  const grid = createLensGrid(() => {
    grid.highlight(place);
    activate();
  });
  let table = null;
  let [layer, column] = [0, 0]; // where the keys are
  let place = 0; // of the panel
  const activate = () => grid.activate(grid.cellAt(layer, column));
  const read = (at, of) => {
    [layer, column] = [at, of];
    grid.reveal(column);
    activate();
    const cell = grid.cellAt(layer, column);
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
    tip.show(table, layer, column, cell, frame);
  };
  const choose = (at, of) => {
    column = of;
    layer = at ?? layer;
    activate();
    pick(column + 1);
  };
  const point = (at, of, cell) => tip.show(table, at, of, cell, frame);
  listenForLensKeys(grid, () => ({ table, cell: [layer, column] }), tip, { read, pick });
  listenForLensPointer(grid, tip, { point, choose, focused: () => table && read(layer, column) });
  const end = followSight(grid, tip, grid.render);
  return {
    node: grid.scroller,
    tip,
    render: grid.render,
    show(found) {
      table = found;
      [layer, column] = [table.layers.length - 1, Math.min(table.places, Math.max(1, place)) - 1];
      grid.show(table);
      if (place > 0) grid.reveal(place - 1);
    },
    clear() {
      table = null;
      grid.show(null);
      tip.hide();
    },
    /** The panel's place is another; it is gone to where the view is in sight. */
    go(to, inSight) {
      place = to;
      if (table === null) return;
      grid.highlight(place);
      if (!inSight || !place || place > table.places) return;
      column = place - 1;
      grid.reveal(column);
      activate();
    },
    dispose: end,
  };
}

/**
 * The view. `ask({})` requests its data; `pick(place)` is told which place was chosen.
 */
export function createLens({ ask, pick }) {
  const node = make("div", { class: "wb-view wb-lens" });
  const board = createLensBoard(node, pick);
  const note = make("p", { class: "wb-note wb-lens-note" });
  const body = make("div", { class: "wb-lens-body" }, createLensLegend(), board.node, note);
  const state = createViewState(LENS_IDLE, () => ask({}));
  node.append(state.node, body, board.tip.node);
  body.hidden = true;
  return {
    node,
    /** A message of the kernel, and its buffers. */
    show(message, buffers) {
      if (!state.take(message)) return;
      setText(note, `A row is what the model would write if it ended after that layer. Place 0, ${quoted(message.first)}, has nothing before it.`);
      body.hidden = false;
      board.show(lensTable(message, buffers));
    },
    clear() {
      board.clear();
      body.hidden = true;
      state.clear();
    },
    /** The panel's `place`, or the `pieces` of its text, are others; `written` is false of a text
     * that is not read yet. */
    refresh(now) {
      state.text(now);
      board.go(now.place, state.open);
    },
    /** The view has come to sight, or gone. */
    visible(on) {
      state.visible(on);
      if (!on) board.tip.hide();
      else board.render(true);
    },
    dispose() {
      board.dispose();
      state.dispose();
    },
  };
}
