// The text of a run, token by token: coloured by probability, with what else the model had in mind.

import { make, percentText, setText, uniqueId } from "./dom.js";

const ANSWER_MS = 1500;
const FOLLOW_PX = 32;
const OUTPUT = {
  class: "wb-output",
  role: "log",
  "aria-live": "off",
  "aria-label": "Prompt and completion. The left and right arrows walk through the tokens.",
};

/** Spaces and line breaks, which are tokens too, as signs one can see. */
export function visible(text) {
  return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ +| +$/g, (s) => "␣".repeat(s.length));
}

/**
 * A token as an element. Only its ink is coloured: the space before a word belongs to the token too,
 * but coloured it would stand alone at the end of a line.
 */
export function makeToken(index, piece, percent) {
  const ink = piece.replace(/^ +/, "");
  const span = make("span", { class: "wb-token", "data-index": index }, piece.slice(0, piece.length - ink.length));
  span.append(make("span", { class: "wb-ink" }, ink));
  if (percent !== null) span.style.setProperty("--p", `${percent}%`);
  return span;
}

/** The box that opens at a token. */
function createTip() {
  const node = make("div", { class: "wb-tip", role: "tooltip", id: uniqueId("tip") });
  node.hidden = true;

  const row = ([text, percent, chosen]) => {
    const bar = make("span", { class: "wb-tip-bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", `${percent ?? 0}%`);
    return make(
      "li",
      { class: chosen ? "wb-tip-row wb-chosen" : "wb-tip-row" },
      make("span", { class: "wb-tip-text" }, visible(text)),
      bar,
      make("span", { class: "wb-tip-percent" }, percentText(percent)),
    );
  };

  return {
    node,
    fill(piece, percent, items, note) {
      const [, exact] = items.find(([, , chosen]) => chosen) ?? [piece, percent];
      const head = make(
        "div",
        { class: "wb-tip-head" },
        make("span", { class: "wb-tip-text" }, visible(piece)),
        make("span", { class: "wb-tip-percent" }, percentText(exact)),
      );
      const body = items.length
        ? make("ol", { class: "wb-tip-list" }, ...items.map(row))
        : make("div", { class: "wb-tip-note" }, note);
      node.replaceChildren(head, body);
    },
    /** Under the token, or over it where there is more room; never out of the frame. */
    place(token, frame) {
      node.hidden = false;
      const at = token.getClientRects()[0] ?? token.getBoundingClientRect();
      const box = frame.getBoundingClientRect();
      const left = Math.min(at.left - box.left, box.width - node.offsetWidth - 4);
      const below = at.bottom - box.top + 4;
      const fits = below + node.offsetHeight <= box.height;
      const above = at.top - box.top - node.offsetHeight - 4;
      node.style.left = `${Math.max(4, left)}px`;
      node.style.top = `${fits || above < 0 ? below : above}px`;
    },
  };
}

/** What a screen reader is told of a token. */
function spokenToken({ piece, percent }, items) {
  const others = items.map(([text, share]) => `${visible(text)} ${percentText(share)}`);
  return `${visible(piece)} ${percentText(percent)}. ${others.join(", ")}`;
}

/** The tokens of a run as elements in `node`; `trim` leaves out white space at their beginning. */
function createTokens(trim) {
  const node = make("span", { class: "wb-completion" });
  let all = [];
  return {
    node,
    get all() {
      return all;
    },
    clear() {
      all = [];
      node.replaceChildren();
    },
    append(pieces, percents) {
      const added = pieces.map((piece, offset) => {
        const [index, percent] = [all.length + offset, percents[offset]];
        const shown = trim && index === 0 ? piece.trimStart() : piece;
        return { span: makeToken(index, shown, percent), piece, percent };
      });
      all.push(...added);
      node.append(...added.map(({ span }) => span));
    },
  };
}

/**
 * The tip at the token that is open, with its alternatives; `open(index)` asks for those that are
 * not known. Options are those of `createOutput`, `run()` is which run the tokens are of.
 */
function createAlternatives(tokens, run, { ask, announce, frame, moved = () => {}, anchor = (span) => span }) {
  const tip = createTip();
  let known = new Map();
  let current = -1;
  let timer = null;
  const hide = () => {
    clearTimeout(timer);
    tip.node.hidden = true;
    tokens.all[current]?.span.classList.remove("wb-current");
  };
  const fill = (note, aloud) => {
    const { span, piece, percent } = tokens.all[current];
    const items = known.get(current) ?? [];
    tip.fill(piece, percent, items, note);
    tip.place(anchor(span), frame);
    if (aloud && items.length) announce(spokenToken(tokens.all[current], items));
  };
  return {
    tip: tip.node,
    get current() {
      return current;
    },
    hide,
    fill,
    know: (index, items) => known.set(index, items),
    /** The tokens are those of another run. */
    clear() {
      hide();
      known = new Map();
      current = -1;
    },
    open(index) {
      if (!tokens.all[index]) return;
      hide();
      current = index;
      tokens.all[index].span.classList.add("wb-current");
      fill("…", true);
      moved(index);
      if (known.has(index)) return;
      ask(run(), index);
      const silent = () => fill("The kernel keeps the alternatives: run the cell to see them.", false);
      timer = setTimeout(silent, ANSWER_MS);
    },
    answer(index, items) {
      known.set(index, items);
      if (index !== current || tip.node.hidden) return;
      clearTimeout(timer);
      fill("The model gave no alternatives here.", true);
    },
    dispose() {
      clearTimeout(timer);
      tip.node.remove();
    },
  };
}

/** Pointer and keys on the tokens of `log`, which scrolls in `box`; the result ends it. */
function listenOnTokens(log, box, tokens, alternatives) {
  const { open, hide, fill } = alternatives;
  const step = (event) => {
    const last = tokens.all.length - 1;
    const { current } = alternatives;
    const target = {
      ArrowRight: Math.min(last, current + 1),
      ArrowLeft: Math.max(0, current - 1),
      Home: 0,
      End: last,
    }[event.key];
    if (target === undefined || last < 0) return;
    event.preventDefault();
    open(target);
    tokens.all[target].span.scrollIntoView({ block: "nearest" });
    fill("…", false);
  };
  log.addEventListener("pointerover", (event) => {
    const token = event.target.closest(".wb-token");
    if (token) open(Number(token.dataset.index));
  });
  log.addEventListener("pointerleave", hide);
  log.addEventListener("blur", hide);
  const onScroll = () => {
    if (!log.matches(":focus")) hide();
  };
  box.addEventListener("scroll", onScroll);
  log.addEventListener("focus", () => {
    if (log.matches(":focus-visible")) open(Math.max(0, alternatives.current));
  });
  log.addEventListener("keydown", step);
  return () => box.removeEventListener("scroll", onScroll);
}

/**
 * The output of a run.
 * `ask(run, index)` requests the alternatives of a token, `gap()` a fresh snapshot,
 * `announce(text)` says something to a screen reader; `frame` is what the tip must stay in.
 * `attributes` are those of the text, `scroller` is what it scrolls in, if not itself, and `trim`
 * leaves out white space at its beginning. `moved(index)` is told which token was opened,
 * `anchor(span)` says what the tip of a token stands at, if not the token.
 */
export function createOutput({ gap, attributes = OUTPUT, scroller, trim = false, ...options }) {
  const [echo, empty] = ["wb-echo", "wb-empty"].map((name) => make("span", { class: name }));
  const tokens = createTokens(trim);
  let run = 0;
  const alternatives = createAlternatives(tokens, () => run, options);
  const named = { ...attributes, "aria-describedby": alternatives.tip.id, tabindex: "0" };
  const log = make("div", named, echo, tokens.node, empty);
  const box = scroller ?? log;
  const end = listenOnTokens(log, box, tokens, alternatives);
  const clear = (snapshot) => {
    run = snapshot.run ?? 0;
    alternatives.clear();
    tokens.clear();
    setText(echo, snapshot.prompt ?? "");
  };
  const append = (pieces, percents) => {
    const follow = box.scrollHeight - box.scrollTop - box.clientHeight < FOLLOW_PX;
    tokens.append(pieces, percents);
    if (follow) box.scrollTop = box.scrollHeight;
  };
  return {
    node: log,
    tip: alternatives.tip,
    get count() {
      return tokens.all.length;
    },
    /** The tokens at hand: their element, `span`, and their text, `piece`. */
    get tokens() {
      return tokens.all;
    },
    /** Everything at once: only what is not there yet is added. */
    show(snapshot) {
      const pieces = snapshot.pieces ?? [];
      const other = (snapshot.run ?? 0) !== run;
      const shrunk = snapshot.final && pieces.length < tokens.all.length;
      if (other || shrunk) clear(snapshot);
      const have = tokens.all.length;
      if (pieces.length > have) append(pieces.slice(have), snapshot.percents.slice(have));
      (snapshot.alternatives ?? []).forEach((items, index) => alternatives.know(index, items));
    },
    /** New tokens; those that do not join the ones at hand are refused, and a snapshot asked for. */
    extend(delta) {
      const have = tokens.all.length;
      if (delta.run === run && delta.offset === have) append(delta.pieces, delta.percents);
      else if (delta.run !== run || delta.offset > have) gap();
    },
    answer: (found) => found.run === run && alternatives.answer(found.index, found.items),
    /** The sentence that stands where there is no text yet. */
    explain(text) {
      setText(empty, text);
      empty.hidden = !text;
    },
    dismiss: alternatives.hide,
    dispose() {
      end();
      alternatives.dispose();
    },
  };
}
