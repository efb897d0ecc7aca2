// The preset browser. The rows come once; what is asked of them is answered in the page.

const BROWSE_HELP = [
  "Search and filters work at once, without the kernel. A click on a column's title sorts by it.",
  "Arrow keys walk through the table, Enter opens a preset's card, Escape leads back.",
  "What a preset needs is worked out from its configuration: weights, cache and working memory for 1,024 tokens.",
  "It fits here when that is less than the memory that is free now.",
  "From Python: panel.select(name), panel.load(name), panel.cancel(), panel.wait(), panel.model.",
];
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

function createBrowseHeading(menu) {
  const facts = make("span", { class: "wb-facts" });
  const status = make("span", { class: "wb-status" });
  const title = make("div", {}, make("strong", { class: "wb-name" }, "Presets"), facts);
  return { node: make("div", { class: "wb-heading" }, title, status, menu), facts, status };
}

function render({ model, el }) {
  const root = makeRoot("wb-browse", "Presets");
  const rows = model.get("rows").map((row) => ({ ...row, text: searchText(row) }));
  const byName = new Map(rows.map((row) => [row.name, row]));
  const spoken = make("div", { class: "wb-spoken", role: "status", "aria-live": "polite" });
  let gone = false;

  const status = () => model.get("status");
  const isBusy = () => status() === "loading" || status() === "stopping";
  const selected = () => byName.get(model.get("selected"));
  const choice = () => ({
    dtype: model.get("dtype"),
    limit: model.get("machine").limit,
    dtypes: model.get("dtypes"),
  });
  const send = (command, fields = {}) => watch.send(() => model.send({ command, ...fields }));
  const save = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const load = () => {
    if (selected()?.supported && !isBusy()) send("load", { name: selected().name, dtype: model.get("dtype") });
  };
  const setGone = (value) => {
    if (gone === value) return;
    gone = value;
    refreshStatus();
  };

  const watch = createWatch({
    isBusy,
    ask: () => send("sync"),
    silent: () => setGone(true),
    alive: () => setGone(false),
  });
  const call = () => (selected() ? `lm = ${codeOf(selected(), choice().dtype)}` : "wb.browse()");
  const code = createCode({ get: () => `import workbench as wb\n\n${call()}` });
  const help = createHelp(...BROWSE_HELP);
  const menu = createMenu([
    ["Copy as code", () => code.copy()],
    ["Reset", () => reset()],
    ["Help", () => (help.hidden = !help.hidden)],
  ]);
  const error = createError();
  const heading = createBrowseHeading(menu);
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
    const free = gigabytesText(model.get("machine").free);
    setText(heading.facts, ` · ${wholeText(rows.length)} presets · ${free} free here`);
    filters.refresh();
    table.judge(choice());
    refreshTable();
    refreshCard();
  };
  const refreshCard = () => {
    card.show(selected(), choice());
    table.mark(model.get("selected"), model.get("loaded"));
    card.enable(selected(), isBusy());
    code.refresh();
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
    root.dataset.status = gone ? "disconnected" : status();
    setText(heading.status, gone ? "no answer" : statusText());
    error.show(gone ? { message: NO_ANSWER } : model.get("error"));
    const name = isBusy() ? model.get("loading") : "";
    loading.show(name, model.get("progress"), {
      stopping: status() === "stopping",
      foreground: model.get("foreground"),
    });
    card.enable(selected(), isBusy());
  };
  const speak = () => {
    const name = model.get("loading");
    const texts = { loading: `Loading ${name}`, done: `${name} is loaded`, cancelled: "Stopped", failed: "Failed" };
    setText(spoken, texts[status()] ?? "");
  };
  const reset = () => {
    save("selected", "");
    save("dtype", "auto");
    filters.reset();
  };

  root.append(heading.node, error.node, code.node, help, filters.node, table.node, card.node, loading.node, spoken);
  el.append(root, below.node);

  const ours = [
    ["selected", showSelected],
    ["dtype", refreshChoice],
  ];
  const kernels = [
    ["machine", refreshChoice],
    ["status", refreshStatus],
    ["status", speak],
    ["progress", refreshStatus],
    ["loading", refreshStatus],
    ["loaded", refreshCard],
    ["error", refreshStatus],
    ["opened", below.refresh],
  ];
  const unfollow = followTraits(model, watch, ours, kernels);
  if (isBusy()) send("sync");

  return () => {
    unfollow();
    watch.dispose();
    below.dispose();
  };
}

export default { render };
