// The compare panel. The kernel holds the truth; this shows it and asks for changes.

import { createFields } from "../shared/controls.js";
import { make, setText, uniqueId } from "../shared/dom.js";
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
  const { controls: all, samplers } = model.get("form");
  const own = new Set(samplers.flatMap((sampler) => sampler.controls));
  const controls = all.filter(({ name }) => !own.has(name));
  const settings = createFields(model, controls);
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
    node: make("div", { class: "wb-controls" }, ...controls.map(({ name }) => settings.fields[name].node), show),
    values: settings.values,
    refresh() {
      settings.refresh();
      for (const radio of radios) radio.checked = radio.value === model.get("show");
      legend.hidden = model.get("show") !== "probability";
    },
    flush: settings.flush,
    dispose: settings.dispose,
  };
}

function compareStatusText(model, rate) {
  const { prompts = [], now = 0 } = model.get("output");
  const text = statusText(model.get("status"), model.get("position"), rate);
  return model.get("status") === "streaming" && prompts.length > 1 ? `prompt ${now + 1} of ${prompts.length}, ${text}` : text;
}

/** The cells of the prompt under way: those of the snapshot, and what has come since. */
function createLive(model) {
  let cells = [];
  let snapshot = null; // which they are of
  /** The traits of one message change at once, but are heard of one by one. */
  const current = () => {
    if (snapshot === model.get("output")) return cells;
    snapshot = model.get("output");
    const copied = ({ pieces, percents, ...cell }) => ({ ...cell, pieces: [...pieces], percents: [...percents] });
    cells = (snapshot.cells ?? []).map(copied);
    return cells;
  };
  return {
    current,
    /** New tokens of every cell; `gap()` is called for one that they do not join. */
    extend(message, gap) {
      message.cells.forEach(({ offset, pieces, percents, ...figures }, index) => {
        const cell = current()[index];
        if (offset > cell.pieces.length) return gap();
        cell.pieces.splice(offset, Infinity, ...pieces);
        cell.percents.splice(offset, Infinity, ...percents);
        Object.assign(cell, figures);
      });
    },
  };
}

/** Which of the prompts of the run shown is the one in the box, and what became of it. */
function createPlace(model, frame, prompts, live) {
  const output = () => model.get("output");
  const asked = () => prompts.values()[prompts.at];
  /** Its place among those that ran; -1 where it has none. */
  const now = () => {
    const ran = output().prompts ?? [];
    if (ran[prompts.at] === asked()) return prompts.at;
    const same = ran.indexOf(asked());
    return same < 0 && prompts.at < ran.length ? prompts.at : same;
  };
  return {
    now,
    cells: () => (now() === output().now ? live.current() : model.get("past")[now()]),
    /** The prompt that the texts were written from, where it is another than the one in the box. */
    source() {
      const ran = output().prompts?.[now()];
      return ran === undefined || ran === asked() ? null : ran;
    },
    /** Why there is no text yet. */
    reason() {
      if (frame.isBusy() && now() > output().now) return "Its turn comes when the prompts before it are done.";
      return emptyText(frame.status(), model.get("position"), model.get("heading").name ?? "");
    },
  };
}

/** The columns side by side, with what was written for the prompt in the box. */
function createSides(model, frame, place) {
  const node = make("div", { class: "wb-compare-columns" });
  const from = make("div", { class: "wb-note wb-compare-from" });
  const group = uniqueId("reference");
  const { send } = frame;
  let views = [];
  const create = (column) =>
    createColumn(model.get("form"), {
      group,
      refer: () => {
        model.set("reference", column);
        model.save_changes();
      },
      change: (values) => send("sampler", { column, values }),
      frame: node,
      announce: frame.announce,
      gap: () => send("sync"),
      ask: (_run, index) =>
        send("alternatives", { run: model.get("output").run, prompt: place.now(), column, index }),
    });
  const dispose = () => views.forEach((view) => view.dispose());
  const rebuild = (count) => {
    dispose();
    views = Array.from({ length: count }, (_, column) => create(column));
    node.replaceChildren(...views.map((view) => view.node), ...views.map(({ output: { tip } }) => tip));
    node.style.setProperty("--columns", Math.min(count, 4));
  };
  const refreshTexts = () => {
    const [cells, reason] = [place.cells(), place.reason()];
    const key = `${model.get("output").run} ${place.now()}`;
    views.forEach((view, index) => view.show(key, cells?.[index], reason));
    const marks = differencesOf(views.map(({ shown }) => shown), model.get("reference"));
    views.forEach((view, index) => view.mark(marks[index]));
    const source = place.source();
    from.hidden = source === null;
    setText(from, source === null ? "" : `Written from: ${source}`);
  };
  return {
    nodes: [from, node],
    get samplers() {
      return views.map(({ sampler }) => sampler);
    },
    refreshTexts,
    refresh() {
      const entries = model.get("columns");
      if (entries.length !== views.length) rebuild(entries.length);
      entries.forEach((entry, index) => views[index].describe(entry, index === model.get("reference")));
      refreshTexts();
    },
    answer: ({ run, prompt, column, index, items }) =>
      views[column]?.output.answer({ run: `${run} ${prompt}`, index, items }),
    dismiss() {
      for (const view of views) view.output.dismiss();
    },
    dispose,
  };
}

