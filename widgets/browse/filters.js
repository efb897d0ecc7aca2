// The search box and the filters above the table. They work in the page alone.

import { button, make, setText } from "../shared/dom.js";
import { SIZES } from "./catalog.js";

const ANY = {
  family: "Any family",
  size: "Any size",
  modality: "Any modality",
  licence: "Any licence",
  instruct: "Base or instruct",
};

function choicesOf(rows) {
  const values = (name) => [...new Set(rows.map((row) => row[name]))].sort((a, b) => a.localeCompare(b, "en"));
  return {
    family: values("family"),
    size: SIZES.map(([label]) => label),
    modality: values("modality"),
    licence: values("licence"),
    instruct: ["base", "instruct"],
  };
}

function createSelect(name, label, options, onchange) {
  return make(
    "select",
    { class: "wb-preset-select", "aria-label": label, "data-filter": name, onchange },
    ...options.map(([value, text]) => make("option", { value }, text)),
  );
}

function createSearch(changed, leave) {
  return make("input", {
    type: "search",
    class: "wb-preset-search",
    placeholder: "Search names and descriptions",
    "aria-label": "Search",
    spellcheck: "false",
    autocomplete: "off",
    oninput: changed,
    onkeydown: (event) => {
      if (event.key !== "ArrowDown") return;
      event.preventDefault();
      leave();
    },
  });
}

/** The lines of the filters, one below the other. */
function layOutFilters({ search, fits, dtype, selects, count, clear }) {
  const line = (...nodes) => make("div", { class: "wb-preset-line" }, ...nodes);
  const labels = [make("label", {}, fits, "fits here"), make("label", {}, "dtype", dtype)];
  return make(
    "div",
    { class: "wb-preset-filters", role: "search", "aria-label": "Presets" },
    line(search, make("div", { class: "wb-preset-machine" }, ...labels)),
    line(...selects),
    make("div", { class: "wb-preset-line wb-preset-found" }, count, clear),
  );
}

/**
 * `changed` is called whenever a filter was; `chooseDtype` when another dtype was picked;
 * `leave` when the arrow key leads from the search box into the table.
 */
export function createFilters(model, { changed, chooseDtype, leave }) {
  const choices = choicesOf(model.get("rows"));
  const search = createSearch(changed, leave);
  const selects = Object.entries(ANY).map(([name, any]) => {
    const options = [["", any], ...choices[name].map((value) => [value, value])];
    return createSelect(name, any.replace("Any ", ""), options, changed);
  });
  const fits = make("input", { type: "checkbox", onchange: changed });
  const dtypes = model.get("dtypes").map(({ name, label }) => [name, label]);
  const dtype = createSelect("dtype", null, dtypes, () => chooseDtype(dtype.value));
  const count = make("span", { class: "wb-note wb-preset-count", role: "status" });
  const clear = button("Clear", () => {
    reset();
    search.focus();
  }, { class: "wb-button wb-quiet", "aria-label": "Clear the filters" });

  const values = () => ({
    search: search.value,
    fits: fits.checked,
    ...Object.fromEntries(selects.map((select) => [select.dataset.filter, select.value])),
  });
  const reset = () => {
    search.value = "";
    fits.checked = false;
    for (const select of selects) select.value = "";
    changed();
  };
  return {
    node: layOutFilters({ search, fits, dtype, selects, count, clear }),
    values,
    reset,
    refresh: () => (dtype.value = model.get("dtype")),
    show(shown, all) {
      setText(count, shown === all ? `${all} presets` : `${shown} of ${all} presets`);
      for (const select of selects) select.classList.toggle("wb-on", select.value !== "");
      const { search: words, fits: only, ...rest } = values();
      clear.hidden = !words && !only && Object.values(rest).every((value) => !value);
    },
  };
}
