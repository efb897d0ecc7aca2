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

/**
 * The output of a run.
 * `ask(run, index)` requests the alternatives of a token, `gap()` a fresh snapshot,
 * `announce(text)` says something to a screen reader; `frame` is what the tip must stay in.
 * `attributes` are those of the text, `scroller` is what it scrolls in, if not itself, and `trim`
 * leaves out white space at its beginning. `moved(index)` is told which token was opened,
 * `anchor(span)` says what the tip of a token stands at, if not the token.
 */
export function createOutput({
  ask, gap, announce, frame, attributes = OUTPUT, scroller, trim = false,
  moved = () => {}, anchor = (span) => span,
}) {
  const echo = make("span", { class: "wb-echo" });
  const completion = make("span", { class: "wb-completion" });
  const empty = make("span", { class: "wb-empty" });
  const tip = createTip();
  const log = make(
    "div",
    { ...attributes, "aria-describedby": tip.node.id, tabindex: "0" },
    echo,
    completion,
    empty,
  );
  const box = scroller ?? log;
  let run = 0;
  let tokens = [];
  let known = new Map();
  let current = -1;
  let answerTimer = null;

  const clear = (snapshot) => {
    run = snapshot.run ?? 0;
    tokens = [];
    known = new Map();
    hide();
    current = -1;
    completion.replaceChildren();
    setText(echo, snapshot.prompt ?? "");
  };

  const append = (pieces, percents) => {
    const follow = box.scrollHeight - box.scrollTop - box.clientHeight < FOLLOW_PX;
    const spans = pieces.map((piece, offset) => {
      const [index, percent] = [tokens.length + offset, percents[offset]];
      const shown = trim && index === 0 ? piece.trimStart() : piece;
      return { span: makeToken(index, shown, percent), piece, percent };
    });
    tokens.push(...spans);
    completion.append(...spans.map(({ span }) => span));
    if (follow) box.scrollTop = box.scrollHeight;
  };

  const hide = () => {
    clearTimeout(answerTimer);
    tip.node.hidden = true;
    tokens[current]?.span.classList.remove("wb-current");
  };

  const spoken = ({ piece, percent }, items) => {
    const others = items.map(([text, share]) => `${visible(text)} ${percentText(share)}`);
    return `${visible(piece)} ${percentText(percent)}. ${others.join(", ")}`;
  };

  const fill = (note, aloud) => {
    const { span, piece, percent } = tokens[current];
    const items = known.get(current) ?? [];
    tip.fill(piece, percent, items, note);
    tip.place(anchor(span), frame);
    if (aloud && items.length) announce(spoken(tokens[current], items));
  };

  const open = (index) => {
    if (!tokens[index]) return;
    hide();
    current = index;
    tokens[index].span.classList.add("wb-current");
    fill("…", true);
    moved(index);
    if (known.has(index)) return;
    ask(run, index);
    answerTimer = setTimeout(
      () => fill("The kernel keeps the alternatives: run the cell to see them.", false),
      ANSWER_MS,
    );
  };

  const step = (event) => {
    const last = tokens.length - 1;
    const target = {
      ArrowRight: Math.min(last, current + 1),
      ArrowLeft: Math.max(0, current - 1),
      Home: 0,
      End: last,
    }[event.key];
    if (target === undefined || last < 0) return;
    event.preventDefault();
    open(target);
    tokens[target].span.scrollIntoView({ block: "nearest" });
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
    if (log.matches(":focus-visible")) open(Math.max(0, current));
  });
  log.addEventListener("keydown", step);

  return {
    node: log,
    tip: tip.node,
    get count() {
      return tokens.length;
    },
    /** The tokens at hand: their element, `span`, and their text, `piece`. */
    get tokens() {
      return tokens;
    },
    /** Everything at once: only what is not there yet is added. */
    show(snapshot) {
      const pieces = snapshot.pieces ?? [];
      const other = (snapshot.run ?? 0) !== run;
      const shrunk = snapshot.final && pieces.length < tokens.length;
      if (other || shrunk) clear(snapshot);
      if (pieces.length > tokens.length) {
        append(pieces.slice(tokens.length), snapshot.percents.slice(tokens.length));
      }
      (snapshot.alternatives ?? []).forEach((items, index) => known.set(index, items));
    },
    /** New tokens; those that do not join the ones at hand are refused, and a snapshot asked for. */
    extend(delta) {
      if (delta.run === run && delta.offset === tokens.length) append(delta.pieces, delta.percents);
      else if (delta.run !== run || delta.offset > tokens.length) gap();
    },
    answer({ run: answered, index, items }) {
      if (answered !== run) return;
      known.set(index, items);
      if (index !== current || tip.node.hidden) return;
      clearTimeout(answerTimer);
      fill("The model gave no alternatives here.", true);
    },
    /** The sentence that stands where there is no text yet. */
    explain(text) {
      setText(empty, text);
      empty.hidden = !text;
    },
    dismiss: hide,
    dispose() {
      clearTimeout(answerTimer);
      box.removeEventListener("scroll", onScroll);
      tip.node.remove();
    },
  };
}
