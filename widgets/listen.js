// The listen panel. The kernel holds the truth; this shows it and asks for changes.

const LISTEN_RATE_MS = 250;
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
  const root = makeRoot("wb-generate", "Listen");
  root.classList.add("wb-listen");
  const spoken = make("div", { class: "wb-spoken", role: "status", "aria-live": "polite" });
  const summary = make("span", { class: "wb-note wb-summary" });
  const progress = make("div", { class: "wb-progress", "aria-hidden": "true" });
  const left = make("div", { class: "wb-left" });
  let [rate, rateShown, gone] = [0, 0, false];
  let opening = ""; // the name of the file on its way
  let problem = null; // what the page itself has to say
  let shownRun = 0;

  const status = () => model.get("status");
  const isBusy = () => BUSY.has(status());
  const recording = () => model.get("recording");
  const hasRecording = () => Boolean(recording().seconds);
  const send = (command, fields = {}, buffers = []) =>
    watch.send(() => model.send({ command, ...fields }, undefined, buffers));
  const transcribe = () => {
    if (isBusy() || status() === "loading" || !hasRecording() || microphone.on) return;
    problem = null;
    send("start");
  };
  const stop = () => {
    if (!isBusy()) return;
    setText(heading.status, "stopping");
    send("cancel");
  };
  const setGone = (value) => {
    if (gone === value) return;
    gone = value;
    refreshStatus();
  };
  const fail = (message) => {
    opening = "";
    problem = message && { message };
    refreshStatus();
  };

  const watch = createWatch({
    isBusy,
    ask: () => send("sync"),
    silent: () => setGone(true),
    alive: () => setGone(false),
  });
  const code = createCode(model);
  const help = createHelp(...LISTEN_HELP);
  const plainText = () => output.tokens.map(({ piece }) => piece).join("").trim();
  const copyText = async () => {
    try {
      await navigator.clipboard.writeText(plainText());
      setText(spoken, "Copied.");
    } catch {
      getSelection().selectAllChildren(output.node);
      setText(spoken, "Selected: press Ctrl+C to copy.");
    }
  };
  const fileName = (ending) => `${(recording().name ?? "recording").replace(/\.[^.]*$/, "")}.${ending}`;
  const saveTranscript = () => saveText(transcriptOf(passages.list()), fileName("txt"), "text/plain");
  const saveSubtitles = () => saveText(subtitlesOf(passages.list()), fileName("vtt"), "text/vtt");
  const showChances = () => {
    model.set("show", model.get("show") === "plain" ? "probability" : "plain");
    model.save_changes();
  };
  const menu = createMenu([
    ["Copy as code", () => code.copy()],
    ["Copy text", copyText],
    ["Save transcript", saveTranscript],
    ["Save subtitles", saveSubtitles],
    ["Colours on or off", showChances],
    ["Reset", () => !isBusy() && send("reset")],
    ["Help", () => (help.hidden = !help.hidden)],
  ]);
  const error = createError();
  const heading = createHeading(model, menu);
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
    may: () => !isBusy() && !gone && !microphone.on,
    began: (name) => {
      [opening, problem] = [name, null];
      refreshStatus();
    },
    fail,
    rate: () => model.get("page_rate"),
    most: () => model.get("longest"),
  });
  const microphone = createMicrophone({
    take: (file) => intake.take(file),
    fail,
    changed: () => refreshStatus(),
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
  const stopButton = button("Stop", stop, { title: "Esc" });
  const playButton = button("Play", () => player.toggle(), { class: "wb-button wb-play" });
  const clock = make("span", { class: "wb-note wb-clock" });
  const note = make("span", { class: "wb-note wb-listen-note" });
  const output = createOutput({
    frame: left,
    attributes: TRANSCRIPT,
    trim: true,
    announce: (text) => setText(spoken, text),
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
    for (const part of [...tools.children, ...empty.querySelectorAll("button")]) part.disabled = isBusy() || gone;
    playButton.disabled = !there || talking || !recording().playable;
    playButton.hidden = clock.hidden = !there || talking;
  };
  const refreshStatus = () => {
    const now = status();
    root.dataset.status = gone ? "disconnected" : now;
    setText(heading.status, gone ? "no answer" : listenStatusText(now, model.get("position"), rate));
    error.show(gone ? { message: NO_ANSWER } : (problem ?? model.get("error")));
    transcribeButton.disabled = isBusy() || now === "loading" || !hasRecording() || microphone.on;
    stopButton.disabled = !isBusy() || now === "stopping" || model.get("foreground");
    setText(note, isBusy() && model.get("foreground") ? "Stop with the kernel's interrupt button." : "");
    history.enable(isBusy());
    const words = transcriptEmptyText(now, model.get("position"), model.get("heading").name, hasRecording());
    output.explain(output.count ? "" : words);
    progress.classList.toggle("wb-on", !gone && PREPARING.has(now));
    refreshStage();
  };
  const refreshError = () => {
    [problem, opening] = [null, ""];
    refreshStatus();
  };
  const refreshRecording = () => {
    [opening, problem] = ["", null];
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
    refreshStatus();
  };
  const refreshView = () => (root.dataset.show = model.get("show"));
  const speak = () => setText(spoken, spokenStatus(status(), model.get("output").summary));
  const extend = (message) => {
    rate = message.rate;
    output.extend(message);
    setText(summary, countText(output.count));
    if (message.run === shownRun) drawSegments(message.segments);
    if (Date.now() - rateShown < LISTEN_RATE_MS) return;
    rateShown = Date.now();
    refreshStatus();
  };
  const opened = () => {
    opening = "";
    refreshStatus();
  };
  const answers = {
    tokens: extend,
    alternatives: (found) => output.answer(found),
    sound: (message, [bytes]) => player.take(message.recording, bytes),
    synced: refreshOutput,
    opened,
  };
  const onMessage = (message, buffers) => answers[message.type]?.(message, buffers ?? []);
  const onKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) transcribe();
    else if (event.key === "Escape") {
      output.dismiss();
      if (microphone.on) microphone.finish(false);
      else stop();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  left.append(
    make("div", { class: "wb-listen-head" }, make("span", { class: "wb-label" }, "Recording"), name, tools),
    stage,
    make("div", { class: "wb-actions" }, transcribeButton, stopButton, note, playButton, clock),
    output.node,
    output.tip,
    make("div", { class: "wb-footer" }, summary, history.node),
  );
  root.append(heading.node, progress, error.node, code.node, help, left, intake.input, spoken);
  root.addEventListener("keydown", onKey);
  el.append(root);

  const ours = [["show", refreshView]];
  const kernels = [
    ["heading", heading.refresh],
    ["code", code.refresh],
    ["recording", refreshRecording],
    ["output", refreshOutput],
    ["runs", refreshOutput],
    ["status", refreshStatus],
    ["status", speak],
    ["position", refreshStatus],
    ["error", refreshError],
  ];
  const unfollow = followTraits(model, watch, ours, kernels, onMessage);
  if (isBusy()) send("sync");

  return () => {
    unfollow();
    for (const part of [watch, output, wave, player, microphone]) part.dispose();
  };
}

export default { render };
