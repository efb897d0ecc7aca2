"""Stand-ins for tests of the look panel: a model that answers about pictures unseen."""

import json
import math
import re

import numpy as np
from doubles import FakeLM, FakePreprocessor
from patience import HANG
from PIL import Image, ImageDraw

from workbench.generation.events import Alternative, Token
from workbench.images import ImageConverter

ANSWERS = {
    "caption": "a red circle above a blue square",
    "answer": "two",
    "detect": (
        "<loc0102><loc0154><loc0461><loc0512> red circle ; "
        "<loc0512><loc0563><loc0870><loc0922> blue square"
    ),
    "segment": "<loc0102><loc0154><loc0461><loc0512>"
    + "".join(f"<seg{code:03d}>" for code in range(16))
    + " red circle",
    "ocr": "EXIT",
}
GRID = (8, 8)


def shapes_picture(width=320, height=240):
    """A red circle and a blue square on sand, where the answers above say they are."""
    image = Image.new("RGB", (width, height), "#efe6d8")
    draw = ImageDraw.Draw(image)
    at = [(0.15 * width, 0.1 * height), (0.5 * width, 0.45 * height)]
    draw.ellipse(at, fill="#c8402f")
    draw.rectangle([(0.55 * width, 0.5 * height), (0.9 * width, 0.85 * height)], fill="#2f5fc8")
    return image


class FakeImagePreprocessor(FakePreprocessor):
    def __init__(self, image_converter):
        self.image_converter = image_converter

    def converter(self, name):
        return self.image_converter if name == "image_converter" else None


class FakeLookLM(FakeLM):
    """Gives each task its answer, a location or a word a token, whatever the picture.

    `answers` replaces some; `looks` counts how often the attention was asked for, `looking` is
    an event that this waits for, `look_error` what it raises.
    """

    def __init__(
        self,
        answers=None,
        converter=None,
        looking=None,
        look_error=None,
        **options,
    ):
        super().__init__(**options)
        converter = converter or ImageConverter((64, 64), crop_to_aspect_ratio=False)
        self.preprocessor = FakeImagePreprocessor(converter)
        self.answers = {**ANSWERS, **(answers or {})}
        self.looking, self.look_error, self.looks = looking, look_error, 0

    def prompt_tokens(self, inputs):
        return math.prod(GRID) + len(self.preprocessor.prompt_ids(inputs["prompts"]))

    def stream(self, inputs, **settings):
        self.pictures = [*vars(self).get("pictures", []), inputs["images"]]
        yield from super().stream(json.dumps({"prompts": inputs["prompts"]}), **settings)

    def image_attention(self, inputs, completion):
        assert inputs["images"].mode == "RGB" and all(type(i) is int for i in completion)
        self.looks += 1
        if self.looking is not None:
            assert self.looking.wait(HANG)
        if self.look_error:
            raise self.look_error
        rows, columns = GRID
        y, x = np.mgrid[:rows, :columns]
        places = [(i % rows, i % columns) for i in range(len(completion))]
        maps = [np.exp(-0.4 * ((y - a) ** 2 + (x - b) ** 2)) for a, b in places]
        return np.stack([m / m.sum() for m in maps]).astype(np.float32)

    def _events(self, prompt, max_new_tokens, sampler, seed, alternatives):
        words = json.loads(prompt)["prompts"].split()
        answer = self.answers.get(words[0] if words else "", "I see shapes")
        self._pieces = re.findall(r"\s*<(?:loc|seg)\d+>|\s*\S+?(?=<loc|\s|$)", answer)
        stop, self.stop_at = self.stop_at, min(self.stop_at or 999, len(self._pieces))
        try:
            self._place = 0
            yield from super()._events(prompt, max_new_tokens, sampler, seed, alternatives)
        finally:
            self.stop_at = stop

    def _token(self, choose, alternatives):
        piece, self._place = self._pieces[self._place], self._place + 1
        best = [Alternative(7, piece, math.log(0.9)), Alternative(8, " other", math.log(0.1))]
        return Token(7, piece, best[0].logprob, tuple(best))
