// The look panel. The kernel holds the truth; this shows it and asks for changes.

import { createControls } from "../shared/controls.js";
import { make, setText } from "../shared/dom.js";
import { createFrame } from "../shared/frame.js";
import { createHistory, createPrompt } from "../shared/parts.js";
import {
  BUSY,
  PREPARING,
  countText,
  emptyText,
  spokenStatus,
  statusText,
} from "../shared/status.js";
import { drawAnnotated, saveCanvas } from "./annotate.js";
import { createAnswer } from "./answer.js";
import { WHITE_ON, coloursOf } from "./regions.js";
import { createStage } from "./stage.js";
import { createTasks } from "./tasks.js";

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

function lookEmptyText(status, position, name, hasPicture) {
  if (!IDLE.has(status)) return emptyText(status, position, name);
  return hasPicture
    ? "Choose a task or write a question, and press Generate; the answer appears here token by token."
    : "Put in a picture first; the answer about it appears here token by token.";
}

/** The picture with boxes, labels and heat map, as a file to keep. */
function savePicture(root, { name }, image, { regions, heat }) {
  const style = getComputedStyle(root);
  const colours = coloursOf(regions).map((i) => ({
    paint: style.getPropertyValue(`--wb-region-${i}`).trim(),
    ink: style.getPropertyValue(i === WHITE_ON ? "--wb-ink-light" : "--wb-ink-dark").trim(),
  }));
  const shown = heat.canvas.hidden ? null : heat.canvas;
  const canvas = drawAnnotated({ image, regions, colours, heat: shown });
  saveCanvas(canvas, `${name.replace(/\.[^.]*$/, "")}-annotated.png`);
}

/** The question: prompt and tasks, and the sampler's controls, folded. */
function createQuestion(model, frame, generate) {
  const prompt = createPrompt(model, { generate, stop: frame.stop });
  const [label, field, actions] = prompt.nodes;
  const tasks = createTasks(field);
  const controls = createControls(model);
  const facts = make("span", { class: "wb-note" });
  field.rows = 2;
  return {
    prompt,
    controls,
    nodes: [make("div", { class: "wb-look-head" }, label, tasks.node), field, actions],
    fold: make("details", { class: "wb-look-sampler" }, make("summary", {}, "Sampler ", facts), controls.node),
    refreshPrompt() {
      prompt.refresh();
      tasks.refresh();
    },
    refreshControls() {
      frame.root.dataset.show = model.get("show");
      controls.refresh();
      const { sampler, max_new_tokens: most } = controls.values();
      const { label: name } = model.get("form").samplers.find((kind) => kind.name === sampler);
      setText(facts, `${name} · at most ${countText(most)}`);
    },
  };
}

/** Which traits and messages move what. */
function followLook(frame, { stage, answer, question, refreshOutput, refreshPicture }) {
  const { prompt, controls, refreshPrompt, refreshControls } = question;
  const opened = () => {
    stage.opened();
    frame.refresh();
  };
  const extend = (message) => {
    answer.extend(message);
    frame.refreshSoon();
  };
  return frame.follow({
    ours: [
      ["prompt", refreshPrompt],
      ["show", refreshControls],
      ...controls.names.map((name) => [name, refreshControls]),
    ],
    kernels: [
      ["prompt_tokens", prompt.refresh],
      ["form", refreshControls],
      ["picture", refreshPicture],
      ["output", refreshOutput],
      ["runs", refreshOutput],
      ["error", opened],
    ],
    messages: {
      tokens: extend,
      alternatives: (found) => answer.output.answer(found),
      synced: refreshOutput,
      attention: answer.take,
      opened,
    },
    parts: [answer.output, prompt, controls, stage.viewer, stage.camera],
  });
}

/** Puts everything in its place. */
function layOut(right, { stage, answer, question, history }) {
  const left = make("div", { class: "wb-look-left" }, ...stage.nodes, answer.scrub.legend, stage.input);
  right.append(
    ...question.nodes,
    answer.output.node,
    answer.output.tip,
    answer.scrub.node,
    make("div", { class: "wb-footer" }, answer.summary, history.node),
    question.fold,
  );
  return make("div", { class: "wb-look-body" }, left, right);
}

function render({ model, el }) {
  const right = make("div", { class: "wb-left wb-look-right" });
  const picture = () => model.get("picture");
  const hasPicture = () => Boolean(picture().data);
  const frame = createFrame({
    model,
    el,
    name: "wb-generate wb-look",
    label: "Look",
    help: LOOK_HELP,
    menu: [["Save picture", () => hasPicture() && savePicture(frame.root, picture(), stage.viewer.image, answer)]],
    busy: BUSY,
    preparing: PREPARING,
    statusText: () => statusText(frame.status(), model.get("position"), answer.rate),
    spokenText: () => spokenStatus(frame.status(), model.get("output").summary),
    refresh: () => refreshStatus(),
    go: () => generate(),
    escape: () => {
      answer.output.dismiss();
      if (!stage.camera.node.hidden) stage.camera.close();
      frame.stop();
    },
  });
  const { send, isBusy } = frame;
  const generate = () => {
    if (isBusy() || frame.status() === "loading" || !hasPicture()) return;
    frame.fail(null);
    const { prompt, controls } = question;
    for (const part of [prompt, controls]) part.flush();
    send("start", { prompt: prompt.value(), settings: controls.values() });
  };
  const question = createQuestion(model, frame, generate);
  const answer = createAnswer(model, frame, right);
  const stage = createStage(model, frame, answer.layers);
  const history = createHistory(model, (number) => send("restore", { run: number }));
  const refreshStatus = () => {
    const now = frame.status();
    question.prompt.enable(isBusy(), now, hasPicture());
    history.enable(isBusy());
    const words = lookEmptyText(now, model.get("position"), model.get("heading").name, hasPicture());
    answer.output.explain(answer.output.count ? "" : words);
    stage.refresh();
  };
  const refreshOutput = () => {
    answer.refresh();
    history.refresh();
    frame.refresh();
  };
  const refreshPicture = () => {
    stage.show();
    refreshOutput();
    frame.fail(null);
  };
  const parts = { stage, answer, question, history };
  frame.show(layOut(right, parts));
  return followLook(frame, { ...parts, refreshOutput, refreshPicture });
}

export default { render };
