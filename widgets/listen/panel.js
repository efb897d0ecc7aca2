// The listen panel. The kernel holds the truth; this shows it and asks for changes.

import { clockText } from "../shared/clock.js";
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
import { createMicrophone } from "./microphone.js";
import { createPassages, saveText, subtitlesOf, transcriptOf } from "./passages.js";
import { createPlayer } from "./player.js";
import { createSoundIntake } from "./sound_intake.js";
import { createWave } from "./wave.js";

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

function render({ model, el }) {
  const summary = make("span", { class: "wb-note wb-summary" });
  const left = make("div", { class: "wb-left" });
  let rate = 0;
  let opening = ""; // the name of the file on its way
  let shownRun = 0;

  const recording = () => model.get("recording");
  const hasRecording = () => Boolean(recording().seconds);
  const frame = createFrame({
    model,
    el,
    name: "wb-generate wb-listen",
    label: "Listen",
    help: LISTEN_HELP,
    menu: [
      ["Copy text", () => copyText()],
      ["Save transcript", () => saveText(transcriptOf(passages.list()), fileName("txt"), "text/plain")],
      ["Save subtitles", () => saveText(subtitlesOf(passages.list()), fileName("vtt"), "text/vtt")],
      ["Colours on or off", () => showChances()],
    ],
    busy: BUSY,
    preparing: PREPARING,
    statusText: () => listenStatusText(frame.status(), model.get("position"), rate),
    spokenText: () => spokenStatus(frame.status(), model.get("output").summary),
    refresh: () => refreshStatus(),
    go: () => transcribe(),
    escape: () => {
      output.dismiss();
      if (microphone.on) microphone.finish(false);
      else frame.stop();
    },
  });
  const { root, send, isBusy } = frame;
  const transcribe = () => {
    if (isBusy() || frame.status() === "loading" || !hasRecording() || microphone.on) return;
    frame.fail(null);
    send("start");
  };
  const fail = (message) => {
    opening = "";
    frame.fail(message);
  };
  const plainText = () => output.tokens.map(({ piece }) => piece).join("").trim();
  const copyText = async () => {
    try {
      await navigator.clipboard.writeText(plainText());
      frame.announce("Copied.");
    } catch {
      getSelection().selectAllChildren(output.node);
      frame.announce("Selected: press Ctrl+C to copy.");
    }
  };
  const fileName = (ending) => `${(recording().name ?? "recording").replace(/\.[^.]*$/, "")}.${ending}`;
  const showChances = () => {
    model.set("show", model.get("show") === "plain" ? "probability" : "plain");
    model.save_changes();
  };
  const history = createHistory(model, (number) => send("restore", { run: number }));

  // -- the recording
  const wave = createWave({ sought: (seconds) => player.seek(seconds), toggled: () => player.toggle() });
  const player = createPlayer({
    ask: (number) => send("sound", { recording: number }),
    moved: (seconds) => {
      wave.move(seconds);
      passages.move(seconds);
      setText(clock, `${clockText(seconds)} / ${clockText(recording().seconds ?? 0)}`);
    },
    changed: (playing) => setText(playButton, playing ? "Pause" : "Play"),
    fail,
  });
  const stage = make("div", { class: "wb-listen-stage" });
  const intake = createSoundIntake({
    root,
    stage,
    send: (fields, buffers) => send("audio", fields, buffers),
    may: () => !isBusy() && !frame.gone && !microphone.on,
    began: (name) => {
      opening = name;
      frame.fail(null);
    },
    fail,
    rate: () => model.get("page_rate"),
    most: () => model.get("longest"),
  });
  const microphone = createMicrophone({
    take: (file) => intake.take(file),
    fail,
    changed: frame.refresh,
    most: () => model.get("longest"),
  });
  const record = () => {
    player.playing && player.toggle();
    fail(null);
    microphone.start();
  };
  const small = (label, action) => button(label, action, { class: "wb-button wb-quiet" });
  const tools = make(
    "div",
    { class: "wb-listen-tools" },
    small("Choose…", intake.choose),
    small("Record", record),
    small("Remove", () => send("remove")),
  );
  const name = make("span", { class: "wb-note wb-listen-name" });
  const hint = make("span", { class: "wb-note" });
  const empty = make(
    "div",
    { class: "wb-listen-empty" },
    make("strong", {}, "Drop a recording here"),
    hint,
    make("div", { class: "wb-actions" }, button("Record", record), button("Choose a file", intake.choose)),
  );
  stage.append(empty, microphone.node, wave.node);

  // -- work
  const transcribeButton = button("Transcribe", transcribe, { class: "wb-button wb-primary", title: "Ctrl+Enter" });
  const stopButton = button("Stop", frame.stop, { title: "Esc" });
  const playButton = button("Play", () => player.toggle(), { class: "wb-button wb-play" });
  const clock = make("span", { class: "wb-note wb-clock" });
  const note = make("span", { class: "wb-note wb-listen-note" });
  const output = createOutput({
    frame: left,
    attributes: TRANSCRIPT,
    trim: true,
    announce: frame.announce,
    gap: () => send("sync"),
    ask: (run, index) => send("alternatives", { run, index }),
  });
  const passages = createPassages(output, (seconds) => player.seek(seconds));

  const refreshStage = () => {
    const [there, talking] = [hasRecording(), microphone.on];
    empty.hidden = there || talking;
    wave.node.hidden = !there || talking;
    stage.classList.toggle("wb-listen-vacant", !there && !talking);
    tools.hidden = !there || talking;
    const longest = clockText(model.get("longest"), false);
    setText(hint, opening ? `Opening ${opening} …` : `or record one, up to ${longest} minutes`);
    const { name: title, seconds, rate: samples } = recording();
    const facts = there ? `${title} · ${clockText(seconds)} · ${samples / 1000} kHz` : "";
    setText(name, opening && there ? `Opening ${opening} …` : talking ? "Recording" : facts);
    for (const part of [...tools.children, ...empty.querySelectorAll("button")]) part.disabled = isBusy() || frame.gone;
    playButton.disabled = !there || talking || !recording().playable;
    playButton.hidden = clock.hidden = !there || talking;
  };
  const refreshStatus = () => {
    const now = frame.status();
    transcribeButton.disabled = isBusy() || now === "loading" || !hasRecording() || microphone.on;
    stopButton.disabled = !isBusy() || now === "stopping" || model.get("foreground");
    setText(note, isBusy() && model.get("foreground") ? "Stop with the kernel's interrupt button." : "");
    history.enable(isBusy());
    const words = transcriptEmptyText(now, model.get("position"), model.get("heading").name, hasRecording());
    output.explain(output.count ? "" : words);
    refreshStage();
  };
  const refreshRecording = () => {
    fail(null);
    stage.classList.toggle("wb-listen-mute", hasRecording() && !recording().playable);
    refreshStage(); // the waveform needs its room before it is drawn
    wave.show(recording());
    player.show(recording());
    refreshOutput();
  };
  const drawSegments = (segments) => {
    passages.show(segments ?? []);
    wave.mark(segments ?? []);
  };
  const refreshOutput = () => {
    const snapshot = model.get("output");
    rate = snapshot.rate ?? 0;
    if ((snapshot.run ?? 0) !== shownRun) passages.reset();
    shownRun = snapshot.run ?? 0;
    output.show(snapshot);
    setText(summary, snapshot.summary || (output.count ? countText(output.count) : ""));
    drawSegments(snapshot.recording === recording().number ? snapshot.segments : []);
    history.refresh();
    frame.refresh();
  };
  const refreshView = () => (root.dataset.show = model.get("show"));
  const extend = (message) => {
    rate = message.rate;
    output.extend(message);
    setText(summary, countText(output.count));
    if (message.run === shownRun) drawSegments(message.segments);
    frame.refreshSoon();
  };
  const opened = () => {
    opening = "";
    frame.refresh();
  };
  left.append(
    make("div", { class: "wb-listen-head" }, make("span", { class: "wb-label" }, "Recording"), name, tools),
    stage,
    make("div", { class: "wb-actions" }, transcribeButton, stopButton, note, playButton, clock),
    output.node,
    output.tip,
    make("div", { class: "wb-footer" }, summary, history.node),
  );
  frame.show(left, intake.input);

  const ours = [["show", refreshView]];
  const kernels = [
    ["recording", refreshRecording],
    ["output", refreshOutput],
    ["runs", refreshOutput],
    ["error", opened],
  ];
  const messages = {
    tokens: extend,
    alternatives: (found) => output.answer(found),
    sound: (message, [bytes]) => player.take(message.recording, bytes),
    synced: refreshOutput,
    opened,
  };
  return frame.follow({ ours, kernels, messages, parts: [output, wave, player, microphone] });
}

export default { render };
