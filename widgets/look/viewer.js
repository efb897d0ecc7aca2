// A picture one can zoom and pan. Zooming changes the layout instead of scaling pixels, so that lines
// and labels over the picture keep their size.

import { make } from "../shared/dom.js";

export const ZOOM_STEP = 1.25;
const ZOOM_MOST = 16;
const PAN_PX = 40;
const CRISP = 2; // screen pixels per pixel from which on pixels are shown as squares

/** Where the picture lies on the stage: its zoom, 1 being all of it, and how far it was moved. */
function createPlace() {
  let scale = 1;
  let [x, y] = [0, 0]; // how far the picture's middle is from the stage's, in screen pixels
  const within = (offset, length, room) => {
    const most = Math.max(0, (length - room) / 2);
    return Math.min(most, Math.max(-most, offset));
  };
  return {
    get scale() {
      return scale;
    },
    /** Zooms so that the point (dx, dy) from the stage's middle stays where it is. */
    zoom(factor, dx, dy) {
      const before = scale;
      scale = Math.min(ZOOM_MOST, Math.max(1, scale * factor));
      x = dx - (dx - x) * (scale / before);
      y = dy - (dy - y) * (scale / before);
    },
    pan(dx, dy) {
      x += dx;
      y += dy;
    },
    reset: () => ([scale, x, y] = [1, 0, 0]),
    /** The box of a picture of that size on a stage of that width and height. */
    box(size, stageWidth, stageHeight) {
      const fit = Math.min(stageWidth / size.width, stageHeight / size.height);
      const [width, height] = [size.width * fit * scale, size.height * fit * scale];
      x = within(x, width, stageWidth);
      y = within(y, height, stageHeight);
      return { width, height, left: (stageWidth - width) / 2 + x, top: (stageHeight - height) / 2 + y };
    },
  };
}

/** Keys on the stage; `state()` says whether there is a picture, and its zoom. */
function listenForZoomKeys(node, state, { zoom, pan, reset }) {
  const keys = {
    "+": () => zoom(ZOOM_STEP),
    "=": () => zoom(ZOOM_STEP),
    "-": () => zoom(1 / ZOOM_STEP),
    0: reset,
    ArrowLeft: () => pan(PAN_PX, 0),
    ArrowRight: () => pan(-PAN_PX, 0),
    ArrowUp: () => pan(0, PAN_PX),
    ArrowDown: () => pan(0, -PAN_PX),
  };
  node.addEventListener("keydown", (event) => {
    const { there, scale } = state();
    if (!there || !keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow") && (scale === 1 || event.target !== node)) return;
    keys[event.key]();
    event.preventDefault();
  });
}

/** Wheel, drag and double-click on the stage. */
function listenForPanning(node, state, { zoom, pan, reset }) {
  // The wheel scrolls the notebook, until the picture is at work: focused, or zoomed with Ctrl.
  node.addEventListener(
    "wheel",
    (event) => {
      if (!state().there || !(event.ctrlKey || node.contains(document.activeElement))) return;
      zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 200), event);
      event.preventDefault();
    },
    { passive: false },
  );
  let held = null;
  node.addEventListener("pointerdown", (event) => {
    if (state().scale === 1 || event.button !== 0 || event.target.closest("button")) return;
    held = { x: event.clientX, y: event.clientY };
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    if (!held) return;
    pan(event.clientX - held.x, event.clientY - held.y);
    held = { x: event.clientX, y: event.clientY };
  });
  for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => (held = null));
  node.addEventListener("dblclick", (event) => {
    const { there, scale } = state();
    if (!there || event.target.closest("button")) return;
    if (scale > 1) reset();
    else zoom(2, event);
  });
}

/** An image that shows the bytes of a picture; `loaded()` is called when it has them. */
function createImage(loaded) {
  const node = make("img", { alt: "", draggable: "false" });
  let url = "";
  const drop = () => {
    if (url) URL.revokeObjectURL(url);
    url = "";
  };
  node.addEventListener("load", loaded);
  return {
    node,
    drop,
    show({ data, type, name, width, height }) {
      url = URL.createObjectURL(new Blob([data], { type }));
      node.src = url;
      node.alt = `${name}, ${width} by ${height} pixels`;
    },
  };
}

/**
 * The picture with `layers` over it. `changed(scale)` is told the zoom, 1 being the whole picture.
 */
export function createViewer({ layers, changed }) {
  const image = createImage(() => layout());
  const world = make("div", { class: "wb-look-world" }, image.node, ...layers);
  const stage = { class: "wb-look-stage", tabindex: "0", role: "group", "aria-label": "Picture" };
  const node = make("div", stage, world);
  const place = createPlace();
  let size = null; // of the picture, in its own pixels
  const layout = () => {
    if (!size || !node.clientWidth) return;
    const box = place.box(size, node.clientWidth, node.clientHeight);
    for (const [name, pixels] of Object.entries(box)) world.style[name] = `${pixels}px`;
    image.node.classList.toggle("wb-crisp", box.width / image.node.naturalWidth >= CRISP);
    node.classList.toggle("wb-zoomed", place.scale > 1);
    changed(place.scale);
  };
  /** Zooms so that the point under (clientX, clientY), or the middle, stays where it is. */
  const zoom = (factor, at) => {
    const box = node.getBoundingClientRect();
    const dx = at ? at.clientX - box.left - box.width / 2 : 0;
    const dy = at ? at.clientY - box.top - box.height / 2 : 0;
    place.zoom(factor, dx, dy);
    layout();
  };
  const pan = (dx, dy) => {
    place.pan(dx, dy);
    layout();
  };
  const reset = () => {
    place.reset();
    layout();
  };
  const state = () => ({ there: size !== null, scale: place.scale });
  listenForZoomKeys(node, state, { zoom, pan, reset });
  listenForPanning(node, state, { zoom, pan, reset });
  const observer = new ResizeObserver(layout);
  observer.observe(node);
  return {
    node,
    image: image.node,
    reset,
    zoom,
    /** Another picture, as the kernel sends it, or none. */
    show(picture) {
      const there = Boolean(picture.data);
      image.drop();
      size = there ? { width: picture.width, height: picture.height } : null;
      world.hidden = !there;
      node.style.setProperty("--ratio", there ? picture.width / picture.height : 4 / 3);
      if (there) image.show(picture);
      reset();
    },
    dispose() {
      observer.disconnect();
      image.drop();
    },
  };
}
