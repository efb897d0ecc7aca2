// The picture as it is seen, with boxes, masks, labels and heat map, as a PNG to keep.

import { make } from "../shared/dom.js";

const SAVED_LEAST = 640; // pixels of the longer side: labels need room

function drawRegion(context, region, { paint }, unit, [width, height]) {
  const [y0, x0, y1, x1] = region.box;
  const box = [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height];
  const mask = new Path2D();
  for (const ring of region.mask) {
    ring.forEach(([x, y], i) => (i ? mask.lineTo(x * width, y * height) : mask.moveTo(x * width, y * height)));
    mask.closePath();
  }
  context.globalAlpha = 0.4;
  context.fillStyle = paint;
  context.fill(mask, "evenodd");
  context.globalAlpha = 1;
  for (const [style, line] of [["#111", 4.5], [paint, 2.5]]) {
    context.strokeStyle = style;
    context.lineWidth = line * unit;
    context.strokeRect(...box);
  }
}

function drawLabel(context, region, { paint, ink }, unit, [width, height]) {
  if (!region.label) return;
  context.font = `${12 * unit}px sans-serif`;
  context.textBaseline = "middle";
  const long = context.measureText(region.label).width + 10 * unit;
  const high = 18 * unit;
  const x = Math.max(0, Math.min(region.box[1] * width, width - long));
  const above = region.box[0] * height - high;
  const y = above < 0 ? region.box[0] * height : above;
  context.fillStyle = paint;
  context.fillRect(x, y, long, high);
  context.fillStyle = ink;
  context.fillText(region.label, x + 5 * unit, y + high / 2);
}

/** A canvas with everything; `colours` are those of the regions, `heat` a canvas or null. */
export function drawAnnotated({ image, regions, colours, heat }) {
  const longest = Math.max(image.naturalWidth, image.naturalHeight);
  const scale = Math.max(1, Math.round(SAVED_LEAST / longest));
  const size = [image.naturalWidth * scale, image.naturalHeight * scale];
  const canvas = make("canvas", { width: size[0], height: size[1] });
  const context = canvas.getContext("2d");
  const unit = Math.max(1, Math.max(...size) / 800);
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, ...size);
  context.imageSmoothingEnabled = true;
  if (heat) {
    const { left, top, width, height, opacity } = heat.style;
    const [x, y, w, h] = [left, top, width, height].map((value) => parseFloat(value) / 100);
    context.globalAlpha = Number(opacity);
    context.drawImage(heat, x * size[0], y * size[1], w * size[0], h * size[1]);
    context.globalAlpha = 1;
  }
  regions.forEach((region, i) => drawRegion(context, region, colours[i], unit, size));
  regions.forEach((region, i) => drawLabel(context, region, colours[i], unit, size));
  return canvas;
}

export function saveCanvas(canvas, name) {
  canvas.toBlob((blob) => {
    const url = URL.createObjectURL(blob);
    make("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }, "image/png");
}
