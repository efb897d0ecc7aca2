// The look panel. The kernel holds the truth; this shows it and asks for changes.

import { createControls } from "../shared/controls.js";
import { button, make, setText } from "../shared/dom.js";
import { createFrame } from "../shared/frame.js";
import { bytesOf, createHeat, createScrubber } from "../shared/heat.js";
import { createHistory, createPrompt } from "../shared/parts.js";
import {
  BUSY,
  PREPARING,
  countText,
  emptyText,
  spokenStatus,
  statusText,
} from "../shared/status.js";
import { createOutput } from "../shared/tokens.js";
import { wholeText } from "../shared/units.js";
import { drawAnnotated, saveCanvas } from "./annotate.js";
import { createCamera } from "./camera.js";
import { createIntake } from "./intake.js";
import { WHITE_ON, coloursOf, createOverlay, createWording } from "./regions.js";
import { createTasks } from "./tasks.js";
import { ZOOM_STEP, createViewer } from "./viewer.js";

const LOOK_HELP = [
  "Drop a picture on the panel, paste one with Ctrl+V, choose a file, or take one with the camera.",
  "Ctrl+Enter generates, Esc stops. A control you move counts from the next run.",
  "A task writes the words the model was trained with; write after them what it should find.",
  "Point at a box or at its words, and the other lights up. Press a label to keep it lit.",
  "On the picture: Ctrl and the wheel, or + and −, zoom; arrows and dragging move; 0 shows all of it.",
  "Attention shows how much the token at the scrubber looked at each part of the picture.",
  "From Python: panel.image, panel.prompt, panel.start(), panel.wait(), panel.text, panel.regions, panel.annotated().",
];
const IDLE = new Set(["idle"]);
const ANSWER = {
  class: "wb-output",
  role: "log",
  "aria-live": "off",
  "aria-label": "Answer. The left and right arrows walk through the tokens.",
};

function lookEmptyText(status, position, name, hasPicture) {
  if (!IDLE.has(status)) return emptyText(status, position, name);
  return hasPicture
    ? "Choose a task or write a question, and press Generate; the answer appears here token by token."
    : "Put in a picture first; the answer about it appears here token by token.";
}

