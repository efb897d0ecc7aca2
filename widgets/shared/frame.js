// What the pages of all panels do alike: heading and status, menu, error, code, help, progress, what
// is spoken, the keys, the watch on the kernel. A panel's own file tells the rest:
//
//   function render({ model, el }) {
//     const frame = createFrame({ model, el, name: "wb-look", label: "Look", help: HELP, … });
//     const prompt = createPrompt(model, { generate, stop: frame.stop });   // parts use the frame
//     frame.show(prompt.node, output.node);                                 // under its heading
//     return frame.follow({ ours, kernels, messages, parts });              // and everything moves
//   }

import {
  NO_ANSWER,
  createCode,
  createError,
  createHelp,
  createMenu,
  createWatch,
  followTraits,
} from "./chrome.js";
import { make, makeRoot, setText } from "./dom.js";

const SOON_MS = 250;
const READABLE_PX = 320;

/** `facts()` is the title and what is said of it; by default those of the model. */
function createHeading(facts, menu) {
  const name = make("strong", { class: "wb-name" });
  const rest = make("span", { class: "wb-facts" });
  const status = make("span", { class: "wb-status" });
  return {
    node: make("div", { class: "wb-heading" }, make("div", {}, name, rest), status, menu),
    status,
    refresh() {
      const [title, ...more] = facts();
      setText(name, title ?? "");
      setText(rest, more.filter(Boolean).map((fact) => ` · ${fact}`).join(""));
    },
  };
}

/** The grids of ipywidgets that an element is in, the innermost first. */
function gridsAround(element) {
  const grid = element.closest(".widget-gridbox");
  return grid ? [grid, ...gridsAround(grid.parentElement)] : [];
}

/**
 * Grids divide their width as they were told, however little it is: one around `el` becomes a single
 * column while a panel in it has no room to be read. The result is to be disposed of.
 */
function createFit(el) {
  let width = 0;
  const narrow = (host) => host.clientWidth > 0 && host.clientWidth < READABLE_PX;
  const fit = () => {
    if (el.clientWidth === width) return;
    const grids = gridsAround(el);
    for (const grid of grids) grid.classList.remove("wb-one-column");
    for (const grid of grids) {
      grid.classList.toggle("wb-one-column", [...grid.querySelectorAll(".wb-host")].some(narrow));
    }
    width = el.clientWidth;
  };
  const sizes = new ResizeObserver(fit);
  sizes.observe(el);
  return { dispose: () => sizes.disconnect() };
}

function modelFacts(model) {
  const { name, family, parameters, dtype } = model.get("heading");
  return [name, family, parameters, dtype];
}

/** What stands around the work of a panel: menu, heading, bar, error, code, help, what is spoken. */
function createSurroundings({ name, label, help, facts, source, entries, reset }) {
  const root = makeRoot(name, label);
  const code = createCode(source);
  const helping = createHelp(...help);
  const menu = createMenu([
    ["Copy as code", () => code.copy()],
    ...entries,
    ["Reset", reset],
    ["Help", () => (helping.hidden = !helping.hidden)],
  ]);
  const heading = createHeading(facts, menu);
  const error = createError();
  const progress = make("div", { class: "wb-progress", "aria-hidden": "true" });
  const spoken = make("div", { class: "wb-spoken", role: "status", "aria-live": "polite" });
  return {
    root,
    heading,
    error,
    code,
    progress,
    announce: (text) => setText(spoken, text),
    /** Puts the panel's nodes under its heading, and all of it on the page. */
    show(el, hasBar, nodes) {
      const bar = hasBar ? [progress] : [];
      root.append(heading.node, ...bar, error.node, code.node, helping, ...nodes, spoken);
      el.classList.add("wb-host");
      el.append(root);
    },
  };
}

/** Ctrl+Enter and Escape, wherever they are pressed in a panel. */
function listenForKeys(root, go, leave) {
  root.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) go();
    else if (event.key === "Escape") leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/**
 * What a panel says to the kernel, and whether it answers: `changed(gone)` is told of both;
 * `ask()` requests what was missed.
 */
function createLine(model, isBusy, ask, changed) {
  let gone = false;
  const setGone = (value) => {
    if (gone === value) return;
    gone = value;
    changed();
  };
  const watch = createWatch({ isBusy, ask, silent: () => setGone(true), alive: () => setGone(false) });
  return {
    watch,
    get gone() {
      return gone;
    },
    send: (command, fields = {}, buffers = []) =>
      watch.send(() => model.send({ command, ...fields }, undefined, buffers)),
  };
}

