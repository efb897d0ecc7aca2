// The generate panel. The kernel holds the truth; this shows it and asks for changes.

const BUSY = new Set(["queued", "compiling", "prefill", "streaming", "stopping"]);
const TYPING_MS = 200;
const RATE_MS = 250;

const HELP = [
  "Ctrl+Enter generates, Esc stops. A control you move counts from the next run.",
  "Colours show how likely the model itself found each token, before the sampler's settings.",
  "Point at a token, or walk through the text with the arrow keys, to see what else it had in mind.",
  "The same seed, prompt and settings write the same text again.",
  "From Python: panel.prompt, panel.temperature, panel.start(), panel.wait(), panel.text.",
];

function statusText(status, position, rate) {
  if (status === "queued" && position > 0) return `queued, ${position} ahead`;
  if (status === "prefill") return "reading the prompt";
  if (status === "streaming" && rate > 0) return `streaming ${Math.round(rate)} tok/s`;
  return status;
}

function emptyText(status, name) {
  const texts = {
    loading: `Loading ${name}. You can write your prompt meanwhile.`,
    queued: "Another run of this model comes first.",
    compiling: "Compiling for this model. It is done once; the next runs begin at once.",
    prefill: "Reading the prompt.",
    done: "The model ended at once, without a token.",
    stopped: "Stopped before the first token.",
    failed: "",
  };
  return texts[status] ?? "Write a prompt and press Generate; the text appears here token by token.";
}

function spokenStatus(status, summary) {
  const texts = { loading: "Loading", compiling: "Compiling", streaming: "Generating", failed: "Failed" };
  if (status === "done" || status === "stopped") return `${status}. ${summary}`;
  return texts[status] ?? "";
}

function countText(count) {
  return count === 1 ? "1 token" : `${count.toLocaleString("en")} tokens`;
}

function createHeading(model, menu) {
  const name = make("strong", { class: "wb-name" });
  const facts = make("span", { class: "wb-facts" });
  const status = make("span", { class: "wb-status" });
  return {
    node: make("div", { class: "wb-heading" }, make("div", {}, name, facts), status, menu),
    status,
    refresh() {
      const { name: title = "", family, parameters, dtype } = model.get("heading");
      setText(name, title);
      setText(facts, [family, parameters, dtype].filter(Boolean).map((fact) => ` · ${fact}`).join(""));
    },
  };
}

function createPrompt(model, { generate, stop }) {
  const id = uniqueId("prompt");
  const text = make("textarea", { id, class: "wb-prompt", rows: "3", spellcheck: "false" });
  const count = make("span", { class: "wb-note" });
  const generateButton = button("Generate", generate, {
    class: "wb-button wb-primary",
    title: "Ctrl+Enter",
  });
  const stopButton = button("Stop", stop, { title: "Esc" });
  const save = debounce(() => {
    model.set("prompt", text.value);
    model.save_changes();
  }, TYPING_MS);
  text.addEventListener("input", save.touch);
  return {
    nodes: [
      make("label", { for: id, class: "wb-label" }, "Prompt"),
      text,
      make("div", { class: "wb-actions" }, generateButton, stopButton, count),
    ],
    value: () => text.value,
    flush: () => save.flush(),
    dispose: () => save.drop(),
    refresh() {
      if (!save.waiting && text.value !== model.get("prompt")) text.value = model.get("prompt");
      const tokens = model.get("prompt_tokens");
      const shown = tokens === null ? "" : `${tokens.toLocaleString("en")} prompt ${tokens === 1 ? "token" : "tokens"}`;
      setText(count, shown);
    },
    enable(busy, status) {
      generateButton.disabled = busy || status === "loading";
      stopButton.disabled = !busy || status === "stopping" || model.get("foreground");
      if (busy && model.get("foreground")) setText(count, "Stop with the kernel's interrupt button.");
    },
  };
}

function createHistory(model, restore) {
  const node = make("div", { class: "wb-runs", role: "group", "aria-label": "Runs" });
  let entries = [];
  return {
    node,
    /** Buttons stay the same elements while their runs do, so that none loses the focus. */
    refresh() {
      const runs = model.get("runs");
      if (runs.map(({ number }) => number).join() !== entries.map(({ textContent }) => textContent).join()) {
        entries = runs.map(({ number, label }) =>
          button(String(number), () => restore(number), {
            class: "wb-button wb-quiet wb-run",
            title: label,
            "aria-label": label,
          }),
        );
        node.replaceChildren(...(entries.length ? [make("span", {}, "Runs"), ...entries] : []));
      }
      const shown = String(model.get("output").run);
      for (const entry of entries) entry.setAttribute("aria-pressed", String(entry.textContent === shown));
    },
    enable(busy) {
      for (const entry of entries) entry.disabled = busy;
    },
  };
}

