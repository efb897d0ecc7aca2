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

export function createSamples() {
  const select = make("select", { class: "wb-tune-input", "aria-label": "Samples of step", onchange: () => choose(select.value) });
  const first = make("span", { class: "wb-tune-column-name" });
  const list = make("div", { class: "wb-tune-sample-list", tabindex: "0", role: "group", "aria-label": "Sample completions" });
  const empty = make("div", { class: "wb-empty" });
  const names = make(
    "div",
    { class: "wb-tune-columns wb-tune-column-names" },
    first,
    make("div", { class: "wb-tune-column-name" }, "step", select),
  );
  const node = make(
    "div",
    { class: "wb-tune-samples" },
    make("div", { class: "wb-tune-head" }, make("strong", {}, "Samples")),
    names,
    list,
    empty,
  );
  let rounds = [];
  let prompts = [];
  let chosen = "newest";
  const choose = (value) => {
    chosen = value;
    draw();
  };
  const cell = (text, name) =>
    make("div", { class: "wb-tune-text", "aria-label": name, role: "group" }, text?.trimStart() || "…");
  const draw = () => {
    const old = rounds[0];
    const now = rounds.find(({ step }) => String(step) === chosen) ?? rounds.at(-1);
    names.hidden = list.hidden = !old;
    empty.hidden = Boolean(old);
    if (!old) return;
    setText(first, `step ${wholeText(old.step)}`);
    const alone = now === old;
    list.replaceChildren(
      ...prompts.map((prompt, i) =>
        make(
          "div",
          { class: "wb-tune-sample" },
          make("div", { class: "wb-tune-prompt" }, prompt),
          make(
            "div",
            { class: "wb-tune-columns" },
            cell(old.texts.get(i), `step ${old.step}`),
            alone
              ? make("div", { class: "wb-tune-text wb-note" }, "The next samples appear here.")
              : cell(now.texts.get(i), `step ${now.step}`),
          ),
        ),
      ),
    );
  };
  const offer = () => {
    const later = rounds.slice(1).reverse();
    const options = later.map(({ step }, i) =>
      make("option", { value: i ? String(step) : "newest" }, `${wholeText(step)}${i ? "" : " · newest"}`),
    );
    select.replaceChildren(...(options.length ? options : [make("option", { value: "newest" }, "–")]));
    select.disabled = !later.length;
    const there = later.slice(1).some(({ step }) => String(step) === chosen);
    if (!there) chosen = "newest";
    select.value = chosen;
  };
  return {
    node,
    show({ prompts: asked = [], items = [] }) {
      prompts = asked;
      rounds = roundsOf(items);
      offer();
      draw();
    },
    explain: (text) => setText(empty, text),
  };
}
