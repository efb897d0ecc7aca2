// The branches of the text as a small tree: one is shown, each can be gone back to.

import { button, make } from "../shared/dom.js";
import { visible } from "../shared/tokens.js";
import { wholeText } from "../shared/units.js";

function createBranchRow({ number, parent, place, word, tokens, logprob }, level, go) {
  const name = parent === null ? "text" : visible(word) || "∅";
  const count = tokens === 1 ? "1 token" : `${wholeText(tokens)} tokens`;
  const chance = logprob.toFixed(1).replace("-", "−");
  const node = make(
    "div",
    {
      role: "treeitem",
      class: "wb-inspect-branch",
      tabindex: "-1",
      "aria-level": level,
      "aria-selected": "false",
      "aria-label": `${parent === null ? "the text" : `${name} at place ${place}`}, ${count}, log-probability ${chance}`,
      onclick: () => go(number),
    },
    make("span", { class: parent === null ? "" : "wb-inspect-piece" }, name),
    make("span", { class: "wb-note wb-inspect-number" }, count),
    make("span", { class: "wb-note wb-inspect-number", title: "log-probability of its own tokens" }, `log p ${chance}`),
  );
  node.style.setProperty("--level", level - 1);
  return { node, number, parent };
}

/** `go(number)` shows a branch, `drop(number)` deletes it. */
export function createBranches(model, { go, drop }) {
  const list = make("div", { class: "wb-inspect-tree", role: "tree", "aria-label": "Branches" });
  const remove = button("Delete branch", () => drop(shown), { class: "wb-button wb-quiet", title: "Del" });
  const head = make("div", { class: "wb-inspect-head" }, make("span", {}, "Branches"), remove);
  const hint = make("div", { class: "wb-note" }, "Press a bar to let the text go on from another token.");
  const node = make("div", { class: "wb-inspect-branches" }, head, list, hint);
  let rows = [];
  let shown = 0;
  let drawn = "";

  const rowOf = (number) => rows.find((row) => row.number === number);
  const roving = (row) => rows.forEach((one) => one.node.setAttribute("tabindex", one === row ? "0" : "-1"));
  const rebuild = (entries) => {
    const held = rows.find((row) => row.node === document.activeElement)?.number;
    const levels = new Map();
    rows = entries.map((entry) => {
      levels.set(entry.number, (levels.get(entry.parent) ?? 0) + 1);
      return createBranchRow(entry, levels.get(entry.number), go);
    });
    list.replaceChildren(...rows.map((row) => row.node));
    const row = rowOf(held) ?? (held === undefined ? null : rowOf(shown));
    row?.node.focus();
  };
  list.addEventListener("focusin", (event) => roving(rows.find((row) => row.node === event.target)));
  list.addEventListener("keydown", (event) => {
    const at = rows.findIndex((row) => row.node === document.activeElement);
    if (at < 0) return;
    const targets = {
      ArrowDown: rows[at + 1],
      ArrowUp: rows[at - 1],
      ArrowLeft: rowOf(rows[at].parent),
      ArrowRight: rows.find((row) => row.parent === rows[at].number),
      Home: rows[0],
      End: rows.at(-1),
    };
    if (event.key in targets) targets[event.key]?.node.focus();
    else if (event.key === "Enter" || event.key === " ") go(rows[at].number);
    else if (event.key === "Delete" && rows[at].parent !== null) drop(rows[at].number);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    node,
    refresh(busy) {
      const entries = model.get("tree");
      shown = model.get("reading").branch ?? 0;
      node.hidden = entries.length === 0;
      hint.hidden = entries.length > 1;
      if (JSON.stringify(entries) !== drawn) rebuild(entries);
      drawn = JSON.stringify(entries);
      for (const row of rows) row.node.setAttribute("aria-selected", String(row.number === shown));
      if (!rows.some((row) => row.node === document.activeElement)) roving(rowOf(shown) ?? rows[0]);
      remove.disabled = busy || (rowOf(shown)?.parent ?? null) === null;
    },
  };
}
