// Strips: small curves beside the chart, each with its current value in words.

import { make, makeSvg, setText } from "../shared/dom.js";
import { linePath } from "./plot.js";
import { createScale } from "./scale.js";
import { nearestAt, visibleIndices } from "./series.js";

const STRIP = { width: 120, height: 28, pad: 2, points: 240 };

function createStrip({ label, text, spoken = label }) {
  const value = make("span", { class: "wb-strip-value" });
  const line = makeSvg("path", { class: "wb-curve wb-curve-line", "data-curve": 0 });
  const svg = makeSvg("svg", {
    class: "wb-strip-svg",
    viewBox: `0 0 ${STRIP.width} ${STRIP.height}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  svg.append(line);
  const node = make(
    "div",
    { class: "wb-strip", role: "group", "aria-label": spoken },
    make("span", { class: "wb-strip-label" }, label),
    value,
    svg,
  );
  let [xs, ys, reach] = [[], [], 1];
  let at = null;
  const refresh = () => {
    const i = at === null ? ys.length - 1 : nearestAt(xs, at);
    setText(value, i >= 0 && Number.isFinite(ys[i]) ? text(ys[i]) : "–");
    node.classList.toggle("wb-reading", at !== null);
  };
  const draw = () => {
    const indices = visibleIndices(xs, ys, 0, reach, STRIP.points);
    const values = indices.map((i) => ys[i]).filter(Number.isFinite);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (!(high > low)) [low, high] = [low - 1, low + 1];
    const x = createScale(0, reach, STRIP.pad, STRIP.width - STRIP.pad);
    const y = createScale(low, high, STRIP.height - STRIP.pad, STRIP.pad);
    line.setAttribute("d", values.length ? linePath({ xs, ys }, indices, x, y, false) : "");
  };
  return {
    node,
    show(steps, values, most) {
      [xs, ys, reach] = [steps, values, Math.max(1, most)];
      draw();
      refresh();
    },
    point(step) {
      at = step;
      refresh();
    },
  };
}

/** All strips: each is given its column of the same run. */
export function createStrips(kinds) {
  const strips = kinds.map(createStrip);
  return {
    node: make("div", { class: "wb-strips" }, ...strips.map((strip) => strip.node)),
    show(columns, reach) {
      strips.forEach((strip, index) => strip.show(columns.column(0), columns.column(kinds[index].column), reach));
    },
    point: (step) => strips.forEach((strip) => strip.point(step)),
  };
}
