// The tune panel. The kernel holds the truth; this shows it and asks for changes.

import { button, make, setText } from "../shared/dom.js";
import { createFrame } from "../shared/frame.js";
import { gigabytesText } from "../shared/units.js";
import { createData } from "./data.js";
import { createForm } from "./form.js";
import { bytesAsFloats, createFigures, createTuneChart } from "./loss.js";
import { createBest, createExport, createRunList } from "./runs.js";
import { createSamples } from "./samples.js";
import { measureText } from "./scale.js";
import {
  TUNE_BUSY,
  TUNE_PREPARING,
  estimateText,
  tuneEmptyText,
  tuneSpokenStatus,
  tuneStatusText,
} from "./status.js";
import { createStrips } from "./strips.js";

const TUNE_HELP = [
  "Start trains a LoRA adapter: small matrices beside the model's own, which stay as they are.",
  "Training goes on when the page is closed, and everything is here again when it is reopened.",
  "Pause and Stop take effect after the step under way. What was learned so far stays in the model.",
  "In the chart: point or use the arrow keys to read, drag or + and − to zoom, 0 or a double-click to show all.",
  "Validation is measured on examples the model is not trained on. Keep best puts the adapter of its lowest point into the model.",
  "From Python: panel.settings, panel.start(), panel.pause(), panel.resume(), panel.cancel(), panel.wait(), panel.job, panel.export(path, format).",
];
const COLUMNS = 6; // step, loss, learning rate, gradient norm, tokens/s, memory in GB
const STRIPS = [
  { label: "learning rate", column: 2, text: measureText },
  { label: "tokens/s", spoken: "tokens per second", column: 4, text: measureText },
  { label: "gradient norm", column: 3, text: measureText },
  { label: "memory", column: 5, text: (value) => gigabytesText(1e9 * value) },
];

const BUTTON_WORDS = {
  paused: "Resume",
  running: "Pause",
  compiling: "Pause",
  queued: "Pause",
  pausing: "Pause",
  stopping: "Pause",
};

/** Start, Pause or Resume; Stop; and what the run that would begin takes. */
function createActions(model, frame, { isReady, act }) {
  const main = button("Start", act, { class: "wb-button wb-primary" });
  const stop = button("Stop", frame.stop);
  const estimate = make("span", { class: "wb-note wb-tune-estimate" });
  const interrupt = make("span", { class: "wb-note" }, "Stop with the kernel's interrupt button.");
  return {
    node: make("div", { class: "wb-actions wb-tune-actions" }, main, stop, estimate, interrupt),
    refreshEstimate: () => setText(estimate, estimateText(model.get("estimate"))),
    /** `wrong` where a run cannot be begun as things are. */
    refresh(wrong) {
      const [status, busy, foreground] = [frame.status(), frame.isBusy(), model.get("foreground")];
      setText(main, BUTTON_WORDS[status] ?? "Start");
      const waits = ["loading", "reading", "pausing", "stopping"].includes(status);
      main.disabled = waits || (isReady() && wrong) || (busy && foreground);
      stop.disabled = !busy || status === "stopping" || foreground;
      interrupt.hidden = !(busy && foreground);
    },
  };
}

/** The figures of every run there is, by its number. */
function createAllFigures() {
  const figures = new Map();
  const of = (number) => {
    if (!figures.has(number)) figures.set(number, createFigures(COLUMNS));
    return figures.get(number);
  };
  return {
    of,
    has: (number) => figures.has(number),
    get: (number) => figures.get(number),
    /** Earlier runs, as the kernel has them, beside the run of now. */
    fill(past, now) {
      const kept = new Set([now, ...past.map(({ run }) => run)]);
      for (const number of figures.keys()) if (!kept.has(number)) figures.delete(number);
      for (const { run, rows, validation } of past) if (run !== now) of(run).fill(rows, validation);
    },
  };
}

/** The run on the page: its curves, the strips beside them, and where it is. */
function createRun(model, frame) {
  const figures = createAllFigures();
  const strips = createStrips(STRIPS);
  const chart = createTuneChart(model, (step) => strips.point(step));
  let now = {}; // where the run is
  const explain = () =>
    chart.explain(tuneEmptyText(frame.status(), model.get("position"), model.get("heading").name ?? ""));
  const sync = () => {
    const known = figures.get(now.run);
    frame.send("sync", { run: now.run ?? 0, rows: known?.columns.count ?? 0, marks: known?.marks ?? 0 });
  };
  const refreshChart = () => {
    const others = model.get("shown").filter((number) => number !== now.run && figures.has(number));
    const listed = [...(now.run ? [now.run] : []), ...others].map((number) => ({ number, figures: figures.of(number) }));
    const reach = Math.max(now.steps ?? 0, ...listed.map(({ figures: one }) => one.columns.column(0).at(-1) ?? 0));
    chart.show(listed, reach);
    if (listed.some(({ figures: one }) => one.columns.count)) chart.explain("");
    else explain();
    if (now.run) strips.show(figures.of(now.run).columns, reach);
    strips.node.hidden = !now.run;
  };
  return {
    chart,
    node: make("div", { class: "wb-tune-left" }, chart.node, strips.node, chart.table),
    get now() {
      return now;
    },
    sync,
    refreshChart,
    refreshEmpty() {
      if (!(now.run && figures.of(now.run).columns.count)) explain();
    },
    refresh() {
      const snapshot = model.get("run");
      now = { ...snapshot };
      if (snapshot.run) figures.of(snapshot.run).fill(snapshot.rows, snapshot.validation);
      refreshChart();
      frame.refresh();
    },
    refreshPast() {
      figures.fill(model.get("past"), now.run);
      refreshChart();
    },
    extend(message, buffers) {
      const known = figures.get(message.run);
      if (message.run !== now.run || !known) return sync();
      if (message.offset > known.columns.count || message.mark > known.marks) return sync();
      const rows = bytesAsFloats(buffers[0]).subarray(COLUMNS * (known.columns.count - message.offset));
      known.extend(rows, message.validation.slice(known.marks - message.mark));
      now = { ...now, ...message.now };
      refreshChart();
      frame.refreshSoon();
    },
  };
}

