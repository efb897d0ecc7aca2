// The waveform: bars from peaks, the segments below them, a playhead that can be moved.

import { clockText, spokenClock } from "../shared/clock.js";
import { make, makeSvg } from "../shared/dom.js";

export const WAVE_HEIGHT = 96;
export const BAR_STEP = 4; // pixels from one bar to the next
const LEAST_BAR = 1.5;
const STEP_SECONDS = 1;
const LABEL_PIXELS = 72; // at least so much room for a label of the ruler
const RULER_STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];

/** A path of bars for peaks (pairs of int8), so many of them, around the middle. */
export function barsPath(peaks, count) {
  const pairs = peaks.length / 2;
  const middle = WAVE_HEIGHT / 2;
  const reach = (middle - 4) / 127;
  const bars = [];
  for (let bar = 0; bar < count; bar += 1) {
    const from = Math.floor((bar * pairs) / count);
    const to = Math.max(from + 1, Math.floor(((bar + 1) * pairs) / count));
    let [low, high] = [127, -127];
    for (let pair = from; pair < to; pair += 1) {
      low = Math.min(low, peaks[2 * pair]);
      high = Math.max(high, peaks[2 * pair + 1]);
    }
    const half = Math.max(LEAST_BAR, ((high - low) / 2) * reach);
    bars.push(`M${bar * BAR_STEP + BAR_STEP / 2} ${(middle - half).toFixed(1)}V${(middle + half).toFixed(1)}`);
  }
  return bars.join("");
}

/** The times under a waveform. */
function rulerLabels(seconds, width) {
  const most = Math.max(1, width / LABEL_PIXELS);
  const step = RULER_STEPS.find((size) => seconds / size <= most) ?? 600 * Math.ceil(seconds / 600 / most);
  const labels = [];
  for (let time = 0; time <= seconds; time += step) {
    const mark = make("span", {}, clockText(time, step < 1));
    mark.style.left = `${(100 * time) / seconds}%`;
    if ((time / seconds) * width > width - 32 && time) mark.classList.add("wb-last");
    labels.push(mark);
  }
  return labels;
}

/** The strip under the waveform that shows the segments; the one at the playhead is lit. */
function createLane() {
  const node = make("div", { class: "wb-wave-lane", "aria-hidden": "true" });
  let segments = [];
  return {
    node,
    show(now, seconds) {
      segments = now;
      const bits = segments.map(([start, stop]) => {
        const bit = make("span");
        bit.style.left = `${(100 * start) / (seconds || 1)}%`;
        bit.style.width = `${(100 * (stop - start)) / (seconds || 1)}%`;
        return bit;
      });
      node.replaceChildren(...bits);
    },
    light(at) {
      segments.forEach(([start, stop], index) => {
        node.children[index]?.classList.toggle("wb-now", at >= start && at < stop);
      });
    },
  };
}

/** The bars, twice: those that were played lie over all of them, up to the playhead. */
function createWaveDrawing() {
  const bars = makeSvg("path", { class: "wb-wave-bars" });
  const played = makeSvg("path", { class: "wb-wave-bars wb-wave-played" });
  const [drawing, over] = ["wb-wave-drawing", "wb-wave-drawing wb-wave-over"].map((name) =>
    makeSvg("svg", { class: name, height: WAVE_HEIGHT, "aria-hidden": "true" }),
  );
  drawing.append(bars);
  over.append(played);
  return {
    nodes: [drawing, over],
    draw(peaks, width) {
      const path = barsPath(peaks, Math.max(1, Math.floor(width / BAR_STEP)));
      for (const part of [bars, played]) part.setAttribute("d", path);
    },
  };
}

/** Where a key leads from `at`, in seconds; undefined where it leads nowhere. */
function timeAfter(event, at, seconds) {
  const far = event.shiftKey ? 5 * STEP_SECONDS : STEP_SECONDS;
  return {
    ArrowRight: at + far,
    ArrowUp: at + far,
    ArrowLeft: at - far,
    ArrowDown: at - far,
    PageUp: at + 10 * STEP_SECONDS,
    PageDown: at - 10 * STEP_SECONDS,
    Home: 0,
    End: seconds,
  }[event.key];
}

/** Pointer and keys on the waveform; `state()` is where it is: { at, seconds }. */
function listenOnWave(node, state, { sought, toggled }) {
  const seek = (time) => sought(Math.min(state().seconds, Math.max(0, time)));
  const timeAt = (event) => {
    const box = node.getBoundingClientRect();
    return (state().seconds * (event.clientX - box.left)) / box.width;
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    node.setPointerCapture(event.pointerId);
    seek(timeAt(event));
  });
  node.addEventListener("pointermove", (event) => {
    if (node.hasPointerCapture(event.pointerId)) seek(timeAt(event));
  });
  node.addEventListener("keydown", (event) => {
    const target = timeAfter(event, state().at, state().seconds);
    if (event.key === " ") toggled();
    else if (target === undefined || event.ctrlKey || event.metaKey) return;
    else seek(target);
    event.preventDefault();
    event.stopPropagation();
  });
}

const WAVE = {
  class: "wb-wave",
  role: "slider",
  tabindex: "0",
  "aria-label": "Position in the recording",
  "aria-valuemin": "0",
  title: "Click to go there; arrows move by a second, space plays",
};

/**
 * The waveform of a recording. `sought(seconds)` is told where a person wants to be, `toggled()`
 * that the space bar was pressed.
 */
export function createWave({ sought, toggled }) {
  const drawing = createWaveDrawing();
  const head = make("div", { class: "wb-wave-head", "aria-hidden": "true" });
  const lane = createLane();
  const ruler = make("div", { class: "wb-wave-ruler", "aria-hidden": "true" });
  const node = make("div", WAVE, ...drawing.nodes, head, lane.node, ruler);
  let peaks = new Int8Array();
  let seconds = 0;
  let at = 0;
  const place = () => {
    const share = seconds ? Math.min(1, at / seconds) : 0;
    node.style.setProperty("--at", `${100 * share}%`);
    node.setAttribute("aria-valuenow", at.toFixed(1));
    node.setAttribute("aria-valuetext", `${spokenClock(at)} of ${spokenClock(seconds)}`);
    lane.light(at);
  };
  const draw = () => {
    const width = node.clientWidth;
    if (!width || !seconds) return;
    drawing.draw(peaks, width);
    ruler.replaceChildren(...rulerLabels(seconds, width));
    place();
  };
  listenOnWave(node, () => ({ at, seconds }), { sought, toggled });
  const sizes = new ResizeObserver(draw);
  sizes.observe(node);
  return {
    node,
    /** Another recording. */
    show(recording) {
      const view = recording.peaks;
      peaks = view ? new Int8Array(view.buffer, view.byteOffset, view.byteLength) : new Int8Array();
      seconds = recording.seconds ?? 0;
      node.setAttribute("aria-valuemax", String(seconds));
      at = 0;
      draw();
      place();
    },
    /** The pieces that have been heard, as [start, stop, first token]. */
    mark(now) {
      lane.show(now, seconds);
      place();
    },
    move(time) {
      at = time;
      place();
    },
    dispose: () => sizes.disconnect(),
  };
}
