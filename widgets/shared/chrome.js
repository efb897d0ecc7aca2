// What stands around a panel's work: heading, status, menu, errors, code, help, and a watch on the kernel.

import { button, make, setText, uniqueId } from "./dom.js";

const SILENCE_MS = 3000;
export const NO_ANSWER =
  "The kernel does not answer. If it is busy, this goes on when it is free; " +
  "if it was restarted, run the cell again.";

/** A button that opens a menu; `items` are [label, action] pairs. */
export function createMenu(items) {
  const list = make("div", { class: "wb-menu-list", role: "menu", id: uniqueId("menu") });
  const opener = button("⋯", () => toggle(list.hidden), {
    class: "wb-button wb-quiet wb-menu-button",
    "aria-label": "Menu",
    "aria-haspopup": "menu",
    "aria-controls": list.id,
    "aria-expanded": "false",
  });
  const entries = items.map(([label, action]) =>
    button(label, () => {
      toggle(false);
      action();
    }, { class: "wb-menu-item", role: "menuitem", tabindex: "-1" }),
  );
  const toggle = (open) => {
    list.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    (open ? entries[0] : opener).focus();
  };
  const node = make("div", { class: "wb-menu" }, opener, list);
  list.hidden = true;
  list.append(...entries);
  node.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") toggle(false);
    else if (move) entries.at((entries.indexOf(document.activeElement) + move) % entries.length).focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  node.addEventListener("focusout", (event) => {
    if (list.hidden || node.contains(event.relatedTarget)) return;
    list.hidden = true;
    opener.setAttribute("aria-expanded", "false");
  });
  return node;
}

/** One sentence that says what to do, the details folded. */
export function createError() {
  const message = make("div", { class: "wb-error-message" });
  const details = make("pre", { tabindex: "0", "aria-label": "Details" });
  const fold = make("details", {}, make("summary", {}, "Details"), details);
  const node = make("div", { class: "wb-error", role: "alert" }, message, fold);
  return {
    node,
    show(error) {
      node.hidden = !error;
      setText(message, error?.message ?? "");
      setText(details, error?.details ?? "");
      fold.hidden = !error?.details;
    },
  };
}

/** A section that the menu opens, with a way to close it. */
export function createSection(title, ...children) {
  const node = make(
    "div",
    { class: "wb-section" },
    make(
      "div",
      { class: "wb-section-head" },
      make("strong", {}, title),
      button("Close", () => (node.hidden = true), { class: "wb-button wb-quiet" }),
    ),
    ...children,
  );
  node.hidden = true;
  return node;
}

/** The call that writes the same text again, copied or ready to be copied. */
export function createCode(model) {
  const code = make("pre", { class: "wb-code", tabindex: "0", "aria-label": "Python code" });
  const note = make("span", { role: "status", class: "wb-note" });
  const node = createSection("As code", code, note);
  const select = () => {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    setText(note, "Selected: press Ctrl+C to copy.");
  };
  return {
    node,
    refresh: () => setText(code, model.get("code")),
    async copy() {
      node.hidden = false;
      setText(note, "");
      try {
        await navigator.clipboard.writeText(model.get("code"));
        setText(note, "Copied.");
      } catch {
        select();
      }
    },
  };
}

export function createHelp(...sentences) {
  return createSection("Help", make("ul", {}, ...sentences.map((text) => make("li", {}, text))));
}

/**
 * Notices a kernel that has gone: what goes through `send` deserves an answer, and `heard()` is
 * called at every sign of life. While `isBusy()`, silence is answered with `ask()`.
 */
export function createWatch({ isBusy, ask, silent, alive }) {
  let last = Date.now();
  let asked = null;
  const timer = setInterval(() => {
    const now = Date.now();
    if (asked !== null && now - asked >= SILENCE_MS) silent();
    else if (asked === null && isBusy() && now - last >= SILENCE_MS / 3) ask();
  }, SILENCE_MS / 8);
  return {
    send(message) {
      asked ??= Date.now();
      try {
        message();
      } catch {
        silent(); // the comm is closed
      }
    },
    heard() {
      last = Date.now();
      asked = null;
      alive();
    },
    dispose: () => clearInterval(timer),
  };
}

/** Keeps what `listeners` name in step with the model; the result ends it. */
function follow(model, listeners) {
  for (const [event, listener] of listeners) model.on(event, listener);
  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
  };
}

/**
 * Keeps the page in step with its traits, given as [name, action] pairs; the result ends it. `ours`
 * are what the page itself may set, `kernels` what only the kernel sets: the latter, like its
 * messages, are a sign of life for `watch`. Each action is called once at the beginning, too.
 */
export function followTraits(model, watch, ours, kernels, onMessage = () => {}) {
  for (const action of new Set([...kernels, ...ours].map(([, action]) => action))) action();
  const heard = (action) => (...given) => {
    watch.heard();
    action(...given);
  };
  return follow(model, [
    ...ours.map(([name, action]) => [`change:${name}`, action]),
    ...kernels.map(([name, action]) => [`change:${name}`, heard(() => action())]),
    ["msg:custom", heard(onMessage)],
  ]);
}
