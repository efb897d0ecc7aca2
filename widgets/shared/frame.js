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
 */
export function createFrame({
  model,
  el,
  name,
  label,
  help,
  busy,
  statusText,
  spokenText,
  refresh: refreshOwn,
  preparing = null,
  menu: entries = [],
  facts = () => modelFacts(model),
  code: source = model,
  go,
  escape: onEscape = () => stop(),
  sync,
  reset,
}) {
  const root = makeRoot(name, label);
  const progress = make("div", { class: "wb-progress", "aria-hidden": "true" });
  const spoken = make("div", { class: "wb-spoken", role: "status", "aria-live": "polite" });
  const error = createError();
  const code = createCode(source);
  const helping = createHelp(...help);
  const menu = createMenu([
    ["Copy as code", () => code.copy()],
    ...entries,
    ["Reset", () => (reset ? reset() : isBusy() || send("reset"))],
    ["Help", () => (helping.hidden = !helping.hidden)],
  ]);
  const heading = createHeading(facts, menu);
  const fit = createFit(el);
  let gone = false; // the kernel does not answer
  let problem = null; // what the page itself has to say
  let timer = null;

  const status = () => model.get("status");
  const isBusy = () => busy.has(status());
  const send = (command, fields = {}, buffers = []) =>
    watch.send(() => model.send({ command, ...fields }, undefined, buffers));
  const stop = () => {
    if (!isBusy()) return;
    setText(heading.status, "stopping");
    send("cancel");
  };
  const ask = () => (sync ? sync() : send("sync"));
  const setGone = (value) => {
    if (gone === value) return;
    gone = value;
    refresh();
  };
  const watch = createWatch({
    isBusy,
    ask,
    silent: () => setGone(true),
    alive: () => setGone(false),
  });

  const refresh = () => {
    clearTimeout(timer);
    timer = null;
    root.dataset.status = gone ? "disconnected" : status();
    setText(heading.status, gone ? "no answer" : statusText());
    error.show(gone ? { message: NO_ANSWER } : (problem ?? model.get("error")));
    progress.classList.toggle("wb-on", !gone && Boolean(preparing?.has(status())));
    refreshOwn();
  };
  const fail = (message) => {
    problem = message && { message };
    refresh();
  };
  const announce = (text) => setText(spoken, text);
  const speak = () => announce(spokenText());
  const onKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) go();
    else if (event.key === "Escape") onEscape();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return {
    root,
    progress,
    code,
    status,
    isBusy,
    send,
    stop,
    refresh,
    refreshHeading: heading.refresh,
    /** For what changes many times a second. */
    refreshSoon: () => (timer ??= setTimeout(refresh, SOON_MS)),
    /** Says to a screen reader what happened. */
    announce,
    /** Shows a sentence of the page's own as an error; null takes it away. */
    fail,
    get gone() {
      return gone;
    },

    /** Puts the panel's nodes under its heading, and all of it on the page. */
    show(...nodes) {
      const bar = preparing ? [progress] : [];
      root.append(heading.node, ...bar, error.node, code.node, helping, ...nodes, spoken);
      if (go) root.addEventListener("keydown", onKey);
      el.classList.add("wb-host");
      el.append(root);
    },

    /**
     * Keeps the page in step with the kernel, as `followTraits` does with [trait, action] pairs;
     * heading, code, status, position and error are followed here. `messages` are the actions for
     * the kernel's messages by their type, called with message and buffers. The result ends it all,
     * `parts` too.
     */
    follow({ ours = [], kernels = [], messages = {}, parts = [] }) {
      const common = [
        ["status", refresh],
        ["status", speak],
        ["position", refresh],
        ["error", () => fail(null)],
      ];
      const first = [
        ["heading", heading.refresh],
        ["code", code.refresh],
      ];
      const unfollow = followTraits(model, watch, ours, [...first, ...kernels, ...common], (message, buffers) =>
        messages[message.type]?.(message, buffers ?? []),
      );
      if (isBusy()) ask();
      return () => {
        unfollow();
        clearTimeout(timer);
        for (const part of [watch, fit, ...parts]) part.dispose();
      };
    },
  };
}
