// The panel's conversation: the system prompt, the turns, and the box for the next message.

import { button, debounce, make, setText, setValue, uniqueId } from "../shared/dom.js";
import { TYPING_MS } from "../shared/parts.js";
import { countText, emptyText } from "../shared/status.js";
import { createReplyTurn, createUserTurn } from "./turns.js";

const CHAT_STARTS = "Write a message and press Send; the reply appears here token by token.";
const STARTING = new Set(["queued", "compiling", "prefill"]);

/** Complete or Chat. Where the model cannot chat, a word says why. */
export function createModes(model, isBusy) {
  const name = uniqueId("mode");
  const why = make("span", { class: "wb-note", id: uniqueId("why") });
  const radio = (value) =>
    make("input", {
      type: "radio",
      name,
      value,
      "aria-describedby": why.id,
      onchange() {
        model.set("mode", value);
        model.save_changes();
      },
    });
  const radios = { complete: radio("complete"), chat: radio("chat") };
  const label = (value, text) => make("label", { class: "wb-mode" }, radios[value], make("span", {}, text));
  return {
    node: make(
      "fieldset",
      { class: "wb-modes", "aria-label": "Mode" },
      label("complete", "Complete"),
      label("chat", "Chat"),
      why,
    ),
    refresh() {
      const [mode, refusal] = [model.get("mode"), model.get("refusal")];
      for (const [value, input] of Object.entries(radios)) {
        input.checked = value === mode;
        input.disabled = value !== mode && (isBusy() || (value === "chat" && refusal !== ""));
      }
      setText(why, refusal);
    },
  };
}

/** The system prompt, folded; its first words show while it is. */
function createSystem(model) {
  const text = make("textarea", {
    class: "wb-prompt",
    rows: "2",
    spellcheck: "false",
    "aria-label": "System prompt",
  });
  const gist = make("span", { class: "wb-gist" });
  const save = debounce(() => {
    model.set("system", text.value);
    model.save_changes();
  }, TYPING_MS);
  text.addEventListener("input", save.touch);
  return {
    node: make(
      "details",
      { class: "wb-system" },
      make("summary", {}, make("span", {}, "System prompt"), gist),
      text,
    ),
    value: () => text.value,
    dispose: () => save.drop(),
    refresh() {
      const value = model.get("system");
      if (!save.waiting) setValue(text, value);
      setText(gist, value.trim() || "none");
    },
  };
}

/** The box for the next message. */
function createMessage(model, { say, stop, clear }) {
  const id = uniqueId("message");
  const text = make("textarea", { id, class: "wb-prompt", rows: "2" });
  const note = make("span", { class: "wb-note" });
  const sendButton = button("Send", say, { class: "wb-button wb-primary", title: "Ctrl+Enter" });
  const stopButton = button("Stop", stop, { title: "Esc" });
  const clearButton = button("Clear", clear, {
    class: "wb-button wb-quiet wb-clear",
    "aria-label": "Clear the conversation",
  });
  const save = debounce(() => {
    model.set("message", text.value);
    model.save_changes();
  }, TYPING_MS);
  text.addEventListener("input", save.touch);
  let sent = null;
  return {
    nodes: [
      make("label", { for: id, class: "wb-label" }, "Message"),
      text,
      make("div", { class: "wb-actions" }, sendButton, stopButton, note, clearButton),
    ],
    value: () => text.value,
    /** It is on its way. It stays in the box until the kernel shows it among the turns. */
    sent() {
      save.drop();
      sent = text.value;
    },
    arrived(turns) {
      if (!turns.some((turn) => turn.text === sent)) return;
      if (text.value === sent) {
        text.value = "";
        save.touch();
        save.flush();
      }
      sent = null;
    },
    dispose: () => save.drop(),
    refresh() {
      if (!save.waiting) setValue(text, model.get("message"));
    },
    enable(busy, status) {
      const foreground = model.get("foreground");
      sendButton.disabled = busy || status === "loading";
      stopButton.disabled = !busy || status === "stopping" || foreground;
      clearButton.disabled = busy || model.get("turns").length === 0;
      setText(note, busy && foreground ? "Stop with the kernel's interrupt button." : "");
    },
  };
}

