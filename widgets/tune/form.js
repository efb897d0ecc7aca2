// The settings of a training run: the common ones in sight, the others folded; each is checked by
// the kernel, which answers with a sentence under the field.

import { debounce, make, setChildren, setText, setValue, uniqueId } from "../shared/dom.js";

const SETTING_MS = 250;

/** What a field is worth: null when empty, a number when it reads as one, else the text itself. */
function numberOf(text) {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const number = Number(trimmed);
  return Number.isFinite(number) ? number : trimmed;
}

function plainNumber(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "number" || value === 0) return String(value);
  return Math.abs(value) < 1e-3 ? value.toExponential().replace("e-0", "e-") : String(value);
}

/** A labelled field: its control, its hint, and its problem. */
function frameField(spec, control, options = {}) {
  const problem = make("div", { class: "wb-tune-problem", id: uniqueId("problem") });
  const label = options.group
    ? make("span", { class: "wb-tune-label" }, spec.label)
    : make("label", { class: "wb-tune-label", for: control.id }, spec.label);
  if (options.group) {
    label.id = uniqueId("label");
    control.setAttribute("aria-labelledby", label.id);
  }
  const node = make(
    "div",
    { class: `wb-tune-field${options.wide ? " wb-wide" : ""}`, "data-name": spec.name, title: spec.hint },
    label,
    options.body ?? control,
    problem,
  );
  problem.hidden = true;
  return {
    node,
    complain(sentence) {
      setText(problem, sentence ?? "");
      problem.hidden = !sentence;
      node.classList.toggle("wb-wrong", Boolean(sentence));
      control.toggleAttribute("aria-invalid", false);
      if (sentence) {
        control.setAttribute("aria-invalid", "true");
        control.setAttribute("aria-describedby", problem.id);
      } else control.removeAttribute("aria-describedby");
    },
  };
}

function createNumberField(spec, touch) {
  const input = make("input", {
    type: "text",
    inputmode: spec.whole ? "numeric" : "decimal",
    id: uniqueId(spec.name),
    class: "wb-tune-input",
    placeholder: spec.empty,
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => touch(spec.name),
  });
  return {
    ...frameField(spec, input),
    names: [spec.name],
    read: () => ({ [spec.name]: numberOf(input.value) }),
    write: (values) => setValue(input, plainNumber(values[spec.name])),
    enable: (on) => (input.disabled = !on),
  };
}

/** How long to train: a number, and what it counts. */
function createDuration(spec, touch) {
  const input = make("input", {
    type: "text",
    inputmode: "decimal",
    id: uniqueId("duration"),
    class: "wb-tune-input",
    placeholder: "1",
    autocomplete: "off",
    oninput: () => touch("steps"),
  });
  const unit = make(
    "select",
    { class: "wb-tune-input", "aria-label": "Train for: unit", onchange: () => touch("steps") },
    make("option", { value: "steps" }, "steps"),
    make("option", { value: "epochs" }, "epochs"),
  );
  const body = make("div", { class: "wb-tune-duration" }, input, unit);
  return {
    ...frameField(spec, input, { body }),
    names: ["steps", "epochs"],
    read: () => ({ steps: null, epochs: null, [unit.value]: numberOf(input.value) }),
    write({ steps, epochs }) {
      unit.value = steps === null ? "epochs" : "steps";
      setValue(input, plainNumber(steps ?? epochs));
    },
    enable: (on) => (input.disabled = unit.disabled = !on),
  };
}

function createChoice(spec, touch) {
  const select = make(
    "select",
    { id: uniqueId(spec.name), class: "wb-tune-input", onchange: () => touch(spec.name) },
    ...spec.options.map((name) => make("option", { value: name }, name)),
  );
  return {
    ...frameField(spec, select),
    names: [spec.name],
    read: () => ({ [spec.name]: select.value }),
    write: (values) => (select.value = values[spec.name]),
    enable: (on) => (select.disabled = !on),
  };
}

