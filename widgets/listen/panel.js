// The listen panel. The kernel holds the truth; this shows it and asks for changes.

import { button, make, setText } from "../shared/dom.js";
import { createFrame } from "../shared/frame.js";
import { createHistory } from "../shared/parts.js";
import {
  BUSY,
  PREPARING,
  countText,
  emptyText,
  spokenStatus,
  statusText,
} from "../shared/status.js";
import { createOutput } from "../shared/tokens.js";
import { createPassages, saveText, subtitlesOf, transcriptOf } from "./passages.js";
import { createStage } from "./stage.js";

const LISTEN_HELP = [
  "Drop a recording on the panel, choose a file, or record from the microphone.",
  "Ctrl+Enter transcribes, Esc stops.",
  "On the waveform: click to go there, arrows move by a second, with Shift by five; space plays.",
  "Each part of the transcript has its time: it lights while it is played; press it to go there.",
  "Point at a token, or walk through the text with the arrow keys, to see what else the model heard.",
  "From Python: panel.audio = (array, rate) or a path, panel.start(), panel.wait(), panel.text, panel.segments.",
];
const TRANSCRIPT = {
  class: "wb-output wb-transcript",
  role: "log",
  "aria-live": "off",
  "aria-label": "Transcript. The left and right arrows walk through the tokens.",
};

function listenStatusText(status, position, rate) {
  return status === "prefill" ? "listening" : statusText(status, position, rate);
}

function transcriptEmptyText(status, position, name, hasRecording) {
  const texts = {
    loading: `Loading ${name}. You can record or choose a file meanwhile.`,
    idle: hasRecording
      ? "Press Transcribe; the words appear here as the model hears them."
      : "Put in a recording first; its words appear here.",
    prefill: "Listening.",
    done: "The model heard no words.",
    stopped: "Stopped before the first word.",
  };
  return texts[status] ?? emptyText(status, position, name);
}

/** What the menu does with the transcript. */
function createKeeping(model, frame, { output, passages }) {
  const plainText = () => output.tokens.map(({ piece }) => piece).join("").trim();
  const fileName = (ending) => `${(model.get("recording").name ?? "recording").replace(/\.[^.]*$/, "")}.${ending}`;
  const save = (textOf, ending, type) => saveText(textOf(passages.list()), fileName(ending), type);
  return {
    async copy() {
      try {
        await navigator.clipboard.writeText(plainText());
        frame.announce("Copied.");
      } catch {
        getSelection().selectAllChildren(output.node);
        frame.announce("Selected: press Ctrl+C to copy.");
      }
    },
    saveTranscript: () => save(transcriptOf, "txt", "text/plain"),
    saveSubtitles: () => save(subtitlesOf, "vtt", "text/vtt"),
    showChances() {
      model.set("show", model.get("show") === "plain" ? "probability" : "plain");
      model.save_changes();
    },
  };
}

/** The transcript: what was heard, token by token and part by part. `box` holds the tips. */
function createTranscript(model, frame, box, { seek, mark }) {
  const summary = make("span", { class: "wb-note wb-summary" });
  let [rate, shownRun] = [0, 0];
  const output = createOutput({
    frame: box,
    attributes: TRANSCRIPT,
    trim: true,
    announce: frame.announce,
    gap: () => frame.send("sync"),
    ask: (run, index) => frame.send("alternatives", { run, index }),
  });
  const passages = createPassages(output, seek);
  const drawSegments = (segments) => {
    passages.show(segments ?? []);
    mark(segments ?? []);
  };
  return {
    output,
    passages,
    summary,
    get rate() {
      return rate;
    },
    refresh() {
      const snapshot = model.get("output");
      rate = snapshot.rate ?? 0;
      if ((snapshot.run ?? 0) !== shownRun) passages.reset();
      shownRun = snapshot.run ?? 0;
      output.show(snapshot);
      setText(summary, snapshot.summary || (output.count ? countText(output.count) : ""));
      drawSegments(snapshot.recording === model.get("recording").number ? snapshot.segments : []);
    },
    extend(message) {
      rate = message.rate;
      output.extend(message);
      setText(summary, countText(output.count));
      if (message.run === shownRun) drawSegments(message.segments);
    },
  };
}

