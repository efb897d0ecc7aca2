// One column of a comparison: its title and sampler, its text, and its figures.

import { SAVE_MS, createSlider } from "../shared/controls.js";
import { debounce, make, setText, uniqueId } from "../shared/dom.js";
import { createOutput } from "../shared/tokens.js";

const FIGURES = [
  ["tokens", "Tokens", (cell) => wholeNumber(cell.pieces.length)],
  ["rate", "Tokens/s", (cell) => (cell.rate ? String(Math.round(cell.rate)) : "–")],
  ["logprob", "Mean log-probability", (cell) => numberText(cell.logprob, 2)],
  ["perplexity", "Perplexity", (cell) => numberText(cell.logprob === null ? null : Math.exp(-cell.logprob), 2)],
  ["length", "Characters", (cell) => wholeNumber(cell.pieces.join("").length)],
];

function wholeNumber(number) {
  return number.toLocaleString("en");
}

function numberText(number, digits) {
  return number === null || number === undefined ? "–" : number.toFixed(digits).replace("-", "−");
}

/** The sampler of a column, folded; `change(values)` is called a moment after it was changed. */
function createColumnSampler(form, change) {
  const fields = {};
  const touched = new Set();
  const id = uniqueId("sampler");
  const kind = make("select", { id, onchange: () => touch("sampler") });
  for (const { name, label } of form.samplers) kind.append(make("option", { value: name }, label));
  fields.sampler = { read: () => kind.value, write: (value) => (kind.value = value) };
  const rows = make("div", { class: "wb-rows" });
  const used = new Set(form.samplers.flatMap(({ controls }) => controls));
  const controls = form.controls.filter(({ name }) => used.has(name));
  for (const control of controls) {
    fields[control.name] = createSlider(control, (name) => touch(name));
    rows.append(fields[control.name].node);
  }
  const read = () => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.read()]));
  const save = debounce(() => {
    touched.clear();
    change(read());
  }, SAVE_MS);
  const hideUnused = () => {
    const chosen = form.samplers.find(({ name }) => name === kind.value);
    for (const { name } of controls) fields[name].node.hidden = !chosen.controls.includes(name);
  };
  const touch = (name) => {
    touched.add(name);
    hideUnused();
    save.touch();
  };
  const summary = make("summary", { class: "wb-compare-sampler" });
  const plain = make("div", { class: "wb-compare-sampler" });
  const picker = make("div", { class: "wb-row" }, make("label", { for: id }, "Sampler"), kind);
  const fold = make("details", {}, summary, make("div", { class: "wb-controls" }, picker, rows));
  return {
    nodes: [fold, plain],
    refresh({ sampler, values }) {
      fold.hidden = !values;
      plain.hidden = Boolean(values);
      setText(values ? summary : plain, `Sampler: ${sampler}`);
      if (!values) return;
      for (const { name, reach } of controls) if (!touched.has(name)) fields[name].write(values[name], reach);
      if (!touched.has("sampler")) kind.value = values.sampler;
      hideUnused();
    },
    flush: () => save.flush(),
    dispose: () => save.drop(),
  };
}

/** The figures of a column, under their names. */
function createColumnFigures() {
  const values = FIGURES.map(() => make("dd", {}));
  const rows = FIGURES.map(([, label], index) => make("div", {}, make("dt", {}, label), values[index]));
  const node = make("dl", { class: "wb-compare-figures" }, ...rows);
  return {
    node,
    show(cell) {
      node.hidden = !cell.pieces.length;
      if (!node.hidden) FIGURES.forEach(([, , text], index) => setText(values[index], text(cell)));
    },
  };
}

/**
 * `group` is the name its radio button shares with those of the other columns, `refer()` makes it
 * the reference, `change(values)` its sampler. `reading` are options of `createOutput`.
 */
export function createColumn(form, { group, refer, change, ...reading }) {
  const title = make("strong", { class: "wb-compare-title", id: uniqueId("column") });
  const about = make("div", { class: "wb-note wb-compare-about" });
  const radio = make("input", { type: "radio", name: group, onchange: refer });
  const reference = make("label", { class: "wb-radio wb-compare-reference" }, radio, "reference");
  const sampler = createColumnSampler(form, change);
  const output = createOutput({ ...reading, trim: true });
  const ending = make("div", { class: "wb-note wb-compare-ending" });
  const figures = createColumnFigures();
  const error = make("div", { class: "wb-compare-error" });
  const node = make(
    "section",
    { class: "wb-compare-column", "aria-labelledby": title.id },
    make("div", { class: "wb-compare-head" }, title, reference),
    about,
    ...sampler.nodes,
    output.node,
    error,
    figures.node,
    ending,
  );
  let shown = { pieces: [] };
  return {
    node,
    output,
    sampler,
    get shown() {
      return shown;
    },
    describe(entry, isReference) {
      setText(title, entry.title);
      setText(about, entry.about);
      about.hidden = !entry.about;
      sampler.refresh(entry);
      radio.checked = isReference;
      radio.setAttribute("aria-label", `${entry.title} is the reference`);
      output.node.setAttribute("aria-label", `${entry.title}. The left and right arrows walk through the tokens.`);
    },
    /** What it has written, `key` telling one text from another; without one, why not. */
    show(key, cell, reason) {
      shown = cell ?? { pieces: [], percents: [] };
      output.show({ run: key, ...shown });
      output.explain(shown.pieces.length || shown.error ? "" : reason);
      setText(error, shown.error ?? "");
      error.hidden = !shown.error;
      figures.show(shown);
      setText(ending, shown.ending ?? "");
    },
    mark(differs) {
      output.tokens.forEach(({ span }, index) => span.classList.toggle("wb-differs", Boolean(differs[index])));
    },
    dispose() {
      sampler.dispose();
      output.dispose();
      node.remove();
    },
  };
}
