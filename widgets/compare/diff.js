// Where texts that were written side by side differ.

const MOST_PAIRS = 4e6; // of units compared with each other; beyond, what stands between the ends differs

// Runs of letters and digits; signs, and letters of scripts without spaces, are words of their own.
const SPACELESS = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}";
const WORD = new RegExp(`[${SPACELESS}]|(?:(?![${SPACELESS}])[\\p{L}\\p{M}\\p{N}])+|[^\\s\\p{L}\\p{M}\\p{N}]`, "gu");

/**
 * What a text is compared by: its words, since models, and one model too, may cut a text into
 * tokens in many ways. `texts` are the words and `tokens` the indices of the tokens of each.
 */
function unitsOf(pieces) {
  const units = { texts: [], tokens: [] };
  const starts = [];
  let length = 0;
  for (const piece of pieces) {
    starts.push(length);
    length += piece.length;
  }
  let token = 0;
  for (const { 0: word, index } of pieces.join("").matchAll(WORD)) {
    while (starts[token] + pieces[token].length <= index) token += 1;
    const mine = [];
    for (let i = token; i < pieces.length && starts[i] < index + word.length; i += 1) mine.push(i);
    units.texts.push(word);
    units.tokens.push(mine);
  }
  return units;
}

/** For each unit of `a` and of `b` whether it is in their longest common subsequence. */
function commonUnits(a, b) {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  const most = Math.min(a.length, b.length) - start;
  while (end < most && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const keptA = a.map((_, index) => index < start || index >= a.length - end);
  const keptB = b.map((_, index) => index < start || index >= b.length - end);
  const rows = a.length - end - start;
  const columns = b.length - end - start;
  if (rows * columns === 0 || rows * columns > MOST_PAIRS) return [keptA, keptB];
  // longest[i, j] is the length of what a from i on and b from j on have in common.
  const wide = columns + 1;
  const longest = new Uint32Array((rows + 1) * wide);
  for (let i = rows - 1; i >= 0; i -= 1) {
    for (let j = columns - 1; j >= 0; j -= 1) {
      longest[i * wide + j] =
        a[start + i] === b[start + j]
          ? longest[(i + 1) * wide + j + 1] + 1
          : Math.max(longest[(i + 1) * wide + j], longest[i * wide + j + 1]);
    }
  }
  for (let i = 0, j = 0; i < rows && j < columns; ) {
    if (a[start + i] === b[start + j]) {
      keptA[start + i] = keptB[start + j] = true;
      i += 1;
      j += 1;
    } else if (longest[(i + 1) * wide + j] >= longest[i * wide + j + 1]) i += 1;
    else j += 1;
  }
  return [keptA, keptB];
}

/** The same while they are being written: everything from the first unit on that differs. */
function commonSoFar(a, b, aEnded, bEnded) {
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same += 1;
  // What the other one has not come to yet may still turn out to be the same.
  const known = (mine, other, ended) =>
    mine.map((_, index) => index < same || (same === other.length && !ended));
  return [known(a, b, bEnded), known(b, a, aEnded)];
}

/** Which tokens of `other` and of `reference` both have, as two lists of true and false. */
function sharedTokens(reference, other) {
  const [a, b] = [reference, other].map(({ pieces, final }) => {
    const units = unitsOf(pieces);
    const whole = final ? units.texts.length : units.texts.length - 1; // the last word may go on
    return { texts: units.texts.slice(0, Math.max(0, whole)), tokens: units.tokens };
  });
  const kept = reference.final && other.final
    ? commonUnits(a.texts, b.texts)
    : commonSoFar(a.texts, b.texts, reference.final, other.final);
  return [reference, other].map(({ pieces }, side) => {
    const shared = pieces.map(() => true);
    kept[side].forEach((known, unit) => {
      if (!known) for (const token of [a, b][side].tokens[unit]) shared[token] = false;
    });
    return shared;
  });
}

/**
 * For each cell, given as {pieces, final}, whether each of its tokens differs from the one at
 * `at`; of that one, whether no other cell has the token. Cells without text are left out.
 */
export function differencesOf(cells, at) {
  const marks = cells.map(({ pieces }) => pieces.map(() => false));
  const reference = cells[at];
  if (!reference?.pieces.length) return marks;
  let found = null;
  cells.forEach((cell, index) => {
    if (index === at || !cell.pieces.length) return;
    const [ofReference, own] = sharedTokens(reference, cell);
    marks[index] = own.map((shared) => !shared);
    found = found ? found.map((shared, token) => shared || ofReference[token]) : ofReference;
  });
  if (found) marks[at] = found.map((shared) => !shared);
  return marks;
}
