// The logit lens as a table: a row for each layer, the last on top, a column for each place of the
// text. Columns out of sight are not in the page, so that a long text costs no more than a short one.

import { make, uniqueId } from "../shared/dom.js";
import { visible } from "../shared/tokens.js";
import { lensSpoken } from "./lens_table.js";
import { inkText, layerText } from "./views.js";

const LENS_COLUMN = 80; // px, as in lens.css
const LENS_HEAD = 96; // px of the layers' names
const LENS_MARGIN = 4; // columns rendered beside those in sight, and as many again in store

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

/** The title of a column. */
function createLensTitle(table, at) {
  const open = table.isOpen(at);
  const options = { class: "wb-lens-title", role: "columnheader", "aria-colindex": at + 2, "data-column": at };
  const cell = make(
    "div",
    { ...options, title: open ? "the token that would come next" : visible(table.token(at)) },
    make("span", { class: "wb-lens-number" }, String(at + 1)),
    make("span", { class: "wb-lens-token" }, open ? "next" : inkText(table.token(at))),
  );
  cell.classList.toggle("wb-lens-next", open);
  return cell;
}

/** The row of the titles, with nothing but its name. */
function createLensTitles() {
  const corner = make("div", { class: "wb-lens-layer", role: "columnheader", "aria-colindex": 1 }, "place");
  return make("div", { class: "wb-lens-row wb-lens-titles", role: "row", "aria-rowindex": 1 }, corner);
}

const GRID = {
  class: "wb-lens-grid",
  role: "grid",
  tabindex: "0",
  "aria-label": "Likeliest token by layer and place. Arrow keys walk, Enter chooses the place.",
};

/** Which columns are to be in the page, [from, to], and whether those of `now` do for what is in sight. */
function columnsInSight(scroller, places, now) {
  const first = Math.floor(scroller.scrollLeft / LENS_COLUMN) - LENS_MARGIN;
  const count = Math.ceil(scroller.clientWidth / LENS_COLUMN) + 2 * LENS_MARGIN;
  const [start, end] = [Math.max(0, first), Math.min(places, first + count)];
  const [from, to] = now;
  return {
    columns: [Math.max(0, start - LENS_MARGIN), Math.min(places, end + LENS_MARGIN)],
    enough: start >= from && end <= to && to - from <= 2 * count,
  };
}

/** Marks the column of the panel's place. */
function highlightColumn(grid, place) {
  for (const element of grid.querySelectorAll("[data-column]")) {
    element.classList.toggle("wb-lens-chosen", Number(element.dataset.column) === place - 1);
  }
}

/** Marks the cell where the keys are. */
function activateCell(grid, cell) {
  for (const element of grid.querySelectorAll(".wb-lens-active")) element.classList.remove("wb-lens-active");
  cell?.classList.add("wb-lens-active");
  if (cell) grid.setAttribute("aria-activedescendant", cell.id);
  else grid.removeAttribute("aria-activedescendant");
}

/** The table in the page: those of its columns that are in sight. `drawn()` is called for others. */
export function createLensGrid(drawn) {
  const node = make("div", { ...GRID, id: uniqueId("lens") });
  const scroller = make("div", { class: "wb-lens-scroll" }, node);
  let table = null;
  let rows = [];
  let titles = null;
  let columns = [0, 0];
  /** Puts those columns into the page that are in sight, and some beside them. */
  const render = (anew = false) => {
    if (table === null || !scroller.clientWidth) return;
    const found = columnsInSight(scroller, table.places, columns);
    if (found.enough && !anew) return;
    columns = found.columns;
    titles.replaceChildren(titles.firstChild, ...lensSpan(...columns, (at) => createLensTitle(table, at)));
    for (const row of rows) row.cells(...columns);
    drawn();
  };
  const build = () => {
    titles = createLensTitles();
    const order = Array.from(table.layers, (_, i) => table.layers.length - 1 - i);
    rows = order.map((at) => createLensRow(table, at, node.id));
    const parts = [titles, ...rows.map((row) => row.node)];
    for (const part of parts) part.style.width = `${LENS_HEAD + table.places * LENS_COLUMN}px`;
    node.replaceChildren(...parts);
    node.setAttribute("aria-rowcount", rows.length + 1);
    node.setAttribute("aria-colcount", table.places + 1);
  };
  return {
    node,
    scroller,
    render,
    /** The columns that fit beside the names of the layers. */
    page: () => Math.max(1, Math.floor((scroller.clientWidth - LENS_HEAD) / LENS_COLUMN) - 1),
    cellAt: (layer, column) => node.querySelector(`#${node.id}-${layer}-${column}`),
    show(found) {
      table = found;
      if (table === null) return;
      build();
      columns = [0, 0];
      render(true);
    },
    reveal(column) {
      const [left, width] = [column * LENS_COLUMN, scroller.clientWidth - LENS_HEAD];
      if (left < scroller.scrollLeft) scroller.scrollLeft = left;
      else if (left + LENS_COLUMN > scroller.scrollLeft + width) scroller.scrollLeft = left + LENS_COLUMN - width;
      render();
    },
    highlight: (place) => highlightColumn(node, place),
    activate: (cell) => activateCell(node, cell),
  };
}
