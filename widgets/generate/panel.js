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

function render({ model, el }) {
  const summary = make("span", { class: "wb-note wb-summary" });
  const left = make("div", { class: "wb-left" });
  let rate = 0;

  const isChat = () => model.get("mode") === "chat";
  const frame = createFrame({
    model,
    el,
    name: "wb-generate",
    label: "Generate",
    help: HELP,
    busy: BUSY,
    preparing: PREPARING,
    statusText: () => statusText(frame.status(), model.get("position"), rate),
    spokenText: () => spokenStatus(frame.status(), model.get("output").summary),
    refresh: () => refreshStatus(),
    go: () => (isChat() ? say() : generate()),
    escape: () => {
      output.dismiss();
      talk.dismiss();
      frame.stop();
    },
  });
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
  const controls = createControls(model);
  const history = createHistory(model, (number) => send("restore", { run: number }));
  const reading = {
    announce: frame.announce,
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
    const now = frame.status();
    prompt.enable(isBusy(), now);
    history.enable(isBusy());
    modes.refresh();
    talk.refreshStatus(now, model.get("position"));
    output.explain(output.count ? "" : emptyText(now, model.get("position"), model.get("heading").name));
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
    frame.refresh();
  };
  const refreshTurns = () => {
    talk.refreshTurns();
    refreshOutput();
  };
  const refreshMode = () => {
    left.hidden = isChat();
    talk.node.hidden = !isChat();
    frame.refresh();
  };
  const refreshControls = () => {
    frame.root.dataset.show = model.get("show");
    controls.refresh();
  };

  const extend = (message) => {
    rate = message.rate;
    if (isChat()) talk.extend(message);
    else {
      output.extend(message);
      setText(summary, countText(output.count));
    }
    frame.refreshSoon();
  };
  const answered = (found) => {
    output.answer(found);
    talk.answer(found);
  };
  left.append(
    ...prompt.nodes,
    output.node,
    output.tip,
    make("div", { class: "wb-footer" }, summary, history.node),
  );
  const body = make("div", { class: "wb-body" }, left, talk.node, controls.node);
  frame.show(modes.node, body);

  const ours = [
    ["prompt", prompt.refresh],
    ["message", talk.message.refresh],
    ["system", talk.system.refresh],
    ["mode", refreshMode],
    ["show", refreshControls],
    ...controls.names.map((name) => [name, refreshControls]),
  ];
  const kernels = [
    ["prompt_tokens", prompt.refresh],
    ["form", refreshControls],
    ["refusal", modes.refresh],
    ["turns", refreshTurns],
    ["output", refreshOutput],
    ["runs", refreshOutput],
  ];
  const messages = { tokens: extend, alternatives: answered, synced: refreshOutput };
  return frame.follow({ ours, kernels, messages, parts: [output, prompt, controls, talk] });
}

export default { render };
