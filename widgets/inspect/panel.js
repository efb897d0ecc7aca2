// The inspect panel. The kernel reads and writes; what the sampler's settings keep, the page works out.

import { make } from "../shared/dom.js";
import { createFrame } from "../shared/frame.js";
import { BUSY, PREPARING, countText, statusText } from "../shared/status.js";
import { createAttention } from "./attention.js";
import { createBars, distributionOf } from "./bars.js";
import { createInspectControls, createTabs, createTextBox } from "./form.js";
import { createLens } from "./lens.js";
import { createScaleChoice } from "./scale.js";
import { createFacts, createInspectText, figuresAt, readingOf } from "./text.js";
import { createBranches } from "./tree.js";

const INSPECT_HELP = [
  "Ctrl+Enter reads the text, Esc stops. Walk through the tokens with the arrow keys, or press one.",
  "The bars show what the model expected at that place: grey for the model itself, in colour for the sampler. Move a slider, and see what is kept.",
  "Press a bar: the text goes on from that token, as a branch. The tree goes back to any of them.",
  "The colours of the tokens are the model's own figures, whatever the sampler's settings.",
  "Layers shows what every layer would have written, Attention where each token looks.",
  "From Python: panel.read(text), panel.place, panel.inspection, panel.branch(place, token_id), panel.go_to(branch), panel.wait().",
];
const INSPECT_BUSY = new Set([...BUSY, "reading"]);
const INSPECT_PREPARING = new Set([...PREPARING, "reading"]);
const ASK_AGAIN_MS = 2000; // an answer that has not come by then is not waited for
const STALE_MS = 150;

function inspectEmptyText(status, name) {
  const texts = {
    loading: `Loading ${name}. You can write your text meanwhile.`,
    queued: "Something else of this model comes first.",
    reading: "Reading the text. The first time the model is compiled for it.",
    failed: "",
  };
  return texts[status] ?? "Write a text and press Read: its tokens appear here, coloured by how likely the model found each.";
}

/** How long the text is, and how well the model expected it. */
function readingText(reading) {
  const known = reading.logprobs.filter(Number.isFinite);
  const count = countText(reading.pieces.length);
  if (!known.length) return count;
  const perplexity = Math.exp(-known.reduce((sum, one) => sum + one, 0) / known.length);
  return `${count} · perplexity ${perplexity.toPrecision(3)}`;
}

function inspectSpoken(status) {
  const texts = { loading: "Loading", reading: "Reading", streaming: "Writing", done: "Done", stopped: "Stopped", failed: "Failed" };
  return texts[status] ?? "";
}

/**
 * Which place is chosen. The page goes there at once and tells the kernel one place at a time: while
 * an answer is awaited, only the last place asked for is kept.
 */
function createPlace(model, { tell, moved }) {
  let chosen = model.get("place");
  let awaited = null;
  let since = 0;
  const ask = () => {
    if (awaited !== null && Date.now() - since < ASK_AGAIN_MS) return;
    [awaited, since] = [chosen, Date.now()];
    tell(chosen);
  };
  return {
    get now() {
      return chosen;
    },
    pick(place) {
      chosen = place;
      moved();
      if (awaited !== null || chosen !== model.get("place")) ask();
    },
    /** The kernel is at a place: where the page sent it, or where it went by itself. */
    heard() {
      const place = model.get("place");
      const answered = place === awaited;
      awaited = null;
      if (!answered) chosen = place;
      else if (chosen !== place) return ask();
      moved();
    },
    /** Another text: what was asked of the one before is void. */
    reset() {
      [chosen, awaited] = [model.get("place"), null];
    },
  };
}

/** Why nothing is shown of what could stand at a place. */
function emptyBarsText(reading, place, gone) {
  if (!reading) return "Read a text first; then this shows what could stand at each of its places.";
  if (place === 0) return "The first token is given: nothing comes before it that it could follow from.";
  if (!reading.written) return "What could stand here is shown once the branch is read.";
  return gone ? "The kernel keeps this: run the cell to see it." : "It is shown as soon as the model is free.";
}

/** What stands at a place, or null; `row` is its number among the bars. */
function truthAt(reading, place, distribution) {
  const found = figuresAt(reading, place);
  const listed = distribution.ids.indexOf(found.id);
  if (found.piece === undefined || (listed < 0 && !found.rank)) return null;
  return { ...found, row: listed >= 0 ? listed : found.rank - 1 };
}

/**
 * The bars at the chosen place. Those of the place before stay for a moment: mostly their successors
 * are on the way.
 */
function createExpected(model, frame, bars, { reading, place, cuts }) {
  let distribution = null;
  let timer = null;
  const clear = () => bars.clear(emptyBarsText(reading(), place(), frame.gone));
  const refresh = () => {
    clearTimeout(timer);
    const { key } = model.get("reading");
    const fits = distribution && distribution.key === (key ?? 0) && distribution.place === place();
    if (fits && reading()) bars.show(distribution, truthAt(reading(), place(), distribution), cuts());
    else if (reading() && place() > 0 && distribution) timer = setTimeout(clear, STALE_MS);
    else clear();
  };
  return {
    refresh,
    take() {
      distribution = distributionOf(model.get("distribution"));
      refresh();
    },
    dispose: () => clearTimeout(timer),
  };
}

