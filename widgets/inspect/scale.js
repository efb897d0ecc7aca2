// What the colour of a token says. The scale is that of the generate panel, even in OKLab and told
// apart by lightness alone; its expected end is the pale one.

import { make, setText, uniqueId } from "../shared/dom.js";
import { wholeText } from "../shared/units.js";

const MOST_BITS = 8; // an entropy from which on the colour stays the same
const MOST_RANK = 1000;
export const SCALES = {
  probability: { ends: ["0 %", "100 %"], share: ({ logprob }) => Math.exp(logprob) },
  entropy: { ends: [`${MOST_BITS} bits`, "0"], share: ({ entropy }) => 1 - Math.min(1, bitsOf(entropy) / MOST_BITS) },
  rank: {
    ends: [wholeText(MOST_RANK), "1"],
    share: ({ rank }) => (rank > 0 ? 1 - Math.min(1, Math.log(rank) / Math.log(MOST_RANK)) : NaN),
  },
};

/** Nats, as models have them, in bits, as people read them; never minus 0. */
export function bitsOf(nats) {
  return Math.max(0, nats / Math.LN2);
}

/** Radios that say what the colours mean, and the scale with its ends. */
export function createScaleChoice(model) {
  const name = uniqueId("colour");
  const choose = (value) => {
    model.set("colour", value);
    model.save_changes();
  };
  const inputs = Object.keys(SCALES).map((value) =>
    make("input", { type: "radio", name, value, onchange: () => choose(value) }),
  );
  const ends = [make("span"), make("span")];
  const bar = make("span", { class: "wb-scale", role: "img" });
  const radios = inputs.map((input) => make("label", { class: "wb-radio" }, input, input.value));
  const legend = make("div", { class: "wb-legend wb-inspect-legend" }, ends[0], bar, ends[1]);
  return {
    node: make("fieldset", { class: "wb-inspect-scale" }, make("legend", {}, "Colour"), ...radios, legend),
    refresh() {
      const chosen = model.get("colour");
      for (const input of inputs) input.checked = input.value === chosen;
      SCALES[chosen].ends.forEach((text, i) => setText(ends[i], text));
      bar.setAttribute("aria-label", `colour scale of ${chosen}, from ${SCALES[chosen].ends.join(" to ")}`);
    },
  };
}