/** Transcribe and Stop, with the player's button beside them. */
function createActions(model, frame, transcribe, playing) {
  const start = button("Transcribe", transcribe, { class: "wb-button wb-primary", title: "Ctrl+Enter" });
  const stop = button("Stop", frame.stop, { title: "Esc" });
  const note = make("span", { class: "wb-note wb-listen-note" });
  return {
    node: make("div", { class: "wb-actions" }, start, stop, note, ...playing),
    enable(ready) {
      const [status, busy, foreground] = [frame.status(), frame.isBusy(), model.get("foreground")];
      start.disabled = busy || status === "loading" || !ready;
      stop.disabled = !busy || status === "stopping" || foreground;
      setText(note, busy && foreground ? "Stop with the kernel's interrupt button." : "");
    },
  };
}

/** Which traits and messages move what. */
function followListen(model, frame, { stage, transcript, refreshOutput }) {
  const refreshView = () => (frame.root.dataset.show = model.get("show"));
  const opened = () => {
    stage.opened();
    frame.refresh();
  };
  const refreshRecording = () => {
    stage.fail(null);
    stage.show();
    refreshOutput();
  };
  const extend = (message) => {
    transcript.extend(message);
    frame.refreshSoon();
  };
  return frame.follow({
    ours: [["show", refreshView]],
    kernels: [
      ["recording", refreshRecording],
      ["output", refreshOutput],
      ["runs", refreshOutput],
      ["error", opened],
    ],
    messages: {
      tokens: extend,
      alternatives: (found) => transcript.output.answer(found),
      sound: (message, [bytes]) => stage.player.take(message.recording, bytes),
      synced: refreshOutput,
      opened,
    },
    parts: [transcript.output, stage.wave, stage.player, stage.microphone],
  });
}

function render({ model, el }) {
  const left = make("div", { class: "wb-left" });
  const frame = createFrame({
    model,
    el,
    name: "wb-generate wb-listen",
    label: "Listen",
    help: LISTEN_HELP,
    menu: [
      ["Copy text", () => keeping.copy()],
      ["Save transcript", () => keeping.saveTranscript()],
      ["Save subtitles", () => keeping.saveSubtitles()],
      ["Colours on or off", () => keeping.showChances()],
    ],
    busy: BUSY,
    preparing: PREPARING,
    statusText: () => listenStatusText(frame.status(), model.get("position"), transcript.rate),
    spokenText: () => spokenStatus(frame.status(), model.get("output").summary),
    refresh: () => refreshStatus(),
    go: () => transcribe(),
    escape: () => {
      output.dismiss();
      if (stage.microphone.on) stage.microphone.finish(false);
      else frame.stop();
    },
  });
  const { send, isBusy } = frame;
  const isReady = () => stage.there() && !stage.microphone.on;
  const transcribe = () => {
    if (isBusy() || frame.status() === "loading" || !isReady()) return;
    frame.fail(null);
    send("start");
  };
  const stage = createStage(model, frame, (seconds) => transcript.passages.move(seconds));
  const transcript = createTranscript(model, frame, left, { seek: stage.player.seek, mark: stage.wave.mark });
  const { output } = transcript;
  const keeping = createKeeping(model, frame, transcript);
  const history = createHistory(model, (number) => send("restore", { run: number }));
  const actions = createActions(model, frame, transcribe, stage.playing);
  const refreshStatus = () => {
    actions.enable(isReady());
    history.enable(isBusy());
    const words = transcriptEmptyText(frame.status(), model.get("position"), model.get("heading").name, stage.there());
    output.explain(output.count ? "" : words);
    stage.refresh();
  };
  const refreshOutput = () => {
    transcript.refresh();
    history.refresh();
    frame.refresh();
  };
  const footer = make("div", { class: "wb-footer" }, transcript.summary, history.node);
  left.append(stage.head, stage.node, actions.node, output.node, output.tip, footer);
  frame.show(left, stage.input);
  return followListen(model, frame, { stage, transcript, refreshOutput });
}

export default { render };
