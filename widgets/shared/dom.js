// Building blocks of every panel. Text enters the page as text nodes, never as markup.

let made = 0;

/** An id no other element of the page has. */
export function uniqueId(name) {
  made += 1;
  return `wb-${name}-${made}-${Math.random().toString(36).slice(2, 8)}`;
}

// JupyterLab's shortcuts look at the element that has the focus before they look at what it is in,
// so an arrow on a slider, or a letter on a button, would be theirs: each of these says it is not.
const FOCUSABLE = new Set(["button", "input", "select", "summary", "textarea"]);
const OWN_KEYS = "data-lm-suppress-shortcuts";
const SVG_NAMES = "http://www.w3.org/2000/svg"; // a name, nothing is fetched

/** An element: `on…` options are listeners, `class` its classes, the others its attributes. */
export function make(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  if (FOCUSABLE.has(tag) || "tabindex" in options) node.setAttribute(OWN_KEYS, "true");
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/** An element of a drawing. */
export function makeSvg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG_NAMES, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const INPUT_METHOD_KEY = 229; // `keyCode` of a key that the input method took, where `isComposing` is late
let composed = null; // the field in which an input method has a word open

/**
 * While an input method composes a word, keys are its own, and what stands in the field is no text
 * yet: no listener of a panel, nor of the notebook around it, hears of either. The word's end is
 * one `input` event.
 */
function guardComposition(root) {
  const guard = (event) => {
    if (!event.isComposing && event.keyCode !== INPUT_METHOD_KEY) return;
    event.stopPropagation();
    if (event.key === "Escape") event.preventDefault(); // it would empty a search box
  };
  for (const name of ["keydown", "input"]) root.addEventListener(name, guard, { capture: true });
  root.addEventListener("compositionstart", ({ target }) => (composed = target));
  root.addEventListener("compositionend", ({ target }) => {
    composed = null;
    target.dispatchEvent(new InputEvent("input", { bubbles: true }));
  });
}

/**
 * The root of a panel. It keeps JupyterLab's shortcuts out; besides, Lab forbids line
 * breaks in every text area inside a cell (`beforeinput`), so its listener must not hear of them.
 */
export function makeRoot(name, label) {
  const root = make("section", {
    class: `wb-panel ${name}`,
    "aria-label": label,
    [OWN_KEYS]: "true",
  });
  const guard = (event) => event.inputType === "insertLineBreak" && event.stopPropagation();
  root.addEventListener("beforeinput", guard, { capture: true });
  guardComposition(root);
  return root;
}

export function button(label, onclick, options = {}) {
  return make("button", { type: "button", class: "wb-button", onclick, ...options }, label);
}

/** Sets text only when it differs, so that nothing is laid out or announced twice. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Makes `nodes` the children; those that stay are not moved, so that none loses the focus. */
export function setChildren(place, nodes) {
  for (const child of [...place.children]) if (!nodes.includes(child)) child.remove();
  nodes.forEach((node, at) => {
    if (place.children[at] !== node) place.insertBefore(node, place.children[at] ?? null);
  });
}

/**
 * Sets a field's value only when it differs, so that the cursor stays, and never under a word that
 * is being composed: that would end it.
 */
export function setValue(field, value) {
  const composing = field === composed && field.matches(":focus");
  if (!composing && field.value !== String(value)) field.value = value;
}

/** Calls `action` once things have been quiet for `delay` ms; `flush` calls it at once. */
export function debounce(action, delay) {
  let timer = null;
  const run = () => {
    clearTimeout(timer);
    timer = null;
    action();
  };
  return {
    touch() {
      clearTimeout(timer);
      timer = setTimeout(run, delay);
    },
    flush() {
      if (timer !== null) run();
    },
    drop() {
      clearTimeout(timer);
      timer = null;
    },
    get waiting() {
      return timer !== null;
    },
  };
}

export function percentText(percent) {
  if (percent === null || percent === undefined) return "";
  return percent < 1 ? "< 1 %" : `${Math.round(percent)} %`;
}
