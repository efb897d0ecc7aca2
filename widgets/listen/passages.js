// The transcript by segments: each begins with its time, lights while it is played, and is gone to
// when it is pressed.

import { clockText, spokenClock, subtitleClock } from "../shared/clock.js";
import { button, make } from "../shared/dom.js";

/** The time at which a segment begins; pressed, it goes there. */
function createStamp(start, seek) {
  const options = { class: "wb-stamp", "aria-label": `Go to ${spokenClock(start)}` };
  return button(clockText(start, false), () => seek(start), options);
}

/** `output` is that of `createOutput`, `seek(seconds)` goes to a place in the recording. */
export function createPassages(output, seek) {
  let segments = [];
  let stamps = [];
  let at = -1; // seconds; nothing is lit before the playhead has moved
  let now = -1;

  const stopOf = (index) => segments[index + 1]?.[2] ?? Infinity;
  const indexOf = (token) => segments.findLastIndex(([, , first]) => token >= first);
  const playing = () => segments.findLastIndex(([start, stop]) => at >= start && at < stop);
  const paint = () => {
    output.tokens.forEach(({ span }, token) => {
      const inside = now >= 0 && token >= segments[now][2] && token < stopOf(now);
      span.classList.toggle("wb-heard-now", inside);
    });
    stamps.forEach((stamp, index) => stamp?.classList.toggle("wb-now", index === now));
  };

  output.node.addEventListener("click", (event) => {
    const token = event.target.closest(".wb-token");
    const index = token && !getSelection().toString() ? indexOf(Number(token.dataset.index)) : -1;
    if (index >= 0) seek(segments[index][0]);
  });

  return {
    /** Segments as [start, stop, first token]; the tokens are in the output already. */
    show(given) {
      segments = given;
      if (stamps.some((stamp) => stamp && !stamp.isConnected)) stamps = [];
      segments.forEach((segment, index) => {
        const first = output.tokens[segment[2]]?.span;
        if (!first || stamps[index]) return;
        stamps[index] = createStamp(segment[0], seek);
        first.before(...(index ? [make("br")] : []), stamps[index]);
      });
      now = playing();
      paint();
    },
    /** The playhead is here. */
    move(seconds) {
      at = seconds;
      if (playing() === now) return;
      now = playing();
      paint();
    },
    reset() {
      [segments, stamps, at, now] = [[], [], -1, -1];
    },
    /** Start, stop and text of each segment. */
    list: () =>
      segments.map(([start, stop, first], index) => {
        const pieces = output.tokens.slice(first, stopOf(index)).map(({ piece }) => piece);
        return { start, stop, text: pieces.join("").trim() };
      }),
  };
}

/** Lines with their times. */
export function transcriptOf(passages) {
  return passages.map(({ start, text }) => `[${clockText(start, false)}] ${text}\n`).join("");
}

/** The same as WebVTT, which players show as subtitles. */
export function subtitlesOf(passages) {
  const cues = passages.map(
    ({ start, stop, text }) => `\n${subtitleClock(start)} --> ${subtitleClock(stop)}\n${text.replaceAll("-->", "→")}\n`,
  );
  return `WEBVTT\n${cues.join("")}`;
}

export function saveText(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
