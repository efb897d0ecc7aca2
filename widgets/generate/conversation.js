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

/**
 * The conversation. `say`, `stop`, `clear`, `regenerate` and `edit(index, text)` are what a person
 * does; `isBusy`, `ask`, `gap` and `announce` are those of the panel.
 */
export function createConversation(model, { say, stop, clear, regenerate, edit, isBusy, ...options }) {
  const empty = make("div", { class: "wb-empty" });
  const log = make("div", {
    class: "wb-turns",
    role: "log",
    "aria-live": "off",
    "aria-label": "Conversation",
    tabindex: "0",
  });
  const summary = make("span", { class: "wb-note wb-tally" });
  const node = make("div", { class: "wb-left" });
  const system = createSystem(model);
  const message = createMessage(model, { say, stop, clear });
  const views = [];

  const later = (index) => model.get("turns").filter((turn) => turn.index > index + 1).length;
  const create = (entry) =>
    entry.role === "user"
      ? createUserTurn(entry, { edit, later, isBusy })
      : createReplyTurn(entry, { regenerate, frame: node, scroller: log, ...options });
  const keyOf = (entry) => (entry.role === "user" ? `user ${entry.index} ${entry.text}` : `reply ${entry.run}`);
  const live = () => views.find(({ run }) => run !== undefined && run === model.get("output").run);

  const drop = (view) => {
    view.dispose();
    view.node.remove();
  };
  /** One box of alternatives at a time: that of the reply which is pointed at or walked through. */
  const dismissOthers = ({ target }) => {
    for (const view of views) if (!view.node.contains(target)) view.output?.dismiss();
  };
  const enable = () => {
    for (const view of views) view.enable(isBusy(), view === views.at(-1));
  };

  node.append(
    system.node,
    log,
    make("div", { class: "wb-footer" }, summary),
    ...message.nodes,
  );
  log.append(empty);
  log.addEventListener("focusin", dismissOthers);
  log.addEventListener("pointerover", dismissOthers);

  return {
    node,
    message,
    system,
    get count() {
      return live()?.output.count ?? 0;
    },
    /** Turns that are still the same keep their elements, and with them the focus. */
    refreshTurns() {
      const entries = model.get("turns");
      const grown = entries.length > views.length;
      const held = log.contains(document.activeElement);
      const changed = views.findIndex((view, i) => !entries[i] || view.key !== keyOf(entries[i]));
      if (changed >= 0) views.splice(changed).forEach(drop);
      for (const entry of entries.slice(views.length)) {
        views.push(create(entry));
        log.append(views.at(-1).node);
      }
      views.forEach((view, i) => view.refresh(entries[i]));
      enable();
      if (held && !log.contains(document.activeElement)) log.focus();
      message.arrived(entries.slice(-2));
      if (grown) log.scrollTop = log.scrollHeight;
    },
    refreshOutput() {
      const snapshot = model.get("output");
      live()?.output.show({ ...snapshot, prompt: "" });
      setText(summary, snapshot.summary || (this.count ? countText(this.count) : ""));
    },
    refreshStatus(status, position) {
      const name = model.get("heading").name;
      const starting = STARTING.has(status) ? emptyText(status, position, name) : "";
      for (const view of views) view.output?.explain("");
      const reply = live();
      if (reply && !reply.output.count) reply.output.explain(starting || (isBusy() ? "" : emptyText(status, position, name)));
      setText(empty, status === "loading" ? emptyText(status, position, name) : CHAT_STARTS);
      empty.hidden = views.length > 0;
      message.enable(isBusy(), status);
      enable();
    },
    extend(delta) {
      const reply = live();
      if (!reply) return options.gap();
      reply.output.extend(delta);
      setText(summary, countText(this.count));
    },
    answer(found) {
      for (const view of views) view.output?.answer(found);
    },
    dismiss() {
      for (const view of views) view.output?.dismiss();
    },
    dispose() {
      for (const part of [system, message, ...views]) part.dispose();
    },
  };
}
