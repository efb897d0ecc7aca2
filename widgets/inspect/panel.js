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

function render({ model, el }) {
  let rate = 0;
  let distribution = null;
  let staleTimer = null;

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
    go: () => read(),
  });
  const key = () => model.get("reading").key ?? 0;
  const canAct = () => !frame.isBusy() && frame.status() !== "loading";
  const read = () => {
    if (!canAct()) return;
    for (const part of [box, controls]) part.flush();
    frame.send("start", { text: box.value() });
  };
  const branch = (token) => {
    if (!canAct()) return;
    controls.flush();
    frame.send("branch", { key: key(), place: place.now, token, settings: controls.values() });
  };
  const box = createTextBox(model, { read, stop: frame.stop });
  const controls = createInspectControls(model, () => bars.move(controls.cuts()));
  const scale = createScaleChoice(model);
  const text = createInspectText({ pick: (where) => place.pick(where) });
  const facts = createFacts();
  const bars = createBars({ branch });
  const branches = createBranches(model, {
    go: (number) => canAct() && frame.send("go", { branch: number }),
    drop: (number) => canAct() && frame.send("delete", { branch: number }),
  });
  const place = createPlace(model, {
    tell: (where) => frame.send("choose", { key: key(), place: where }),
    moved: () => refreshPlace(),
  });
  const view = (command) => ({
    ask: (fields) => frame.send(command, { key: key(), ...fields }),
    pick: (where) => place.pick(where),
  });
  const views = { layers: createLens(view("lens")), attention: createAttention(view("attention")) };
  const tabs = createTabs(
    model,
    [
      ["distribution", "Distribution", bars.node],
      ["layers", "Layers", views.layers.node],
      ["attention", "Attention", views.attention.node],
    ],
    (chosen) => {
      frame.root.dataset.tab = chosen;
      for (const [name, one] of Object.entries(views)) one.visible(name === chosen);
    },
  );

  /** What stands at the chosen place, or null; `row` is its number among the bars. */
  const truth = () => {
    const found = figuresAt(text.reading, place.now);
    const listed = distribution.ids.indexOf(found.id);
    if (found.piece === undefined || (listed < 0 && !found.rank)) return null;
    return { ...found, row: listed >= 0 ? listed : found.rank - 1 };
  };
  const why = () => {
    if (!text.reading) return "Read a text first; then this shows what could stand at each of its places.";
    if (place.now === 0) return "The first token is given: nothing comes before it that it could follow from.";
    if (!text.reading.written) return "What could stand here is shown once the branch is read.";
    return frame.gone ? "The kernel keeps this: run the cell to see it." : "It is shown as soon as the model is free.";
  };
  const refreshBars = () => {
    clearTimeout(staleTimer);
    const fits = distribution && distribution.key === key() && distribution.place === place.now;
    const wait = () => bars.clear(why());
    if (fits && text.reading) bars.show(distribution, truth(), controls.cuts());
    else if (text.reading && place.now > 0 && distribution) staleTimer = setTimeout(wait, STALE_MS);
    else wait();
  };
  const refreshPlace = () => {
    text.choose(place.now);
    facts.show(text.reading, place.now);
    refreshBars();
    const { pieces = [], written = true } = text.reading ?? {};
    for (const one of Object.values(views)) one.refresh({ place: place.now, pieces, written });
  };
  const refreshDistribution = () => {
    distribution = distributionOf(model.get("distribution"));
    refreshBars();
  };
  const refreshReading = () => {
    const other = (text.reading?.key ?? 0) !== key();
    text.show(readingOf(model.get("reading")));
    if (other) {
      place.reset();
      for (const one of Object.values(views)) one.clear();
      tabs.refresh();
    }
    refreshPlace();
    refreshStatus();
  };
  const refreshStatus = () => {
    const [now, busy] = [frame.status(), frame.isBusy()];
    box.enable(busy, now, text.reading ? readingText(text.reading) : "");
    bars.enable(canAct());
    branches.refresh(busy);
    text.explain(text.reading ? "" : inspectEmptyText(now, model.get("heading").name));
  };
  const refreshColour = () => {
    scale.refresh();
    text.colour(model.get("colour"));
  };
  const refreshControls = () => {
    controls.refresh();
    bars.move(controls.cuts());
  };
  const extend = (message) => {
    rate = message.rate;
    if (!text.extend(message)) frame.send("sync");
    text.choose(place.now);
    frame.refreshSoon();
  };
  const answer = (one) => (message, buffers) => {
    if (message.key === key()) one.show(message, buffers);
  };

  const left = make(
    "div",
    { class: "wb-left" },
    ...box.nodes,
    scale.node,
    text.node,
    facts.node,
  );
  const right = make("div", { class: "wb-inspect-side" }, controls.node, branches.node);
  frame.show(make("div", { class: "wb-body wb-inspect-body" }, left, right, tabs.node));

  const unfollow = frame.follow({
    ours: [
      ["text", box.refresh],
      ["colour", refreshColour],
      ["tab", tabs.refresh],
      ...controls.names.map((name) => [name, refreshControls]),
    ],
    kernels: [
      ["form", refreshControls],
      ["reading", refreshReading],
      ["distribution", refreshDistribution],
      ["place", place.heard],
      ["tree", refreshStatus],
    ],
    messages: {
      tokens: extend,
      lens: answer(views.layers),
      attention: answer(views.attention),
      synced: refreshReading,
    },
    parts: [box, controls, ...Object.values(views)],
  });
  return () => {
    clearTimeout(staleTimer);
    unfollow();
  };
}

export default { render };
