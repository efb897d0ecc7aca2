// The text token by token: a list of options in lines, of which one is chosen.

import { make, setText, uniqueId } from "../shared/dom.js";
import { visible } from "../shared/tokens.js";
import { wholeText } from "../shared/units.js";
import { SCALES, bitsOf } from "./scale.js";
import { exactPercent, numbersOf } from "./views.js";

const INSPECT_SIGNS = { " ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍" };

/**
 * What a message says of a branch, as arrays: `pieces`, `ids`, `logprobs` of the T tokens and
 * `entropies`, `ranks` of the T + 1 places.
 */
export function readingOf(state) {
  if (!state.pieces) return null;
  return {
    ...state,
    pieces: [...state.pieces],
    ids: [...numbersOf(Int32Array, state.ids)],
    logprobs: [...numbersOf(Float32Array, state.logprobs)],
    entropies: numbersOf(Float32Array, state.entropies),
    ranks: numbersOf(Int32Array, state.ranks),
  };
}

/** The figures of one place; those that are not known are NaN, an unknown rank is 0. */
export function figuresAt(reading, place) {
  return {
    piece: reading.pieces[place],
    id: reading.ids[place],
    logprob: reading.logprobs[place] ?? NaN,
    entropy: reading.entropies[place] ?? NaN,
    rank: reading.ranks[place] ?? 0,
  };
}

/**
 * A piece with its white space as faint signs over the real characters, which break lines. A space
 * between two words is `lone`: where a line ends with it, it takes no room and has no colour.
 */
function signed(piece, before) {
  const isSpace = (sign) => /^\s/.test(sign ?? "");
  const isLone = (part, at) =>
    part === " " && !isSpace(piece[at + 1]) && !isSpace(at ? piece[at - 1] : before.at(-1));
  return [...piece.matchAll(/[ \n\t\r]|[^ \n\t\r]+/g)].map(({ 0: part, index }) => {
    if (!(part in INSPECT_SIGNS)) return part;
    const kind = isLone(part, index) ? "wb-inspect-sign wb-inspect-lone" : "wb-inspect-sign";
    return make("span", { class: kind, "data-sign": INSPECT_SIGNS[part] }, part);
  });
}

/** A token as an option; `before` is the piece before it, `own` whether the branch wrote it. */
function makeInspectToken(piece, place, before, own) {
  const options = { role: "option", id: uniqueId("place"), class: "wb-inspect-token", "data-place": place };
  const node = make("span", { ...options, "aria-selected": "false" }, ...signed(piece, before));
  if (own) node.classList.add("wb-inspect-own");
  if (!piece.trim()) node.setAttribute("aria-label", piece ? visible(piece) : "no text yet");
  return node;
}

/** The option in the line above or below that is nearest to the one at `place`. */
function acrossLines(options, place, down) {
  const box = (option) => option.getClientRects()[0] ?? option.getBoundingClientRect();
  const from = box(options[place]);
  const middle = from.left + from.width / 2;
  const beyond = options
    .map((option, index) => ({ index, at: box(option) }))
    .filter(({ at }) => (down ? at.top > from.top + 4 : at.top < from.top - 4));
  if (!beyond.length) return place;
  const line = down ? Math.min(...beyond.map(({ at }) => at.top)) : Math.max(...beyond.map(({ at }) => at.top));
  const distance = ({ at }) => Math.abs(at.left + at.width / 2 - middle);
  const inLine = beyond.filter(({ at }) => Math.abs(at.top - line) < 4);
  return inLine.reduce((best, other) => (distance(other) < distance(best) ? other : best)).index;
}

/** The option after the last token: the place of the token to come. */
function makeNextOption() {
  const options = { role: "option", id: uniqueId("place"), class: "wb-inspect-next" };
  return make("span", { ...options, "aria-selected": "false" }, "next token");
}

/** Keys and clicks on the list; `state()` is its options, and which of them is chosen. */
function listenOnList(list, state, pick) {
  list.addEventListener("keydown", (event) => {
    const { options, chosen } = state();
    if (!options.length) return;
    const last = options.length - 1;
    const from = Math.max(0, chosen);
    const targets = {
      ArrowRight: () => Math.min(last, from + 1),
      ArrowLeft: () => Math.max(0, from - 1),
      ArrowDown: () => acrossLines(options, from, true),
      ArrowUp: () => acrossLines(options, from, false),
      Home: () => 0,
      End: () => last,
    };
    if (!(event.key in targets)) return;
    event.preventDefault();
    pick(targets[event.key]());
  });
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[data-place]");
    if (option) pick(Number(option.dataset.place));
  });
}

