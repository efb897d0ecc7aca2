// What the views of the inspect panel share: what is said before there is something to show, and
// how tokens, numbers and places are put into words.

const VIEW_WORDS = {
  queued: "Waiting until the model is free.",
  working: "Reading the text once more, layer by layer.",
};
const VIEW_SILENT = "The panel's kernel keeps this: run the cell to see it.";
const VIEW_ANSWER_MS = 4000;

/** The text of a token in a narrow place: without the space before a word. */
function inkText(piece) {
  return piece ? visible(piece.trim() || piece) : "∅";
}

/** A token in a sentence: with its white space made visible, in quotes. */
function quoted(piece) {
  return `“${visible(piece)}”`;
}

/** Numbers out of a message's buffer; a copy, as a view may begin anywhere. */
function numbersOf(Type, buffer) {
  return new Type(bytesOf(buffer).slice().buffer);
}

/** A probability, or an attention weight, with the digits that count: "41 %", "3.2 %", "0.04 %". */
function exactPercent(share) {
  if (!Number.isFinite(share)) return "";
  const percent = 100 * share;
  if (percent >= 9.95) return `${Math.round(percent)} %`;
  if (percent >= 0.995) return `${percent.toFixed(1)} %`;
  return percent >= 0.005 ? `${percent.toFixed(2)} %` : "< 0.01 %";
}

/** The short name of a layer of a trace: "block 3" of `decoder_block_3`. */
function layerText(name) {
  return name.replace(/^(de|en)coder_/, "").replaceAll("_", " ");
}

/** What stands in a view's place while there is nothing to show: a sentence, and a way to retry. */
function createViewState(idle, retry) {
  const sentence = make("span", { role: "status" });
  const again = button("Try again", retry);
  const node = make("div", { class: "wb-view-state" }, sentence, again);
  let timer = null;
  const say = (text, failed = false) => {
    clearTimeout(timer);
    setText(sentence, text);
    node.hidden = !text;
    again.hidden = !failed;
    node.classList.toggle("wb-view-failed", failed);
  };
  say(idle);
  return {
    node,
    idle: () => say(idle),
    /** Asked: the kernel says what it does; where there is none, nothing comes back. */
    asked() {
      say(VIEW_WORDS.working);
      timer = setTimeout(() => say(VIEW_SILENT, true), VIEW_ANSWER_MS);
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
