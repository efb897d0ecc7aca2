// How a picture comes in: dropped, pasted or chosen. It is sent in parts, since a server closes the
// connection at a large message.

const PART_BYTES = 1 << 20;
const MOST_BYTES = 20e6;

function isPicture(file) {
  return file.type.startsWith("image/") || /\.(png|jpe?g|webp|gif|bmp)$/i.test(file.name);
}

/** The first picture among the files of a drop or a paste; else its first file. */
function pictureIn(transfer) {
  const files = [...(transfer?.files ?? [])];
  return files.find(isPicture) ?? files[0] ?? null;
}

/**
 * Lets pictures in at `root`, marks `stage` while one hangs over it, and sends them to the kernel.
 * `may()` says whether one is welcome now, `began(name)` that it is on its way, `fail(sentence)`
 * what is wrong with it.
 */
function createIntake({ root, stage, send, may, began, fail }) {
  const input = make("input", {
    type: "file",
    accept: "image/png,image/jpeg,image/webp,image/gif,image/bmp",
    "aria-label": "Picture file",
    tabindex: "-1",
    hidden: true,
    onchange: () => {
      const [file] = input.files;
      input.value = "";
      if (file) take(file);
    },
  });

  const take = async (file) => {
    if (!may()) return;
    if (file.size > MOST_BYTES) {
      fail(`${file.name} has ${bytesText(file.size)}: a picture may have ${bytesText(MOST_BYTES)}.`);
      return;
    }
    began(file.name);
    const bytes = await file.arrayBuffer();
    const parts = Math.max(1, Math.ceil(bytes.byteLength / PART_BYTES));
    for (let part = 0; part < parts; part += 1) {
      const buffer = bytes.slice(part * PART_BYTES, (part + 1) * PART_BYTES);
      send({ name: file.name, part, parts }, [buffer]);
    }
  };
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const over = (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = may() ? "copy" : "none";
    stage.classList.toggle("wb-over", may());
  };
  const drop = (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    stage.classList.remove("wb-over");
    const file = pictureIn(event.dataTransfer);
    if (file) take(file);
  };
  root.addEventListener("dragenter", over);
  root.addEventListener("dragover", over);
  root.addEventListener("drop", drop);
  root.addEventListener("dragleave", (event) => {
    if (!root.contains(event.relatedTarget)) stage.classList.remove("wb-over");
  });
  root.addEventListener("paste", (event) => {
    const file = pictureIn(event.clipboardData);
    if (!file) return; // text goes into the prompt
    event.preventDefault();
    event.stopPropagation();
    take(file);
  });
  return { input, take, choose: () => input.click() };
}