/**
 * The status on the page, with what is wrong: `refresh()` shows it, `refreshSoon()` is for what
 * changes many times a second, `fail(message)` shows a sentence of the page's own.
 */
function createStatus(model, { root, heading, error, progress }, line, { statusText, preparing, refresh: refreshOwn }) {
  let problem = null; // what the page itself has to say
  let timer = null;
  const refresh = () => {
    clearTimeout(timer);
    timer = null;
    const [status, gone] = [model.get("status"), line.gone];
    root.dataset.status = gone ? "disconnected" : status;
    setText(heading.status, gone ? "no answer" : statusText());
    error.show(gone ? { message: NO_ANSWER } : (problem ?? model.get("error")));
    progress.classList.toggle("wb-on", !gone && Boolean(preparing?.has(status)));
    refreshOwn();
  };
  return {
    refresh,
    refreshSoon: () => (timer ??= setTimeout(refresh, SOON_MS)),
    fail(message) {
      problem = message && { message };
      refresh();
    },
    dispose: () => clearTimeout(timer),
  };
}

/** Follows what all panels show, and between them the panel's own traits and messages. */
function followAll(model, watch, { heading, code }, { refresh, speak, fail }, { ours = [], kernels = [], messages = {} }) {
  const first = [
    ["heading", heading.refresh],
    ["code", code.refresh],
  ];
  const last = [
    ["status", refresh],
    ["status", speak],
    ["position", refresh],
    ["error", () => fail(null)],
  ];
  return followTraits(model, watch, ours, [...first, ...kernels, ...last], (message, buffers) =>
    messages[message.type]?.(message, buffers ?? []),
  );
}

/**
 * The frame of a panel. Needed are:
 * `name`, the classes of its root; `label`, what a screen reader calls it; `help`, sentences;
 * `busy`, the statuses in which something is under way that can be stopped;
 * `statusText()`, the status as the heading shows it; `spokenText()`, as it is announced when it changes;
 * `refresh()`, the panel's own part of what hangs on the status.
 * Where they differ from the usual:
 * `preparing`, the statuses in which the bar under the heading moves (none: there is no bar);
 * `menu`, entries of its own as [label, action]; `facts()`, the heading; `code`, what has `get("code")`;
 * `go()` for Ctrl+Enter and `escape()`; `sync()` to ask for what was missed; `reset()`.
 * What it gives: `announce(text)` says to a screen reader what happened, `fail(sentence)` shows a
 * sentence of the page's own as an error (null takes it away), `refreshSoon()` is for what changes
 * many times a second.
 */
export function createFrame(options) {
  const { model, el, busy, spokenText, preparing = null, go, sync, reset } = options;
  const status = () => model.get("status");
  const isBusy = () => busy.has(status());
  const ask = () => (sync ? sync() : send("sync"));
  const line = createLine(model, isBusy, ask, () => refresh());
  const { send, watch } = line;
  const around = createSurroundings({
    ...options,
    facts: options.facts ?? (() => modelFacts(model)),
    source: options.code ?? model,
    entries: options.menu ?? [],
    reset: () => (reset ? reset() : isBusy() || send("reset")),
  });
  const { root, progress, heading, code, announce } = around;
  const shown = createStatus(model, around, line, options);
  const { refresh, refreshSoon, fail } = shown;
  const fit = createFit(el);
  const speak = () => announce(spokenText());
  const stop = () => {
    if (!isBusy()) return;
    setText(heading.status, "stopping");
    send("cancel");
  };
  if (go) listenForKeys(root, go, options.escape ?? stop);
  return {
    ...{ root, progress, code, status, isBusy, send, stop, refresh, refreshSoon, announce, fail },
    refreshHeading: heading.refresh,
    get gone() {
      return line.gone;
    },
    /** Puts the panel's nodes under its heading, and all of it on the page. */
    show: (...nodes) => around.show(el, preparing !== null, nodes),
    /**
     * Keeps the page in step with the kernel, as `followTraits` does with [trait, action] pairs;
     * heading, code, status, position and error are followed here. `messages` are the actions for
     * the kernel's messages by their type, called with message and buffers. The result ends it all,
     * `parts` too.
     */
    follow({ parts = [], ...followed }) {
      const unfollow = followAll(model, watch, around, { refresh, speak, fail }, followed);
      if (isBusy()) ask();
      return () => {
        unfollow();
        for (const part of [shown, watch, fit, ...parts]) part.dispose();
      };
    },
  };
}
