// The generate panel. The kernel holds the truth; this shows it and asks for changes.

const RATE_MS = 250;
const HELP = [
  "Ctrl+Enter generates, Esc stops. A control you move counts from the next run.",
  "Colours show how likely the model itself found each token, before the sampler's settings.",
  "Point at a token, or walk through the text with the arrow keys, to see what else it had in mind.",
  "The same seed, prompt and settings write the same text again.",
  "In a chat, Ctrl+Enter sends. Regenerate draws the next seed; an edited message drops what came after it.",
  "From Python: panel.prompt, panel.temperature, panel.start(), panel.send(text), panel.wait(), panel.text.",
];

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
  const isChat = () => model.get("mode") === "chat";
  const isBusy = () => BUSY.has(status());
  const send = (command, fields = {}) => watch.send(() => model.send({ command, ...fields }));
  /** A run, with the texts and settings as the page shows them. */
  const run = (command, fields = {}) => {
    if (isBusy() || status() === "loading") return;
    for (const part of [prompt, controls]) part.flush();
    send(command, { ...fields, settings: controls.values() });
  };
  const generate = () => run("start", { prompt: prompt.value() });
  const reply = (command, fields) => run(command, { ...fields, system: talk.system.value() });
  const say = () => {
    const text = talk.message.value();
    if (!text.trim()) return;
    talk.message.sent();
    reply("send", { text });
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
    ask: () => send("sync"),
    silent: () => setGone(true),
    alive: () => setGone(false),
  });
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
  const reading = {
    announce: (text) => setText(spoken, text),
    gap: () => send("sync"),
    ask: (run, index) => send("alternatives", { run, index }),
  };
  const output = createOutput({ frame: left, ...reading });
  const modes = createModes(model, isBusy);
  const talk = createConversation(model, {
    say,
    stop,
    isBusy,
    clear: () => !isBusy() && send("clear"),
    regenerate: () => reply("regenerate"),
    edit: (index, text) => reply("edit", { index, text }),
    ...reading,
  });

  const refreshStatus = () => {
    const now = status();
    root.dataset.status = gone ? "disconnected" : now;
    setText(heading.status, gone ? "no answer" : statusText(now, model.get("position"), rate));
    error.show(gone ? { message: NO_ANSWER } : model.get("error"));
    prompt.enable(isBusy(), now);
    history.enable(isBusy());
    modes.refresh();
    talk.refreshStatus(now, model.get("position"));
    output.explain(output.count ? "" : emptyText(now, model.get("position"), model.get("heading").name));
    progress.classList.toggle("wb-on", !gone && PREPARING.has(now));
  };
  const refreshOutput = () => {
    const snapshot = model.get("output");
    rate = snapshot.rate ?? 0;
    if (snapshot.reply ?? isChat()) talk.refreshOutput();
    else {
      output.show(snapshot);
      setText(summary, snapshot.summary || (output.count ? countText(output.count) : ""));
    }
    history.refresh();
    refreshStatus();
  };
  const refreshTurns = () => {
    talk.refreshTurns();
    refreshOutput();
  };
  const refreshMode = () => {
    left.hidden = isChat();
    talk.node.hidden = !isChat();
    refreshStatus();
  };
  const refreshControls = () => {
    root.dataset.show = model.get("show");
    controls.refresh();
  };
  const speak = () => setText(spoken, spokenStatus(status(), model.get("output").summary));

  const extend = (message) => {
    rate = message.rate;
    if (isChat()) talk.extend(message);
    else {
      output.extend(message);
      setText(summary, countText(output.count));
    }
    if (Date.now() - rateShown < RATE_MS) return;
    rateShown = Date.now();
    refreshStatus();
  };
  const answered = (found) => {
    output.answer(found);
    talk.answer(found);
  };
  const answers = { tokens: extend, alternatives: answered, synced: refreshOutput };
  const onMessage = (message) => answers[message.type]?.(message);
  const onKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) isChat() ? say() : generate();
    else if (event.key === "Escape") {
      output.dismiss();
      talk.dismiss();
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
  const body = make("div", { class: "wb-body" }, left, talk.node, controls.node);
  root.append(heading.node, progress, error.node, code.node, help, modes.node, body, spoken);
  root.addEventListener("keydown", onKey);
  el.append(root);

  const ours = [
    ["prompt", prompt.refresh],
    ["message", talk.message.refresh],
    ["system", talk.system.refresh],
    ["mode", refreshMode],
    ["show", refreshControls],
    ...controls.names.map((name) => [name, refreshControls]),
  ];
  const kernels = [
    ["heading", heading.refresh],
    ["prompt_tokens", prompt.refresh],
    ["form", refreshControls],
    ["code", code.refresh],
    ["refusal", modes.refresh],
    ["turns", refreshTurns],
    ["output", refreshOutput],
    ["runs", refreshOutput],
    ["status", refreshStatus],
    ["status", speak],
    ["position", refreshStatus],
    ["error", refreshStatus],
  ];
  const unfollow = followTraits(model, watch, ours, kernels, onMessage);
  if (isBusy()) send("sync");

  return () => {
    unfollow();
    for (const part of [watch, output, prompt, controls, talk]) part.dispose();
  };
}

export default { render };
