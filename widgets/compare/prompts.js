// The prompts of a comparison: a box for one, and a row of numbers to go from one to another.

import { button, debounce, make, setText, setValue, uniqueId } from "../shared/dom.js";
import { TYPING_MS } from "../shared/parts.js";

/**
 * `moved()` is called when another prompt is in the box, or its text has changed; `picked()` before
 * that, when a person has gone there.
 */
export function createPrompts(model, { generate, stop, moved, picked }) {
  const id = uniqueId("prompt");
  const text = make("textarea", { id, class: "wb-prompt", rows: "3", spellcheck: "false" });
  const label = make("label", { for: id, class: "wb-label" }, "Prompt");
  const numbers = make("div", { class: "wb-compare-numbers", role: "group", "aria-label": "Prompts" });
  const add = button("Add", () => insert(), { class: "wb-button wb-quiet", "aria-label": "Add a prompt" });
  const remove = button("Remove", () => drop(), {
    class: "wb-button wb-quiet",
    "aria-label": "Remove this prompt",
  });
  const generateButton = button("Generate", generate, { class: "wb-button wb-primary", title: "Ctrl+Enter" });
  const stopButton = button("Stop", stop, { title: "Esc" });
  const note = make("span", { class: "wb-note" });
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
    setText(label, texts.length > 1 ? `Prompt ${at + 1} of ${texts.length}` : "Prompt");
    const pages = texts.length > 1 ? texts.length : 0;
    while (numbers.childElementCount > pages) numbers.lastElementChild.remove();
    while (numbers.childElementCount < pages) {
      const index = numbers.childElementCount;
      numbers.append(
        button(String(index + 1), () => pick(index), {
          class: "wb-button wb-quiet wb-run",
          "aria-label": `Prompt ${index + 1}`,
        }),
      );
    }
    [...numbers.children].forEach((entry, index) => {
      entry.setAttribute("aria-pressed", String(index === at));
      entry.title = texts[index];
    });
    remove.hidden = texts.length < 2;
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
  const insert = () => {
    texts.push("");
    save.drop();
    commit();
    pick(texts.length - 1);
    text.focus();
  };
  const drop = () => {
    texts.splice(at, 1);
    save.drop();
    commit();
    show();
    text.focus();
  };
  text.addEventListener("input", () => {
    texts[at] = text.value;
    save.touch();
    moved();
  });

  return {
    nodes: [
      make("div", { class: "wb-compare-pager" }, label, numbers, add, remove),
      text,
      make("div", { class: "wb-actions" }, generateButton, stopButton, note),
    ],
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
    enable(busy, status) {
      generateButton.disabled = busy || status === "loading";
      stopButton.disabled = !busy || status === "stopping" || model.get("foreground");
      setText(note, busy && model.get("foreground") ? "Stop with the kernel's interrupt button." : "");
    },
  };
}