function createCheck(spec, touch) {
  const box = make("input", { type: "checkbox", id: uniqueId(spec.name), onchange: () => touch(spec.name) });
  const body = make("label", { class: "wb-tune-check" }, box, make("span", {}, spec.says));
  return {
    ...frameField(spec, box, { body }),
    names: [spec.name],
    read: () => ({ [spec.name]: box.checked }),
    write: (values) => (box.checked = values[spec.name]),
    enable: (on) => (box.disabled = !on),
  };
}

/** Some of a few names, by checkboxes. */
function createNames(spec, touch) {
  const boxes = spec.options.map((name) => {
    const box = make("input", { type: "checkbox", value: name, onchange: () => touch(spec.name) });
    return { box, node: make("label", { class: "wb-tune-check" }, box, make("span", {}, name)) };
  });
  const group = make("div", { class: "wb-tune-names", role: "group" }, ...boxes.map(({ node }) => node));
  return {
    ...frameField(spec, group, { group: true, wide: true }),
    names: [spec.name],
    read: () => ({ [spec.name]: boxes.filter(({ box }) => box.checked).map(({ box }) => box.value) }),
    write(values) {
      for (const { box } of boxes) box.checked = values[spec.name].includes(box.value);
    },
    enable: (on) => boxes.forEach(({ box }) => (box.disabled = !on)),
  };
}

/** Several texts, one a line. */
function createLines(spec, touch) {
  const text = make("textarea", {
    id: uniqueId(spec.name),
    class: "wb-tune-input wb-tune-lines",
    rows: "2",
    spellcheck: "false",
    placeholder: spec.empty,
    oninput: () => touch(spec.name),
  });
  return {
    ...frameField(spec, text, { wide: true }),
    names: [spec.name],
    read: () => ({ [spec.name]: text.value.split("\n").filter((line) => line.trim()) }),
    write: (values) => setValue(text, values[spec.name].join("\n")),
    enable: (on) => (text.disabled = !on || Boolean(spec.fixed)),
  };
}

const FIELDS = {
  number: createNumberField,
  duration: createDuration,
  choice: createChoice,
  check: createCheck,
  names: createNames,
  lines: createLines,
};

function createField(spec, touch) {
  return { ...FIELDS[spec.kind](spec, touch), spec: JSON.stringify(spec) };
}

export function createForm(model, send) {
  const common = make("div", { class: "wb-tune-fields" });
  const others = make("div", { class: "wb-tune-fields" });
  const more = make("details", { class: "wb-tune-more" }, make("summary", {}, "More settings"), others);
  const node = make("div", { class: "wb-tune-form", role: "group", "aria-label": "Settings" }, common, more);
  const touched = new Set();
  let drawn = "";
  let fields = [];

  const save = debounce(() => {
    const values = Object.assign({}, ...fields.filter(isTouched).map((field) => field.read()));
    touched.clear();
    if (Object.keys(values).length) send("set", { values });
  }, SETTING_MS);
  const isTouched = (field) => field.names.some((name) => touched.has(name));
  const touch = (name) => {
    touched.add(name);
    save.touch();
  };
  const rebuild = (form) => {
    drawn = JSON.stringify(form);
    const before = new Map(fields.map((field) => [field.spec, field]));
    fields = form.map((spec) => before.get(JSON.stringify(spec)) ?? createField(spec, touch));
    for (const [place, wanted] of [[common, true], [others, false]]) {
      setChildren(place, fields.filter((_, i) => form[i].common === wanted).map((field) => field.node));
    }
  };
  return {
    node,
    flush: () => save.flush(),
    dispose: () => save.drop(),
    get wrong() {
      return Object.keys(model.get("problems")).length > 0;
    },
    /** What the kernel holds, except where a hand is on a field or its value was refused. */
    refresh() {
      const [form, values, problems] = ["form", "values", "problems"].map((name) => model.get(name));
      if (JSON.stringify(form) !== drawn) rebuild(form);
      for (const field of fields) {
        const problem = field.names.map((name) => problems[name]).find(Boolean);
        if (!isTouched(field) && !problem) field.write(values);
        field.complain(problem);
        if (problem && more.contains(field.node)) more.open = true;
      }
    },
    enable(on) {
      for (const field of fields) field.enable(on);
    },
  };
}
