// The logit lens as numbers, and what is said of its cells.

import { visible } from "../shared/tokens.js";
import { wholeText } from "../shared/units.js";
import { exactPercent, layerText, numbersOf, quoted } from "./views.js";

/** The kernel's message as a table of numbers: place 1 is column 0. */
export function lensTable(message, [ids, logprobs, own, ranks, entropies]) {
  const { layers, places, k, pieces, text, tokens } = message;
  const found = {
    ids: numbersOf(Int32Array, ids),
    logprobs: numbersOf(Float32Array, logprobs),
    own: numbersOf(Float32Array, own),
    ranks: numbersOf(Int32Array, ranks),
    entropies: numbersOf(Float32Array, entropies),
  };
  const top = (layer, column) => found.ids[(layer * places + column) * k];
  return {
    layers,
    places,
    /** The token that stands there; "" for the one still to come. */
    token: (column) => tokens[column] ?? "",
    isOpen: (column) => text[column] < 0,
    /** All that is known of a cell. */
    cell(layer, column) {
      const at = layer * places + column;
      const best = Array.from({ length: k }, (_, i) => ({
        piece: pieces[found.ids[at * k + i]],
        share: Math.exp(found.logprobs[at * k + i]),
        own: found.ids[at * k + i] === text[column],
      }));
      return {
        best,
        share: best[0].share,
        settled: top(layer, column) === top(layers.length - 1, column),
        right: best[0].own,
        own: Math.exp(found.own[at]),
        rank: found.ranks[at],
        entropy: found.entropies[at],
      };
    },
  };
}

/** What is said of a cell: to the eye under the list, to the ear with everything else. */
export function lensFacts(table, { own, rank, entropy }, column) {
  const parts = rank === 0 ? [] : [`${quoted(table.token(column))} ${exactPercent(own)}, rank ${wholeText(rank)}`];
  return [...parts, `entropy ${Math.max(0, entropy / Math.LN2).toFixed(2)} bits`].join(" · ");
}

export function lensSpoken(table, layer, column) {
  const cell = table.cell(layer, column);
  const marks = [cell.settled ? "as the last layer" : "", cell.right ? "the token there" : ""].filter(Boolean);
  const [{ piece, share }] = cell.best;
  const first = `${layerText(table.layers[layer])}, place ${column + 1}: ${[`${visible(piece)} ${exactPercent(share)}`, ...marks].join(", ")}`;
  return `${first}. ${lensFacts(table, cell, column)}`;
}
