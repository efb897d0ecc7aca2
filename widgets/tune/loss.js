// The loss of the run shown and of those laid over it, with what the chart needs around it.

import { button, debounce, make } from "../shared/dom.js";
import { wholeText } from "../shared/units.js";
import { createChart } from "./chart.js";
import { createSwatch } from "./plot.js";
import { measureText } from "./scale.js";
import { createColumns, createSmoother } from "./series.js";

export const RUN_COLOURS = 6;
const TABLE_ROWS = 24;
const STEP_COLUMN = 0;
const LOSS_COLUMN = 1;

export function bytesAsFloats(view) {
  if (!view) return new Float32Array();
  const { buffer, byteOffset = 0, byteLength } = view.buffer ? view : { buffer: view, byteLength: view.byteLength };
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

/** A run's figures, as they come: rows of numbers and the validations between them. */
export function createFigures(width) {
  const columns = createColumns(width);
  const smooth = createSmoother();
  let marks = [];
  return {
    columns,
    get marks() {
      return marks.length;
    },
    fill(rows, validation) {
      columns.clear();
      columns.append(bytesAsFloats(rows));
      marks = validation;
    },
    extend(rows, validation) {
      columns.append(bytesAsFloats(rows));
      marks = [...marks, ...validation];
    },
    curves(name, colours, smoothing) {
      const [xs, ys] = [columns.column(STEP_COLUMN), columns.column(LOSS_COLUMN)];
      const prefix = name ? `${name} ` : "";
      const train = { key: `${name}-train`, label: `${prefix}train`, colour: colours[0], style: smoothing ? "faint" : "line", xs, ys };
      const found = [train];
      if (smoothing) {
        const line = { key: `${name}-smooth`, label: `${prefix}smoothed`, style: "line", ys: smooth(ys, smoothing) };
        found.push({ ...train, ...line });
      }
      if (marks.length) {
        const points = { xs: marks.map(([step]) => step), ys: marks.map(([, loss]) => loss) };
        found.push({ key: `${name}-valid`, label: `${prefix}validation`, colour: colours[1], style: "dotted", ...points });
      }
      return found;
    },
  };
}

function createLossTable(chart) {
  const table = make("table", { class: "wb-tune-table" });
  const frame = make("div", { class: "wb-tune-table-frame", tabindex: "0", role: "region", "aria-label": "Loss as a table" }, table);
  const node = make("details", { class: "wb-tune-more" }, make("summary", {}, "As a table"), frame);
  const fill = () => {
    const { curves, rows } = chart.rows(TABLE_ROWS);
    const shown = curves.map((curve, i) => [curve, i]);
    const head = ["step", ...shown.map(([curve]) => curve.label)];
    table.replaceChildren(
      make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
      make(
        "tbody",
        {},
        ...rows.map(([step, readings]) =>
          make(
            "tr",
            {},
            make("th", { scope: "row" }, wholeText(step)),
            ...shown.map(([, i]) => make("td", {}, readings[i] ? measureText(readings[i].y) : "–")),
          ),
        ),
      ),
    );
  };
  node.addEventListener("toggle", () => node.open && fill());
  return { node, refresh: () => node.open && fill() };
}

/** How the curves are shown: all of them, on a logarithmic axis, how smooth. */
function createChartTools(model, showAll) {
  const save = debounce(() => model.save_changes(), 150);
  const setView = (change) => {
    model.set("view", { ...model.get("view"), ...change });
    save.touch();
  };
  const logBox = make("input", { type: "checkbox", onchange: () => setView({ log: logBox.checked }) });
  const range = { type: "range", min: 0, max: 0.99, step: 0.01, "aria-label": "Smoothing" };
  const smoothing = make("input", { ...range, oninput: () => setView({ smoothing: Number(smoothing.value) }) });
  const reset = button("Show all", showAll, { class: "wb-button wb-quiet", title: "Double-click does the same" });
  reset.hidden = true;
  return {
    node: make(
      "div",
      { class: "wb-tune-tools" },
      reset,
      make("label", { class: "wb-tune-check" }, logBox, make("span", {}, "log")),
      make("label", { class: "wb-tune-smoothing" }, make("span", {}, "smoothing"), smoothing),
    ),
    zoomed: (range) => (reset.hidden = !range),
    refresh() {
      const { log, smoothing: weight } = model.get("view");
      logBox.checked = log;
      if (document.activeElement !== smoothing) smoothing.value = weight;
      smoothing.setAttribute("aria-valuetext", weight ? `${Math.round(100 * weight)} percent` : "off");
    },
    dispose: () => save.drop(),
  };
}

export function createTuneChart(model, pointed) {
  const legend = make("div", { class: "wb-tune-legend" });
  const tools = createChartTools(model, () => chart.reset());
  const chart = createChart({
    label: "Loss by step. Arrows walk through the steps, plus and minus zoom, 0 shows all",
    xName: "step",
    pointed,
    zoomed: (range) => {
      tools.zoomed(range);
      table.refresh();
    },
  });
  const table = createLossTable(chart);
  const head = make("div", { class: "wb-tune-head" }, make("strong", {}, "Loss"), legend, tools.node);
  return {
    node: make("div", { class: "wb-tune-chart" }, head, chart.node),
    table: table.node,
    explain: chart.explain,
    /** `runs` are [{number, figures}], the run shown first; `reach` is where the axis ends. */
    show(runs, reach) {
      const { log, smoothing } = model.get("view");
      tools.refresh();
      const several = runs.length > 1;
      const curves = runs.flatMap(({ number, figures }) => {
        const colour = several ? (number - 1) % RUN_COLOURS : 0;
        return figures.curves(several ? `run ${number}` : "", several ? [colour, colour] : [0, 1], smoothing);
      });
      const some = curves.filter((curve) => curve.xs.length);
      chart.scale(log);
      chart.show(some, reach);
      legend.replaceChildren(
        ...some
          .filter((curve) => !several || curve.style !== "faint")
          .map((curve) => make("span", { class: "wb-tune-entry" }, createSwatch(curve), curve.label)),
      );
      table.node.hidden = !some.length;
      table.refresh();
    },
    dispose() {
      tools.dispose();
      chart.dispose();
    },
  };
}