/** What a run leaves: its best step, the list of runs, the files written. */
function createOutcome(model, { send, isBusy }) {
  const best = createBest({ keep: () => send("keep_best") });
  const runs = createRunList(model, { restore: (run) => send("restore", { run }) });
  const saving = createExport(model, { save: (format, path) => send("export", { format, path }) });
  const gap = make("span", { class: "wb-tune-gap" });
  const node = make("div", { class: "wb-tune-outcome" }, ...best.nodes, gap, saving.opener);
  return {
    nodes: [node, saving.node, runs.node],
    refresh(now) {
      best.show(now, isBusy());
      node.hidden = !now.run;
      runs.refresh(isBusy(), now);
      saving.refresh(!isBusy() && Boolean(model.get("exports").formats.length));
    },
  };
}

function emptySamplesText(asked) {
  return asked
    ? "What the model writes appears here, before the first step and as it learns."
    : "Write sample prompts under More settings to see what the model writes as it learns.";
}

/** How far the run is, on the bar under the heading. */
function showProgress({ progress, isBusy, status }, { step, steps }) {
  const share = isBusy() && steps && step ? step / steps : null;
  progress.classList.toggle("wb-known", share !== null && !TUNE_PREPARING.has(status()));
  progress.style.setProperty("--share", `${100 * (share ?? 0)}%`);
}

/** Which traits and messages move what. */
function followTune(model, frame, { data, form, samples, run, actions }) {
  const refreshForm = () => {
    form.refresh();
    frame.refresh();
  };
  const refreshData = () => {
    data.refresh();
    frame.refresh();
  };
  return frame.follow({
    ours: [
      ["view", run.refreshChart],
      ["shown", run.refreshChart],
      ["shown", frame.refresh],
    ],
    kernels: [
      ["data", refreshData],
      ["form", refreshForm],
      ["values", refreshForm],
      ["problems", refreshForm],
      ["estimate", actions.refreshEstimate],
      ["run", run.refresh],
      ["past", run.refreshPast],
      ["runs", frame.refresh],
      ["samples", () => samples.show(model.get("samples"))],
      ["exports", frame.refresh],
    ],
    messages: { points: run.extend, example: (message) => data.answer(message) },
    parts: [form, run.chart],
  });
}

function render({ model, el }) {
  const frame = createFrame({
    model,
    el,
    name: "wb-tune",
    label: "Fine-tune",
    help: TUNE_HELP,
    busy: TUNE_BUSY,
    preparing: TUNE_PREPARING,
    statusText: () => tuneStatusText(status(), model.get("position"), run.now),
    spokenText: () => tuneSpokenStatus(status(), run.now),
    refresh: () => refreshStatus(),
    sync: () => run.sync(),
  });
  const { send, status, isBusy } = frame;
  const isReady = () => !isBusy() && !["loading", "reading"].includes(status());
  const act = () => {
    if (status() === "paused") send("resume");
    else if (["running", "compiling", "queued"].includes(status())) send("pause");
    else if (isReady()) {
      form.flush();
      send("start");
    }
  };
  const data = createData(model, { ask: (number) => send("example", { number }) });
  const form = createForm(model, send);
  const run = createRun(model, frame);
  const samples = createSamples();
  const outcome = createOutcome(model, frame);
  const actions = createActions(model, frame, { isReady, act });
  const trouble = make("div", { class: "wb-note wb-tune-trouble" });
  const refreshStatus = () => {
    const { now } = run;
    actions.refresh(form.wrong || !model.get("data").examples);
    form.enable(!isBusy());
    outcome.refresh(now);
    setText(trouble, now.problem ?? "");
    trouble.hidden = !now.problem;
    showProgress(frame, now);
    data.explain(status());
    run.refreshEmpty();
    samples.explain(emptySamplesText(model.get("values").sample_prompts?.length));
  };
  const body = make("div", { class: "wb-tune-body" }, run.node, samples.node);
  frame.show(data.node, form.node, actions.node, trouble, body, ...outcome.nodes);
  return followTune(model, frame, { data, form, samples, run, actions });
}

export default { render };
