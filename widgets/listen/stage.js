// The recording with what is around it: how one comes in, the waveform, the player, the tools.

import { clockText } from "../shared/clock.js";
import { button, make, setText } from "../shared/dom.js";
import { createMicrophone } from "./microphone.js";
import { createPlayer } from "./player.js";
import { createSoundIntake } from "./sound_intake.js";
import { createWave } from "./wave.js";

/** What stands in the place of a recording. */
function createVacancy({ record, choose }) {
  const hint = make("span", { class: "wb-note" });
  const buttons = [button("Record", record), button("Choose a file", choose)];
  return {
    node: make(
      "div",
      { class: "wb-listen-empty" },
      make("strong", {}, "Drop a recording here"),
      hint,
      make("div", { class: "wb-actions" }, ...buttons),
    ),
    buttons,
    show(opening, longest) {
      const most = clockText(longest, false);
      setText(hint, opening ? `Opening ${opening} …` : `or record one, up to ${most} minutes`);
    },
  };
}

/** The line over the recording: what it is, and the ways to another. */
function createHead({ choose, record, remove }) {
  const small = (label, action) => button(label, action, { class: "wb-button wb-quiet" });
  const buttons = [small("Choose…", choose), small("Record", record), small("Remove", remove)];
  const tools = make("div", { class: "wb-listen-tools" }, ...buttons);
  const name = make("span", { class: "wb-note wb-listen-name" });
  const label = make("span", { class: "wb-label" }, "Recording");
  return {
    node: make("div", { class: "wb-listen-head" }, label, name, tools),
    buttons,
    show(text, hasTools) {
      setText(name, text);
      tools.hidden = !hasTools;
    },
  };
}

/** What is said of the recording. */
function recordingText({ name, seconds, rate }) {
  return `${name} · ${clockText(seconds)} · ${rate / 1000} kHz`;
}

/** The waveform and the player of the recording; `moved(seconds)` follows the playhead. */
function createPlayback(recording, { send, fail }, moved) {
  const playButton = button("Play", () => player.toggle(), { class: "wb-button wb-play" });
  const clock = make("span", { class: "wb-note wb-clock" });
  const wave = createWave({ sought: (seconds) => player.seek(seconds), toggled: () => player.toggle() });
  const player = createPlayer({
    ask: (number) => send("sound", { recording: number }),
    moved: (seconds) => {
      wave.move(seconds);
      moved(seconds);
      setText(clock, `${clockText(seconds)} / ${clockText(recording().seconds ?? 0)}`);
    },
    changed: (playing) => setText(playButton, playing ? "Pause" : "Play"),
    fail,
  });
  return {
    wave,
    player,
    nodes: [playButton, clock],
    show() {
      wave.show(recording());
      player.show(recording());
    },
    enable(there) {
      playButton.disabled = !there || !recording().playable;
      playButton.hidden = clock.hidden = !there;
    },
  };
}

/** The two ways in: files, which are dropped or chosen, and the microphone. */
function createSources(model, frame, stage, { began, fail }) {
  const most = () => model.get("longest");
  const microphone = createMicrophone({
    take: (file) => intake.take(file),
    fail,
    changed: frame.refresh,
    most,
  });
  const intake = createSoundIntake({
    root: frame.root,
    stage,
    send: (fields, buffers) => frame.send("audio", fields, buffers),
    may: () => !frame.isBusy() && !frame.gone && !microphone.on,
    began,
    fail,
    rate: () => model.get("page_rate"),
    most,
  });
  return { microphone, intake };
}

/** The stage of the panel; `moved(seconds)` follows the playhead. */
export function createStage(model, frame, moved) {
  let opening = ""; // the name of the file on its way
  const recording = () => model.get("recording");
  const there = () => Boolean(recording().seconds);
  const node = make("div", { class: "wb-listen-stage" });
  const fail = (message) => {
    opening = "";
    frame.fail(message);
  };
  const began = (name) => {
    opening = name;
    frame.fail(null);
  };
  const { microphone, intake } = createSources(model, frame, node, { began, fail });
  const playback = createPlayback(recording, { send: frame.send, fail }, moved);
  const { wave, player } = playback;
  const record = () => {
    if (player.playing) player.toggle();
    fail(null);
    microphone.start();
  };
  const vacancy = createVacancy({ record, choose: intake.choose });
  const head = createHead({ choose: intake.choose, record, remove: () => frame.send("remove") });
  node.append(vacancy.node, microphone.node, wave.node);
  const refresh = () => {
    const [shown, talking] = [there() && !microphone.on, microphone.on];
    vacancy.node.hidden = there() || talking;
    wave.node.hidden = !shown;
    node.classList.toggle("wb-listen-vacant", !there() && !talking);
    vacancy.show(opening, model.get("longest"));
    const facts = there() ? recordingText(recording()) : "";
    head.show(opening && there() ? `Opening ${opening} …` : talking ? "Recording" : facts, shown);
    for (const part of [...head.buttons, ...vacancy.buttons]) part.disabled = frame.isBusy() || frame.gone;
    playback.enable(shown);
  };
  return {
    head: head.node,
    node,
    input: intake.input,
    playing: playback.nodes,
    wave,
    player,
    microphone,
    there,
    fail,
    refresh,
    /** The kernel has taken the file, or has refused it. */
    opened: () => (opening = ""),
    show() {
      node.classList.toggle("wb-listen-mute", there() && !recording().playable);
      refresh(); // the waveform needs its room before it is drawn
      playback.show();
    },
  };
}
