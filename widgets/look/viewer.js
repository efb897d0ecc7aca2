// A picture one can zoom and pan. Zooming changes the layout instead of scaling pixels, so that lines
// and labels over the picture keep their size.

import { make } from "../shared/dom.js";

export const ZOOM_STEP = 1.25;
const ZOOM_MOST = 16;
const PAN_PX = 40;
const CRISP = 2; // screen pixels per pixel from which on pixels are shown as squares

/**
 * The picture with `layers` over it. `changed(scale)` is told the zoom, 1 being the whole picture.
 */
export function createViewer({ layers, changed }) {
  const image = make("img", { alt: "", draggable: "false" });
  const world = make("div", { class: "wb-look-world" }, image, ...layers);
  const node = make(
    "div",
    { class: "wb-look-stage", tabindex: "0", role: "group", "aria-label": "Picture" },
    world,
  );
  let size = null; // of the picture, in its own pixels
  let scale = 1;
  let [x, y] = [0, 0]; // how far the picture's middle is from the stage's, in screen pixels
  let url = "";

  const fit = () => Math.min(node.clientWidth / size.width, node.clientHeight / size.height);
  const within = (offset, length, room) => {
    const most = Math.max(0, (length - room) / 2);
    return Math.min(most, Math.max(-most, offset));
  };
  const layout = () => {
    if (!size || !node.clientWidth) return;
    const [width, height] = [size.width * fit() * scale, size.height * fit() * scale];
    x = within(x, width, node.clientWidth);
    y = within(y, height, node.clientHeight);
    Object.assign(world.style, {
      width: `${width}px`,
      height: `${height}px`,
      left: `${(node.clientWidth - width) / 2 + x}px`,
      top: `${(node.clientHeight - height) / 2 + y}px`,
    });
    image.classList.toggle("wb-crisp", width / image.naturalWidth >= CRISP);
    node.classList.toggle("wb-zoomed", scale > 1);
    changed(scale);
  };
  /** Zooms so that the point under (clientX, clientY), or the middle, stays where it is. */
  const zoom = (factor, at) => {
    const before = scale;
    scale = Math.min(ZOOM_MOST, Math.max(1, scale * factor));
    const box = node.getBoundingClientRect();
    const dx = at ? at.clientX - box.left - box.width / 2 : 0;
    const dy = at ? at.clientY - box.top - box.height / 2 : 0;
    x = dx - (dx - x) * (scale / before);
    y = dy - (dy - y) * (scale / before);
    layout();
  };
  const pan = (dx, dy) => {
    x += dx;
    y += dy;
    layout();
  };
  const reset = () => {
    [scale, x, y] = [1, 0, 0];
    layout();
  };

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
    if (!size || !keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow") && (scale === 1 || event.target !== node)) return;
    keys[event.key]();
    event.preventDefault();
  });
  // The wheel scrolls the notebook, until the picture is at work: focused, or zoomed with Ctrl.
  node.addEventListener(
    "wheel",
    (event) => {
      if (!size || !(event.ctrlKey || node.contains(document.activeElement))) return;
      zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 200), event);
      event.preventDefault();
    },
    { passive: false },
  );
  let held = null;
  node.addEventListener("pointerdown", (event) => {
    if (scale === 1 || event.button !== 0 || event.target.closest("button")) return;
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
    if (size && !event.target.closest("button")) scale > 1 ? reset() : zoom(2, event);
  });
  image.addEventListener("load", layout);
  const observer = new ResizeObserver(layout);
  observer.observe(node);

  return {
    node,
    image,
    reset,
    zoom,
    /** Another picture, as the kernel sends it, or none. */
    show(picture) {
      if (url) URL.revokeObjectURL(url);
      const there = Boolean(picture.data);
      url = there ? URL.createObjectURL(new Blob([picture.data], { type: picture.type })) : "";
      size = there ? { width: picture.width, height: picture.height } : null;
      world.hidden = !there;
      node.style.setProperty("--ratio", there ? picture.width / picture.height : 4 / 3);
      if (there) {
        image.src = url;
        image.alt = `${picture.name}, ${picture.width} by ${picture.height} pixels`;
      }
      reset();
    },
    dispose() {
      observer.disconnect();
      if (url) URL.revokeObjectURL(url);
    },
  };
}