function render({ model, el }) {
  const summary = make("span", { class: "wb-note wb-summary" });
  const left = make("div", { class: "wb-look-left" });
  const right = make("div", { class: "wb-left wb-look-right" });
  let rate = 0;
  let regions = [];
  let [lit, pinned] = [-1, -1];
  let maps = null; // the attention of the run shown
  let opening = ""; // the name of the file on its way

  const picture = () => model.get("picture");
  const hasPicture = () => Boolean(picture().data);
  const frame = createFrame({
    model,
    el,
    name: "wb-generate wb-look",
    label: "Look",
    help: LOOK_HELP,
    menu: [["Save picture", () => save()]],
    busy: BUSY,
    preparing: PREPARING,
    statusText: () => statusText(frame.status(), model.get("position"), rate),
    spokenText: () => spokenStatus(frame.status(), model.get("output").summary),
    refresh: () => refreshStatus(),
    go: () => generate(),
    escape: () => {
      output.dismiss();
      if (!camera.node.hidden) camera.close();
      frame.stop();
    },
  });
  const { root, send, isBusy } = frame;
  const generate = () => {
    if (isBusy() || frame.status() === "loading" || !hasPicture()) return;
    frame.fail(null);
    for (const part of [prompt, controls]) part.flush();
    send("start", { prompt: prompt.value(), settings: controls.values() });
  };
  const save = () => {
    if (!hasPicture()) return;
    const style = getComputedStyle(root);
    const colours = coloursOf(regions).map((i) => ({
      paint: style.getPropertyValue(`--wb-region-${i}`).trim(),
      ink: style.getPropertyValue(i === WHITE_ON ? "--wb-ink-light" : "--wb-ink-dark").trim(),
    }));
    const canvas = drawAnnotated({
      image: viewer.image,
      regions,
      colours,
      heat: heat.canvas.hidden ? null : heat.canvas,
    });
    saveCanvas(canvas, `${picture().name.replace(/\.[^.]*$/, "")}-annotated.png`);
  };
  const prompt = createPrompt(model, { generate, stop: frame.stop });
  const [promptLabel, field, actions] = prompt.nodes;
  const tasks = createTasks(field);
  field.rows = 2;
  const controls = createControls(model);
  const history = createHistory(model, (number) => send("restore", { run: number }));

  // -- what lights, and what follows the scrubber
  const light = (index) => {
    lit = index >= 0 ? index : pinned;
    overlay.light(lit, pinned);
    wording.light(lit);
  };
  const pin = (index) => {
    pinned = pinned === index ? -1 : index;
    light(index);
  };
  const heat = createHeat();
  const drawHeat = () => {
    const token = Math.max(0, scrub.at);
    const there = scrub.on && maps !== null;
    scrub.legend.hidden = !scrub.on;
    if (there) heat.show(maps, token);
    else heat.hide();
    scrub.peak(there ? (maps.peaks[token] ?? 0) : null);
  };
  const attend = (on) => {
    if (on && maps === null && model.get("output").final) send("attend", { run: model.get("output").run });
    if (on && scrub.at < 0) scrub.go(0);
    drawHeat();
  };
  const scrub = createScrubber({
    moved: (index) => {
      wording.point(index);
      drawHeat();
    },
    toggled: attend,
    opacity: (value) => heat.opacity(value),
  });
  const output = createOutput({
    frame: right,
    attributes: ANSWER,
    trim: true,
    anchor: (span) => (span.getClientRects().length ? span : span.chip),
    moved: (index) => {
      scrub.go(index);
      light(wording.regionOf(output.tokens[index].span));
    },
    announce: frame.announce,
    gap: () => send("sync"),
    ask: (run, index) => send("alternatives", { run, index }),
  });
  const wording = createWording(output);
  const overlay = createOverlay({ light, pin });
  output.node.addEventListener("pointerover", (event) => light(wording.regionOf(event.target)));
  for (const end of ["pointerleave", "blur"]) output.node.addEventListener(end, () => light(-1));

  // -- the picture
  const zoomed = make("span", { class: "wb-note wb-look-zoom" });
  const viewer = createViewer({
    layers: [heat.canvas, overlay.svg, overlay.labels],
    changed: (scale) => {
      setText(zoomed, `${Math.round(100 * scale)} %`);
      reset.disabled = zoomOut.disabled = scale === 1;
    },
  });
  const camera = createCamera({
    take: (file) => intake.take(file),
    fail: frame.fail,
    opened: () => refreshStage(),
  });
  const intake = createIntake({
    root,
    stage: viewer.node,
    send: (fields, buffers) => send("picture", fields, buffers),
    may: () => !isBusy(),
    began: (name) => {
      opening = name;
      camera.node.hidden || camera.close();
      frame.fail(null);
    },
    fail: frame.fail,
  });
  const useCamera = () => {
    frame.fail(null);
    camera.open();
  };
  const small = (label, action, options = {}) =>
    button(label, action, { class: "wb-button wb-quiet", ...options });
  const choose = small("Choose…", intake.choose);
  const shoot = small("Camera", useCamera);
  const remove = small("Remove", () => send("remove"));
  const zoomOut = small("−", () => viewer.zoom(1 / ZOOM_STEP), { "aria-label": "Zoom out" });
  const zoomIn = small("+", () => viewer.zoom(ZOOM_STEP), { "aria-label": "Zoom in" });
  const reset = small("Fit", viewer.reset, { title: "Show all of the picture" });
  const name = make("span", { class: "wb-note wb-look-name" });
  const note = make("span", { class: "wb-look-hint" });
  const empty = make(
    "div",
    { class: "wb-look-empty" },
    make("strong", {}, "Drop a picture here"),
    note,
    make(
      "div",
      { class: "wb-actions" },
      button("Choose a file", intake.choose),
      button("Use the camera", useCamera),
    ),
  );
  viewer.node.append(empty, camera.node);

  const refreshStage = () => {
    empty.hidden = hasPicture() || !camera.node.hidden;
    setText(note, opening ? `Opening ${opening} …` : "or paste one, up to 20 MB: PNG, JPEG, WebP, GIF, BMP");
    viewer.node.classList.toggle("wb-look-vacant", !hasPicture() && camera.node.hidden);
    tools.hidden = !hasPicture();
    const { width, height } = picture();
    const facts = hasPicture() ? `${picture().name} · ${wholeText(width)} × ${wholeText(height)}` : "";
    setText(name, opening && hasPicture() ? `Opening ${opening} …` : facts);
    for (const part of [choose, shoot, remove, ...empty.querySelectorAll("button")]) part.disabled = isBusy();
  };
  const refreshPicture = () => {
    opening = "";
    viewer.show(picture());
    refreshOutput();
    frame.fail(null);
  };
  const refreshStatus = () => {
    const now = frame.status();
    prompt.enable(isBusy(), now, hasPicture());
    history.enable(isBusy());
    const words = lookEmptyText(now, model.get("position"), model.get("heading").name, hasPicture());
    output.explain(output.count ? "" : words);
    refreshStage();
  };

  // -- the answer
  const drawRegions = (now) => {
    regions = now ?? [];
    if (pinned >= regions.length) pinned = -1;
    overlay.show(regions);
    wording.show(regions);
    scrub.show(output.tokens);
    light(-1);
  };
  let shownRun = 0;
  const refreshOutput = () => {
    const snapshot = model.get("output");
    rate = snapshot.rate ?? 0;
    if ((snapshot.run ?? 0) !== shownRun) [maps, pinned] = [null, -1];
    shownRun = snapshot.run ?? 0;
    output.show(snapshot);
    setText(summary, snapshot.summary || (output.count ? countText(output.count) : ""));
    drawRegions(snapshot.picture === picture().number ? snapshot.regions : []);
    if (snapshot.final && scrub.on) attend(true);
    drawHeat();
    history.refresh();
    frame.refresh();
  };
  const refreshControls = () => {
    root.dataset.show = model.get("show");
    controls.refresh();
    const { sampler, max_new_tokens: most } = controls.values();
    const { label } = model.get("form").samplers.find((kind) => kind.name === sampler);
    setText(samplerFacts, `${label} · at most ${countText(most)}`);
  };
  const refreshPrompt = () => {
    prompt.refresh();
    tasks.refresh();
  };
  const extend = (message) => {
    rate = message.rate;
    output.extend(message);
    setText(summary, countText(output.count));
    drawRegions(message.regions);
    frame.refreshSoon();
  };
  const attended = (message, [levels]) => {
    if (message.run !== model.get("output").run) return;
    if (!message.tokens) {
      scrub.on = false;
      maps = null;
    } else maps = { ...message, levels: bytesOf(levels) };
    drawHeat();
  };
  const opened = () => {
    opening = "";
    frame.refresh();
  };
  const tools = make(
    "div",
    { class: "wb-look-tools" },
    choose,
    shoot,
    remove,
    make("span", { class: "wb-look-gap" }),
    zoomOut,
    zoomed,
    zoomIn,
    reset,
  );
  const samplerFacts = make("span", { class: "wb-note" });
  const fold = make(
    "details",
    { class: "wb-look-sampler" },
    make("summary", {}, "Sampler ", samplerFacts),
    controls.node,
  );
  left.append(
    make("div", { class: "wb-look-head" }, make("span", { class: "wb-label" }, "Picture"), name),
    viewer.node,
    tools,
    scrub.legend,
    intake.input,
  );
  right.append(
    make("div", { class: "wb-look-head" }, promptLabel, tasks.node),
    field,
    actions,
    output.node,
    output.tip,
    scrub.node,
    make("div", { class: "wb-footer" }, summary, history.node),
    fold,
  );
  frame.show(make("div", { class: "wb-look-body" }, left, right));

  const ours = [
    ["prompt", refreshPrompt],
    ["show", refreshControls],
    ...controls.names.map((name) => [name, refreshControls]),
  ];
  const kernels = [
    ["prompt_tokens", prompt.refresh],
    ["form", refreshControls],
    ["picture", refreshPicture],
    ["output", refreshOutput],
    ["runs", refreshOutput],
    ["error", opened],
  ];
  const messages = {
    tokens: extend,
    alternatives: (found) => output.answer(found),
    synced: refreshOutput,
    attention: attended,
    opened,
  };
  return frame.follow({ ours, kernels, messages, parts: [output, prompt, controls, viewer, camera] });
}

export default { render };
