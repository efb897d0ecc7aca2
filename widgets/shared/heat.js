// Where a token looked: a heat map over the picture, and a scrubber that walks the tokens.

import { make, setText, uniqueId } from "./dom.js";
import { visible } from "./tokens.js";

const HEAT_STOPS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const HEAT_LEAST = 0.5; // how much the map covers where nothing is looked at, of its opacity
const HEAT_RAMP = Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (HEAT_STOPS.length - 1);
  const low = Math.min(HEAT_STOPS.length - 2, Math.floor(place));
  return HEAT_STOPS[low].map((from, i) => Math.round(from + (HEAT_STOPS[low + 1][i] - from) * (place - low)));
});

/** A buffer of a message as bytes: some front ends give the buffer itself, some a view of it. */
export function bytesOf(buffer) {
  const view = ArrayBuffer.isView(buffer);
  return view ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength) : new Uint8Array(buffer);
}

/** The map of one token as a canvas of rows x columns pixels, which the browser smooths. */
export function createHeat() {
  const canvas = make("canvas", { class: "wb-look-heat", "aria-hidden": "true" });
  canvas.hidden = true;
  return {
    canvas,
    hide: () => (canvas.hidden = true),
    opacity: (value) => (canvas.style.opacity = value),
    /** `maps` is the kernel's message with its bytes as `levels`. */
    show(maps, token) {
      const { rows, columns, window: [y0, x0, y1, x1] } = maps;
      canvas.hidden = token >= maps.tokens;
      if (canvas.hidden) return;
      Object.assign(canvas, { width: columns, height: rows });
      // The model may see only a part of the picture, or bars beyond its edges.
      Object.assign(canvas.style, {
        left: `${100 * x0}%`,
        top: `${100 * y0}%`,
        width: `${100 * (x1 - x0)}%`,
        height: `${100 * (y1 - y0)}%`,
      });
      const context = canvas.getContext("2d");
      const pixels = context.createImageData(columns, rows);
      for (let i = 0; i < rows * columns; i += 1) {
        const level = maps.levels[token * rows * columns + i];
        pixels.data.set([...HEAT_RAMP[level], 255 * (HEAT_LEAST + (1 - HEAT_LEAST) * (level / 255))], 4 * i);
      }
      context.putImageData(pixels, 0, 0);
    },
  };
}

/** What the colours mean, and how much the map covers: `opacity(value)` is told of it. */
function createHeatLegend(opacity) {
  const id = uniqueId("opacity");
  const peak = make("span", { class: "wb-note wb-look-peak" });
  const range = { type: "range", id, min: 10, max: 100, step: 5, value: 75 };
  const cover = make("input", { ...range, oninput: () => covered() });
  const covered = () => {
    cover.setAttribute("aria-valuetext", `${cover.value} percent`);
    opacity(cover.value / 100);
  };
  const scale = make("span", { class: "wb-look-ramp", role: "img", "aria-label": "colour scale of the attention" });
  scale.style.background = `linear-gradient(to right, ${HEAT_STOPS.map((stop) => `rgb(${stop})`)})`;
  covered();
  return {
    node: make(
      "div",
      { class: "wb-look-legend" },
      make("span", { class: "wb-note" }, "0"),
      scale,
      peak,
      make("label", { class: "wb-note", for: id }, "Opacity"),
      cover,
    ),
    peak: (share) => setText(peak, share === null ? "reading the attention" : shareText(share)),
  };
}

/**
 * The scrubber and the attention's switch. `moved(index)` follows the token, `toggled(on)` the
 * switch, `opacity(value)` says how much the map covers.
 */
export function createScrubber({ moved, toggled, opacity }) {
  const id = uniqueId("token");
  const range = make("input", { type: "range", id, min: 0, max: 0, step: 1, oninput: () => go(Number(range.value)) });
  const shown = make("output", { class: "wb-value wb-look-token", for: id });
  const shownPiece = make("span", { class: "wb-look-piece", "aria-hidden": "true" });
  const check = make("input", { type: "checkbox", onchange: () => toggled(check.checked) });
  const legend = createHeatLegend(opacity);
  let tokens = [];
  let at = -1;
  const go = (index) => {
    at = index;
    range.value = index;
    read();
    moved(index);
  };
  /** "3 of 12", and the token itself, which may be folded away in the answer. */
  const read = () => {
    const place = tokens.length ? `${Math.max(0, at) + 1} of ${tokens.length}` : "";
    const piece = tokens[at]?.piece.trim() ?? "";
    const text = piece || at + 1 < tokens.length || at < 0 ? visible(piece) : "end";
    setText(shown, place);
    setText(shownPiece, text);
    range.setAttribute("aria-valuetext", `${place}, ${text}`);
  };
  const label = make("label", { for: id }, "Token");
  const attend = make("label", { class: "wb-radio wb-look-attend" }, check, "Attention");
  return {
    node: make("div", { class: "wb-look-scrub" }, label, range, shown, shownPiece, attend),
    legend: legend.node,
    get at() {
      return at;
    },
    get on() {
      return check.checked;
    },
    set on(value) {
      check.checked = value;
    },
    go,
    /** As many steps as there are tokens; it stays where it is while more come. */
    show(now) {
      tokens = now;
      range.max = Math.max(0, tokens.length - 1);
      range.disabled = check.disabled = !tokens.length;
      if (!tokens.length) at = -1;
      range.value = Math.max(0, at);
      read();
    },
    /** The most that the token gives to one patch. */
    peak: legend.peak,
  };
}

/** Patches are many, so that their shares are small: two digits that count. */
function shareText(share) {
  return `${Number((100 * share).toPrecision(2))} % on one patch`;
}
