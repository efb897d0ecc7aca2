// The tune panel. The kernel holds the truth; this shows it and asks for changes.

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
const STATUS_MS = 250;

function render({ model, el }) {
  const root = makeRoot("wb-tune", "Fine-tune");
  const spoken = make("div", { class: "wb-spoken", role: "status", "aria-live": "polite" });
  const progress = make("div", { class: "wb-progress", "aria-hidden": "true" });
  const estimate = make("span", { class: "wb-note wb-tune-estimate" });
  const figures = new Map(); // of every run there is, by its number
  let now = {}; // where the run shown is
  let statusTimer = null;
  let gone = false;

  const status = () => model.get("status");
  const isBusy = () => TUNE_BUSY.has(status());
  const isReady = () => !isBusy() && !["loading", "reading"].includes(status());
  const send = (command, fields = {}) => watch.send(() => model.send({ command, ...fields }));
  const sync = () => {
    const known = figures.get(now.run);
    send("sync", { run: now.run ?? 0, rows: known?.columns.count ?? 0, marks: known?.marks ?? 0 });
  };
  const act = () => {
    if (status() === "paused") send("resume");
    else if (["running", "compiling", "queued"].includes(status())) send("pause");
    else if (isReady()) {
      form.flush();
      send("start");
    }
  };
  const stop = () => {
    if (!isBusy()) return;
    setText(heading.status, "stopping");
    send("cancel");
  };
  const setGone = (value) => {
    if (gone === value) return;
    gone = value;
    refreshStatus();
  };

  const watch = createWatch({
    isBusy,
    ask: sync,
    silent: () => setGone(true),
    alive: () => setGone(false),
  });
  const code = createCode(model);
  const help = createHelp(...TUNE_HELP);
  const menu = createMenu([
    ["Copy as code", () => code.copy()],
    ["Reset", () => !isBusy() && send("reset")],
    ["Help", () => (help.hidden = !help.hidden)],
  ]);
  const error = createError();
  const heading = createHeading(model, menu);
  const data = createData(model, { ask: (number) => send("example", { number }) });
  const form = createForm(model, send);
  const strips = createStrips(STRIPS);
  const chart = createTuneChart(model, (step) => strips.point(step));
  const samples = createSamples();
  const best = createBest({ keep: () => send("keep_best") });
  const runs = createRunList(model, { restore: (run) => send("restore", { run }) });
  const saving = createExport(model, { save: (format, path) => send("export", { format, path }) });
  const main = button("Start", act, { class: "wb-button wb-primary" });
  const stopButton = button("Stop", stop);
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
    refreshStatus();
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
    statusTimer ??= setTimeout(refreshStatus, STATUS_MS);
  };

  // -- what surrounds it
  const refreshStatus = () => {
    clearTimeout(statusTimer);
    statusTimer = null;
    const word = status();
    const silent = gone ? "no answer" : tuneStatusText(word, model.get("position"), now);
    root.dataset.status = gone ? "disconnected" : word;
    setText(heading.status, silent);
    error.show(gone ? { message: NO_ANSWER } : model.get("error"));
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
    progress.classList.toggle("wb-on", !gone && TUNE_PREPARING.has(word));
    progress.classList.toggle("wb-known", share !== null && !TUNE_PREPARING.has(word));
    progress.style.setProperty("--share", `${100 * (share ?? 0)}%`);
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
    refreshStatus();
  };
  const refreshData = () => {
    data.refresh();
    refreshStatus();
  };
  const refreshEstimate = () => setText(estimate, estimateText(model.get("estimate")));
  const refreshSamples = () => samples.show(model.get("samples"));
  const speak = () => setText(spoken, tuneSpokenStatus(status(), now));
  const answers = { points: extend, example: (message) => data.answer(message) };
  const onMessage = (message, buffers) => answers[message.type]?.(message, buffers);

  const actions = make("div", { class: "wb-actions wb-tune-actions" }, main, stopButton, estimate, interrupt);
  const body = make("div", { class: "wb-tune-body" }, make("div", { class: "wb-tune-left" }, chart.node, strips.node, chart.table), samples.node);
  root.append(
    heading.node,
    progress,
    error.node,
    code.node,
    help,
    data.node,
    form.node,
    actions,
    trouble,
    body,
    outcome,
    saving.node,
    runs.node,
    spoken,
  );
  el.append(root);

  // What the page itself may set, and what only the kernel sets: the latter is a sign of life.
  const ours = [
    ["view", refreshChart],
    ["shown", refreshChart],
    ["shown", refreshStatus],
  ];
  const kernels = [
    ["heading", heading.refresh],
    ["data", refreshData],
    ["form", refreshForm],
    ["values", refreshForm],
    ["problems", refreshForm],
    ["estimate", refreshEstimate],
    ["code", code.refresh],
    ["run", refreshRun],
    ["past", refreshPast],
    ["runs", refreshStatus],
    ["samples", refreshSamples],
    ["exports", refreshStatus],
    ["status", refreshStatus],
    ["status", speak],
    ["position", refreshStatus],
    ["error", refreshStatus],
  ];
  const unfollow = followTraits(model, watch, ours, kernels, onMessage);
  if (isBusy()) sync();

  return () => {
    unfollow();
    clearTimeout(statusTimer);
    for (const part of [watch, form, chart]) part.dispose();
  };
}

export default { render };
