// What can be asked of the rows: which match, in which order, and whether a preset fits. No page here.

export const SIZES = [
  ["under 1 B", 0, 1e9],
  ["1 to 4 B", 1e9, 4e9],
  ["4 to 10 B", 4e9, 10e9],
  ["10 B and more", 10e9, Infinity],
];

/** What the search box looks through. */
export function searchText({ name, family, description, modality, licence, instruct }) {
  return [name, family, description, modality, licence, instruct ? "instruct" : "base"].join(" ").toLowerCase();
}

/** A test of a row, all filters together; an empty filter lets everything through. */
export function matcher({ search, family, size, modality, licence, instruct, fits }, { dtype, limit }) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const [, low, high] = SIZES.find(([label]) => label === size) ?? ["", 0, Infinity];
  return (row) =>
    (!family || row.family === family) &&
    row.parameters >= low &&
    row.parameters < high &&
    (!modality || row.modality === modality) &&
    (!licence || row.licence === licence) &&
    (!instruct || row.instruct === (instruct === "instruct")) &&
    (!fits || (row.supported && row.needs[dtype] <= limit)) &&
    words.every((word) => row.text.includes(word));
}

export const BY = {
  name: (row) => row.name,
  family: (row) => row.family,
  parameters: (row) => row.parameters,
  needs: (row, dtype) => row.needs[dtype],
  context: (row) => row.context,
  licence: (row) => row.licence,
};

const WORDS = new Intl.Collator("en", { numeric: true });

/** The rows in order of a column, equal ones in the catalog's; what is not known comes last. */
export function sorted(rows, column, descending, dtype) {
  if (!column) return rows;
  const sign = descending ? -1 : 1;
  const compare = (a, b) => (typeof a === "string" ? WORDS.compare(a, b) : a - b);
  return rows
    .map((row) => [BY[column](row, dtype), row])
    .sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)))
    .map(([, row]) => row);
}

/** Whether a preset fits, in a word or two; `good` where it can be loaded. */
export function verdict(row, { dtype, limit, dtypes }) {
  if (!row.supported) return { text: "not here yet", good: false };
  if (row.needs[dtype] <= limit) return { text: row.embedded ? "built in" : "fits", good: true };
  const smaller = dtypes.find(({ name }) => name !== "auto" && row.needs[name] <= limit);
  return { text: smaller ? `fits as ${smaller.name}` : "too big", good: false };
}

/** The line that loads a preset without the panel. */
export function codeOf(row, dtype) {
  const chosen = dtype === "auto" ? "" : `, dtype="${dtype}"`;
  return `wb.models.${row.cls}.from_preset(${JSON.stringify(row.name)}${chosen})`;
}
