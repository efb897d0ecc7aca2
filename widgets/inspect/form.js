// The controls of the inspect panel: the text box, and the sampler's settings, all cuts at once.

import { SAVE_MS, createFields } from "../shared/controls.js";
import { button, debounce, make, setText, setValue, uniqueId } from "../shared/dom.js";
import { wholeText } from "../shared/units.js";

/** The box of the text, and the buttons under it. */
export function createTextBox(model, { read, stop }) {
  const id = uniqueId("text");
  const box = make("textarea", { id, class: "wb-prompt", rows: "2", spellcheck: "false" });
  const note = make("span", { class: "wb-note" });
  const readButton = button("Read", read, { class: "wb-button wb-primary", title: "Ctrl+Enter" });
  const stopButton = button("Stop", stop, { title: "Esc" });
  const save = debounce(() => {
    model.set("text", box.value);
    model.save_changes();
  }, SAVE_MS);
  box.addEventListener("input", save.touch);
  return {
    nodes: [
      make("label", { for: id, class: "wb-label" }, "Text"),
      box,
      make("div", { class: "wb-actions" }, readButton, stopButton, note),
    ],
    value: () => box.value,
    flush: () => save.flush(),
    dispose: () => save.drop(),
    refresh() {
      if (!save.waiting) setValue(box, model.get("text"));
    },
    enable(busy, status, words) {
      readButton.disabled = busy || status === "loading";
      stopButton.disabled = !busy || status === "stopping" || model.get("foreground");
      setText(note, busy && model.get("foreground") ? "Stop with the kernel's interrupt button." : words);
    },
  };
}

/** Sliders; `moved()` is called at every step of one, long before the kernel hears of it. */
export function createInspectControls(model, moved) {
  const { controls, cuts } = model.get("form");
  const settings = createFields(model, controls, () => moved());
  const { fields } = settings;
  const rows = (names) => names.map((name) => fields[name].node);
  return {
    node: make(
      "div",
      { class: "wb-controls wb-inspect-controls" },
      make("div", { class: "wb-inspect-head" }, "Sampler"),
      ...rows(cuts),
      make("div", { class: "wb-inspect-head wb-inspect-rule" }, "A branch goes on"),
      ...rows(Object.keys(fields).filter((name) => !cuts.includes(name))),
    ),
    names: Object.keys(fields),
    values: settings.values,
    /** The cuts as the functions of cuts.js take them, from the sliders themselves. */
    cuts: () => Object.fromEntries(cuts.map((name) => [name, fields[name].read()])),
    /** The names of the cuts, in their order. */
    cutNames: cuts,
    /** A cut and its value in words: "top-k 40". */
    cutText(name, value) {
      const { label, step } = controls.find((one) => one.name === name);
      return `${label.toLowerCase()} ${Number.isInteger(step) ? wholeText(value) : value.toFixed(2)}`;
    },
    refresh: settings.refresh,
    flush: settings.flush,
    dispose: settings.dispose,
  };
}

/** Tabs over their panels: [name, label, node]. `opened(name)` is told of a change. */
export function createTabs(model, entries, opened) {
  const tabs = entries.map(([name, label, node]) => {
    const ids = [uniqueId("tab"), uniqueId("tabpanel")];
    const choose = () => {
      model.set("tab", name);
      model.save_changes();
    };
    const opener = make(
      "button",
      { type: "button", role: "tab", class: "wb-inspect-tab", id: ids[0], "aria-controls": ids[1], onclick: choose },
      label,
    );
    const panel = make("div", { role: "tabpanel", class: "wb-inspect-tabpanel", id: ids[1], "aria-labelledby": ids[0] }, node);
    return { name, choose, opener, panel };
  });
  const list = make("div", { role: "tablist", class: "wb-inspect-tabs", "aria-label": "Views" }, ...tabs.map(({ opener }) => opener));
  list.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = tabs.findIndex(({ opener }) => opener === document.activeElement);
    if (!move || at < 0) return;
    event.preventDefault();
    const next = tabs[(at + move + tabs.length) % tabs.length];
    next.choose();
    next.opener.focus();
  });
  return {
    node: make("div", { class: "wb-inspect-views" }, list, ...tabs.map(({ panel }) => panel)),
    refresh() {
      const chosen = model.get("tab");
      for (const { name, opener, panel } of tabs) {
        opener.setAttribute("aria-selected", String(name === chosen));
        opener.setAttribute("tabindex", name === chosen ? "0" : "-1");
        panel.hidden = name !== chosen;
      }
      opened(chosen);
    },
  };
}
