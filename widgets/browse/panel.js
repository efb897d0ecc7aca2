// The preset browser. The rows come once; what is asked of them is answered in the page.

import { make } from "../shared/dom.js";
import { createFrame } from "../shared/frame.js";
import { gigabytesText, wholeText } from "../shared/units.js";
import { createCard } from "./card.js";
import { codeOf, matcher, searchText, sorted } from "./catalog.js";
import { createFilters } from "./filters.js";
import { createLoading, loadedPercent } from "./load.js";
import { createTable } from "./table.js";

const BROWSE_HELP = [
  "Search and filters work at once, without the kernel. A click on a column's title sorts by it.",
  "Arrow keys walk through the table, Enter opens a preset's card, Escape leads back.",
  "What a preset needs is worked out from its configuration: weights, cache and working memory for 1,024 tokens.",
  "It fits here when that is less than the memory that is free now.",
  "From Python: panel.select(name), panel.load(name), panel.cancel(), panel.wait(), panel.model.",
];
const LOADING = new Set(["loading", "stopping"]);
const LOAD_STATUS = {
  loading: "loading",
  stopping: "stopping",
  done: "loaded",
  cancelled: "stopped",
  failed: "failed",
};

/** Shows the panel of the loaded model below the browser, in the same output. */
function createBelow(model) {
  const node = make("div", { class: "wb-below" });
  let shown = "";
  let view = null;
  const clear = () => {
    view?.remove();
    view = null;
    node.replaceChildren();
  };
  const refresh = async () => {
    const id = model.get("opened");
    if (id === shown) return;
    shown = id;
    clear();
    if (!id) return;
    const made = await model.widget_manager.create_view(await model.widget_manager.get_model(id));
    if (shown !== id) return made.remove();
    view = made;
    node.append(view.el);
  };
  return {
    node,
    refresh,
    dispose() {
      shown = null;
      clear();
    },
  };
}

/** The heading and the code of the panel, and what its status is called. */
function createWords(model, count, selected) {
  const call = () => (selected() ? `lm = ${codeOf(selected(), model.get("dtype"))}` : "wb.browse()");
  return {
    facts: () => [
      "Presets",
      `${wholeText(count)} presets`,
      `${gigabytesText(model.get("machine").free)} free here`,
    ],
    code: { get: () => `import workbench as wb\n\n${call()}` },
    statusText() {
      const [status, percent] = [model.get("status"), loadedPercent(model.get("progress"))];
      const share = status === "loading" && percent !== null ? ` ${percent} %` : "";
      return (LOAD_STATUS[status] ?? "idle") + share;
    },
    spokenText() {
      const name = model.get("loading");
      const texts = { loading: `Loading ${name}`, done: `${name} is loaded`, cancelled: "Stopped", failed: "Failed" };
      return texts[model.get("status")] ?? "";
    },
  };
}

/** Filters, table and card of the rows, which follow each other. */
function createPresets(model, rows, frame, { selected, save, load }) {
  const choice = () => ({
    dtype: model.get("dtype"),
    limit: model.get("machine").limit,
    dtypes: model.get("dtypes"),
  });
  const filters = createFilters(model, {
    changed: () => refreshTable(),
    chooseDtype: (dtype) => save("dtype", dtype),
    leave: () => table.focus(),
  });
  const table = createTable(rows, {
    open(row, byKey) {
      save("selected", row.name);
      if (byKey) card.focus();
    },
    resort: () => refreshTable(),
  });
  const reveal = () => table.reveal(model.get("selected"));
  const back = () => {
    reveal();
    table.focus();
  };
  const card = createCard({ load, back });
  const refreshTable = () => {
    const { column, descending } = table.order;
    const found = rows.filter(matcher(filters.values(), choice()));
    table.show(sorted(found, column, descending, choice().dtype));
    filters.show(found.length, rows.length);
  };
  const enable = () => card.enable(selected(), frame.isBusy());
  const refreshCard = () => {
    card.show(selected(), choice());
    table.mark(model.get("selected"), model.get("loaded"));
    enable();
    frame.code.refresh();
  };
  return {
    nodes: [filters.node, table.node, card.node],
    reset: filters.reset,
    enable,
    reveal,
    refreshCard,
    refreshChoice() {
      frame.refreshHeading();
      filters.refresh();
      table.judge(choice());
      refreshTable();
      refreshCard();
    },
  };
}

function render({ model, el }) {
  const rows = model.get("rows").map((row) => ({ ...row, text: searchText(row) }));
  const byName = new Map(rows.map((row) => [row.name, row]));
  const selected = () => byName.get(model.get("selected"));
  const save = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const reset = () => {
    save("selected", "");
    save("dtype", "auto");
    presets.reset();
  };
  const frame = createFrame({
    model,
    el,
    name: "wb-browse",
    label: "Presets",
    help: BROWSE_HELP,
    busy: LOADING,
    ...createWords(model, rows.length, selected),
    refresh: () => refreshStatus(),
    reset,
  });
  const { send, status, isBusy } = frame;
  const load = () => {
    if (selected()?.supported && !isBusy()) send("load", { name: selected().name, dtype: model.get("dtype") });
  };
  const presets = createPresets(model, rows, frame, { selected, save, load });
  const loading = createLoading({ cancel: () => send("cancel") });
  const below = createBelow(model);
  const refreshStatus = () => {
    const [stopping, foreground] = [status() === "stopping", model.get("foreground")];
    loading.show(isBusy() ? model.get("loading") : "", model.get("progress"), { stopping, foreground });
    presets.enable();
  };
  const showSelected = () => {
    presets.refreshCard();
    presets.reveal();
  };
  frame.show(...presets.nodes, loading.node);
  el.append(below.node);
  const ours = [
    ["selected", showSelected],
    ["dtype", presets.refreshChoice],
  ];
  const kernels = [
    ["machine", presets.refreshChoice],
    ["progress", frame.refresh],
    ["loading", frame.refresh],
    ["loaded", presets.refreshCard],
    ["opened", below.refresh],
  ];
  return frame.follow({ ours, kernels, parts: [below] });
}

export default { render };
