// Attention weights as pictures: a table of numbers, colours that follow the theme, maps on canvas.

import { make } from "../shared/dom.js";
import { numbersOf } from "./views.js";

const ATTENTION_STEPS = 32; // colours of a map, from nothing to the most

/** The kernel's message as numbers: the share that a query gives to a key, in a head or their mean. */
export function attentionTable(message, [buffer]) {
  const { heads, size, levels, causal } = message;
  const numbers = numbersOf(Uint16Array, buffer);
  const many = causal ? (size * (size + 1)) / 2 : size * size;
  const at = causal
    ? (query, key) => (key > query ? -1 : (query * (query + 1)) / 2 + key)
    : (query, key) => query * size + key;
  const share = (head, query, key) => {
    const place = at(query, key);
    return place < 0 ? 0 : numbers[head * many + place] / levels;
  };
  const mean = new Float32Array(many);
  for (let head = 0; head < heads; head += 1) {
    for (let i = 0; i < many; i += 1) mean[i] += numbers[head * many + i] / (levels * heads);
  }
  return {
    ...message,
    /** Whether the query may look at the key at all. */
    reaches: (query, key) => at(query, key) >= 0,
    /** Head -1 is the mean of all. */
    share: (head, query, key) => (head < 0 ? (mean[at(query, key)] ?? 0) : share(head, query, key)),
  };
}

/** The most that a head gives to any key from `first` on, by all queries or by one. */
export function attentionPeak(table, head, first, query = null) {
  let most = 0;
  for (let q = query ?? 0; q < (query === null ? table.size : query + 1); q += 1) {
    for (let key = first; key < table.size; key += 1) most = Math.max(most, table.share(head, q, key));
  }
  return most;
}

/**
 * Colours between `--wb-least` and `--wb-most` as red, green, blue. They follow the theme, however
 * the page changes it: the probe's colour has a transition, whose end calls `changed`.
 */
export function createRamp(changed) {
  const probe = make("span", { class: "wb-attention-probe", "aria-hidden": "true" });
  const ink = make("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  let steps = null;
  const colourOf = (share) => {
    ink.fillStyle = `color-mix(in oklab, ${getComputedStyle(probe).color} ${100 * share}%, ${getComputedStyle(probe).backgroundColor})`;
    ink.fillRect(0, 0, 1, 1);
    return ink.getImageData(0, 0, 1, 1).data.slice(0, 3);
  };
  // JupyterLab, which changes its style sheets as well, cancels the transition.
  for (const end of ["transitionend", "transitioncancel"]) {
    probe.addEventListener(end, () => {
      steps = null;
      changed();
    });
  }
  return {
    probe,
    forget: () => (steps = null),
    /** The colour of a share from 0 to 1. */
    colour(share) {
      steps ??= Array.from({ length: ATTENTION_STEPS + 1 }, (_, i) => colourOf(i / ATTENTION_STEPS));
      return steps[Math.round(Math.min(1, Math.max(0, share)) * ATTENTION_STEPS)];
    },
  };
}

/**
 * Draws a head on a canvas of at most `most` pixels a side. A pixel that stands for several weights
 * shows the largest. Keys before `first` are left out, and what cannot be looked at is clear.
 */
export function drawAttention(canvas, table, ramp, { head, first, peak, most }) {
  const side = Math.min(table.size, most);
  const scale = table.size / side;
  Object.assign(canvas, { width: side, height: side });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(side, side);
  for (let row = 0; row < side; row += 1) {
    for (let column = 0; column < side; column += 1) {
      const [query, key] = [Math.floor(row * scale), Math.floor(column * scale)];
      if (key < first || !table.reaches(Math.ceil((row + 1) * scale) - 1, key)) continue;
      let share = 0;
      for (let q = query; q < (row + 1) * scale && q < table.size; q += 1) {
        for (let k = key; k < (column + 1) * scale && k < table.size; k += 1) {
          if (k >= first) share = Math.max(share, table.share(head, q, k));
        }
      }
      pixels.data.set([...ramp.colour(share / (peak || 1)), 255], 4 * (row * side + column));
    }
  }
  context.putImageData(pixels, 0, 0);
}
