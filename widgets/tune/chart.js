// A line chart that grows: points come at its end, a pointer or the arrow keys read them, a drag zooms.

import { make, makeSvg, setText } from "../shared/dom.js";
import { wholeText } from "../shared/units.js";
import { CHART_HEIGHT, EDGE, createPlot, createSwatch, dotPath, longestOf } from "./plot.js";
import { createScale, measureText } from "./scale.js";
import { firstAt, nearestAt } from "./series.js";

const LEAST_DRAG = 6; // pixels; less is a click
const ZOOM_FACTOR = 0.6;

/** What a curve says at a step: its nearest point, and where that is. */
function readingAt(curve, x) {
  const i = nearestAt(curve.xs, x);
  return i < 0 ? null : { curve, x: curve.xs[i], y: curve.ys[i] };
}

/** The readings at a step in words. */
function spokenReadings(found, xName, where) {
  const texts = found.map(({ curve, x, y }) => `${curve.label} ${measureText(y)}${x === where ? "" : ` at ${x}`}`);
  return `${xName} ${where}: ${texts.join(", ")}`;
}

/** The readings at a step as rows of the tip. */
function tipRows(found, xName, at) {
  const rows = found.map(({ curve, x, y }) =>
    make(
      "div",
      { class: "wb-chart-tip-row" },
      createSwatch(curve),
      make("span", {}, x === at ? curve.label : `${curve.label}, ${xName} ${wholeText(x)}`),
      make("span", { class: "wb-value" }, measureText(y)),
    ),
  );
  return [make("div", { class: "wb-chart-tip-head" }, `${xName} ${wholeText(at)}`), ...rows];
}

/** What shows where one reads: a line over the plot, a dot on each curve, and the tip with values. */
function createReadingMarks(over, xName) {
  const cross = makeSvg("path", { class: "wb-chart-cross" });
  const tip = make("div", { class: "wb-chart-tip", "aria-hidden": "true" });
  tip.hidden = true;
  over.append(cross);
  const drawDots = (found, { x, y }, log) => {
    for (const { curve, x: step, y: value } of found) {
      if (curve.style === "faint" || step < x.low || step > x.high || (log && value <= 0)) continue;
      const dot = { class: "wb-curve-dots", "data-curve": curve.colour, "data-dot": "" };
      over.append(makeSvg("path", { ...dot, d: dotPath(x.pixel(step), y.pixel(value), 4) }));
    }
  };
  return {
    tip,
    draw(found, at, scales, log, width) {
      const { x } = scales;
      const shown = found.length > 0 && at >= x.low && at <= x.high;
      tip.hidden = !shown;
      for (const dot of over.querySelectorAll("[data-dot]")) dot.remove();
      cross.setAttribute("visibility", shown ? "visible" : "hidden");
      if (!shown) return;
      const place = x.pixel(at);
      cross.setAttribute("d", `M${place.toFixed(1)} ${EDGE.top}V${CHART_HEIGHT - EDGE.bottom}`);
      drawDots(found, scales, log);
      tip.replaceChildren(...tipRows(found, xName, at));
      const left = place + 12 + tip.offsetWidth > width ? place - 12 - tip.offsetWidth : place + 12;
      tip.style.left = `${Math.max(0, left)}px`;
    },
  };
}

/**
 * Drags on the chart, which zoom: `picked(from, to)` is told the stretch in pixels, `over(pixel)`
 * where the pointer is; `may()` says whether there is something to drag on.
 */
