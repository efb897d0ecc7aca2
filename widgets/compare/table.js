// The results as a table: to be copied, or to be written into a file.

import { createSection } from "../shared/chrome.js";
import { button, make, setText, setValue, uniqueId } from "../shared/dom.js";

/** The choice of the format; `chosen()` is called when it is another. */
function createFormats(chosen) {
  const name = uniqueId("format");
  const radio = (value, label, checked) => {
    const input = make("input", { type: "radio", name, value, checked, onchange: () => chosen() });
    return make("label", { class: "wb-radio" }, input, label);
  };
  const legend = make("legend", { class: "wb-spoken" }, "Format");
  const radios = [radio("csv", "CSV", true), radio("markdown", "Markdown", false)];
  const node = make("fieldset", { class: "wb-compare-formats" }, legend, ...radios);
  return { node, value: () => node.querySelector(":checked").value };
}

/** Copies the text of `node`, or selects it where the browser forbids that; `say(sentence)` tells which. */
async function copyText(node, say) {
  try {
    await navigator.clipboard.writeText(node.textContent);
    say("Copied.");
  } catch {
    const range = document.createRange();
    range.selectNodeContents(node);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    say("Selected: press Ctrl+C to copy.");
  }
}

/** `ask(format)` requests the table, `save(format, path)` has it written. */
export function createTableExport({ ask, save }) {
  const pathId = uniqueId("path");
  const note = make("span", { class: "wb-note", role: "status" });
  const preview = make("pre", { class: "wb-code", tabindex: "0", "aria-label": "Table" });
  const path = make("input", { type: "text", id: pathId, class: "wb-compare-path", spellcheck: "false" });
  let offered = ""; // a path that nobody has changed
  const say = (text) => setText(note, text);
  const formats = createFormats(() => open());
  const open = () => {
    say("");
    ask(formats.value());
  };
  const saving = make(
    "div",
    { class: "wb-actions" },
    button("Copy", () => copyText(preview, say)),
    make("label", { for: pathId, class: "wb-note" }, "or into the file"),
    path,
    button("Save", () => save(formats.value(), path.value)),
    note,
  );
  const node = createSection("Table", formats.node, preview, saving);
  return {
    node,
    opener: button("Export table", () => {
      node.hidden = !node.hidden;
      if (!node.hidden) open();
    }),
    get open() {
      return !node.hidden;
    },
    /** The table as it is now, if it is shown. */
    renew: () => !node.hidden && open(),
    answer(message) {
      if (message.format !== formats.value()) return;
      setText(preview, message.text);
      const ending = message.path.slice(message.path.lastIndexOf("."));
      const isOurs = path.value === offered;
      if (isOurs) offered = message.path;
      setValue(path, isOurs ? offered : path.value.replace(/\.(csv|md)$/, ending));
    },
    saved: ({ path: where }) => say(`Saved: ${where}`),
  };
}
