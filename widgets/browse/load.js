// A load under way: its stage, how far it has come, how long it will take, and the way to stop it.

import { button, make, setText } from "../shared/dom.js";
import { bytesText, secondsText } from "../shared/units.js";

export function loadedPercent(progress) {
  if (!progress?.total) return null;
  return Math.min(100, Math.floor((100 * progress.done) / progress.total));
}

/** "312 MB of 1.5 GB · 24 MB/s · 48 s left", as far as it is known. */
function amountText({ done, total, rate }) {
  const parts = [];
  if (total) parts.push(`${bytesText(done)} of ${bytesText(total)}`);
  else if (done) parts.push(bytesText(done));
  if (rate) parts.push(`${bytesText(rate)}/s`);
  if (rate && total > done) parts.push(`${secondsText((total - done) / rate)} left`);
  return parts.join(" · ");
}

export function createLoading({ cancel }) {
  const stage = make("span", { class: "wb-preset-stage" });
  const amount = make("span", { class: "wb-note wb-preset-amount" });
  const fill = make("div", { class: "wb-preset-fill" });
  const range = { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" };
  const bar = make("div", { class: "wb-preset-bar", ...range }, fill);
  const stop = button("Cancel", cancel);
  const note = make("div", { class: "wb-note" }, "Stop with the kernel's interrupt button.");
  const node = make(
    "div",
    { class: "wb-preset-loading" },
    make("div", { class: "wb-preset-load-head" }, stage, amount, stop),
    bar,
    note,
  );
  return {
    node,
    show(name, progress, { stopping, foreground }) {
      node.hidden = !name;
      if (!name) return;
      const now = progress ?? { stage: "preparing", done: 0, total: null, file: "", rate: null };
      const percent = loadedPercent(now);
      setText(stage, stopping ? `stopping ${name}` : [now.stage, now.file || name].join(" "));
      setText(amount, amountText(now));
      bar.setAttribute("aria-label", `Loading ${name}`);
      bar.setAttribute("aria-valuetext", percent === null ? now.stage : `${now.stage}, ${percent} percent`);
      if (percent === null) bar.removeAttribute("aria-valuenow");
      else bar.setAttribute("aria-valuenow", percent);
      bar.classList.toggle("wb-unknown", percent === null);
      fill.style.width = percent === null ? "" : `${percent}%`;
      stop.disabled = stopping || foreground;
      note.hidden = !foreground;
    },
  };
}