function createDrag(node, { node: svg, over }, { may, pointed, picked }) {
  const high = CHART_HEIGHT - EDGE.top - EDGE.bottom;
  const box = makeSvg("rect", { class: "wb-chart-picked", y: EDGE.top, height: high, visibility: "hidden" });
  let from = null; // where the drag began
  over.append(box);
  const pixelOf = (event) => {
    const { left, width } = svg.getBoundingClientRect();
    return Math.max(EDGE.left, Math.min(width - EDGE.right, event.clientX - left));
  };
  const show = (to) => {
    const wide = from !== null && Math.abs(to - from) >= LEAST_DRAG;
    box.setAttribute("visibility", wide ? "visible" : "hidden");
    if (!wide) return;
    box.setAttribute("x", Math.min(from, to));
    box.setAttribute("width", Math.abs(to - from));
  };
  const end = () => {
    const began = from;
    from = null;
    show(0);
    return began;
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !may()) return;
    from = pixelOf(event);
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    pointed(pixelOf(event));
    show(pixelOf(event));
  });
  node.addEventListener("pointerup", (event) => {
    const [began, to] = [end(), pixelOf(event)];
    if (began !== null && Math.abs(to - began) >= LEAST_DRAG) picked(Math.min(began, to), Math.max(began, to));
  });
  node.addEventListener("pointercancel", end);
  node.addEventListener("pointerleave", () => from === null && pointed(null));
}

const WALKS = { ArrowLeft: "left", ArrowRight: "right", PageDown: "back", PageUp: "on", Home: "first", End: "last" };

