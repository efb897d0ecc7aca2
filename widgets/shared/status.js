// What a run's status is called: on the panel, in its empty output, and to a screen reader.

export const BUSY = new Set(["queued", "compiling", "prefill", "streaming", "stopping"]);
export const PREPARING = new Set(["loading", "compiling"]);

export function statusText(status, position, rate) {
  if (status === "queued" && position > 0) return `queued, ${position} ahead`;
  if (status === "prefill") return "reading the prompt";
  if (status === "streaming" && rate > 0) return `streaming ${Math.round(rate)} tok/s`;
  return status;
}

export function emptyText(status, position, name) {
  const texts = {
    loading: `Loading ${name}. You can write your prompt meanwhile.`,
    queued: position > 0 ? "Another run of this model comes first." : "",
    compiling: "Compiling for this model. It is done once; the next runs begin at once.",
    prefill: "Reading the prompt.",
    done: "The model ended at once, without a token.",
    stopped: "Stopped before the first token.",
    failed: "",
  };
  return texts[status] ?? "Write a prompt and press Generate; the text appears here token by token.";
}

export function spokenStatus(status, summary) {
  const texts = { loading: "Loading", compiling: "Compiling", streaming: "Generating", failed: "Failed" };
  if (status === "done" || status === "stopped") return `${status}. ${summary}`;
  return texts[status] ?? "";
}

export function countText(count) {
  return count === 1 ? "1 token" : `${count.toLocaleString("en")} tokens`;
}
