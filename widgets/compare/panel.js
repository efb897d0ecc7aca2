// The compare panel. The kernel holds the truth; this shows it and asks for changes.

import { SAVE_MS, createSeed, createSlider } from "../shared/controls.js";
import { debounce, make, setText, uniqueId } from "../shared/dom.js";
import { createFrame } from "../shared/frame.js";
import { createHistory } from "../shared/parts.js";
import { BUSY, PREPARING, emptyText, spokenStatus, statusText } from "../shared/status.js";
import { createColumn } from "./columns.js";
import { differencesOf } from "./diff.js";
import { createPrompts } from "./prompts.js";
import { createTableExport } from "./table.js";

const COMPARE_HELP = [
  "Ctrl+Enter generates, Esc stops. All columns get the same prompts and the same seed, and write in turn, a token each.",
  "Underlined is what differs from the reference; in the reference, what no other column has. While they write, that is everything after the first difference.",
  "Point at a token, or walk through a text with the arrow keys, to see what else the model had in mind.",
  "Tokens/s count the time that a column worked itself. The log-probability is the mean of its tokens, to the model that wrote them.",
  "From Python: panel.prompts, panel.set_sampler(0, temperature=0.5), panel.start(), panel.wait(), panel.results, panel.table(), panel.to_csv(path).",
];
const COMPARE_VIEWS = ["differences", "probability", "plain"];

/** Max tokens, seed, and how the texts are shown. */
function createShared(model) {
  const touched = new Set();
  const controls = model.get("form").controls.filter(({ name }) => ["max_new_tokens", "seed"].includes(name));
  const save = debounce(() => {
    for (const name of touched) model.set(name, fields[name].read());
    touched.clear();
    model.save_changes();
  }, SAVE_MS);
  const touch = (name) => {
    touched.add(name);
    save.touch();
  };
  const fields = {};
  for (const control of controls) {
    fields[control.name] = (control.name === "seed" ? createSeed : createSlider)(control, touch);
  }
  const group = uniqueId("show");
  const choose = (value) => {
    model.set("show", value);
    model.save_changes();
  };
  const radios = COMPARE_VIEWS.map((value) => make("input", { type: "radio", name: group, value, onchange: () => choose(value) }));
  const scale = make("span", { class: "wb-scale", role: "img", "aria-label": "colour scale from 0 to 100 percent" });
  const legend = make("div", { class: "wb-legend" }, make("span", {}, "0 %"), scale, make("span", {}, "100 %"));
  const show = make(
    "fieldset",
    { class: "wb-show wb-compare-show" },
    make("legend", {}, "Show"),
    ...radios.map((radio) => make("label", { class: "wb-radio" }, radio, radio.value)),
    legend,
  );
  return {
    node: make("div", { class: "wb-controls" }, ...controls.map(({ name }) => fields[name].node), show),
    values: () => Object.fromEntries(controls.map(({ name }) => [name, fields[name].read()])),
    refresh() {
      const reach = Object.fromEntries(model.get("form").controls.map((c) => [c.name, c.reach]));
      for (const { name } of controls) if (!touched.has(name)) fields[name].write(model.get(name), reach[name]);
      for (const radio of radios) radio.checked = radio.value === model.get("show");
      legend.hidden = model.get("show") !== "probability";
    },
    flush: () => save.flush(),
    dispose: () => save.drop(),
  };
}

function compareStatusText(model, rate) {
  const { prompts = [], now = 0 } = model.get("output");
  const text = statusText(model.get("status"), model.get("position"), rate);
  return model.get("status") === "streaming" && prompts.length > 1 ? `prompt ${now + 1} of ${prompts.length}, ${text}` : text;
}

