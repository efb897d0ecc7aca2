// The parts of the generate panel beside the output and the controls: prompt, history.

import { button, debounce, make, setText, setValue, uniqueId } from "./dom.js";

export const TYPING_MS = 200;

export function createPrompt(model, { generate, stop }) {
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
      if (!save.waiting) setValue(text, model.get("prompt"));
      const tokens = model.get("prompt_tokens");
      const shown = tokens === null ? "" : `${tokens.toLocaleString("en")} prompt ${tokens === 1 ? "token" : "tokens"}`;
      setText(count, shown);
    },
    enable(busy, status, ready = true) {
      generateButton.disabled = busy || status === "loading" || !ready;
      stopButton.disabled = !busy || status === "stopping" || model.get("foreground");
      if (busy && model.get("foreground")) setText(count, "Stop with the kernel's interrupt button.");
    },
  };
}

export function createHistory(model, restore) {
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
