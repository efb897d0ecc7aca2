// The maps of a layer's attention: its heads side by side, and one of them large. A query is the token
// that looks, a key one that is looked at.

import { make, setText } from "../shared/dom.js";
import { attentionPeak, createRamp, drawAttention } from "./attention_map.js";
import { exactPercent, inkText } from "./views.js";

const ATTENTION_SIDE = 336; // px of the large map
const ATTENTION_THUMB = 48; // px of a head's
const ATTENTION_NAMED = 10; // px a token needs for its name beside the map
export const ATTENTION_MEAN = -1;

export function headText(head) {
  return head === ATTENTION_MEAN ? "mean of heads" : `head ${head}`;
}

/** The heads of a layer as small maps, one of which is chosen. */
function createHeads(choose) {
  const node = make("div", { class: "wb-attention-heads", role: "radiogroup", "aria-label": "Head" });
  let thumbs = [];
  const mark = (head) => {
    for (const { head: own, thumb } of thumbs) {
      thumb.setAttribute("aria-checked", String(own === head));
      thumb.tabIndex = own === head ? 0 : -1;
    }
  };
  const build = (count) => {
    const heads = count > 1 ? [ATTENTION_MEAN, ...Array(count).keys()] : [0];
    thumbs = heads.map((head) => {
      const canvas = make("canvas", { "aria-hidden": "true" });
      const label = head === ATTENTION_MEAN ? "mean" : String(head);
      const thumb = make(
        "button",
        { type: "button", class: "wb-attention-thumb", role: "radio", "aria-label": headText(head), onclick: () => choose(head) },
        canvas,
        make("span", { "aria-hidden": "true" }, label),
      );
      return { head, thumb, canvas };
    });
    node.replaceChildren(...thumbs.map(({ thumb }) => thumb));
  };
  node.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!move) return;
    const at = thumbs.findIndex(({ thumb }) => thumb === document.activeElement);
    const { head, thumb } = thumbs[(at + move + thumbs.length) % thumbs.length];
    choose(head);
    thumb.focus();
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    node,
    mark,
    draw(table, ramp, first) {
      if (thumbs.filter(({ head }) => head !== ATTENTION_MEAN).length !== table.heads) build(table.heads);
      for (const { head, canvas } of thumbs) {
        drawAttention(canvas, table, ramp, { head, first, peak: attentionPeak(table, head, first), most: ATTENTION_THUMB });
      }
    },
  };
}

const MOVES = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  Home: [0, -Infinity],
  End: [0, Infinity],
};

/** Pointer and keys on the map; `state()` is { size, at }: its tokens, and [query, key] or null. */
function listenOnMap(field, state, { under, read, clear, choose }) {
  const here = () => state().at ?? [state().size - 1, 0];
  field.addEventListener("keydown", (event) => {
    const { size } = state();
    if (!size || event.ctrlKey || event.metaKey || event.altKey) return;
    const within = (index) => Math.min(size - 1, Math.max(0, index));
    const [query, key] = here();
    if (MOVES[event.key]) read(within(query + MOVES[event.key][0]), within(key + MOVES[event.key][1]));
    else if (event.key === "Enter" || event.key === " ") choose(query);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  field.addEventListener("pointermove", (event) => read(...under(event)));
  field.addEventListener("pointerleave", clear);
  field.addEventListener("blur", clear);
  field.addEventListener("focus", () => field.matches(":focus-visible") && read(...here()));
  field.addEventListener("click", (event) => choose(under(event)[0]));
}

const FIELD = {
  class: "wb-attention-field",
  role: "group",
  tabindex: "0",
  "aria-label": "Map of weights, a row for each token that looks. Arrow keys walk, Enter chooses the row's token.",
};

/** The large map. `point(query, key)` is told where one is, `choose(query)` which row is taken. */
function createMap({ point, choose, leave }) {
  const hidden = (tag, name) => make(tag, { class: `wb-attention-${name}`, "aria-hidden": "true" });
  const canvas = hidden("canvas", "canvas");
  const [cross, row, queries, keys] = ["cross", "row", "queries", "keys"].map((name) => hidden("div", name));
  const field = make("div", FIELD, canvas, row, cross);
  const node = make("div", { class: "wb-attention-map" }, queries, field, keys);
  let size = 0;
  let cell = 0;
  let at = null; // [query, key]
  const place = (element, [query, key], [high, wide]) => {
    Object.assign(element.style, { top: `${query * cell}px`, left: `${key * cell}px`, height: `${high}px`, width: `${wide}px` });
  };
  const read = (query, key) => {
    at = [query, key];
    cross.hidden = false;
    place(cross, at, [Math.max(3, cell), Math.max(3, cell)]);
    point(query, key);
  };
  const clear = () => {
    cross.hidden = true;
    leave();
  };
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const index = (offset) => Math.min(size - 1, Math.max(0, Math.floor(offset / cell)));
    return [index(event.clientY - box.top), index(event.clientX - box.left)];
  };
  listenOnMap(field, () => ({ size, at }), { under, read, clear, choose });
  cross.hidden = true;
  const names = (pieces) => pieces.map((piece) => make("span", {}, inkText(piece)));
  return {
    node,
    canvas,
    /** Room for a text of so many tokens, with their names where there is room for them. */
    fit(pieces) {
      if (size !== pieces.length) at = null;
      size = pieces.length;
      cell = size > ATTENTION_SIDE ? ATTENTION_SIDE / size : Math.min(28, Math.floor(ATTENTION_SIDE / size));
      node.style.setProperty("--cell", `${cell}px`);
      field.style.width = field.style.height = `${cell * size}px`;
      const named = cell >= ATTENTION_NAMED;
      node.classList.toggle("wb-attention-named", named);
      for (const part of [queries, keys]) part.replaceChildren(...(named ? names(pieces) : []));
    },
    /** Where the keys begin: at the chosen token. */
    mark(query) {
      row.hidden = query === null;
      if (query === null) return;
      place(row, [query, 0], [Math.max(2, cell), size * cell]);
      at = [query, Math.min(at?.[1] ?? 0, size - 1)];
      [...queries.children].forEach((element, index) => element.classList.toggle("wb-attention-asks", index === query));
    },
  };
}

/** Colours and the most that they stand for: one legend for the map, one for the text. */
export function createAttentionLegend(name) {
  const most = make("span", {});
  const scale = make("span", { class: name, role: "img", "aria-label": "colour scale of the weights" });
  return {
    node: make("span", { class: "wb-attention-legend" }, make("span", {}, "0"), scale, most),
    show: (share) => setText(most, exactPercent(share)),
  };
}

/** The maps of a layer: its heads, `chose(head)`, and one of them large; `changed()` asks for a redraw. */
export function createMaps(marks, { chose, changed }) {
  const legend = createAttentionLegend("wb-attention-scale");
  const heads = createHeads(chose);
  const map = createMap(marks);
  const ramp = createRamp(changed);
  return {
    heads: heads.node,
    probe: ramp.probe,
    nodes: [map.node, legend.node],
    fit: map.fit,
    mark: map.mark,
    draw(table, head, first) {
      ramp.forget();
      heads.draw(table, ramp, first);
      heads.mark(head);
      const peak = attentionPeak(table, head, first);
      drawAttention(map.canvas, table, ramp, { head, first, peak, most: ATTENTION_SIDE });
      legend.show(peak);
    },
  };
}