/** Keys on the chart: the arrows walk, plus and minus zoom, 0 shows all, Escape stops reading. */
function listenForChartKeys(node, { walk, zoomBy, showAll, leave }) {
  const keys = {
    "+": () => zoomBy(ZOOM_FACTOR),
    "=": () => zoomBy(ZOOM_FACTOR),
    "-": () => zoomBy(1 / ZOOM_FACTOR),
    0: showAll,
    Escape: leave,
  };
  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (WALKS[event.key]) walk(WALKS[event.key]);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/** The index that a walk leads to from `now`, among those of the points in sight. */
function indexAfter(by, now, from, to) {
  const page = Math.max(1, Math.round((to - from) / 10));
  const next = { left: now - 1, right: now + 1, back: now - page, on: now + page, first: from, last: to }[by];
  return Math.max(from, Math.min(to, next));
}

/** Up to so many rows for a table: the step, and what each curve says there. */
function tableRows(curves, x, most) {
  const { xs } = longestOf(curves) ?? { xs: [] };
  const from = firstAt(xs, x.low);
  const count = firstAt(xs, x.high + 1e-9) - from;
  const rows = Math.min(most, count);
  const place = (i) => (rows < 2 ? 0 : Math.round((i * (count - 1)) / (rows - 1)));
  const steps = Array.from({ length: rows }, (_, i) => xs[from + place(i)]);
  return { curves, rows: steps.map((step) => [step, curves.map((curve) => readingAt(curve, step))]) };
}

/** A stretch of the axis from `low` to `high`, made larger or smaller around a step. */
function stretchAround(middle, { low, high }, factor, reach) {
  const half = Math.max(2, ((high - low) * factor) / 2);
  const start = Math.max(0, Math.min(middle - half, reach - 2 * half));
  return [start, start + 2 * half];
}

/** Which stretch of the axis is shown; `changed(range)` is told of another, null being all. */
function createZoom(changed) {
  let reach = 1;
  let range = null; // [from, to], null for all
  return {
    get reach() {
      return reach;
    },
    set reach(most) {
      reach = Math.max(1, most);
    },
    get stretch() {
      return range ?? [0, reach];
    },
    to(wanted) {
      const inside = wanted && wanted[1] - wanted[0] < reach;
      range = inside ? [Math.max(0, wanted[0]), Math.min(Math.max(reach, wanted[0] + 1), wanted[1])] : null;
      changed(range);
    },
  };
}

/** What is read on the chart: `at`, a step or null, told to `pointed` and drawn. */
function createReader(node, over, { xName, pointed, state }) {
  const marks = createReadingMarks(over, xName);
  let at = null;
  const readings = (where) => state().curves.map((curve) => readingAt(curve, where)).filter(Boolean);
  const draw = () => {
    const { curves, scales, log, reach } = state();
    const last = longestOf(curves)?.xs.at(-1) ?? 0;
    const where = at ?? last;
    const all = readings(where);
    node.setAttribute("aria-valuemin", "0");
    node.setAttribute("aria-valuemax", String(Math.max(reach, last)));
    node.setAttribute("aria-valuenow", String(where));
    node.setAttribute("aria-valuetext", all.length ? spokenReadings(all, xName, where) : "no points yet");
    const found = at === null ? [] : all.filter((one) => Number.isFinite(one.y));
    marks.draw(found, at, scales, log, node.clientWidth);
  };
  const read = (step) => {
    if (step === at) return;
    at = step;
    draw();
    pointed(at);
  };
  return {
    tip: marks.tip,
    draw,
    read,
    get at() {
      return at;
    },
    /** There is nothing to read. */
    drop: () => (at = null),
    /** The point nearest to a pixel; null: nowhere. */
    near(pixel) {
      const xs = longestOf(state().curves)?.xs;
      if (pixel === null) read(null);
      else if (xs) read(xs[nearestAt(xs, state().scales.x.value(pixel))] ?? null);
    },
    walk(by) {
      const { x } = state().scales;
      const { xs } = longestOf(state().curves) ?? { xs: [] };
      if (!xs.length) return;
      const [from, to] = [firstAt(xs, x.low), Math.max(0, firstAt(xs, x.high + 1e-9) - 1)];
      read(xs[indexAfter(by, at === null ? to : nearestAt(xs, at), from, to)]);
    },
  };
}

/** Everything that reads and zooms: drags, keys, clicks. Gives the reader. */
function listenOnChart(node, plot, zoom, { xName, pointed, state }) {
  createDrag(node, plot, {
    may: () => longestOf(state().curves) !== null,
    pointed: (pixel) => reader.near(pixel),
    picked: (...pixels) => zoom.to(pixels.map((pixel) => state().scales.x.value(pixel))),
  });
  const reader = createReader(node, plot.over, { xName, pointed, state });
  const leave = () => reader.read(null);
  const showAll = () => zoom.to(null);
  const zoomBy = (factor) => {
    const { x } = state().scales;
    zoom.to(stretchAround(reader.at ?? (x.low + x.high) / 2, x, factor, zoom.reach));
  };
  listenForChartKeys(node, { walk: reader.walk, zoomBy, showAll, leave });
  node.addEventListener("blur", leave);
  node.addEventListener("dblclick", showAll);
  return reader;
}

/**
 * The chart. Its curves are {key, label, colour, style, xs, ys}: `colour` a number of the palette,
 * `style` "line", "faint" (what lies behind a smoothed line) or "dotted" (few points, each with a
 * mark), xs ascending. `pointed(x)` is told where one reads, null when nowhere; `zoomed(range)`
 * which stretch is shown, null when all.
 */
export function createChart({ label, xName, pointed, zoomed }) {
  const plot = createPlot();
  const empty = make("div", { class: "wb-chart-empty" });
  const node = make("div", { class: "wb-chart", role: "slider", tabindex: "0", "aria-label": label });
  let curves = [];
  let log = false;
  let frame = 0;
  let scales = { x: createScale(0, 1, 0, 1), y: createScale(0, 1, 0, 1) };
  const draw = () => {
    frame = 0;
    const width = node.clientWidth;
    if (!width) return;
    scales = plot.draw(curves, zoom.stretch, log, width);
    reader.draw();
  };
  const touch = () => {
    frame ||= requestAnimationFrame(draw);
  };
  const zoom = createZoom((range) => {
    zoomed(range);
    touch();
  });
  const state = () => ({ curves, scales, log, reach: zoom.reach });
  const reader = listenOnChart(node, plot, zoom, { xName, pointed, state });
  node.append(plot.node, reader.tip, empty);
  const sizes = new ResizeObserver(touch);
  sizes.observe(node);
  return {
    node,
    /** Other curves, or the same ones longer; `most` is the step at which the axis ends. */
    show(now, most) {
      curves = now;
      zoom.reach = most;
      if (longestOf(curves) === null) reader.drop();
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
    reset: () => zoom.to(null),
    rows: (most) => tableRows(curves, scales.x, most),
    dispose() {
      sizes.disconnect();
      cancelAnimationFrame(frame);
    },
  };
}