function render({ model, el }) {
  const root = makeRoot("wb-generate", "Generate");
  const spoken = make("div", { class: "wb-spoken", role: "status", "aria-live": "polite" });
  const summary = make("span", { class: "wb-note wb-summary" });
  const progress = make("div", { class: "wb-progress", "aria-hidden": "true" });
  const left = make("div", { class: "wb-left" });
  let rate = 0;
  let rateShown = 0;
  let gone = false;

  const status = () => model.get("status");
  const isBusy = () => BUSY.has(status());
  const send = (command, fields = {}) => watch.send(() => model.send({ command, ...fields }));

  const generate = () => {
    if (isBusy() || status() === "loading") return;
    prompt.flush();
    controls.flush();
    send("start", { prompt: prompt.value(), settings: controls.values() });
  };
  const stop = () => {
    if (!isBusy()) return;
    setText(heading.status, "stopping");
    send("cancel");
  };

  const code = createCode(model);
  const help = createHelp(...HELP);
  const menu = createMenu([
    ["Copy as code", () => code.copy()],
    ["Reset", () => !isBusy() && send("reset")],
    ["Help", () => (help.hidden = !help.hidden)],
  ]);
  const error = createError();
  const heading = createHeading(model, menu);
  const prompt = createPrompt(model, { generate, stop });
  const controls = createControls(model);
  const history = createHistory(model, (number) => send("restore", { run: number }));
  const output = createOutput({
    frame: left,
    announce: (text) => setText(spoken, text),
    gap: () => send("sync"),
    ask: (run, index) => send("alternatives", { run, index }),
  });
  const watch = createWatch({
    isBusy,
    ask: () => send("sync"),
    silent() {
      gone = true;
      refreshStatus();
    },
    alive() {
      if (!gone) return;
      gone = false;
      refreshStatus();
    },
  });

  const refreshStatus = () => {
    const now = status();
    const stale = {
      message:
        "The kernel does not answer. If it is busy, this goes on when it is free; if it was restarted, run the cell again.",
    };
    root.dataset.status = gone ? "disconnected" : now;
    setText(heading.status, gone ? "no answer" : statusText(now, model.get("position"), rate));
    error.show(gone ? stale : model.get("error"));
    prompt.enable(isBusy(), now);
    history.enable(isBusy());
    output.explain(output.count ? "" : emptyText(now, model.get("heading").name));
    progress.classList.toggle("wb-on", !gone && ["loading", "compiling"].includes(now));
  };
  const refreshOutput = () => {
    const snapshot = model.get("output");
    rate = snapshot.rate ?? 0;
    output.show(snapshot);
    setText(summary, snapshot.summary || (output.count ? countText(output.count) : ""));
    history.refresh();
    refreshStatus();
  };
  const refreshShow = () => {
    root.dataset.show = model.get("show");
    controls.refresh();
  };
  const speak = () => setText(spoken, spokenStatus(status(), model.get("output").summary));

  const listeners = [];
  /** Traits that only the kernel sets are a sign that it lives. */
  const on = (names, action, ofKernel = true) => {
    const listener = () => {
      if (ofKernel) watch.heard();
      action();
    };
    for (const name of names) {
      model.on(`change:${name}`, listener);
      listeners.push([`change:${name}`, listener]);
    }
    action();
  };
  const onMessage = (message) => {
    watch.heard();
    if (message.type === "tokens") {
      output.extend(message);
      rate = message.rate;
      setText(summary, countText(output.count));
      if (Date.now() - rateShown < RATE_MS) return;
      rateShown = Date.now();
      refreshStatus();
    } else if (message.type === "alternatives") output.answer(message);
    else if (message.type === "synced") refreshOutput();
  };
  const onKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) generate();
    else if (event.key === "Escape") {
      output.dismiss();
      stop();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  left.append(
    ...prompt.nodes,
    output.node,
    output.tip,
    make("div", { class: "wb-footer" }, summary, history.node),
  );
  root.append(
    heading.node,
    progress,
    error.node,
    code.node,
    help,
    make("div", { class: "wb-body" }, left, controls.node),
    spoken,
  );
  root.addEventListener("keydown", onKey);
  el.append(root);

  on(["heading"], heading.refresh);
  on(["prompt"], prompt.refresh, false);
  on(["prompt_tokens"], prompt.refresh);
  on(["show", ...controls.names], refreshShow, false);
  on(["form"], refreshShow);
  on(["code"], code.refresh);
  on(["output", "runs"], refreshOutput);
  on(["status", "position", "error", "foreground"], refreshStatus);
  on(["status"], speak);
  model.on("msg:custom", onMessage);
  if (isBusy()) send("sync");

  return () => {
    for (const [name, listener] of listeners) model.off(name, listener);
    model.off("msg:custom", onMessage);
    for (const part of [watch, output, prompt, controls]) part.dispose();
  };
}

export default { render };
