// The tasks PaliGemma was trained on, as chips that write their words into the prompt.

import { button, make } from "../shared/dom.js";

const TASKS = [
  ["caption", "caption en"],
  ["answer", "answer en "],
  ["detect", "detect "],
  ["segment", "segment "],
  ["read", "ocr"],
];

/** One chip a task; the one whose words the prompt begins with is pressed. */
export function createTasks(field) {
  const chips = TASKS.map(([name, prefix]) => {
    const words = prefix.trim();
    const chip = button(name, () => write(prefix), { class: "wb-button wb-quiet wb-look-task", title: `“${words} …”` });
    return { chip, words, prefix };
  });
  const fits = ({ words }) => field.value === words || field.value.startsWith(`${words} `) || field.value.startsWith(`${words}\n`);
  /** The words after another task's prefix stay, where this one takes words. */
  const write = (prefix) => {
    const before = chips.find(fits);
    const words = before ? field.value.slice(before.words.length).trim() : "";
    field.value = prefix.endsWith(" ") ? prefix + words : prefix;
    field.dispatchEvent(new Event("input"));
    field.focus();
    field.setSelectionRange(prefix.length, field.value.length);
  };
  const refresh = () => {
    for (const entry of chips) entry.chip.setAttribute("aria-pressed", String(fits(entry)));
  };
  field.addEventListener("input", refresh);
  return {
    node: make("div", { class: "wb-look-tasks", role: "group", "aria-label": "Tasks" }, ...chips.map(({ chip }) => chip)),
    refresh,
  };
}