/** The tabs: the bars, and the views of layers and attention. */
function createViews(model, frame, bars, { key, pick }) {
  const view = (command) => ({ ask: (fields) => frame.send(command, { key: key(), ...fields }), pick });
  const [layers, attention] = [createLens(view("lens")), createAttention(view("attention"))];
  const named = Object.entries({ layers, attention });
  const tabs = createTabs(
    model,
    [
      ["distribution", "Distribution", bars.node],
      ["layers", "Layers", layers.node],
      ["attention", "Attention", attention.node],
    ],
    (chosen) => {
      frame.root.dataset.tab = chosen;
      for (const [name, one] of named) one.visible(name === chosen);
    },
  );
  const answer = (one) => (message, buffers) => {
    if (message.key === key()) one.show(message, buffers);
  };
  return {
    tabs,
    messages: { lens: answer(layers), attention: answer(attention) },
    refresh(place, reading) {
      const { pieces = [], written = true } = reading ?? {};
      for (const [, one] of named) one.refresh({ place, pieces, written });
    },
    clear() {
      for (const [, one] of named) one.clear();
    },
    dispose() {
      for (const [, one] of named) one.dispose();
    },
  };
}

/** The text with what is known of it: its tokens, and everything that hangs on the chosen place. */
function createReading(model, frame, { bars, controls, scale }) {
  const key = () => model.get("reading").key ?? 0;
  const text = createInspectText({ pick: (where) => place.pick(where) });
  const facts = createFacts();
  const place = createPlace(model, {
    tell: (where) => frame.send("choose", { key: key(), place: where }),
    moved: () => refreshPlace(),
  });
  const views = createViews(model, frame, bars, { key, pick: (where) => place.pick(where) });
  const expected = createExpected(model, frame, bars, {
    reading: () => text.reading,
    place: () => place.now,
    cuts: controls.cuts,
  });
  const refreshPlace = () => {
    text.choose(place.now);
    facts.show(text.reading, place.now);
    expected.refresh();
    views.refresh(place.now, text.reading);
  };
  return {
    key,
    text,
    facts,
    place,
    views,
    expected,
    refresh() {
      const other = (text.reading?.key ?? 0) !== key();
      text.show(readingOf(model.get("reading")));
      if (other) {
        place.reset();
        views.clear();
        views.tabs.refresh();
      }
      refreshPlace();
    },
    refreshColour() {
      scale.refresh();
      text.colour(model.get("colour"));
    },
    extend(message) {
      if (!text.extend(message)) frame.send("sync");
      text.choose(place.now);
      frame.refreshSoon();
    },
  };
}

/** The controls beside the text, and what they ask of the kernel. */
function createAsking(model, frame, reading) {
  const canAct = () => !frame.isBusy() && frame.status() !== "loading";
  const read = () => {
    if (!canAct()) return;
    for (const part of [box, controls]) part.flush();
    frame.send("start", { text: box.value() });
  };
  const branch = (token) => {
    if (!canAct()) return;
    controls.flush();
    const { key, place } = reading();
    frame.send("branch", { key: key(), place: place.now, token, settings: controls.values() });
  };
  const box = createTextBox(model, { read, stop: frame.stop });
  const controls = createInspectControls(model, () => bars.move(controls.cuts()));
  const scale = createScaleChoice(model);
  const bars = createBars({ branch, cutNames: controls.cutNames, cutText: controls.cutText });
  const branches = createBranches(model, {
    go: (number) => canAct() && frame.send("go", { branch: number }),
    drop: (number) => canAct() && frame.send("delete", { branch: number }),
  });
  const refreshControls = () => {
    controls.refresh();
    bars.move(controls.cuts());
  };
  return { canAct, read, box, controls, scale, bars, branches, refreshControls };
}

/** Which traits and messages move what. */
function followInspect(frame, { box, controls, refreshControls }, reading, { refreshReading, refreshStatus, extend }) {
  const { place, views, expected } = reading;
  return frame.follow({
    ours: [
      ["text", box.refresh],
      ["colour", reading.refreshColour],
      ["tab", views.tabs.refresh],
      ...controls.names.map((name) => [name, refreshControls]),
    ],
    kernels: [
      ["form", refreshControls],
      ["reading", refreshReading],
      ["distribution", expected.take],
      ["place", place.heard],
      ["tree", refreshStatus],
    ],
    messages: { tokens: extend, ...views.messages, synced: refreshReading },
    parts: [box, controls, views, expected],
  });
}

function render({ model, el }) {
  let rate = 0;
  const frame = createFrame({
    model,
    el,
    name: "wb-generate wb-inspect",
    label: "Inspect",
    help: INSPECT_HELP,
    busy: INSPECT_BUSY,
    preparing: INSPECT_PREPARING,
    statusText: () => statusText(frame.status(), model.get("position"), rate),
    spokenText: () => inspectSpoken(frame.status()),
    refresh: () => refreshStatus(),
    go: () => asking.read(),
  });
  const asking = createAsking(model, frame, () => reading);
  const reading = createReading(model, frame, asking);
  const { box, controls, scale, bars, branches } = asking;
  const { text, facts, views } = reading;
  const refreshStatus = () => {
    const [now, busy] = [frame.status(), frame.isBusy()];
    box.enable(busy, now, text.reading ? readingText(text.reading) : "");
    bars.enable(asking.canAct());
    branches.refresh(busy);
    text.explain(text.reading ? "" : inspectEmptyText(now, model.get("heading").name));
  };
  const refreshReading = () => {
    reading.refresh();
    refreshStatus();
  };
  const extend = (message) => {
    rate = message.rate;
    reading.extend(message);
  };
  const left = make("div", { class: "wb-left" }, ...box.nodes, scale.node, text.node, facts.node);
  const right = make("div", { class: "wb-inspect-side" }, controls.node, branches.node);
  frame.show(make("div", { class: "wb-body wb-inspect-body" }, left, right, views.tabs.node));
  return followInspect(frame, asking, reading, { refreshReading, refreshStatus, extend });
}

export default { render };