/** The tokens of a reading as options of `list`, coloured by a scale. */
function createOptions(list) {
  let reading = null;
  let options = [];
  let kind = "probability";
  const paint = (place) => {
    const share = SCALES[kind].share(figuresAt(reading, place));
    if (Number.isFinite(share)) options[place].style.setProperty("--p", `${(100 * share).toFixed(1)}%`);
    else options[place].style.removeProperty("--p");
  };
  const append = (from) => {
    const next = options.pop();
    for (let place = from; place < reading.pieces.length; place += 1) {
      const own = reading.from > 0 && place >= reading.from;
      options.push(makeInspectToken(reading.pieces[place], place, reading.pieces[place - 1] ?? "", own));
      paint(place);
    }
    next.dataset.place = options.length;
    options.push(next);
    next.before(...options.slice(from, -1));
  };
  return {
    get all() {
      return reading ? options : [];
    },
    append,
    rebuild() {
      options = [makeNextOption()];
      list.replaceChildren(options[0]);
      append(0);
    },
    hold: (found) => (reading = found),
    colour(name) {
      kind = name;
      if (reading) reading.pieces.forEach((_, place) => paint(place));
    },
  };
}

const LIST = {
  class: "wb-output wb-inspect-list",
  role: "listbox",
  tabindex: "0",
  "aria-label": "Tokens of the text. The arrow keys walk through them.",
};

/** The list of tokens; `pick(place)` is called with the place that a person goes to. */
export function createInspectText({ pick }) {
  const empty = make("div", { class: "wb-empty" });
  const list = make("div", LIST);
  const options = createOptions(list);
  let reading = null;
  let chosen = -1;
  listenOnList(list, () => ({ options: options.all, chosen }), pick);
  const select = (is) => options.all[chosen]?.setAttribute("aria-selected", String(is));
  return {
    node: make("div", { class: "wb-inspect-text" }, list, empty),
    get reading() {
      return reading;
    },
    /** A branch as the kernel has it; tokens that are there already stay the same elements. */
    show(found) {
      const grown = found && reading?.branch === found.branch && !found.written && !reading.written;
      const known = grown && found.pieces.length >= reading.pieces.length ? reading.pieces.length : 0;
      reading = found;
      options.hold(found);
      list.hidden = !found;
      if (!found) return;
      list.setAttribute("aria-busy", String(!found.written));
      if (known > 0) options.append(known);
      else {
        chosen = -1;
        options.rebuild();
      }
    },
    /** New tokens of the branch that is written; false where they do not join those at hand. */
    extend({ branch, offset, pieces, ids, logprobs }) {
      if (!reading || branch !== reading.branch || offset > reading.pieces.length) return false;
      const known = reading.pieces.length - offset;
      reading.pieces.push(...pieces.slice(known));
      reading.ids.push(...ids.slice(known));
      reading.logprobs.push(...logprobs.slice(known).map((value) => value ?? NaN));
      options.append(reading.pieces.length - Math.max(0, pieces.length - known));
      return true;
    },
    choose(place) {
      select(false);
      chosen = Math.min(place, options.all.length - 1);
      const option = options.all[chosen];
      if (!option) return;
      select(true);
      list.setAttribute("aria-activedescendant", option.id);
      if (list.scrollHeight > list.clientHeight) option.scrollIntoView({ block: "nearest" });
    },
    colour: options.colour,
    explain(text) {
      setText(empty, text);
      empty.hidden = !text;
    },
  };
}

/** Figures of the token at the chosen place, under their names. */
export function createFacts() {
  const names = ["Token", "Id", "Probability", "Log-prob.", "Entropy", "Rank"];
  const values = names.map(() => make("div", { class: "wb-inspect-value" }));
  const node = make(
    "div",
    { class: "wb-inspect-facts", role: "group", "aria-label": "Figures of the chosen token" },
    ...names.map((name, i) => make("div", {}, make("div", { class: "wb-inspect-name" }, name), values[i])),
  );
  return {
    node,
    show(reading, place) {
      node.hidden = !reading;
      if (!reading) return;
      const { piece, id, logprob, entropy, rank } = figuresAt(reading, place);
      const is = Number.isFinite;
      const texts = [
        piece === undefined ? "to come" : visible(piece),
        id === undefined ? "–" : wholeText(id),
        is(logprob) ? exactPercent(Math.exp(logprob)) : "–",
        is(logprob) ? logprob.toFixed(2).replace("-", "−") : "–",
        is(entropy) ? `${bitsOf(entropy).toFixed(2)} bits` : "–",
        rank > 0 ? wholeText(rank) : "–",
      ];
      texts.forEach((text, i) => setText(values[i], text));
      values[0].classList.toggle("wb-inspect-piece", piece !== undefined);
    },
  };
}
