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

function render({ model, el }) {
  const estimate = make("span", { class: "wb-note wb-tune-estimate" });
  const figures = new Map(); // of every run there is, by its number
  let now = {}; // where the run shown is

  const sync = () => {
    const known = figures.get(now.run);
    send("sync", { run: now.run ?? 0, rows: known?.columns.count ?? 0, marks: known?.marks ?? 0 });
  };
  const frame = createFrame({
    model,
    el,
    name: "wb-tune",
    label: "Fine-tune",
    help: TUNE_HELP,
    busy: TUNE_BUSY,
    preparing: TUNE_PREPARING,
    statusText: () => tuneStatusText(status(), model.get("position"), now),
    spokenText: () => tuneSpokenStatus(status(), now),
    refresh: () => refreshStatus(),
    sync,
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
  const strips = createStrips(STRIPS);
  const chart = createTuneChart(model, (step) => strips.point(step));
  const samples = createSamples();
  const best = createBest({ keep: () => send("keep_best") });
  const runs = createRunList(model, { restore: (run) => send("restore", { run }) });
  const saving = createExport(model, { save: (format, path) => send("export", { format, path }) });
  const main = button("Start", act, { class: "wb-button wb-primary" });
  const stopButton = button("Stop", frame.stop);
  const trouble = make("div", { class: "wb-note wb-tune-trouble" });
  const interrupt = make("span", { class: "wb-note" }, "Stop with the kernel's interrupt button.");

  // -- the run
  const figuresOf = (number) => {
    if (!figures.has(number)) figures.set(number, createFigures(COLUMNS));
    return figures.get(number);
  };
  const outcome = make("div", { class: "wb-tune-outcome" }, ...best.nodes, make("span", { class: "wb-tune-gap" }), saving.opener);
  const refreshRun = () => {
    const snapshot = model.get("run");
    now = { ...snapshot };
    if (snapshot.run) figuresOf(snapshot.run).fill(snapshot.rows, snapshot.validation);
    refreshChart();
    frame.refresh();
  };
  const refreshPast = () => {
    const past = model.get("past");
    const kept = new Set([now.run, ...past.map(({ run }) => run)]);
    for (const number of figures.keys()) if (!kept.has(number)) figures.delete(number);
    for (const { run, rows, validation } of past) if (run !== now.run) figuresOf(run).fill(rows, validation);
    refreshChart();
  };
  const refreshChart = () => {
    const others = model.get("shown").filter((number) => number !== now.run && figures.has(number));
    const listed = [...(now.run ? [now.run] : []), ...others].map((number) => ({ number, figures: figuresOf(number) }));
    const reach = Math.max(now.steps ?? 0, ...listed.map(({ figures: one }) => one.columns.column(0).at(-1) ?? 0));
    chart.show(listed, reach);
    const some = listed.some(({ figures: one }) => one.columns.count);
    chart.explain(some ? "" : tuneEmptyText(status(), model.get("position"), model.get("heading").name ?? ""));
    if (now.run) strips.show(figuresOf(now.run).columns, reach);
    strips.node.hidden = !now.run;
  };
  const extend = (message, buffers) => {
    const known = figures.get(message.run);
    if (message.run !== now.run || !known) return sync();
    if (message.offset > known.columns.count || message.mark > known.marks) return sync();
    const rows = bytesAsFloats(buffers[0]).subarray(COLUMNS * (known.columns.count - message.offset));
    known.extend(rows, message.validation.slice(known.marks - message.mark));
    now = { ...now, ...message.now };
    refreshChart();
    frame.refreshSoon();
  };

  // -- what surrounds it
  const refreshStatus = () => {
    const word = status();
    const foreground = model.get("foreground");
    const labels = { paused: "Resume", running: "Pause", compiling: "Pause", queued: "Pause", pausing: "Pause", stopping: "Pause" };
    setText(main, labels[word] ?? "Start");
    const wrong = form.wrong || !model.get("data").examples;
    main.disabled = ["loading", "reading", "pausing", "stopping"].includes(word) || (isReady() && wrong) || (isBusy() && foreground);
    stopButton.disabled = !isBusy() || word === "stopping" || foreground;
    interrupt.hidden = !(isBusy() && foreground);
    form.enable(!isBusy());
    best.show(now, isBusy());
    outcome.hidden = !now.run;
    setText(trouble, now.problem ?? "");
    trouble.hidden = !now.problem;
    runs.refresh(isBusy(), now);
    saving.refresh(!isBusy() && Boolean(model.get("exports").formats.length));
    const share = isBusy() && now.steps && now.step ? now.step / now.steps : null;
    frame.progress.classList.toggle("wb-known", share !== null && !TUNE_PREPARING.has(word));
    frame.progress.style.setProperty("--share", `${100 * (share ?? 0)}%`);
    data.explain(word);
    refreshEmpty();
  };
  const refreshEmpty = () => {
    const some = now.run && figuresOf(now.run).columns.count;
    if (!some) chart.explain(tuneEmptyText(status(), model.get("position"), model.get("heading").name ?? ""));
    const asked = model.get("values").sample_prompts?.length;
    samples.explain(asked ? "What the model writes appears here, before the first step and as it learns." : "Write sample prompts under More settings to see what the model writes as it learns.");
  };
  const refreshForm = () => {
    form.refresh();
    frame.refresh();
  };
  const refreshData = () => {
    data.refresh();
    frame.refresh();
  };
  const refreshEstimate = () => setText(estimate, estimateText(model.get("estimate")));
  const refreshSamples = () => samples.show(model.get("samples"));
  const actions = make("div", { class: "wb-actions wb-tune-actions" }, main, stopButton, estimate, interrupt);
  const body = make("div", { class: "wb-tune-body" }, make("div", { class: "wb-tune-left" }, chart.node, strips.node, chart.table), samples.node);
  frame.show(data.node, form.node, actions, trouble, body, outcome, saving.node, runs.node);

  // What the page itself may set, and what only the kernel sets: the latter is a sign of life.
  const ours = [
    ["view", refreshChart],
    ["shown", refreshChart],
    ["shown", frame.refresh],
  ];
  const kernels = [
    ["data", refreshData],
    ["form", refreshForm],
    ["values", refreshForm],
    ["problems", refreshForm],
    ["estimate", refreshEstimate],
    ["run", refreshRun],
    ["past", refreshPast],
    ["runs", frame.refresh],
    ["samples", refreshSamples],
    ["exports", frame.refresh],
  ];
  const messages = { points: extend, example: (message) => data.answer(message) };
  return frame.follow({ ours, kernels, messages, parts: [form, chart] });
}

export default { render };
