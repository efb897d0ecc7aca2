// What the views of the inspect panel share: what is said before there is something to show, and
// how tokens, numbers and places are put into words.

import { button, make, setText } from "../shared/dom.js";
import { bytesOf } from "../shared/heat.js";
import { visible } from "../shared/tokens.js";

const VIEW_WORDS = {
  queued: "Waiting until the model is free.",
  working: "Reading the text once more, layer by layer.",
};
const VIEW_UNREAD = "It is shown once what is being written has been read.";
const VIEW_SILENT = "The panel's kernel keeps this: run the cell to see it.";
const VIEW_ANSWER_MS = 4000;

/** The text of a token in a narrow place: without the space before a word. */
export function inkText(piece) {
  return piece ? visible(piece.trim() || piece) : "∅";
}

/** A token in a sentence: with its white space made visible, in quotes. */
export function quoted(piece) {
  return `“${visible(piece)}”`;
}

/** Numbers out of a message's buffer; a copy, as a view may begin anywhere. */
export function numbersOf(Type, buffer) {
  return new Type(bytesOf(buffer).slice().buffer);
}

/** A probability, or an attention weight, with the digits that count: "41 %", "3.2 %", "0.04 %". */
export function exactPercent(share) {
  if (!Number.isFinite(share)) return "";
  const percent = 100 * share;
  if (percent >= 9.95) return `${Math.round(percent)} %`;
  if (percent >= 0.995) return `${percent.toFixed(1)} %`;
  return percent >= 0.005 ? `${percent.toFixed(2)} %` : "< 0.01 %";
}

/** The short name of a layer of a trace: "block 3" of `decoder_block_3`. */
export function layerText(name) {
  return name.replace(/^(de|en)coder_/, "").replaceAll("_", " ");
}

/**
 * What stands in a view's place while there is nothing to show: a sentence, and a way to retry.
 * `request` asks for the view's data, once, when it is in sight and there is a text that is read.
 */
export function createViewState(idle, request) {
  const sentence = make("span", { role: "status" });
  const again = button("Try again", () => begin());
  const node = make("div", { class: "wb-view-state" }, sentence, again);
  let [open, some, asked] = [false, false, false];
  let timer = null;
  const say = (text, failed = false) => {
    clearTimeout(timer);
    setText(sentence, text);
    node.hidden = !text;
    again.hidden = !failed;
    node.classList.toggle("wb-view-failed", failed);
  };
  const begin = () => {
    asked = true;
    say(VIEW_WORDS.working);
    // The kernel says what it does; where there is none, nothing comes back.
    timer = setTimeout(() => say(VIEW_SILENT, true), VIEW_ANSWER_MS);
    request();
  };
  const once = () => open && some && !asked && begin();
  say(idle);
  return {
    node,
    get open() {
      return open;
    },
    visible(on) {
      open = on;
      once();
    },
    /** The text of now; what is still being written has not been read. */
    text({ pieces, written = true }) {
      some = written && pieces.length > 0;
      if (!asked) say(pieces.length && !written ? VIEW_UNREAD : idle);
      once();
    },
    clear() {
      asked = false;
      say(idle);
    },
    /** What the kernel's message says; true when there is something to show. */
    take({ state, message = "" }) {
      if (state === "failed") say(message, true);
      else say(VIEW_WORDS[state] ?? "");
      return state === "ready";
    },
    dispose: () => clearTimeout(timer),
  };
}
