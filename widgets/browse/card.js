// The card of one preset: its facts, the line that loads it, and the button that does.

import { button, make, setText } from "../shared/dom.js";
import { bytesText, gigabytesText, parametersText, wholeText } from "../shared/units.js";
import { codeOf } from "./catalog.js";

function factsOf(row) {
  return [
    ["Family", row.family],
    ["Parameters", parametersText(row.parameters)],
    ["Layers", row.layers === null ? "–" : wholeText(row.layers)],
    ["Context", row.context === null ? "–" : `${wholeText(row.context)} tokens`],
    ["Licence", row.gated ? `${row.licence}, gated` : row.licence],
    ["On disk", bytesText(row.bytes)],
  ];
}

function kindOf({ modality, instruct, embedded }) {
  return [modality, instruct ? "instruct" : "base", ...(embedded ? ["built in"] : [])].join(" · ");
}

/** What the preset needs in every dtype, the chosen one marked. */
function needsOf(row, { dtype, limit, dtypes }) {
  return dtypes
    .filter(({ name }) => name !== "auto")
    .map(({ name }) => ({
      name,
      chosen: name === dtype || (dtype === "auto" && row.needs.auto === row.needs[name]),
      need: gigabytesText(row.needs[name]),
      fits: row.needs[name] <= limit,
    }));
}

function createFact(label, value) {
  return make("div", { class: "wb-preset-fact" }, make("dt", {}, label), make("dd", {}, value));
}

function createNeed({ name, chosen, need, fits }) {
  const options = { class: `wb-preset-need${chosen ? " wb-picked" : ""}${fits ? "" : " wb-unfit"}` };
  return make(
    "div",
    options,
    make("dt", {}, chosen ? `${name}, chosen` : name),
    make("dd", {}, make("span", {}, need), make("span", { class: "wb-note" }, fits ? "fits" : "too big")),
  );
}

/** The line that loads the preset, and a button that copies it. */
function createCodeLine() {
  const line = make("code", { class: "wb-preset-line-code" });
  const copied = make("span", { class: "wb-note", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(line.textContent);
      setText(copied, "copied");
    } catch {
      getSelection().selectAllChildren(line);
      setText(copied, "selected: press Ctrl+C");
    }
  };
  const copyButton = button("Copy", copy, { class: "wb-button wb-quiet", "aria-label": "Copy the line" });
  return {
    node: make("div", { class: "wb-preset-code" }, line, copied, copyButton),
    show(text) {
      setText(line, text);
      setText(copied, "");
    },
  };
}

export function createCard({ load, back }) {
  const name = make("strong", { class: "wb-name" });
  const tag = make("span", { class: "wb-note" });
  const description = make("p", { class: "wb-preset-about" });
  const facts = make("dl", { class: "wb-preset-facts" });
  const needs = make("dl", { class: "wb-preset-needs", "aria-label": "Memory needed" });
  const note = make("p", { class: "wb-preset-gate" });
  const line = createCodeLine();
  const loadButton = button("Load", () => load(), { class: "wb-button wb-primary" });
  const node = make(
    "section",
    { class: "wb-preset-card", tabindex: "-1" },
    make("div", { class: "wb-preset-head" }, make("div", {}, name, tag), loadButton),
    description,
    facts,
    make("div", { class: "wb-preset-needs-label wb-note" }, "Memory it needs here, by dtype"),
    needs,
    note,
    line.node,
  );
  node.hidden = true;
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    back();
  });
  let shown = "";
  return {
    node,
    focus: () => node.focus(),
    show(row, choice) {
      node.hidden = !row;
      if (!row) return;
      const key = JSON.stringify([row.name, choice]);
      if (key === shown) return;
      shown = key;
      node.setAttribute("aria-label", `Preset ${row.name}`);
      setText(name, row.name);
      setText(tag, kindOf(row));
      setText(description, row.description);
      facts.replaceChildren(...factsOf(row).map(([label, value]) => createFact(label, value)));
      needs.replaceChildren(...needsOf(row, choice).map(createNeed));
      setText(note, [row.absent, row.gate].filter(Boolean).join(" "));
      note.hidden = !note.textContent;
      line.show(codeOf(row, choice.dtype));
    },
    enable(row, busy) {
      loadButton.disabled = busy || !row?.supported;
    },
  };
}
