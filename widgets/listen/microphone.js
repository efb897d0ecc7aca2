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

/**
 * `take(file)` receives what was recorded, `fail(sentence)` says why there is nothing, `changed()`
 * that recording begins or ends; `most()` is how many seconds there may be.
 */
export function createMicrophone({ take, fail, changed, most }) {
  const time = make("span", { class: "wb-mic-time", role: "timer", "aria-live": "off" });
  const bars = makeSvg("path", { class: "wb-wave-bars wb-wave-played" });
  const drawing = makeSvg("svg", { class: "wb-wave-drawing", height: WAVE_HEIGHT, "aria-hidden": "true" });
  const stopButton = button("Stop recording", () => finish(true), { class: "wb-button wb-primary" });
  const node = make(
    "div",
    { class: "wb-mic", role: "group", "aria-label": "Recording" },
    drawing,
    make(
      "div",
      { class: "wb-actions" },
      stopButton,
      button("Discard", () => finish(false)),
      make("span", { class: "wb-mic-dot", "aria-hidden": "true" }),
      time,
    ),
  );
  let [stream, context, recorder, timer] = [null, null, null, null];
  let levels = [];
  let asking = false;
  node.hidden = true;
  drawing.append(bars);

  const seconds = () => (levels.length * LEVEL_MS) / 1000;
  const draw = () => {
    const count = Math.max(1, Math.min(LEVELS, Math.floor(node.clientWidth / BAR_STEP)));
    const shown = levels.slice(-count);
    const peaks = new Int8Array(2 * count);
    shown.forEach((level, index) => {
      peaks[2 * index] = -Math.round(127 * level);
      peaks[2 * index + 1] = Math.round(127 * level);
    });
    bars.setAttribute("d", barsPath(peaks, count));
  };
  const listenTo = (source) => {
    context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 2048 });
    context.createMediaStreamSource(source).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const begun = performance.now();
    timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), QUIETEST);
      // As many levels as time has passed: a hidden tab calls seldom.
      while (seconds() * 1000 < performance.now() - begun) levels.push(Math.min(1, loudest));
      setText(time, `${clockText(seconds())} of at most ${clockText(most(), false)}`);
      draw();
      if (seconds() >= most()) finish(true);
    }, LEVEL_MS);
  };
  const close = () => {
    clearInterval(timer);
    stream?.getTracks().forEach((track) => track.stop());
    context?.close();
    [stream, context, recorder] = [null, null, null];
    node.hidden = true;
    changed();
  };
  const finish = (keep) => {
    if (!recorder) return;
    const [parts, ended] = [[], recorder];
    ended.ondataavailable = ({ data }) => parts.push(data);
    ended.onstop = () => {
      close();
      if (keep) take(new File(parts, "microphone.webm", { type: ended.mimeType }));
    };
    ended.stop();
    recorder = null;
  };

  return {
    node,
    get on() {
      return !node.hidden;
    },
    async start() {
      if (asking || this.on) return;
      if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
        fail(NO_RECORDING);
        return;
      }
      asking = true;
      try {
        stream = await navigator.mediaDevices.getUserMedia({ audio: true });
        levels = [];
        recorder = new MediaRecorder(stream);
        recorder.start();
        node.hidden = false;
        changed();
        listenTo(stream);
        stopButton.focus();
      } catch (problem) {
        close();
        fail(REASONS[problem.name] ?? `The microphone cannot be used: ${problem.message}`);
      } finally {
        asking = false;
      }
    },
    finish,
    dispose() {
      finish(false);
      stream?.getTracks().forEach((track) => track.stop());
    },
  };
}
