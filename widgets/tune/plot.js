// The drawing of a line chart: axes, curves, the marks of their points. Nothing of it is listened to.

import { makeSvg, uniqueId } from "../shared/dom.js";
import { createScale, linearTicks, logTicks, tickText } from "./scale.js";
import { visibleIndices } from "./series.js";

export const CHART_HEIGHT = 240;
export const EDGE = { left: 48, right: 12, top: 10, bottom: 24 };
const ROOM_X = 72; // pixels that a tick's text takes on each axis
const ROOM_Y = 36;
const DOT = 3.5;

/** A path through the points at these indices; it breaks where a value cannot be drawn. */
export function linePath({ xs, ys }, indices, x, y, log) {
  let path = "";
  let pen = "M";
  for (const i of indices) {
    const fits = Number.isFinite(ys[i]) && !(log && ys[i] <= 0);
    if (fits) path += `${pen}${x.pixel(xs[i]).toFixed(1)} ${y.pixel(ys[i]).toFixed(1)}`;
    pen = fits ? "L" : "M";
  }
  return path;
}

/** A circle as part of a path. */
export function dotPath(x, y, radius = DOT) {
  return `M${(x - radius).toFixed(1)} ${y.toFixed(1)}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`;
}

/** The values between the lowest and the highest that are drawn, with some air. */
function rangeOf(drawn, log) {
  let [low, high] = [Infinity, -Infinity];
  for (const { curve, indices } of drawn) {
    for (const i of indices) {
      const value = curve.ys[i];
      if (!Number.isFinite(value) || (log && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return log ? [0.1, 10] : [0, 1];
  if (log) {
    const air = Math.max(1.02, (high / low) ** 0.05);
    return [low / air, high * air];
  }
  const air = 0.05 * (high - low) || 0.1 * Math.abs(high) || 1;
  return [low >= 0 ? Math.max(0, low - air) : low - air, high + air];
}

/** What is drawn of a curve: its line, and its points where they are few. */
function curvePaths({ curve, indices }, x, y, log) {
  const options = { "data-curve": curve.colour, "data-key": curve.key };
  const path = linePath(curve, indices, x, y, log);
  const line = makeSvg("path", { class: `wb-curve wb-curve-${curve.style}`, d: path, ...options });
  if (curve.style !== "dotted" || indices.length > 60) return [line];
  const dots = indices
    .filter((i) => Number.isFinite(curve.ys[i]) && !(log && curve.ys[i] <= 0))
    .map((i) => dotPath(x.pixel(curve.xs[i]), y.pixel(curve.ys[i])));
  return [line, makeSvg("path", { class: "wb-curve-dots", d: dots.join(""), ...options })];
}

/** The axes: a base line, and where there is `some` curve ticks with their texts. */
function axisMarks(x, y, log, width, some) {
  const [right, bottom] = [width - EDGE.right, CHART_HEIGHT - EDGE.bottom];
  const text = (options, content) => makeSvg("text", options, content);
  const base = makeSvg("path", { d: `M${EDGE.left} ${bottom + 0.5}H${right}`, class: "wb-chart-base" });
  if (!some) return [base];
  const heights = (log ? logTicks : linearTicks)(y.low, y.high, (bottom - EDGE.top) / ROOM_Y);
  const rows = heights.flatMap((value) => {
    const place = Math.round(y.pixel(value)) + 0.5;
    const grid = makeSvg("path", { d: `M${EDGE.left} ${place}H${right}`, class: "wb-chart-grid" });
    const label = text({ x: EDGE.left - 8, y: place + 4, "text-anchor": "end" }, tickText(value, heights));
    return place < bottom ? [grid, label] : [label];
  });
  const steps = linearTicks(x.low, x.high, (right - EDGE.left) / ROOM_X, 1);
  const columns = steps.map((value) => {
    const place = x.pixel(value);
    const anchor = place > right - 16 ? "end" : "middle";
    return text({ x: place, y: bottom + 17, "text-anchor": anchor }, tickText(value, steps));
  });
  return [base, ...rows, ...columns];
}

/** The curve with the most points, by which one walks; null where there is none. */
export function longestOf(curves) {
  return curves.reduce((most, curve) => (curve.xs.length > (most?.xs.length ?? 0) ? curve : most), null);
}

/** The drawing: axes, lines that are clipped at its edges, and what lies over them. */
export function createPlot() {
  const clip = uniqueId("clip");
  const node = makeSvg("svg", { class: "wb-chart-svg", height: CHART_HEIGHT, "aria-hidden": "true" });
  const [axes, lines, over] = ["wb-chart-axes", "wb-chart-lines", "wb-chart-over"].map((name) =>
    makeSvg("g", { class: name }),
  );
  const clipBox = makeSvg("rect", { x: EDGE.left - 5, y: 0, height: CHART_HEIGHT - EDGE.bottom + 2 });
  lines.setAttribute("clip-path", `url(#${clip})`);
  node.append(makeSvg("clipPath", { id: clip }, clipBox), axes, lines, over);
  return {
    node,
    over,
    /** The curves between two steps; gives the scales that it drew them with. */
    draw(curves, [from, to], log, width) {
      node.setAttribute("width", width);
      clipBox.setAttribute("width", Math.max(0, width - EDGE.left - EDGE.right + 10));
      const x = createScale(from, to, EDGE.left, width - EDGE.right);
      const drawn = curves.map((curve) => ({ curve, indices: visibleIndices(curve.xs, curve.ys, from, to) }));
      const inside = drawn.map(({ curve, indices }) => ({
        curve,
        indices: indices.filter((i) => curve.xs[i] >= from && curve.xs[i] <= to),
      }));
      const y = createScale(...rangeOf(inside, log), CHART_HEIGHT - EDGE.bottom, EDGE.top, log);
      axes.replaceChildren(...axisMarks(x, y, log, width, longestOf(curves) !== null));
      lines.replaceChildren(...drawn.flatMap((one) => curvePaths(one, x, y, log)));
      return { x, y };
    },
  };
}

/** How a curve looks, for a legend. */
export function createSwatch({ colour, style }) {
  const swatch = makeSvg("svg", { class: "wb-swatch", width: 20, height: 10, "aria-hidden": "true" });
  swatch.append(makeSvg("path", { class: `wb-curve wb-curve-${style}`, d: "M0 5H20", "data-curve": colour }));
  if (style === "dotted") swatch.append(makeSvg("path", { class: "wb-curve-dots", d: dotPath(10, 5, 3), "data-curve": colour }));
  return swatch;
}
