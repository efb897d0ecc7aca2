// A line chart that grows: points come at its end, a pointer or the arrow keys read them, a drag zooms.

import { make, makeSvg, setText, uniqueId } from "../shared/dom.js";
import { wholeText } from "../shared/units.js";
import { createScale, linearTicks, logTicks, measureText, tickText } from "./scale.js";
import { firstAt, nearestAt, visibleIndices } from "./series.js";

const CHART_HEIGHT = 240;
const EDGE = { left: 48, right: 12, top: 10, bottom: 24 };
const LEAST_DRAG = 6; // pixels; less is a click
const ROOM_X = 72; // pixels that a tick's text takes on each axis
const ROOM_Y = 36;
const ZOOM_FACTOR = 0.6;
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
function dotPath(x, y, radius = DOT) {
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

/** What a curve says at a step: its nearest point, and where that is. */
function readingAt(curve, x) {
  const i = nearestAt(curve.xs, x);
  return i < 0 ? null : { curve, x: curve.xs[i], y: curve.ys[i] };
}

/**
 * The chart. Its curves are {key, label, colour, style, xs, ys}: `colour` a number of the palette,
 * `style` "line", "faint" (what lies behind a smoothed line) or "dotted" (few points, each with a
 * mark), xs ascending. `pointed(x)` is told where one reads, null when nowhere; `zoomed(range)`
 * which stretch is shown, null when all.
 */
export function createChart({ label, xName, pointed, zoomed }) {
  const clip = uniqueId("clip");
  const svg = makeSvg("svg", { class: "wb-chart-svg", height: CHART_HEIGHT, "aria-hidden": "true" });
  const [axes, lines, over] = ["wb-chart-axes", "wb-chart-lines", "wb-chart-over"].map((name) =>
    makeSvg("g", { class: name }),
  );
  const clipBox = makeSvg("rect", { x: EDGE.left - 5, y: 0, height: CHART_HEIGHT - EDGE.bottom + 2 });
  const clipPath = makeSvg("clipPath", { id: clip });
  const cross = makeSvg("path", { class: "wb-chart-cross" });
  const picked = makeSvg("rect", { class: "wb-chart-picked", y: EDGE.top, height: CHART_HEIGHT - EDGE.top - EDGE.bottom });
  const tip = make("div", { class: "wb-chart-tip", "aria-hidden": "true" });
  const empty = make("div", { class: "wb-chart-empty" });
  const node = make("div", { class: "wb-chart", role: "slider", tabindex: "0", "aria-label": label }, svg, tip, empty);
  clipPath.append(clipBox);
  lines.setAttribute("clip-path", `url(#${clip})`);
  svg.append(clipPath, axes, lines, over);
  over.append(picked, cross);
  picked.setAttribute("visibility", "hidden");
  tip.hidden = true;

  let curves = [];
  let reach = 1;
  let log = false;
  let zoom = null; // [from, to], null for all
  let at = null; // where one reads
  let drag = null; // where a drag began, in pixels
  let frame = 0;
  let [x, y] = [createScale(0, 1, 0, 1), createScale(0, 1, 0, 1)];

  const main = () => curves.reduce((most, curve) => (curve.xs.length > (most?.xs.length ?? 0) ? curve : most), null);
  const touch = () => {
    frame ||= requestAnimationFrame(draw);
  };

  // -- drawing
  const draw = () => {
    frame = 0;
    const width = node.clientWidth;
    if (!width) return;
    svg.setAttribute("width", width);
    clipBox.setAttribute("width", Math.max(0, width - EDGE.left - EDGE.right + 10));
    const [from, to] = zoom ?? [0, reach];
    x = createScale(from, to, EDGE.left, width - EDGE.right);
    const drawn = curves.map((curve) => ({ curve, indices: visibleIndices(curve.xs, curve.ys, from, to) }));
    const inside = drawn.map(({ curve, indices }) => ({
      curve,
      indices: indices.filter((i) => curve.xs[i] >= from && curve.xs[i] <= to),
    }));
    y = createScale(...rangeOf(inside, log), CHART_HEIGHT - EDGE.bottom, EDGE.top, log);
    drawAxes(width, main() !== null);
    lines.replaceChildren(...drawn.flatMap(drawCurve));
    drawReading();
  };
  const drawCurve = ({ curve, indices }) => {
    const options = { "data-curve": curve.colour, "data-key": curve.key };
    const path = linePath(curve, indices, x, y, log);
    const line = makeSvg("path", { class: `wb-curve wb-curve-${curve.style}`, d: path, ...options });
    if (curve.style !== "dotted" || indices.length > 60) return [line];
    const dots = indices
      .filter((i) => Number.isFinite(curve.ys[i]) && !(log && curve.ys[i] <= 0))
      .map((i) => dotPath(x.pixel(curve.xs[i]), y.pixel(curve.ys[i])));
    return [line, makeSvg("path", { class: "wb-curve-dots", d: dots.join(""), ...options })];
  };
  const drawAxes = (width, some) => {
    axes.replaceChildren();
    const [right, bottom] = [width - EDGE.right, CHART_HEIGHT - EDGE.bottom];
    const mark = (name, options, text) => {
      const one = makeSvg(name, options);
      if (text !== undefined) one.textContent = text;
      axes.append(one);
    };
    mark("path", { d: `M${EDGE.left} ${bottom + 0.5}H${right}`, class: "wb-chart-base" });
    if (!some) return;
    const heights = (log ? logTicks : linearTicks)(y.low, y.high, (bottom - EDGE.top) / ROOM_Y);
    for (const value of heights) {
      const place = Math.round(y.pixel(value)) + 0.5;
      if (place < bottom) mark("path", { d: `M${EDGE.left} ${place}H${right}`, class: "wb-chart-grid" });
      mark("text", { x: EDGE.left - 8, y: place + 4, "text-anchor": "end" }, tickText(value, heights));
    }
    const steps = linearTicks(x.low, x.high, (right - EDGE.left) / ROOM_X, 1);
    for (const value of steps) {
      const place = x.pixel(value);
      const anchor = place > right - 16 ? "end" : "middle";
      mark("text", { x: place, y: bottom + 17, "text-anchor": anchor }, tickText(value, steps));
    }
  };

  // -- reading
  const readings = () => (at === null ? [] : curves.map((curve) => readingAt(curve, at)).filter(Boolean));
  const speech = (found, where) =>
    `${xName} ${where}: ${found.map(({ curve, x: step, y: value }) => `${curve.label} ${measureText(value)}${step === where ? "" : ` at ${step}`}`).join(", ")}`;
  const drawReading = () => {
    const last = main()?.xs.at(-1) ?? 0;
    const where = at ?? last;
    const all = curves.map((curve) => readingAt(curve, where)).filter(Boolean);
    node.setAttribute("aria-valuemin", "0");
    node.setAttribute("aria-valuemax", String(Math.max(reach, last)));
    node.setAttribute("aria-valuenow", String(where));
    node.setAttribute("aria-valuetext", all.length ? speech(all, where) : "no points yet");
    const found = readings().filter((one) => Number.isFinite(one.y));
    const shown = found.length > 0 && at >= x.low && at <= x.high;
    tip.hidden = !shown;
    over.querySelectorAll("[data-dot]").forEach((dot) => dot.remove());
    cross.setAttribute("visibility", shown ? "visible" : "hidden");
    if (!shown) return;
    const place = x.pixel(at);
    cross.setAttribute("d", `M${place.toFixed(1)} ${EDGE.top}V${CHART_HEIGHT - EDGE.bottom}`);
    for (const { curve, x: step, y: value } of found) {
      if (curve.style === "faint" || step < x.low || step > x.high || (log && value <= 0)) continue;
      const dot = { class: "wb-curve-dots", "data-curve": curve.colour, "data-dot": "" };
      over.append(makeSvg("path", { ...dot, d: dotPath(x.pixel(step), y.pixel(value), 4) }));
    }
    tip.replaceChildren(
      make("div", { class: "wb-chart-tip-head" }, `${xName} ${wholeText(at)}`),
      ...found.map(({ curve, x: step, y: value }) =>
        make(
          "div",
          { class: "wb-chart-tip-row" },
          createSwatch(curve),
          make("span", {}, step === at ? curve.label : `${curve.label}, ${xName} ${wholeText(step)}`),
          make("span", { class: "wb-value" }, measureText(value)),
        ),
      ),
    );
    const width = node.clientWidth;
    const left = place + 12 + tip.offsetWidth > width ? place - 12 - tip.offsetWidth : place + 12;
    tip.style.left = `${Math.max(0, left)}px`;
  };
  const read = (step) => {
    if (step === at) return;
    at = step;
    drawReading();
    pointed(at);
  };
  const readNear = (pixel) => {
    const curve = main();
    if (!curve) return;
    const i = nearestAt(curve.xs, x.value(pixel));
    read(i < 0 ? null : curve.xs[i]);
  };
  const walk = (by) => {
    const { xs } = main() ?? { xs: [] };
    if (!xs.length) return;
    const [from, to] = [firstAt(xs, x.low), Math.max(0, firstAt(xs, x.high + 1e-9) - 1)];
    const now = at === null ? to : nearestAt(xs, at);
    const page = Math.max(1, Math.round((to - from) / 10));
    const next = { left: now - 1, right: now + 1, back: now - page, on: now + page, first: from, last: to }[by];
    read(xs[Math.max(from, Math.min(to, next))]);
  };

  // -- zooming
  const zoomTo = (range) => {
    const wide = range && range[1] - range[0] < reach;
    zoom = wide ? [Math.max(0, range[0]), Math.min(Math.max(reach, range[0] + 1), range[1])] : null;
    zoomed(zoom);
    touch();
  };
  const zoomBy = (factor) => {
    const middle = at ?? (x.low + x.high) / 2;
    const half = Math.max(2, ((x.high - x.low) * factor) / 2);
    const start = Math.max(0, Math.min(middle - half, reach - 2 * half));
    zoomTo([start, start + 2 * half]);
  };
  const pixelOf = (event) => {
    const box = svg.getBoundingClientRect();
    const right = box.width - EDGE.right;
    return Math.max(EDGE.left, Math.min(right, event.clientX - box.left));
  };
  const showDrag = (to) => {
    const wide = drag !== null && Math.abs(to - drag) >= LEAST_DRAG;
    picked.setAttribute("visibility", wide ? "visible" : "hidden");
    if (!wide) return;
    picked.setAttribute("x", Math.min(drag, to));
    picked.setAttribute("width", Math.abs(to - drag));
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !main()) return;
    drag = pixelOf(event);
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    readNear(pixelOf(event));
    showDrag(pixelOf(event));
  });
  node.addEventListener("pointerup", (event) => {
    const [from, to] = [drag, pixelOf(event)];
    drag = null;
    showDrag(to);
    if (from === null || Math.abs(to - from) < LEAST_DRAG) return;
    zoomTo([x.value(Math.min(from, to)), x.value(Math.max(from, to))]);
  });
  node.addEventListener("pointercancel", () => {
    drag = null;
    showDrag(0);
  });
  node.addEventListener("pointerleave", () => drag === null && read(null));
  node.addEventListener("blur", () => read(null));
  node.addEventListener("dblclick", () => zoomTo(null));
  const walks = { ArrowLeft: "left", ArrowRight: "right", PageDown: "back", PageUp: "on", Home: "first", End: "last" };
  const keys = {
    "+": () => zoomBy(ZOOM_FACTOR),
    "=": () => zoomBy(ZOOM_FACTOR),
    "-": () => zoomBy(1 / ZOOM_FACTOR),
    0: () => zoomTo(null),
    Escape: () => read(null),
  };
  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (walks[event.key]) walk(walks[event.key]);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const sizes = new ResizeObserver(touch);
  sizes.observe(node);

  return {
    node,
    /** Other curves, or the same ones longer; `most` is the step at which the axis ends. */
    show(now, most) {
      curves = now;
      reach = Math.max(1, most);
      if (at !== null && !main()) at = null;
      touch();
    },
    explain(text) {
      setText(empty, text);
      empty.hidden = !text;
    },
    scale(isLog) {
      log = isLog;
      touch();
    },
    reset: () => zoomTo(null),
    /** Up to so many rows for a table: the step, and what each curve says there. */
    rows(most) {
      const { xs } = main() ?? { xs: [] };
      const from = firstAt(xs, x.low);
      const count = firstAt(xs, x.high + 1e-9) - from;
      const rows = Math.min(most, count);
      const places = Array.from({ length: rows }, (_, i) => xs[from + (rows < 2 ? 0 : Math.round((i * (count - 1)) / (rows - 1)))]);
      return { curves, rows: places.map((step) => [step, curves.map((curve) => readingAt(curve, step))]) };
    },
    dispose() {
      sizes.disconnect();
      cancelAnimationFrame(frame);
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
