// The results as a table: to be copied, or to be written into a file.

import { createSection } from "../shared/chrome.js";
import { button, make, setText, setValue, uniqueId } from "../shared/dom.js";

/** `ask(format)` requests the table, `save(format, path)` has it written. */
export function createTableExport({ ask, save }) {
  const name = uniqueId("format");
  const pathId = uniqueId("path");
  const note = make("span", { class: "wb-note", role: "status" });
  const preview = make("pre", { class: "wb-code", tabindex: "0", "aria-label": "Table" });
  const path = make("input", { type: "text", id: pathId, class: "wb-compare-path", spellcheck: "false" });
  let offered = ""; // a path that nobody has changed
  const radio = (value, label, checked) => {
    const input = make("input", { type: "radio", name, value, checked, onchange: () => open() });
    return make("label", { class: "wb-radio" }, input, label);
  };
  const formats = make(
    "fieldset",
    { class: "wb-compare-formats" },
    make("legend", { class: "wb-spoken" }, "Format"),
    radio("csv", "CSV", true),
    radio("markdown", "Markdown", false),
  );
  const format = () => formats.querySelector(":checked").value;
  const open = () => {
    setText(note, "");
    ask(format());
  };
  const select = () => {
    const range = document.createRange();
    range.selectNodeContents(preview);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    setText(note, "Selected: press Ctrl+C to copy.");
  };
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(preview.textContent);
      setText(note, "Copied.");
    } catch {
      select();
    }
  };
  const saving = make(
    "div",
    { class: "wb-actions" },
    button("Copy", copy),
    make("label", { for: pathId, class: "wb-note" }, "or into the file"),
    path,
    button("Save", () => save(format(), path.value)),
    note,
  );
  const node = createSection("Table", formats, preview, saving);
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
      if (message.format !== format()) return;
      setText(preview, message.text);
      const ending = message.path.slice(message.path.lastIndexOf("."));
      const isOurs = path.value === offered;
      if (isOurs) offered = message.path;
      setValue(path, isOurs ? offered : path.value.replace(/\.(csv|md)$/, ending));
    },
    saved({ path: where }) {
      setText(note, `Saved: ${where}`);
    },
  };
}
