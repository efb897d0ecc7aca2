// The table of presets: a grid whose rows are walked with the arrow keys and opened with Enter.
// Each row lays itself out, so that the browser can leave those aside that are out of sight.

import { make, setText } from "../shared/dom.js";
import { gigabytesText, parametersText, wholeText } from "../shared/units.js";
import { BY, verdict } from "./catalog.js";

const COLUMNS = [
  ["name", "name", ""],
  ["family", "family", "wb-fold"],
  ["parameters", "params", "wb-number"],
  ["needs", "needs", "wb-number"],
  ["context", "context", "wb-number wb-fold"],
  ["licence", "licence", "wb-fold"],
  ["fit", "here", ""],
];
const PAGE_ROWS = 10;
const NOTHING = "No preset matches. Clear a filter, or search for fewer words.";

function createRow(row) {
  const mark = make("span", { class: "wb-preset-mark", "aria-hidden": "true" });
  const gate = row.gated ? [make("span", { class: "wb-note" }, "gated")] : [];
  const under = [row.family, ...(row.gated ? ["gated"] : []), row.licence].join(" · ");
  const texts = {
    name: [
      mark,
      make("span", { class: "wb-preset-name" }, row.name),
      make("span", { class: "wb-preset-under" }, under),
    ],
    family: [row.family],
    parameters: [parametersText(row.parameters)],
    needs: [],
    context: [row.context === null ? "–" : wholeText(row.context)],
    licence: [make("span", { class: "wb-preset-licence" }, row.licence), ...gate],
    fit: [],
  };
  const cells = {};
  for (const [name, , kind] of COLUMNS) {
    cells[name] = make("div", { role: "gridcell", class: `wb-col-${name} ${kind}` }, ...texts[name]);
  }
  const options = { role: "row", class: "wb-preset-row", tabindex: "-1", "aria-selected": "false" };
  const node = make("div", options, ...Object.values(cells));
  return {
    row,
    node,
    mark,
    judge(choice) {
      const { text, good } = verdict(row, choice);
      setText(cells.needs, gigabytesText(row.needs[choice.dtype]));
      setText(cells.fit, text);
      node.classList.toggle("wb-unfit", !good);
    },
  };
}

function createHead(name, label, kind, onclick) {
  const options = { role: "columnheader", class: `wb-col-${name} ${kind}` };
  if (!(name in BY)) return make("div", options, label);
  const opener = make("button", { type: "button", class: "wb-preset-sort", onclick }, label);
  return make("div", { ...options, "aria-sort": "none" }, opener);
}

/** Where a key leads from the row at `at` of `count`; undefined where it leads nowhere. */
function rowAfter(key, at, count) {
  const moves = {
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    PageDown: at + PAGE_ROWS,
    PageUp: at - PAGE_ROWS,
    Home: 0,
    End: count - 1,
  };
  return key in moves ? Math.max(0, Math.min(moves[key], count - 1)) : undefined;
}

/** The titles of the columns; `resort()` is called when another order was chosen. */
function createHeads(resort) {
  let order = { column: "", descending: false };
  const heads = COLUMNS.map(([name, label, kind]) => createHead(name, label, kind, () => sortBy(name)));
  const sortBy = (column) => {
    order = { column, descending: order.column === column && !order.descending };
    COLUMNS.forEach(([name], index) => {
      if (!(name in BY)) return;
      const direction = order.descending ? "descending" : "ascending";
      heads[index].setAttribute("aria-sort", name === column ? direction : "none");
    });
    resort();
  };
  return {
    node: make("div", { role: "row", class: "wb-preset-titles" }, ...heads),
    get order() {
      return order;
    },
  };
}

/** The rows of the table: one can be reached with Tab, the others from it with the arrow keys. */
function createBody(lines, open) {
  const node = make("div", { role: "rowgroup" });
  let current = null;
  const lineOf = (element) => [...lines.values()].find((line) => line.node === element.closest(".wb-preset-row"));
  const setCurrent = (row) => {
    current?.setAttribute("tabindex", "-1");
    current = row;
    current?.setAttribute("tabindex", "0");
  };
  node.addEventListener("click", (event) => {
    const line = lineOf(event.target);
    if (line) open(line.row, false);
  });
  node.addEventListener("focusin", (event) => setCurrent(event.target.closest(".wb-preset-row")));
  node.addEventListener("keydown", (event) => {
    const shown = [...node.children];
    const next = shown[rowAfter(event.key, shown.indexOf(current), shown.length)];
    if (next) next.focus();
    else if (event.key === "Enter" || event.key === " ") open(lineOf(event.target).row, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    node,
    setCurrent,
    focus: () => current?.focus(),
    show(rows) {
      const focused = node.contains(document.activeElement);
      node.replaceChildren(...rows);
      if (!node.contains(current)) setCurrent(node.firstElementChild);
      if (focused) current?.focus();
    },
  };
}

/** `open` is called with the row that is opened, and whether a key did it. */
export function createTable(rows, { open, resort }) {
  const lines = new Map(rows.map((row) => [row.name, createRow(row)]));
  const body = createBody(lines, open);
  const heads = createHeads(resort);
  const empty = make("div", { class: "wb-preset-empty" }, NOTHING);
  const titles = make("div", { role: "rowgroup", class: "wb-preset-sticky" }, heads.node);
  const grid = make("div", { role: "grid", "aria-label": "Presets" }, titles, body.node);
  const node = make("div", { class: "wb-preset-scroll" }, grid, empty);
  return {
    node,
    get order() {
      return heads.order;
    },
    /** Shows these rows, in this order; the elements of a row stay the same ones. */
    show(shown) {
      body.show(shown.map(({ name }) => lines.get(name).node));
      empty.hidden = shown.length > 0;
    },
    judge(choice) {
      for (const line of lines.values()) line.judge(choice);
    },
    /** Marks the row of the open card and that of the loaded model. */
    mark(selected, loaded) {
      for (const [name, line] of lines) {
        line.node.setAttribute("aria-selected", String(name === selected));
        setText(line.mark, name === loaded ? "●" : "");
      }
    },
    reveal(name) {
      const line = lines.get(name);
      if (!line || !body.node.contains(line.node)) return;
      body.setCurrent(line.node);
      const top = line.node.offsetTop - heads.node.offsetHeight;
      const bottom = line.node.offsetTop + line.node.offsetHeight - node.clientHeight;
      node.scrollTop = Math.min(top, Math.max(bottom, node.scrollTop));
    },
    focus: body.focus,
  };
}
