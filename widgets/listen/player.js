// Plays the recording. Its sound is asked for when it is first needed.

import { make } from "../shared/dom.js";

/** An audio element and the sound in it; `followed()` is called while it plays, at every frame. */
function createSound({ followed, changed, fail }) {
  const audio = make("audio", { preload: "auto" });
  let url = null;
  let frame = 0;
  const follow = () => {
    followed(audio.currentTime);
    frame = audio.paused ? 0 : requestAnimationFrame(follow);
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
  const drop = () => {
    audio.pause();
    audio.removeAttribute("src");
    if (url) URL.revokeObjectURL(url);
    url = null;
  };
  return {
    get there() {
      return url !== null;
    },
    get playing() {
      return !audio.paused;
    },
    pause: () => audio.pause(),
    seek: (seconds) => (audio.currentTime = seconds),
    async play(seconds) {
      audio.currentTime = seconds;
      try {
        await audio.play();
      } catch (problem) {
        // A pause that came meanwhile is no failure.
        if (problem.name !== "AbortError") fail(`The browser does not play it: ${problem.message}`);
      }
    },
    load(bytes) {
      drop();
      url = URL.createObjectURL(new Blob([bytes], { type: "audio/wav" }));
      audio.src = url;
    },
    drop,
    dispose() {
      cancelAnimationFrame(frame);
      drop();
    },
  };
}

/**
 * `ask(number)` requests the sound of a recording, `moved(seconds)` follows the playhead,
 * `changed(playing)` says when it starts and stops, and `fail(sentence)` why it does not.
 */
export function createPlayer({ ask, moved, changed, fail }) {
  let recording = {};
  let at = 0;
  let wanted = false; // to play as soon as the sound is there
  const go = (seconds) => {
    at = seconds;
    moved(at);
  };
  const sound = createSound({ followed: go, changed, fail });
  const begin = () => {
    if (at >= recording.seconds - 0.05) at = 0;
    sound.play(at);
  };
  const isPlaying = () => sound.playing || wanted;
  return {
    get playing() {
      return isPlaying();
    },
    /** Another recording, or none. */
    show(now) {
      if (now.number === recording.number) return;
      sound.drop();
      [recording, wanted] = [now, false];
      changed(false);
      go(0);
    },
    toggle() {
      if (!recording.playable) return;
      if (isPlaying()) {
        wanted = false;
        sound.pause();
        changed(false);
      } else if (sound.there) begin();
      else {
        wanted = true;
        changed(true);
        ask(recording.number);
      }
    },
    seek(seconds) {
      if (sound.there) sound.seek(seconds);
      go(seconds);
    },
    /** The sound as bytes of a file. */
    take(number, bytes) {
      if (number !== recording.number) return;
      const waited = wanted;
      wanted = false;
      sound.load(bytes);
      if (waited) begin();
    },
    dispose: sound.dispose,
  };
}
