// One turn of a conversation: what you said, which you may edit, or what the model replied.

import { button, make, setText } from "../shared/dom.js";
import { createOutput } from "../shared/tokens.js";

const REPLY = {
  class: "wb-reply",
  role: "group",
  "aria-label": "Reply. The left and right arrows walk through the tokens.",
};

function createTurn(name, ...actions) {
  const mark = make("span", { class: "wb-note" });
  const head = make("div", { class: "wb-turn-head" }, make("strong", {}, name), mark, ...actions);
  const node = make("article", { class: "wb-turn", "aria-label": name }, head);
  return { node, mark };
}

/**
 * A message of yours. `edit(index, text)` sends it anew, `later(index)` counts the turns that would
 * be dropped, `isBusy()` says whether it has to wait.
 */
export function createUserTurn(entry, { edit, later, isBusy }) {
  const opener = button("Edit", () => open(), { class: "wb-button wb-quiet wb-turn-action" });
  const { node } = createTurn("You", opener);
  node.classList.add("wb-yours");
  const said = make("div", { class: "wb-said" }, entry.text);
  const text = make("textarea", { class: "wb-prompt", rows: "2", "aria-label": "Edit message" });
  const note = make("span", { class: "wb-note" });
  const save = button("Send again", () => submit(), { class: "wb-button wb-primary" });
  const editor = make(
    "div",
    {},
    text,
    make("div", { class: "wb-actions" }, save, button("Cancel", () => close()), note),
  );
  editor.hidden = true;
  node.append(said, editor);

  const show = (open) => {
    editor.hidden = !open;
    said.hidden = opener.hidden = open;
    (open ? text : opener).focus();
  };
  const open = () => {
    text.value = entry.text;
    const dropped = later(entry.index);
    setText(note, dropped ? `Drops ${dropped} later ${dropped === 1 ? "turn" : "turns"}.` : "");
    show(true);
  };
  const close = () => show(false);
  const submit = () => {
    if (isBusy() || !text.value.trim()) return;
    close();
    edit(entry.index, text.value);
  };
  // Before the panel hears them: here Ctrl+Enter and Esc mean this message.
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
    else if (event.key === "Escape" && !isBusy()) close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  return {
    key: `user ${entry.index} ${entry.text}`,
    node,
    enable(busy) {
      opener.disabled = save.disabled = busy;
    },
    refresh() {},
    dispose() {},
  };
}

/** A reply. `options` are those of `createOutput`. */
export function createReplyTurn(entry, { regenerate, ...options }) {
  const again = button("Regenerate", regenerate, { class: "wb-button wb-quiet wb-turn-action" });
  const { node, mark } = createTurn("Model", again);
  const output = createOutput({ ...options, attributes: REPLY, trim: true });
  options.frame.append(output.tip);
  node.append(output.node);
  return {
    key: `reply ${entry.run}`,
    node,
    run: entry.run,
    output,
    enable(busy, last) {
      again.disabled = busy;
      again.hidden = !last;
    },
    refresh({ run, pieces, percents, end }) {
      output.show({ run, pieces, percents });
      setText(mark, end);
    },
    dispose: output.dispose,
  };
}
