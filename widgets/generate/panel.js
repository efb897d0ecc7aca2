// The generate panel. The kernel holds the truth; this shows it and asks for changes.

import { createControls } from "../shared/controls.js";
import { make, setText } from "../shared/dom.js";
import { createFrame } from "../shared/frame.js";
import { createHistory, createPrompt } from "../shared/parts.js";
import {
  BUSY,
  PREPARING,
  countText,
  emptyText,
  spokenStatus,
  statusText,
} from "../shared/status.js";
import { createOutput } from "../shared/tokens.js";
import { createConversation, createModes } from "./conversation.js";

const HELP = [
  "Ctrl+Enter generates, Esc stops. A control you move counts from the next run.",
  "Colours show how likely the model itself found each token, before the sampler's settings.",
  "Point at a token, or walk through the text with the arrow keys, to see what else it had in mind.",
  "The same seed, prompt and settings write the same text again.",
  "In a chat, Ctrl+Enter sends. Regenerate draws the next seed; an edited message drops what came after it.",
  "From Python: panel.prompt, panel.temperature, panel.start(), panel.send(text), panel.wait(), panel.text.",
];

/** What both ways to write share: the conversation, and the prompt with its completion. */
function createWriting(model, frame, controls) {
  const left = make("div", { class: "wb-left" });
  const { send, stop, isBusy } = frame;
  /** A run, with the texts and settings as the page shows them. */
  const run = (command, fields = {}) => {
    if (isBusy() || frame.status() === "loading") return;
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
  const prompt = createPrompt(model, { generate, stop });
  const reading = {
    announce: frame.announce,
    gap: () => send("sync"),
    ask: (run, index) => send("alternatives", { run, index }),
  };
  const output = createOutput({ frame: left, ...reading });
  const talk = createConversation(model, {
    say,
    stop,
    isBusy,
    clear: () => !isBusy() && send("clear"),
    regenerate: () => reply("regenerate"),
    edit: (index, text) => reply("edit", { index, text }),
    ...reading,
  });
  return { left, prompt, output, talk, generate, say };
}

/** Which traits and messages move what. */
function followGenerate(model, frame, { prompt, output, talk }, { controls, modes, refreshMode, refreshOutput, extend }) {
  const refreshControls = () => {
    frame.root.dataset.show = model.get("show");
    controls.refresh();
  };
  const refreshTurns = () => {
    talk.refreshTurns();
    refreshOutput();
  };
  const answered = (found) => {
    output.answer(found);
    talk.answer(found);
  };
  return frame.follow({
    ours: [
      ["prompt", prompt.refresh],
      ["message", talk.message.refresh],
      ["system", talk.system.refresh],
      ["mode", refreshMode],
      ["show", refreshControls],
      ...controls.names.map((name) => [name, refreshControls]),
    ],
    kernels: [
      ["prompt_tokens", prompt.refresh],
      ["form", refreshControls],
      ["refusal", modes.refresh],
      ["turns", refreshTurns],
      ["output", refreshOutput],
      ["runs", refreshOutput],
    ],
    messages: { tokens: extend, alternatives: answered, synced: refreshOutput },
    parts: [output, prompt, controls, talk],
  });
}

/** The run on the page, in the conversation or as a completion, and how fast it goes. */
function createRun(model, frame, { output, talk }, history) {
  const summary = make("span", { class: "wb-note wb-summary" });
  const isChat = () => model.get("mode") === "chat";
  let rate = 0;
  return {
    summary,
    isChat,
    get rate() {
      return rate;
    },
    refreshOutput() {
      const snapshot = model.get("output");
      rate = snapshot.rate ?? 0;
      if (snapshot.reply ?? isChat()) talk.refreshOutput();
      else {
        output.show(snapshot);
        setText(summary, snapshot.summary || (output.count ? countText(output.count) : ""));
      }
      history.refresh();
      frame.refresh();
    },
    extend(message) {
      rate = message.rate;
      if (isChat()) talk.extend(message);
      else {
        output.extend(message);
        setText(summary, countText(output.count));
      }
      frame.refreshSoon();
    },
  };
}

function render({ model, el }) {
  const frame = createFrame({
    model,
    el,
    name: "wb-generate",
    label: "Generate",
    help: HELP,
    busy: BUSY,
    preparing: PREPARING,
    statusText: () => statusText(frame.status(), model.get("position"), run.rate),
    spokenText: () => spokenStatus(frame.status(), model.get("output").summary),
    refresh: () => refreshStatus(),
    go: () => (run.isChat() ? writing.say() : writing.generate()),
    escape: () => {
      output.dismiss();
      talk.dismiss();
      frame.stop();
    },
  });
  const { send, isBusy } = frame;
  const controls = createControls(model);
  const writing = createWriting(model, frame, controls);
  const { left, prompt, output, talk } = writing;
  const history = createHistory(model, (number) => send("restore", { run: number }));
  const modes = createModes(model, isBusy);
  const run = createRun(model, frame, writing, history);
  const refreshStatus = () => {
    const now = frame.status();
    prompt.enable(isBusy(), now);
    history.enable(isBusy());
    modes.refresh();
    talk.refreshStatus(now, model.get("position"));
    output.explain(output.count ? "" : emptyText(now, model.get("position"), model.get("heading").name));
  };
  const refreshMode = () => {
    left.hidden = run.isChat();
    talk.node.hidden = !run.isChat();
    frame.refresh();
  };
  const footer = make("div", { class: "wb-footer" }, run.summary, history.node);
  left.append(...prompt.nodes, output.node, output.tip, footer);
  frame.show(modes.node, make("div", { class: "wb-body" }, left, talk.node, controls.node));
  const { refreshOutput, extend } = run;
  return followGenerate(model, frame, writing, { controls, modes, refreshMode, refreshOutput, extend });
}

export default { render };
