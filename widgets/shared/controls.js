// The sampler's controls: only those of the chosen sampler are shown.

import { button, debounce, make, setValue, uniqueId } from "./dom.js";

export const SAVE_MS = 120;

function valueText(control, value) {
  if (control.off !== null && value === control.off) return "off";
  return Number.isInteger(control.step) ? String(value) : value.toFixed(2);
}

export function createSlider(control, onInput) {
  const id = uniqueId(control.name);
  const input = make("input", {
    type: "range",
    id,
    min: control.low,
    max: control.reach,
    step: control.step,
    oninput: () => {
      shown.textContent = valueText(control, Number(input.value));
      input.setAttribute("aria-valuetext", shown.textContent);
      onInput(control.name);
    },
  });
  const shown = make("output", { class: "wb-value", for: id });
  return {
    node: make(
      "div",
      { class: "wb-row" },
      make("label", { for: id }, control.label),
      input,
      shown,
    ),
    read: () => Number(input.value),
    write(value, reach) {
      input.min = Math.min(control.low, value);
      input.max = Math.max(reach, value);
      input.value = value;
      shown.textContent = valueText(control, value);
      input.setAttribute("aria-valuetext", shown.textContent);
    },
  };
}

function createSeed(control, onInput) {
  const id = uniqueId("seed");
  const input = make("input", {
    type: "number",
    id,
    class: "wb-seed",
    min: control.low,
    max: control.reach,
    step: 1,
    oninput: () => {
      if (input.validity.valid && input.value !== "") onInput("seed");
    },
  });
  const renew = () => {
    input.value = Math.floor(Math.random() * 100000);
    onInput("seed");
  };
  return {
    node: make(
      "div",
      { class: "wb-row" },
      make("label", { for: id }, control.label),
      input,
      button("new", renew, { title: "Draw a new seed", "aria-label": "new seed" }),
    ),
    read: () => Number(input.value),
    write(value) {
      setValue(input, value);
    },
  };
}

function createShow(model) {
  const name = uniqueId("show");
  const choose = (value) => {
    model.set("show", value);
    model.save_changes();
  };
  const radio = (value, label) => {
    const input = make("input", { type: "radio", name, value, onchange: () => choose(value) });
    return { input, node: make("label", { class: "wb-radio" }, input, label) };
  };
  const radios = { plain: radio("plain", "plain"), probability: radio("probability", "probability") };
  const legend = make(
    "div",
    { class: "wb-legend" },
    make("span", {}, "0 %"),
    make("span", { class: "wb-scale", role: "img", "aria-label": "colour scale from 0 to 100 percent" }),
    make("span", {}, "100 %"),
  );
  return {
    node: make(
      "fieldset",
      { class: "wb-show" },
      make("legend", {}, "Show"),
      radios.plain.node,
      radios.probability.node,
      legend,
    ),
    refresh() {
      const show = model.get("show");
      for (const [value, { input }] of Object.entries(radios)) input.checked = value === show;
      legend.hidden = show !== "probability";
    },
  };
}

function createSamplerChoice(samplers, onchange) {
  const id = uniqueId("sampler");
  const options = samplers.map(({ name, label }) => make("option", { value: name }, label));
  const sampler = make("select", { id, onchange }, ...options);
  const row = make("div", { class: "wb-row" }, make("label", { for: id }, "Sampler"), sampler);
  return { row, sampler };
}

/**
 * The fields of controls by name, beside those `given`. What a hand sets reaches the kernel a moment
 * later; `moved(name)` is called at once.
 */
export function createFields(model, controls, moved = () => {}, given = {}) {
  const touched = new Set();
  const fields = given;
  const save = debounce(() => {
    for (const name of touched) model.set(name, fields[name].read());
    touched.clear();
    model.save_changes();
  }, SAVE_MS);
  const touch = (name) => {
    touched.add(name);
    moved(name);
    save.touch();
  };
  for (const control of controls) {
    fields[control.name] = (control.name === "seed" ? createSeed : createSlider)(control, touch);
  }
  return {
    fields,
    touch,
    values: () => Object.fromEntries(Object.entries(fields).map(([name, { read }]) => [name, read()])),
    /** Shows what the kernel holds, except where a hand is on a control. */
    refresh() {
      const reach = Object.fromEntries(model.get("form").controls.map((c) => [c.name, c.reach]));
      for (const [name, field] of Object.entries(fields)) {
        if (!touched.has(name)) field.write(model.get(name), reach[name]);
      }
    },
    flush: () => save.flush(),
    dispose: () => save.drop(),
  };
}

export function createControls(model) {
  const { controls } = model.get("form");
  const rows = make("div", { class: "wb-rows" });
  const { row, sampler } = createSamplerChoice(model.get("form").samplers, () => settings.touch("sampler"));
  const show = createShow(model);

  const chosen = () => model.get("form").samplers.find(({ name }) => name === sampler.value);

  const hideUnused = () => {
    for (const { name } of model.get("form").controls) {
      settings.fields[name].node.hidden = !chosen().controls.includes(name);
    }
  };

  const settings = createFields(model, controls, (name) => name === "sampler" && hideUnused(), {
    sampler: { read: () => sampler.value, write: (value) => (sampler.value = value) },
  });
  rows.append(...controls.map(({ name }) => settings.fields[name].node));

  return {
    node: make("div", { class: "wb-controls" }, row, rows, show.node),
    names: Object.keys(settings.fields),
    values: settings.values,
    refresh() {
      settings.refresh();
      hideUnused();
      show.refresh();
    },
    flush: settings.flush,
    dispose: settings.dispose,
  };
}
