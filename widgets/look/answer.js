// The answer: its text, what it marks in the picture, and the attention of the token at the scrubber.

import { make, setText } from "../shared/dom.js";
import { bytesOf, createHeat, createScrubber } from "../shared/heat.js";
import { countText } from "../shared/status.js";
import { createOutput } from "../shared/tokens.js";
import { createOverlay, createWording } from "./regions.js";

const ANSWER = {
  class: "wb-output",
  role: "log",
  "aria-live": "off",
  "aria-label": "Answer. The left and right arrows walk through the tokens.",
};

/** The attention of a run, as a map over the picture that follows a scrubber. */
function createAttended(model, send, moved) {
  const heat = createHeat();
  let maps = null; // of the run shown
  const draw = () => {
    const token = Math.max(0, scrub.at);
    const there = scrub.on && maps !== null;
    scrub.legend.hidden = !scrub.on;
    if (there) heat.show(maps, token);
    else heat.hide();
    scrub.peak(there ? (maps.peaks[token] ?? 0) : null);
  };
  const attend = (on) => {
    const { final, run } = model.get("output");
    if (on && maps === null && final) send("attend", { run });
    if (on && scrub.at < 0) scrub.go(0);
    draw();
  };
  const scrub = createScrubber({
    moved: (index) => {
      moved(index);
      draw();
    },
    toggled: attend,
    opacity: (value) => heat.opacity(value),
  });
  return {
    heat,
    scrub,
    /** Another run: the maps at hand are not its own. */
    drop: () => (maps = null),
    refresh(final) {
      if (final && scrub.on) attend(true);
      draw();
    },
    /** The kernel's maps; a message without tokens says that there are none. */
    take(message, [levels]) {
      if (message.run !== model.get("output").run) return;
      if (!message.tokens) scrub.on = false;
      maps = message.tokens ? { ...message, levels: bytesOf(levels) } : null;
      draw();
    },
  };
}

/** Regions in the picture and in the words: pointing at either lights both, pressing pins. */
function createMarks(output) {
  const wording = createWording(output);
  let count = 0;
  let pinned = -1;
  const light = (index) => {
    const lit = index >= 0 ? index : pinned;
    overlay.light(lit, pinned);
    wording.light(lit);
  };
  const pin = (index) => {
    pinned = pinned === index ? -1 : index;
    light(index);
  };
  const overlay = createOverlay({ light, pin });
  output.node.addEventListener("pointerover", (event) => light(wording.regionOf(event.target)));
  for (const end of ["pointerleave", "blur"]) output.node.addEventListener(end, () => light(-1));
  return {
    overlay,
    wording,
    lightAt: (index) => light(wording.regionOf(output.tokens[index].span)),
    unpin: () => (pinned = -1),
    show(regions) {
      count = regions.length;
      if (pinned >= count) pinned = -1;
      overlay.show(regions);
      wording.show(regions);
    },
    dim: () => light(-1),
  };
}

/** The text of the answer; `moved(index)` is told which token was opened. */
function createAnswerText({ announce, send }, box, moved) {
  return createOutput({
    frame: box,
    attributes: ANSWER,
    trim: true,
    anchor: (span) => (span.getClientRects().length ? span : span.chip),
    moved,
    announce,
    gap: () => send("sync"),
    ask: (run, index) => send("alternatives", { run, index }),
  });
}

/** The answer of the panel; `box` is what the tip of a token must stay in. */
export function createAnswer(model, frame, box) {
  const summary = make("span", { class: "wb-note wb-summary" });
  let [rate, shownRun, regions] = [0, 0, []];
  const attended = createAttended(model, frame.send, (index) => marks.wording.point(index));
  const output = createAnswerText(frame, box, (index) => {
    attended.scrub.go(index);
    marks.lightAt(index);
  });
  const marks = createMarks(output);
  const drawRegions = (now) => {
    regions = now ?? [];
    marks.show(regions);
    attended.scrub.show(output.tokens);
    marks.dim();
  };
  return {
    output,
    summary,
    scrub: attended.scrub,
    heat: attended.heat,
    layers: [attended.heat.canvas, marks.overlay.svg, marks.overlay.labels],
    take: attended.take,
    get rate() {
      return rate;
    },
    get regions() {
      return regions;
    },
    /** The run as the kernel has it. */
    refresh() {
      const snapshot = model.get("output");
      rate = snapshot.rate ?? 0;
      if ((snapshot.run ?? 0) !== shownRun) {
        attended.drop();
        marks.unpin();
      }
      shownRun = snapshot.run ?? 0;
      output.show(snapshot);
      setText(summary, snapshot.summary || (output.count ? countText(output.count) : ""));
      drawRegions(snapshot.picture === model.get("picture").number ? snapshot.regions : []);
      attended.refresh(snapshot.final);
    },
    /** New tokens, and all regions so far. */
    extend(message) {
      rate = message.rate;
      output.extend(message);
      setText(summary, countText(output.count));
      drawRegions(message.regions);
    },
  };
}
