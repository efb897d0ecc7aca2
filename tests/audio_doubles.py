"""A stand-in for a model that hears: a word for each half second, in pieces of some seconds."""

from types import SimpleNamespace

import numpy as np
from doubles import FakeLM, FakePreprocessor

from workbench.audio import cut_at_pauses, open_audio
from workbench.generation.events import Done, Stats, Status, Token
from workbench.generation.turn import Turn
from workbench.tasks.transcription import Segment

RATE = 16_000
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


class HearingPreprocessor(FakePreprocessor):
    def converter(self, name):
        return SimpleNamespace(sampling_rate=RATE) if name == "audio_converter" else None


class FakeTranscription(Turn):
    def __init__(self, lm, samples):
        self.lm, self.samples = lm, samples
        self.pieces = cut_at_pauses(samples, RATE, *lm.pieces)
        self.segments = []

    @property
    def prompt_tokens(self):
        return len(self.pieces)

    def stream(self, **settings):
        self.lm.calls.append(settings)
        count = settings["max_new_tokens"] or 10**6
        texts = []
        yield from self._begin()
        for piece in self.pieces:
            self.segments.append(Segment(piece.start / RATE, piece.stop / RATE, len(texts)))
            for _ in range(max(1, round(len(piece) / RATE / 0.5))):
                if len(texts) == count:
                    break
                self.lm.heard = len(texts)
                for event in self.lm.stream(f"{len(texts)}", max_new_tokens=1, seed=len(texts)):
                    if isinstance(event, Token):
                        texts.append(event.text)
                        yield event
                    elif event == Status("compiling"):
                        yield event
        yield Done("stop", "".join(texts), Stats(self.prompt_tokens, len(texts), 0.1, 0.4))

    def _begin(self):
        if self.lm.error_at_once:
            raise self.lm.error_at_once
        yield Status("prefill")
        yield Status("streaming")


class FakeHearingLM(FakeLM):
    """Hears pieces of at most `pieces[0]` seconds, cut from `pieces[1]` seconds on."""

    def __init__(self, pieces=(3.0, 2.0), error_at_once=None, **options):
        super().__init__(**{"words": DIGITS, "name": "hears_tiny", **options})
        self.preprocessor = HearingPreprocessor()
        self.pieces = pieces
        self.error_at_once = error_at_once
        self.heard = 0  # how many words, of all pieces

    def transcription(self, audio, rate=None):
        return FakeTranscription(self, open_audio(audio, rate))

    def _wait(self, index):
        self.pace.wait(self.heard)


def bursts(seconds=8.0, rate=RATE):
    """Tones with pauses between them, float32 (samples,)."""
    times = np.arange(int(seconds * rate)) / rate
    envelope = np.clip(np.sin(2 * np.pi * 0.8 * times), 0, 1) ** 0.5
    swell = 0.4 + 0.4 * np.sin(2 * np.pi * times / seconds) ** 2
    return (envelope * swell * np.sin(2 * np.pi * 220 * times)).astype(np.float32)
