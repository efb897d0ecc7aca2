// The picture with what is around it: its name, the camera, the tools below it, how one comes in.

import { button, make, setText } from "../shared/dom.js";
import { wholeText } from "../shared/units.js";
import { createCamera } from "./camera.js";
import { createIntake } from "./intake.js";
import { ZOOM_STEP, createViewer } from "./viewer.js";

/** The buttons below the picture; `zoom(factor)` and `fit()` are those of the viewer. */
function createTools({ choose, shoot, remove, zoom, fit }) {
  const small = (label, action, options = {}) =>
    button(label, action, { class: "wb-button wb-quiet", ...options });
  const sources = [small("Choose…", choose), small("Camera", shoot), small("Remove", remove)];
  const zoomOut = small("−", () => zoom(1 / ZOOM_STEP), { "aria-label": "Zoom out" });
  const zoomed = make("span", { class: "wb-note wb-look-zoom" });
  const zoomIn = small("+", () => zoom(ZOOM_STEP), { "aria-label": "Zoom in" });
  const reset = small("Fit", fit, { title: "Show all of the picture" });
  const gap = make("span", { class: "wb-look-gap" });
  return {
    node: make("div", { class: "wb-look-tools" }, ...sources, gap, zoomOut, zoomed, zoomIn, reset),
    sources,
    show(scale) {
      setText(zoomed, `${Math.round(100 * scale)} %`);
      reset.disabled = zoomOut.disabled = scale === 1;
    },
  };
}

/** What stands in the place of a picture. */
function createVacancy({ choose, shoot }) {
  const note = make("span", { class: "wb-look-hint" });
  const buttons = [button("Choose a file", choose), button("Use the camera", shoot)];
  return {
    node: make(
      "div",
      { class: "wb-look-empty" },
      make("strong", {}, "Drop a picture here"),
      note,
      make("div", { class: "wb-actions" }, ...buttons),
    ),
    buttons,
    show: (opening) =>
      setText(note, opening ? `Opening ${opening} …` : "or paste one, up to 20 MB: PNG, JPEG, WebP, GIF, BMP"),
  };
}

/** What is said of the picture. */
function pictureText({ name, width, height }) {
  return `${name} · ${wholeText(width)} × ${wholeText(height)}`;
}

/** The viewer with `layers` over the picture, and the two ways in: files and the camera. */
function createSources(frame, layers, { began, zoomed, refresh }) {
  const viewer = createViewer({ layers, changed: zoomed });
  const camera = createCamera({ take: (file) => intake.take(file), fail: frame.fail, opened: refresh });
  const intake = createIntake({
    root: frame.root,
    stage: viewer.node,
    send: (fields, buffers) => frame.send("picture", fields, buffers),
    may: () => !frame.isBusy(),
    began: (name) => {
      began(name);
      if (!camera.node.hidden) camera.close();
      frame.fail(null);
    },
    fail: frame.fail,
  });
  return { viewer, camera, intake };
}

/** The stage of the panel; `layers` lie over the picture. */
export function createStage(model, frame, layers) {
  let opening = ""; // the name of the file on its way
  const picture = () => model.get("picture");
  const there = () => Boolean(picture().data);
  const { viewer, camera, intake } = createSources(frame, layers, {
    began: (name) => (opening = name),
    zoomed: (scale) => tools.show(scale),
    refresh: () => refresh(),
  });
  const shoot = () => {
    frame.fail(null);
    camera.open();
  };
  const tools = createTools({
    choose: intake.choose,
    shoot,
    remove: () => frame.send("remove"),
    zoom: (factor) => viewer.zoom(factor),
    fit: viewer.reset,
  });
  const vacancy = createVacancy({ choose: intake.choose, shoot });
  const name = make("span", { class: "wb-note wb-look-name" });
  const head = make("div", { class: "wb-look-head" }, make("span", { class: "wb-label" }, "Picture"), name);
  viewer.node.append(vacancy.node, camera.node);
  const refresh = () => {
    const open = !camera.node.hidden;
    vacancy.node.hidden = there() || open;
    vacancy.show(opening);
    viewer.node.classList.toggle("wb-look-vacant", !there() && !open);
    tools.node.hidden = !there();
    const facts = there() ? pictureText(picture()) : "";
    setText(name, opening && there() ? `Opening ${opening} …` : facts);
    for (const part of [...tools.sources, ...vacancy.buttons]) part.disabled = frame.isBusy();
  };
  return {
    nodes: [head, viewer.node, tools.node],
    input: intake.input,
    viewer,
    camera,
    refresh,
    /** The kernel has taken the file, or has refused it. */
    opened: () => (opening = ""),
    show() {
      opening = "";
      viewer.show(picture());
    },
  };
}