/** Which traits and messages move what. */
function followCompare(model, frame, { prompts, shared, sides, table, refreshOutput, extend }) {
  const refreshShow = () => {
    frame.root.dataset.show = model.get("show");
    shared.refresh();
  };
  return frame.follow({
    ours: [
      ["prompts", prompts.refresh],
      ["show", refreshShow],
      ["max_new_tokens", shared.refresh],
      ["seed", shared.refresh],
      ["reference", sides.refresh],
    ],
    kernels: [
      ["form", shared.refresh],
      ["columns", sides.refresh],
      ["output", refreshOutput],
      ["past", sides.refreshTexts],
      ["runs", refreshOutput],
    ],
    messages: {
      tokens: extend,
      alternatives: sides.answer,
      table: (message) => table.answer(message),
      saved: (message) => table.saved(message),
      synced: refreshOutput,
    },
    parts: [prompts, shared, sides],
  });
}

/** The prompts, the columns under them, and what can be done with both. */
function createWork(model, frame) {
  let rate = 0;
  let watching = false; // the prompt under way is to be in the box
  const output = () => model.get("output");
  const { send, isBusy } = frame;
  const generate = () => {
    if (isBusy() || frame.status() === "loading") return;
    watching = true;
    for (const part of [prompts, shared, ...sides.samplers]) part.flush();
    send("start", { prompts: prompts.values(), settings: shared.values() });
  };
  const prompts = createPrompts(model, {
    generate,
    stop: frame.stop,
    moved: () => sides.refreshTexts(),
    picked: (index) => (watching = isBusy() && index === output().now),
  });
  const live = createLive(model);
  const sides = createSides(model, frame, createPlace(model, frame, prompts, live));
  const shared = createShared(model);
  return {
    prompts,
    shared,
    sides,
    generate,
    get rate() {
      return rate;
    },
    refreshOutput() {
      const { now = 0, final } = output();
      if (watching && now !== prompts.at) prompts.go(now);
      watching &&= !final || isBusy();
      rate = output().rate ?? 0;
    },
    extend(message) {
      if (message.run !== output().run || message.prompt !== output().now) return;
      rate = message.rate;
      live.extend(message, () => send("sync"));
      sides.refreshTexts();
      frame.refreshSoon();
    },
  };
}

function render({ model, el }) {
  const summary = make("span", { class: "wb-note wb-summary" });
  const output = () => model.get("output");
  const frame = createFrame({
    model,
    el,
    name: "wb-generate wb-compare",
    label: "Compare",
    help: COMPARE_HELP,
    busy: BUSY,
    preparing: PREPARING,
    statusText: () => compareStatusText(model, work.rate),
    spokenText: () => spokenStatus(frame.status(), output().summary),
    refresh: () => refreshStatus(),
    go: () => work.generate(),
    escape: () => {
      work.sides.dismiss();
      frame.stop();
    },
  });
  const { send, isBusy } = frame;
  const work = createWork(model, frame);
  const { prompts, shared, sides } = work;
  const history = createHistory(model, (run) => send("restore", { run }));
  const table = createTableExport({
    ask: (format) => send("table", { format }),
    save: (format, path) => send("save", { format, path }),
  });
  const refreshStatus = () => {
    prompts.enable(isBusy(), frame.status());
    history.enable(isBusy());
    table.opener.disabled = isBusy() || !output().run;
    sides.refreshTexts();
  };
  const refreshOutput = () => {
    work.refreshOutput();
    setText(summary, output().summary ?? "");
    history.refresh();
    if (output().final) table.renew();
    frame.refresh();
  };
  frame.show(
    make("div", { class: "wb-body" }, make("div", { class: "wb-left" }, ...prompts.nodes), shared.node),
    ...sides.nodes,
    make("div", { class: "wb-footer" }, summary, history.node, table.opener),
    table.node,
  );
  return followCompare(model, frame, { prompts, shared, sides, table, refreshOutput, extend: work.extend });
}

export default { render };
