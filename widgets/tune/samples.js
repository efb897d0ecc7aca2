// What the model writes while it learns: the completions of the first step beside those of another.

import { make, setText } from "../shared/dom.js";
import { wholeText } from "../shared/units.js";

/** The rounds of samples, [{step, texts: Map of prompt index to text}], by step. */
function roundsOf(items) {
  const rounds = new Map();
  for (const { step, prompt, text } of items) {
    if (!rounds.has(step)) rounds.set(step, { step, texts: new Map() });
    rounds.get(step).texts.set(prompt, text);
  }
  return [...rounds.values()].sort((a, b) => a.step - b.step);
}

/** A prompt over what it was continued with: at the first step, and at another. */
function createSample(prompt, index, first, other) {
  const cell = ({ step, texts }) =>
    make(
      "div",
      { class: "wb-tune-text", "aria-label": `step ${step}`, role: "group" },
      texts.get(index)?.trimStart() || "…",
    );
  const second = other ? cell(other) : make("div", { class: "wb-tune-text wb-note" }, "The next samples appear here.");
  return make(
    "div",
    { class: "wb-tune-sample" },
    make("div", { class: "wb-tune-prompt" }, prompt),
    make("div", { class: "wb-tune-columns" }, cell(first), second),
  );
}

/** The choice of the step; "newest" stands for the last one, whichever that is. */
function createStepChoice(chose) {
  const node = make("select", { class: "wb-tune-input", "aria-label": "Samples of step", onchange: () => choose(node.value) });
  let chosen = "newest";
  const choose = (value) => {
    chosen = value;
    chose();
  };
  return {
    node,
    /** The round that is chosen, or the last. */
    of: (rounds) => rounds.find(({ step }) => String(step) === chosen) ?? rounds.at(-1),
    offer(rounds) {
      const later = rounds.slice(1).reverse();
      const options = later.map(({ step }, i) =>
        make("option", { value: i ? String(step) : "newest" }, `${wholeText(step)}${i ? "" : " · newest"}`),
      );
      node.replaceChildren(...(options.length ? options : [make("option", { value: "newest" }, "–")]));
      node.disabled = !later.length;
      const there = later.slice(1).some(({ step }) => String(step) === chosen);
      if (!there) chosen = "newest";
      node.value = chosen;
    },
  };
}

export function createSamples() {
  const choice = createStepChoice(() => draw());
  const first = make("span", { class: "wb-tune-column-name" });
  const list = make("div", { class: "wb-tune-sample-list", tabindex: "0", role: "group", "aria-label": "Sample completions" });
  const empty = make("div", { class: "wb-empty" });
  const names = make(
    "div",
    { class: "wb-tune-columns wb-tune-column-names" },
    first,
    make("div", { class: "wb-tune-column-name" }, "step", choice.node),
  );
  const head = make("div", { class: "wb-tune-head" }, make("strong", {}, "Samples"));
  let rounds = [];
  let prompts = [];
  const draw = () => {
    const [old, now] = [rounds[0], choice.of(rounds)];
    names.hidden = list.hidden = !old;
    empty.hidden = Boolean(old);
    if (!old) return;
    setText(first, `step ${wholeText(old.step)}`);
    const other = now === old ? null : now;
    list.replaceChildren(...prompts.map((prompt, i) => createSample(prompt, i, old, other)));
  };
  return {
    node: make("div", { class: "wb-tune-samples" }, head, names, list, empty),
    show({ prompts: asked = [], items = [] }) {
      prompts = asked;
      rounds = roundsOf(items);
      choice.offer(rounds);
      draw();
    },
    explain: (text) => setText(empty, text),
  };
}
