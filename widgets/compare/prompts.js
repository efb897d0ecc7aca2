// The prompts of a comparison: a box for one, and a row of numbers to go from one to another.

import { button, debounce, make, setText, setValue, uniqueId } from "../shared/dom.js";
import { TYPING_MS } from "../shared/parts.js";

/** A button for each prompt, where there are several. */
function createNumbers(pick) {
  const node = make("div", { class: "wb-compare-numbers", role: "group", "aria-label": "Prompts" });
  const create = (index) =>
    button(String(index + 1), () => pick(index), {
      class: "wb-button wb-quiet wb-run",
      "aria-label": `Prompt ${index + 1}`,
    });
  return {
    node,
    show(texts, at) {
      const pages = texts.length > 1 ? texts.length : 0;
      while (node.childElementCount > pages) node.lastElementChild.remove();
      while (node.childElementCount < pages) node.append(create(node.childElementCount));
      [...node.children].forEach((entry, index) => {
        entry.setAttribute("aria-pressed", String(index === at));
        entry.title = texts[index];
      });
    },
  };
}

/** Generate, Stop, and what is to be said of them. */
function createActions(model, generate, stop) {
  const generateButton = button("Generate", generate, { class: "wb-button wb-primary", title: "Ctrl+Enter" });
  const stopButton = button("Stop", stop, { title: "Esc" });
  const note = make("span", { class: "wb-note" });
  return {
    node: make("div", { class: "wb-actions" }, generateButton, stopButton, note),
    enable(busy, status) {
      generateButton.disabled = busy || status === "loading";
      stopButton.disabled = !busy || status === "stopping" || model.get("foreground");
      setText(note, busy && model.get("foreground") ? "Stop with the kernel's interrupt button." : "");
    },
  };
}

/** The line over the box: what is in it, and the other prompts. */
function createPager(id, { pick, insert, drop }) {
  const label = make("label", { for: id, class: "wb-label" }, "Prompt");
  const numbers = createNumbers(pick);
  const quiet = { class: "wb-button wb-quiet" };
  const add = button("Add", insert, { ...quiet, "aria-label": "Add a prompt" });
  const remove = button("Remove", drop, { ...quiet, "aria-label": "Remove this prompt" });
  return {
    node: make("div", { class: "wb-compare-pager" }, label, numbers.node, add, remove),
    show(texts, at) {
      setText(label, texts.length > 1 ? `Prompt ${at + 1} of ${texts.length}` : "Prompt");
      numbers.show(texts, at);
      remove.hidden = texts.length < 2;
    },
  };
}

/**
 * `moved()` is called when another prompt is in the box, or its text has changed; `picked()` before
 * that, when a person has gone there.
 */
export function createPrompts(model, { generate, stop, moved, picked }) {
  const id = uniqueId("prompt");
  const text = make("textarea", { id, class: "wb-prompt", rows: "3", spellcheck: "false" });
  const actions = createActions(model, generate, stop);
  let texts = [...model.get("prompts")];
  let at = 0;
  const commit = () => {
    model.set("prompts", [...texts]);
    model.save_changes();
  };
  const save = debounce(commit, TYPING_MS);
  const show = () => {
    at = Math.max(0, Math.min(at, texts.length - 1));
    setValue(text, texts[at]);
    pager.show(texts, at);
    moved();
  };
  const go = (index) => {
    at = index;
    show();
  };
  const pick = (index) => {
    picked(index);
    go(index);
  };
  /** Other prompts: the kernel hears of them at once. */
  const change = (action, then) => {
    action();
    save.drop();
    commit();
    then();
    text.focus();
  };
  const insert = () => change(() => texts.push(""), () => pick(texts.length - 1));
  const drop = () => change(() => texts.splice(at, 1), show);
  const pager = createPager(id, { pick, insert, drop });
  text.addEventListener("input", () => {
    texts[at] = text.value;
    save.touch();
    moved();
  });
  return {
    nodes: [pager.node, text, actions.node],
    values: () => [...texts],
    get at() {
      return at;
    },
    go,
    flush: () => save.flush(),
    dispose: () => save.drop(),
    refresh() {
      if (save.waiting) return;
      texts = [...model.get("prompts")];
      show();
    },
    enable: actions.enable,
  };
}
