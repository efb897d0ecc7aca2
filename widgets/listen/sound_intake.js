// How a recording comes in: dropped, chosen or recorded. The page decodes it, so that the kernel
// needs no codec, and sends samples of one channel.

import { clockText } from "../shared/clock.js";
import { createFilePicker, letFilesIn, sendInParts } from "../shared/drop.js";

const MOST_SOUND_BYTES = 200e6;

/** The samples of all channels, averaged: float32. */
function monoOf(buffer) {
  const mono = buffer.getChannelData(0).slice();
  for (let channel = 1; channel < buffer.numberOfChannels; channel += 1) {
    buffer.getChannelData(channel).forEach((sample, index) => (mono[index] += sample));
  }
  return buffer.numberOfChannels > 1 ? mono.map((sample) => sample / buffer.numberOfChannels) : mono;
}

/**
 * Lets recordings in at `root` and marks `stage` while one hangs over it. `may()` says whether one
 * is welcome now, `began(name)` that it is being read, `fail(sentence)` what is wrong with it;
 * `rate()` is how many samples a second to make of it, `most()` how many seconds it may have.
 */
export function createSoundIntake({ root, stage, send, may, began, fail, rate, most }) {
  const decode = async (file) => {
    const bytes = await file.arrayBuffer();
    // A context of this rate converts to it while it decodes.
    return monoOf(await new OfflineAudioContext(1, 1, rate()).decodeAudioData(bytes));
  };
  const take = async (file) => {
    if (!may()) return;
    const named = file.name;
    if (file.size > MOST_SOUND_BYTES) {
      fail(`${named} is too large: a file may have ${MOST_SOUND_BYTES / 1e6} MB.`);
      return;
    }
    began(named);
    let samples;
    try {
      samples = await decode(file);
    } catch {
      fail(`${named} is no recording this browser can read: choose WAV, MP3, FLAC, OGG or M4A.`);
      return;
    }
    const seconds = samples.length / rate();
    if (seconds > most()) {
      fail(`${named} lasts ${clockText(seconds, false)}: at most ${clockText(most(), false)} from the page.`);
    } else sendInParts(samples.buffer, { name: named, rate: rate() }, send);
  };
  const input = createFilePicker({
    label: "Recording file",
    accept: "audio/*,video/mp4,video/webm,.wav,.flac,.ogg,.opus,.mp3,.m4a",
    take,
  });
  letFilesIn({ root, stage, may, take });
  return { input, take, choose: () => input.click() };
}
