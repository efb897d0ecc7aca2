// Records from the microphone: how loud it is and for how long, and at the end a file.

import { clockText } from "../shared/clock.js";
import { button, make, makeSvg, setText } from "../shared/dom.js";
import { BAR_STEP, WAVE_HEIGHT, barsPath } from "./wave.js";

const LEVELS = 240; // bars of the last seconds
const LEVEL_MS = 50;
const QUIETEST = 0.01;
const REASONS = {
  NotAllowedError:
    "The microphone is not allowed here: allow it in the browser's address bar, or choose a file.",
  NotFoundError: "There is no microphone: connect one, or choose a file.",
  NotReadableError: "Another program uses the microphone: close it there, or choose a file.",
};
const NO_RECORDING =
  "This page may not use a microphone: open it over https or on localhost, or choose a file.";

/** How loud it was, in the last seconds: a level for each stretch of LEVEL_MS. */
function createLevels() {
  const bars = makeSvg("path", { class: "wb-wave-bars wb-wave-played" });
  const node = makeSvg("svg", { class: "wb-wave-drawing", height: WAVE_HEIGHT, "aria-hidden": "true" });
  let levels = [];
  node.append(bars);
  const seconds = () => (levels.length * LEVEL_MS) / 1000;
  return {
    node,
    seconds,
    clear: () => (levels = []),
    /** As many levels as time has passed: a hidden tab calls seldom. */
    add(level, until) {
      while (seconds() * 1000 < until) levels.push(Math.min(1, level));
    },
    draw(width) {
      const count = Math.max(1, Math.min(LEVELS, Math.floor(width / BAR_STEP)));
      const peaks = new Int8Array(2 * count);
      levels.slice(-count).forEach((level, index) => {
        peaks[2 * index] = -Math.round(127 * level);
        peaks[2 * index + 1] = Math.round(127 * level);
      });
      bars.setAttribute("d", barsPath(peaks, count));
    },
  };
}

/** Calls `heard(loudness, ms since it began)` again and again; the result ends it. */
function measure(stream, heard) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 2048 });
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const begun = performance.now();
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), QUIETEST);
    heard(loudest, performance.now() - begun);
  }, LEVEL_MS);
  return () => {
    clearInterval(timer);
    context.close();
  };
}

/** A stream of the microphone that is recorded; `finish(keep)` gives the file to `take`, or none. */
function createRecorder({ take, began, ended }) {
  let [stream, recorder] = [null, null];
  const silence = () => stream?.getTracks().forEach((track) => track.stop());
  const close = () => {
    silence();
    [stream, recorder] = [null, null];
    ended();
  };
  const finish = (keep) => {
    if (!recorder) return;
    const [parts, last] = [[], recorder];
    last.ondataavailable = ({ data }) => parts.push(data);
    last.onstop = () => {
      close();
      if (keep) take(new File(parts, "microphone.webm", { type: last.mimeType }));
    };
    last.stop();
    recorder = null;
  };
  return {
    finish,
    close,
    silence,
    async start() {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      recorder = new MediaRecorder(stream);
      recorder.start();
      began(stream);
    },
  };
}

/** The levels, and the buttons that end the recording: `finish(keep)`. */
function drawMicrophone(levels, finish) {
  const time = make("span", { class: "wb-mic-time", role: "timer", "aria-live": "off" });
  const dot = make("span", { class: "wb-mic-dot", "aria-hidden": "true" });
  const stopButton = button("Stop recording", () => finish(true), { class: "wb-button wb-primary" });
  const discard = button("Discard", () => finish(false));
  const actions = make("div", { class: "wb-actions" }, stopButton, discard, dot, time);
  const node = make("div", { class: "wb-mic", role: "group", "aria-label": "Recording" }, levels.node, actions);
  node.hidden = true;
  return { node, time, stopButton };
}

/**
 * `take(file)` receives what was recorded, `fail(sentence)` says why there is nothing, `changed()`
 * that recording begins or ends; `most()` is how many seconds there may be.
 */
export function createMicrophone({ take, fail, changed, most }) {
  const levels = createLevels();
  const { node, time, stopButton } = drawMicrophone(levels, (keep) => finish(keep));
  let endMeasure = null;
  let asking = false;
  const heard = (loudness, until) => {
    levels.add(loudness, until);
    setText(time, `${clockText(levels.seconds())} of at most ${clockText(most(), false)}`);
    levels.draw(node.clientWidth);
    if (levels.seconds() >= most()) finish(true);
  };
  const show = (on) => {
    node.hidden = !on;
    changed();
  };
  const recorder = createRecorder({
    take,
    began(stream) {
      levels.clear();
      show(true);
      endMeasure = measure(stream, heard);
      stopButton.focus();
    },
    ended() {
      endMeasure?.();
      endMeasure = null;
      show(false);
    },
  });
  const { finish } = recorder;
  return {
    node,
    get on() {
      return !node.hidden;
    },
    async start() {
      if (asking || !node.hidden) return;
      if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
        fail(NO_RECORDING);
        return;
      }
      asking = true;
      try {
        await recorder.start();
      } catch (problem) {
        recorder.close();
        fail(REASONS[problem.name] ?? `The microphone cannot be used: ${problem.message}`);
      } finally {
        asking = false;
      }
    },
    finish,
    dispose() {
      finish(false);
      recorder.silence();
    },
  };
}
