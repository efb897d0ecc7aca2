// How a file comes in: dropped or chosen. What it holds is sent in parts, since a server closes the
// connection at a large message.

import { make } from "./dom.js";

const PART_BYTES = 1 << 20;

/** A hidden field that chooses files: `label` names it, `accept` says of what kinds. */
export function createFilePicker({ label, accept, take }) {
  return make("input", {
    type: "file",
    accept,
    "aria-label": label,
    tabindex: "-1",
    hidden: true,
    onchange: ({ target }) => {
      const [file] = target.files;
      target.value = "";
      if (file) take(file);
    },
  });
}

/**
 * Lets files be dropped on `root`, and marks `stage` while one hangs over it. `may()` says whether
 * one is welcome now, `pick(transfer)` which of those dropped is meant.
 */
export function letFilesIn({ root, stage, may, pick = firstFile, take }) {
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const over = (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = may() ? "copy" : "none";
    stage.classList.toggle("wb-over", may());
  };
  root.addEventListener("dragenter", over);
  root.addEventListener("dragover", over);
  root.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    stage.classList.remove("wb-over");
    const file = pick(event.dataTransfer);
    if (file) take(file);
  });
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(event.relatedTarget)) stage.classList.remove("wb-over");
  });
}

export function firstFile(transfer) {
  return transfer?.files[0] ?? null;
}

/** Sends `bytes`, an ArrayBuffer, in as many messages as it needs: `send(fields, buffers)`. */
export function sendInParts(bytes, fields, send) {
  const parts = Math.max(1, Math.ceil(bytes.byteLength / PART_BYTES));
  for (let part = 0; part < parts; part += 1) {
    const buffer = bytes.slice(part * PART_BYTES, (part + 1) * PART_BYTES);
    send({ ...fields, part, parts }, [buffer]);
  }
}
