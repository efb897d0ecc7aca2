// How a picture comes in: dropped, pasted or chosen.

import { createFilePicker, firstFile, letFilesIn, sendInParts } from "../shared/drop.js";
import { bytesText } from "../shared/units.js";

const MOST_BYTES = 20e6;

function isPicture(file) {
  return file.type.startsWith("image/") || /\.(png|jpe?g|webp|gif|bmp)$/i.test(file.name);
}

/** The first picture among the files of a drop or a paste; else its first file. */
function pictureIn(transfer) {
  return [...(transfer?.files ?? [])].find(isPicture) ?? firstFile(transfer);
}

/**
 * Lets pictures in at `root`, marks `stage` while one hangs over it, and sends them to the kernel.
 * `may()` says whether one is welcome now, `began(name)` that it is on its way, `fail(sentence)`
 * what is wrong with it.
 */
export function createIntake({ root, stage, send, may, began, fail }) {
  const take = async (file) => {
    if (!may()) return;
    if (file.size > MOST_BYTES) {
      fail(`${file.name} has ${bytesText(file.size)}: a picture may have ${bytesText(MOST_BYTES)}.`);
      return;
    }
    began(file.name);
    sendInParts(await file.arrayBuffer(), { name: file.name }, send);
  };
  const input = createFilePicker({
    label: "Picture file",
    accept: "image/png,image/jpeg,image/webp,image/gif,image/bmp",
    take,
  });
  letFilesIn({ root, stage, may, pick: pictureIn, take });
  root.addEventListener("paste", (event) => {
    const file = pictureIn(event.clipboardData);
    if (!file) return; // text goes into the prompt
    event.preventDefault();
    event.stopPropagation();
    take(file);
  });
  return { input, take, choose: () => input.click() };
}
