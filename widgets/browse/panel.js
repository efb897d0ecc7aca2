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

function render({ model, el }) {
  const rows = model.get("rows").map((row) => ({ ...row, text: searchText(row) }));
  const byName = new Map(rows.map((row) => [row.name, row]));

  const selected = () => byName.get(model.get("selected"));
  const choice = () => ({
    dtype: model.get("dtype"),
    limit: model.get("machine").limit,
    dtypes: model.get("dtypes"),
  });
  const save = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const load = () => {
    if (selected()?.supported && !isBusy()) send("load", { name: selected().name, dtype: model.get("dtype") });
  };
  const call = () => (selected() ? `lm = ${codeOf(selected(), choice().dtype)}` : "wb.browse()");
  const frame = createFrame({
    model,
    el,
    name: "wb-browse",
    label: "Presets",
    help: BROWSE_HELP,
    busy: LOADING,
    facts: () => [
      "Presets",
      `${wholeText(rows.length)} presets`,
      `${gigabytesText(model.get("machine").free)} free here`,
    ],
    code: { get: () => `import workbench as wb\n\n${call()}` },
    statusText: () => statusText(),
    spokenText: () => spokenText(),
    refresh: () => refreshStatus(),
    reset: () => reset(),
  });
  const { send, status, isBusy } = frame;
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
  const card = createCard({
    load,
    back: () => {
      table.reveal(model.get("selected"));
      table.focus();
    },
  });
  const loading = createLoading({ cancel: () => send("cancel") });
  const below = createBelow(model);

  const refreshTable = () => {
    const { column, descending } = table.order;
    const found = rows.filter(matcher(filters.values(), choice()));
    table.show(sorted(found, column, descending, choice().dtype));
    filters.show(found.length, rows.length);
  };
  const refreshChoice = () => {
    frame.refreshHeading();
    filters.refresh();
    table.judge(choice());
    refreshTable();
    refreshCard();
  };
  const refreshCard = () => {
    card.show(selected(), choice());
    table.mark(model.get("selected"), model.get("loaded"));
    card.enable(selected(), isBusy());
    frame.code.refresh();
  };
  const showSelected = () => {
    refreshCard();
    table.reveal(model.get("selected"));
  };
  const statusText = () => {
    const percent = loadedPercent(model.get("progress"));
    const share = status() === "loading" && percent !== null ? ` ${percent} %` : "";
    return (LOAD_STATUS[status()] ?? "idle") + share;
  };
  const refreshStatus = () => {
    const name = isBusy() ? model.get("loading") : "";
    loading.show(name, model.get("progress"), {
      stopping: status() === "stopping",
      foreground: model.get("foreground"),
    });
    card.enable(selected(), isBusy());
  };
  const spokenText = () => {
    const name = model.get("loading");
    const texts = { loading: `Loading ${name}`, done: `${name} is loaded`, cancelled: "Stopped", failed: "Failed" };
    return texts[status()] ?? "";
  };
  const reset = () => {
    save("selected", "");
    save("dtype", "auto");
    filters.reset();
  };

  frame.show(filters.node, table.node, card.node, loading.node);
  el.append(below.node);

  const ours = [
    ["selected", showSelected],
    ["dtype", refreshChoice],
  ];
  const kernels = [
    ["machine", refreshChoice],
    ["progress", frame.refresh],
    ["loading", frame.refresh],
    ["loaded", refreshCard],
    ["opened", below.refresh],
  ];
  return frame.follow({ ours, kernels, parts: [below] });
}

export default { render };
