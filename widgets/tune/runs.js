// The runs so far, the best of the one shown, and what is written to disk.

import { button, make, setText, setValue, uniqueId } from "../shared/dom.js";
import { bytesText, wholeText } from "../shared/units.js";
import { createSwatch } from "./plot.js";
import { RUN_COLOURS } from "./loss.js";
import { measureText } from "./scale.js";

export function createBest({ keep }) {
  const text = make("span", { class: "wb-tune-best" });
  const keepButton = button("Keep best", keep, { title: "Put the adapter of the best step into the model" });
  return {
    nodes: [text, keepButton],
    show(run, busy) {
      const { best, kept } = run;
      text.hidden = keepButton.hidden = !best;
      if (!best) return;
      setText(text, `best step ${wholeText(best.step)}, validation ${measureText(best.loss)}${kept ? " · in the model" : ""}`);
      keepButton.disabled = busy || kept;
    },
  };
}

export function createRunList(model, { restore }) {
  const list = make("div", { class: "wb-tune-run-list" });
  const node = make(
    "div",
    { class: "wb-tune-runs", role: "group", "aria-label": "Runs" },
    make("div", { class: "wb-tune-head" }, make("strong", {}, "Runs"), make("span", { class: "wb-note" }, "tick those whose curves you want to compare")),
    list,
  );
  let drawn = "";
  let rows = [];
  const choose = () => {
    model.set("shown", rows.filter(({ box }) => box.checked && !box.disabled).map(({ number }) => number));
    model.save_changes();
  };
  const createRow = ({ number, label, summary }) => {
    const box = make("input", { type: "checkbox", onchange: choose });
    const swatch = createSwatch({ colour: (number - 1) % RUN_COLOURS, style: "line" });
    const back = button("Restore", () => restore(number), {
      class: "wb-button wb-quiet",
      "aria-label": `Restore run ${number}`,
      title: "Its settings and curves, and its adapter in the model",
    });
    const said = make("span", { class: "wb-tune-run-summary" });
    const row = make(
      "div",
      { class: "wb-tune-run" },
      make("label", { class: "wb-tune-check" }, box, swatch, make("span", {}, `Run ${number}`)),
      make("span", { class: "wb-note wb-tune-run-label" }, label),
      said,
      back,
    );
    return { row, box, back, said, summary, number };
  };
  return {
    node,
    refresh(busy, run) {
      const runs = model.get("runs");
      const key = JSON.stringify(runs);
      if (key !== drawn) {
        drawn = key;
        rows = runs.map(createRow);
        list.replaceChildren(...rows.map(({ row }) => row));
      }
      const now = run.run;
      const shown = new Set(model.get("shown"));
      node.hidden = runs.length < (busy ? 2 : 1);
      for (const { row, box, back, said, summary, number } of rows) {
        setText(said, number === now ? run.summary : summary);
        box.checked = number === now || shown.has(number);
        box.disabled = number === now;
        back.disabled = busy;
        row.classList.toggle("wb-now", number === now);
      }
    },
  };
}

/** The formats to choose from, and a name for the file; `about` says what the format is for. */
function createTarget(model, saved) {
  const [formatId, pathId] = [uniqueId("format"), uniqueId("path")];
  const format = make("select", { id: formatId, class: "wb-tune-input", onchange: () => suggest() });
  const path = make("input", { type: "text", id: pathId, class: "wb-tune-input", spellcheck: "false", autocomplete: "off" });
  const about = make("div", { class: "wb-note" });
  const write = button("Write", () => saved(format.value, path.value.trim()), { class: "wb-button" });
  const chosen = () => model.get("exports").formats.find(({ name }) => name === format.value);
  const suggest = () => {
    setValue(path, chosen()?.path ?? "");
    setText(about, chosen()?.about ?? "");
  };
  path.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || write.disabled) return;
    saved(format.value, path.value.trim());
    event.stopPropagation();
    event.preventDefault();
  });
  let offered = "";
  const labels = [make("label", { for: formatId }, "Format"), make("label", { for: pathId }, "to")];
  const row = make("div", { class: "wb-tune-export-row" }, labels[0], format, labels[1], path, write);
  return {
    nodes: [row, about],
    write,
    focus: () => format.focus(),
    offer(formats) {
      const key = JSON.stringify(formats);
      if (key === offered) return;
      const before = format.value;
      offered = key;
      format.replaceChildren(...formats.map(({ name, label }) => make("option", { value: name }, label)));
      if (formats.some(({ name }) => name === before)) format.value = before;
      suggest();
    },
  };
}

/** Where the adapter goes: a format, a name beside the notebook, and what became of it. */
export function createExport(model, { save }) {
  const target = createTarget(model, save);
  const result = make("div", { class: "wb-tune-result", role: "status" });
  const options = { class: "wb-section wb-tune-export", id: uniqueId("export") };
  const panel = make("div", options, ...target.nodes, result);
  const opener = button("Export", () => toggle(panel.hidden), {
    "aria-expanded": "false",
    "aria-controls": panel.id,
  });
  panel.hidden = true;
  const toggle = (open) => {
    panel.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) target.focus();
  };
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    toggle(false);
    opener.focus();
    event.stopPropagation();
    event.preventDefault();
  });
  return {
    opener,
    node: panel,
    refresh(ready) {
      const { formats, busy, done } = model.get("exports");
      target.offer(formats);
      opener.disabled = !ready && panel.hidden;
      target.write.disabled = !ready || Boolean(busy);
      const wrote = done ? `Written: ${done.path} · ${bytesText(done.bytes)}` : "";
      setText(result, busy ? `Writing ${busy} …` : wrote);
      result.hidden = !result.textContent;
    },
  };
}
