// What the status of a training run is called: on the panel, in its empty chart, to a screen reader.

import { clockText } from "../shared/clock.js";
import { gigabytesText, secondsText, wholeText } from "../shared/units.js";
import { plural } from "./data.js";

export const TUNE_BUSY = new Set(["queued", "compiling", "running", "pausing", "paused", "stopping"]);
export const TUNE_PREPARING = new Set(["loading", "reading", "compiling"]);

/** "0:41 left", and hours where there are any. */
function leftText(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  if (seconds >= 36_000) return `${Math.round(seconds / 3600)} h left`;
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min left`;
  return `${clockText(seconds, false)} left`;
}

function stepText({ step, steps }) {
  if (!steps) return step ? `step ${wholeText(step)}` : "";
  return `step ${wholeText(step)}/${wholeText(steps)}`;
}

export function tuneStatusText(status, position, run) {
  if (status === "queued" && position > 0) return `queued, ${position} ahead`;
  if (status === "reading") return "reading the data";
  const parts = [status];
  if (["running", "pausing", "paused"].includes(status) && run.steps) parts.push(stepText(run));
  if (status === "running") parts.push(leftText(run.remaining));
  return parts.filter(Boolean).join(" · ");
}

/** What an empty chart says. */
export function tuneEmptyText(status, position, name) {
  const texts = {
    loading: `Loading ${name}.`,
    reading: "Reading the data.",
    queued: position > 0 ? "Another run of this model comes first." : "",
    compiling: "Compiling the training step for this model. It is done once.",
    running: "The first step is under way.",
    stopped: "Stopped before the first step.",
    failed: "",
  };
  return texts[status] ?? "Press Start; the loss appears here step by step.";
}

export function tuneSpokenStatus(status, run) {
  const said = { loading: "Loading", reading: "Reading the data", compiling: "Compiling", running: "Training", failed: "Failed" };
  if (["paused", "stopped", "done"].includes(status)) return `${status}, ${stepText(run)}. ${run.summary ?? ""}`;
  return said[status] ?? "";
}

/** Steps, memory and time of the run that Start would begin. */
export function estimateText({ memory_bytes, steps, seconds }) {
  const parts = [];
  if (steps) parts.push(plural(steps, "step"));
  if (memory_bytes) parts.push(`needs about ${gigabytesText(memory_bytes)}`);
  if (seconds) parts.push(`takes about ${secondsText(seconds)}`);
  return parts.join(" · ");
}
