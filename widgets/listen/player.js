// Plays the recording. Its sound is asked for when it is first needed.

import { make } from "../shared/dom.js";

/**
 * `ask(number)` requests the sound of a recording, `moved(seconds)` follows the playhead,
 * `changed(playing)` says when it starts and stops, and `fail(sentence)` why it does not.
 */
export function createPlayer({ ask, moved, changed, fail }) {
  const audio = make("audio", { preload: "auto" });
  let recording = {};
  let url = null;
  let at = 0;
  let wanted = false; // to play as soon as the sound is there
  let frame = 0;

  const follow = () => {
    at = audio.currentTime;
    moved(at);
    frame = audio.paused ? 0 : requestAnimationFrame(follow);
  };
  const drop = () => {
    audio.pause();
    audio.removeAttribute("src");
    if (url) URL.revokeObjectURL(url);
    [url, wanted] = [null, false];
  };
  const begin = async () => {
    if (at >= recording.seconds - 0.05) at = 0;
    audio.currentTime = at;
    try {
      await audio.play();
    } catch (problem) {
      // A pause that came meanwhile is no failure.
      if (problem.name !== "AbortError") fail(`The browser does not play it: ${problem.message}`);
    }
  };
  audio.addEventListener("play", () => {
    changed(true);
    frame ||= requestAnimationFrame(follow);
  });
  for (const end of ["pause", "ended"]) {
    audio.addEventListener(end, () => {
      changed(false);
      if (url) follow();
    });
  }

  return {
    get playing() {
      return !audio.paused || wanted;
    },
    /** Another recording, or none. */
    show(now) {
      if (now.number === recording.number) return;
      drop();
      [recording, at] = [now, 0];
      changed(false);
      moved(0);
    },
    toggle() {
      if (!recording.playable) return;
      if (this.playing) {
        wanted = false;
        audio.pause();
        changed(false);
      } else if (url) begin();
      else {
        wanted = true;
        changed(true);
        ask(recording.number);
      }
    },
    seek(seconds) {
      at = seconds;
      if (url) audio.currentTime = seconds;
      moved(seconds);
    },
    /** The sound as bytes of a file. */
    take(number, bytes) {
      if (number !== recording.number) return;
      const go = wanted;
      drop();
      url = URL.createObjectURL(new Blob([bytes], { type: "audio/wav" }));
      audio.src = url;
      if (go) begin();
    },
    dispose() {
      cancelAnimationFrame(frame);
      drop();
    },
  };
}