/** What tells one turn from another: as long as it is the same, the turn keeps its elements. */
function keyOf(entry) {
  return entry.role === "user" ? `user ${entry.index} ${entry.text}` : `reply ${entry.run}`;
}

/**
 * The turns in their `log`: `create(entry)` makes one.
 * Turns that are still the same keep their elements, and with them the focus.
 */
function createTurns(log, create) {
  const views = [];
  const drop = (view) => {
    view.dispose();
    view.node.remove();
  };
  /** One box of alternatives at a time: that of the reply which is pointed at or walked through. */
  const dismissOthers = ({ target }) => {
    for (const view of views) if (!view.node.contains(target)) view.output?.dismiss();
  };
  log.addEventListener("focusin", dismissOthers);
  log.addEventListener("pointerover", dismissOthers);
  return {
    views,
    outputs: () => views.map(({ output }) => output).filter(Boolean),
    /** The output of a run that is on the page. */
    outputOf: (number) => views.find(({ run }) => run !== undefined && run === number)?.output,
    show(entries, changed) {
      const grown = entries.length > views.length;
      const held = log.contains(document.activeElement);
      const other = views.findIndex((view, i) => !entries[i] || view.key !== keyOf(entries[i]));
      if (other >= 0) views.splice(other).forEach(drop);
      for (const entry of entries.slice(views.length)) {
        views.push(create(entry));
        log.append(views.at(-1).node);
      }
      views.forEach((view, i) => view.refresh(entries[i]));
      changed();
      if (held && !log.contains(document.activeElement)) log.focus();
      return grown;
    },
    enable(busy) {
      for (const view of views) view.enable(busy, view === views.at(-1));
    },
  };
}

const LOG = {
  class: "wb-turns",
  role: "log",
  "aria-live": "off",
  "aria-label": "Conversation",
  tabindex: "0",
};

/**
 * The conversation. `say`, `stop`, `clear`, `regenerate` and `edit(index, text)` are what a person
 * does; `isBusy`, `ask`, `gap` and `announce` are those of the panel.
 */
export function createConversation(model, { say, stop, clear, regenerate, edit, isBusy, ...options }) {
  const empty = make("div", { class: "wb-empty" });
  const log = make("div", LOG, empty);
  const summary = make("span", { class: "wb-note wb-tally" });
  const node = make("div", { class: "wb-left" });
  const system = createSystem(model);
  const message = createMessage(model, { say, stop, clear });
  const later = (index) => model.get("turns").filter((turn) => turn.index > index + 1).length;
  const turns = createTurns(log, (entry) =>
    entry.role === "user"
      ? createUserTurn(entry, { edit, later, isBusy })
      : createReplyTurn(entry, { regenerate, frame: node, scroller: log, ...options }),
  );
  const { views, outputs } = turns;
  const live = () => turns.outputOf(model.get("output").run);
  const enable = () => turns.enable(isBusy());
  const count = () => live()?.count ?? 0;
  node.append(system.node, log, make("div", { class: "wb-footer" }, summary), ...message.nodes);
  return {
    node,
    message,
    system,
    refreshTurns() {
      const entries = model.get("turns");
      const grown = turns.show(entries, enable);
      message.arrived(entries.slice(-2));
      if (grown) log.scrollTop = log.scrollHeight;
    },
    refreshOutput() {
      const snapshot = model.get("output");
      live()?.show({ ...snapshot, prompt: "" });
      setText(summary, snapshot.summary || (count() ? countText(count()) : ""));
    },
    refreshStatus(status, position) {
      const words = emptyText(status, position, model.get("heading").name);
      for (const output of outputs()) output.explain("");
      if (live() && !count()) live().explain(STARTING.has(status) || !isBusy() ? words : "");
      setText(empty, status === "loading" ? words : CHAT_STARTS);
      empty.hidden = views.length > 0;
      message.enable(isBusy(), status);
      enable();
    },
    extend(delta) {
      if (!live()) return options.gap();
      live().extend(delta);
      setText(summary, countText(count()));
    },
    answer(found) {
      for (const output of outputs()) output.answer(found);
    },
    dismiss() {
      for (const output of outputs()) output.dismiss();
    },
    dispose() {
      for (const part of [system, message, ...views]) part.dispose();
    },
  };
}
