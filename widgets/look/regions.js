// What an answer marks in the picture: outlines and labels over it, and the words that name them.
// A region and its words have one colour; pointing at either lights both.

import { button, make, makeSvg, setText } from "../shared/dom.js";

const REGION_COLOURS = 7;
export const WHITE_ON = 4; // the colour on which white reads better than black
const LOCATION = /^\s*<(loc|seg)\d+>\s*$/;

/** The same label has the same colour; colours come in the order of the labels. */
export function coloursOf(regions) {
  const labels = [...new Set(regions.map(({ label }) => label))];
  return regions.map(({ label }) => labels.indexOf(label) % REGION_COLOURS);
}

function ringPath(ring) {
  return `M${ring.map(([x, y]) => `${1000 * x} ${1000 * y}`).join("L")}Z`;
}

/** The outline of a region, in thousandths of the picture. */
function drawOutline({ box: [y0, x0, y1, x1], mask }, colour) {
  const box = { x: 1000 * x0, y: 1000 * y0, width: 1000 * (x1 - x0), height: 1000 * (y1 - y0) };
  return makeSvg(
    "g",
    { class: "wb-look-region", "data-colour": colour },
    makeSvg("path", { class: "wb-look-mask", d: mask.map(ringPath).join("") }),
    makeSvg("rect", { class: "wb-look-shade", ...box }),
    makeSvg("rect", { class: "wb-look-box", ...box }),
  );
}

/** The label of a region, at its upper corner. */
function drawRegionLabel({ box: [y0, x0, , x1], label: text }, index, colour, pin) {
  const options = { class: "wb-look-label", "data-colour": colour, "aria-pressed": "false" };
  const label = button(text || `region ${index + 1}`, () => pin(index), options);
  const side = x0 > 0.6 ? { right: `${100 * (1 - x1)}%` } : { left: `${100 * x0}%` };
  Object.assign(label.style, side, { top: `${100 * y0}%` });
  label.classList.toggle("wb-inside", y0 < 0.08);
  return label;
}

/** A region in the picture, which is lit while it is pointed at. */
function createShape(region, index, colour, { light, pin }) {
  const group = drawOutline(region, colour);
  const label = drawRegionLabel(region, index, colour, pin);
  for (const node of [group, label]) {
    node.addEventListener("pointerenter", () => light(index));
    node.addEventListener("pointerleave", () => light(-1));
  }
  label.addEventListener("focus", () => light(index));
  label.addEventListener("blur", () => light(-1));
  const [y0, x0, y1, x1] = region.box;
  return { group, label, area: (y1 - y0) * (x1 - x0) };
}

const OVERLAY = {
  class: "wb-look-regions",
  viewBox: "0 0 1000 1000",
  preserveAspectRatio: "none",
  "aria-hidden": "true",
};

/** Boxes, masks and labels over the picture. `light(index)` is asked to light a region, -1 none. */
export function createOverlay({ light, pin }) {
  const svg = makeSvg("svg", OVERLAY);
  const labels = make("div", { class: "wb-look-labels" });
  let shapes = [];
  let drawn = "";
  return {
    svg,
    labels,
    /** Redraws only what differs, so that a label keeps the focus while others come. */
    show(regions) {
      const now = JSON.stringify(regions);
      if (now === drawn) return;
      drawn = now;
      const colours = coloursOf(regions);
      shapes = regions.map((region, index) => createShape(region, index, colours[index], { light, pin }));
      // Small regions lie over large ones: else the pointer would never reach them.
      const order = [...shapes].sort((a, b) => b.area - a.area);
      svg.replaceChildren(...order.map(({ group }) => group));
      labels.replaceChildren(...shapes.map(({ label }) => label));
    },
    light(index, pinned) {
      for (const [i, { group, label }] of shapes.entries()) {
        group.classList.toggle("wb-lit", i === index);
        label.classList.toggle("wb-lit", i === index);
        label.setAttribute("aria-pressed", String(i === pinned));
      }
      for (const node of [svg, labels]) node.classList.toggle("wb-one-lit", index >= 0);
    },
  };
}

/** A chip that stands for location tokens, which it hides and shows. */
function startFold() {
  const codes = make("span", { class: "wb-look-codes" });
  const chip = button("", () => {
    codes.hidden = !codes.hidden;
    chip.setAttribute("aria-expanded", String(!codes.hidden));
  }, { class: "wb-look-fold", "aria-expanded": "false" });
  codes.hidden = true;
  return { codes, chip, loc: 0, seg: 0 };
}

function addToFold(fold, span, kind) {
  fold.codes.append(span);
  fold[kind] += 1;
  const counts = ["loc", "seg"].filter((name) => fold[name]).map((name) => `${fold[name]} ${name}`);
  setText(fold.chip, counts.join(" · "));
  fold.chip.setAttribute("aria-label", `location tokens: ${counts.join(", ")}`);
  span.classList.add("wb-look-code");
  span.chip = fold.chip;
}

/** Folds the location tokens of an output; the result does it for those that have come since. */
function createFolding(output) {
  let first = null;
  let done = 0;
  let fold = null;
  return () => {
    const { tokens } = output;
    if (tokens[0]?.span !== first) [first, done, fold] = [tokens[0]?.span ?? null, 0, null];
    for (; done < tokens.length; done += 1) {
      const { span, piece } = tokens[done];
      const [, kind] = LOCATION.exec(piece) ?? [];
      if (kind && !fold) {
        fold = startFold();
        span.before(fold.chip, fold.codes);
      }
      if (kind) addToFold(fold, span, kind);
      else if (piece.trim()) fold = null;
    }
  };
}

/** The chip of the location tokens that the words from token `index` on belong to. */
function chipBefore(tokens, index) {
  let at = index - 1;
  while (at >= 0 && !tokens[at].piece.trim()) at -= 1;
  return tokens[at]?.span.chip;
}

/**
 * The answer's words in their regions' colours, and its location tokens folded: four or twenty of
 * them, which say where and not what, become one small chip.
 */
export function createWording(output) {
  const lay = createFolding(output);
  return {
    /** Marks the words of all regions. A chip has the colour of the words that follow it. */
    show(regions) {
      lay();
      const colours = coloursOf(regions);
      const nodes = output.tokens.map(({ span }) => span.chip ?? span);
      for (const node of nodes) delete node.dataset.region;
      for (const [index, { tokens: [from, to] }] of regions.entries()) {
        for (const node of [chipBefore(output.tokens, from), ...nodes.slice(from, to)].filter(Boolean)) {
          node.dataset.region = index;
          node.dataset.colour = colours[index];
        }
      }
    },
    light(index) {
      for (const { span } of output.tokens) {
        const node = span.chip ?? span;
        node.classList.toggle("wb-lit", index >= 0 && node.dataset.region === String(index));
      }
    },
    /** Marks the token that the scrubber is at, or the chip it is folded into. */
    point(index) {
      const at = output.tokens[index]?.span;
      for (const { span } of output.tokens) {
        span.classList.toggle("wb-at", span === at);
        span.chip?.classList.toggle("wb-at", span.chip === at?.chip);
      }
    },
    regionOf: (node) => {
      const marked = (node.chip ?? node).closest("[data-region]");
      return marked ? Number(marked.dataset.region) : -1;
    },
  };
}