function render({ model, el }) {
  const body = make("div", { class: "wb-compare-columns" });
  const from = make("div", { class: "wb-note wb-compare-from" });
  const summary = make("span", { class: "wb-note wb-summary" });
  const group = uniqueId("reference");
  let views = [];
  let live = []; // the cells of the prompt under way, with what has come since the snapshot
  let snapshot = null; // which they are of
  let rate = 0;
  let watching = false; // the prompt under way is to be in the box

  const output = () => model.get("output");
  const frame = createFrame({
    model,
    el,
    name: "wb-generate wb-compare",
    label: "Compare",
    help: COMPARE_HELP,
    busy: BUSY,
    preparing: PREPARING,
    statusText: () => compareStatusText(model, rate),
    spokenText: () => spokenStatus(frame.status(), output().summary),
    refresh: () => refreshStatus(),
    go: () => generate(),
    escape: () => {
      for (const view of views) view.output.dismiss();
      frame.stop();
    },
  });
  const { send, stop, isBusy } = frame;
  const generate = () => {
    if (isBusy() || frame.status() === "loading") return;
    watching = true;
    for (const part of [prompts, shared, ...views.map(({ sampler }) => sampler)]) part.flush();
    send("start", { prompts: prompts.values(), settings: shared.values() });
  };

  /** The place, in the run that is shown, of the prompt in the box; -1 where it has none. */
  const placeOf = () => {
    const ran = output().prompts ?? [];
    const text = prompts.values()[prompts.at];
    if (ran[prompts.at] === text) return prompts.at;
    const same = ran.indexOf(text);
    return same < 0 && prompts.at < ran.length ? prompts.at : same;
  };
  const reasonOf = (place) => {
    if (isBusy() && place > output().now) return "Its turn comes when the prompts before it are done.";
    return emptyText(frame.status(), model.get("position"), model.get("heading").name ?? "");
  };
  /** The traits of one message change at once, but are heard of one by one. */
  const liveCells = () => {
    if (snapshot === output()) return live;
    snapshot = output();
    const copied = ({ pieces, percents, ...cell }) => ({ ...cell, pieces: [...pieces], percents: [...percents] });
    live = (snapshot.cells ?? []).map(copied);
    return live;
  };
  const refreshTexts = () => {
    const place = placeOf();
    const cells = place === output().now ? liveCells() : model.get("past")[place];
    const reason = reasonOf(place);
    const key = `${output().run} ${place}`;
    views.forEach((view, index) => view.show(key, cells?.[index], reason));
    const marks = differencesOf(views.map(({ shown }) => shown), model.get("reference"));
    views.forEach((view, index) => view.mark(marks[index]));
    const ran = output().prompts?.[place];
    from.hidden = ran === undefined || ran === prompts.values()[prompts.at];
    setText(from, from.hidden ? "" : `Written from: ${ran}`);
  };
  const place = (column, index) => ({ run: output().run, prompt: placeOf(), column, index });
  const makeColumns = (count) => {
    for (const view of views) view.dispose();
    views = Array.from({ length: count }, (_, column) =>
      createColumn(model.get("form"), {
        group,
        refer: () => {
          model.set("reference", column);
          model.save_changes();
        },
        change: (values) => send("sampler", { column, values }),
        frame: body,
        announce: frame.announce,
        gap: () => send("sync"),
        ask: (_run, index) => send("alternatives", place(column, index)),
      }),
    );
    body.replaceChildren(...views.map(({ node }) => node), ...views.map(({ output: { tip } }) => tip));
    body.style.setProperty("--columns", Math.min(count, 4));
  };
  const refreshColumns = () => {
    const entries = model.get("columns");
    if (entries.length !== views.length) makeColumns(entries.length);
    entries.forEach((entry, index) => views[index].describe(entry, index === model.get("reference")));
    refreshTexts();
  };

  const prompts = createPrompts(model, {
    generate,
    stop,
    moved: () => refreshTexts(),
    picked: (index) => (watching = isBusy() && index === output().now),
  });
  const shared = createShared(model);
  const history = createHistory(model, (run) => send("restore", { run }));
  const table = createTableExport({
    ask: (format) => send("table", { format }),
    save: (format, path) => send("save", { format, path }),
  });

  const refreshStatus = () => {
    prompts.enable(isBusy(), frame.status());
    history.enable(isBusy());
    table.opener.disabled = isBusy() || !output().run;
    refreshTexts();
  };
  const refreshOutput = () => {
    const { now = 0 } = output();
    if (watching && now !== prompts.at) prompts.go(now);
    watching &&= !output().final || isBusy();
    rate = output().rate ?? 0;
    setText(summary, output().summary ?? "");
    history.refresh();
    if (output().final) table.renew();
    frame.refresh();
  };
  const refreshShow = () => {
    frame.root.dataset.show = model.get("show");
    shared.refresh();
  };
  const extend = (message) => {
    if (message.run !== output().run || message.prompt !== output().now) return;
    rate = message.rate;
    message.cells.forEach(({ offset, pieces, percents, ...figures }, index) => {
      const cell = liveCells()[index];
      if (offset > cell.pieces.length) return send("sync");
      cell.pieces.splice(offset, Infinity, ...pieces);
      cell.percents.splice(offset, Infinity, ...percents);
      Object.assign(cell, figures);
    });
    refreshTexts();
    frame.refreshSoon();
  };
  const answer = ({ run, prompt, column, index, items }) =>
    views[column]?.output.answer({ run: `${run} ${prompt}`, index, items });

  const left = make("div", { class: "wb-left" }, ...prompts.nodes);
  frame.show(
    make("div", { class: "wb-body" }, left, shared.node),
    from,
    body,
    make("div", { class: "wb-footer" }, summary, history.node, table.opener),
    table.node,
  );

  const ours = [
    ["prompts", prompts.refresh],
    ["show", refreshShow],
    ["max_new_tokens", shared.refresh],
    ["seed", shared.refresh],
    ["reference", refreshColumns],
  ];
  const kernels = [
    ["form", shared.refresh],
    ["columns", refreshColumns],
    ["output", refreshOutput],
    ["past", refreshTexts],
    ["runs", refreshOutput],
  ];
  const messages = {
    tokens: extend,
    alternatives: answer,
    table: (message) => table.answer(message),
    saved: (message) => table.saved(message),
    synced: refreshOutput,
  };
  const parts = [prompts, shared, { dispose: () => views.forEach((view) => view.dispose()) }];
  return frame.follow({ ours, kernels, messages, parts });
}

export default { render };
