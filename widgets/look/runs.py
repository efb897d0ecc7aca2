"""A run of the look panel: the answer's text, its regions, and its tokens' attention."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from workbench import images
from workbench.generation.events import Done, Event, Stats, Status, Token
from workbench.generation.turn import Turn
from workbench.jobs.generation import GenerationJob, JobState

from ..shared.runs import Run
from ..shared.settings import Settings
from .pictures import Picture, smaller

MASK_SIDE = 512  # pixels of the longer side that outlines are traced on
KEPT_PIXELS = 100_000_000  # in the pictures of all runs of a panel together: 300 MB


class LookRun(Run):
    """A prompt about a picture, its settings and the answer.

    Args:
        number: The run's number in the panel, from 1.
        lm: The model that answers.
        picture: The picture.
        prompt: The question.
        settings: The sampler's name and the value of every control.
        on_event: Called with this run and each event of its job, after the run handled it.
        decoder: Turns the `<seg>` codes into masks; None draws only boxes.

    Raises:
        SettingError: The sampler refuses its settings.
    """

    def __init__(
        self,
        number: int,
        lm: Any,
        picture: Picture,
        prompt: str,
        settings: Settings,
        on_event: Callable[[Run, JobState | Token | Done], None],
        decoder: images.MaskDecoder | None = None,
    ) -> None:
        self.picture = picture
        self.attention: np.ndarray | None = None
        self.inputs = {"images": picture.image, "prompts": prompt}
        self.window = window_of(lm, picture)
        self._lm = lm
        self._decoder = decoder
        self._drawn: dict[tuple[Any, ...], list[list[list[float]]]] = {}
        super().__init__(number, lm, prompt, settings, on_event, turn=self.inputs)

    @property
    def answer(self) -> images.Answer:
        """The text so far, with its regions as fractions of the whole picture."""
        return images.read_answer(self.text).within(self.window)

    @property
    def regions(self) -> list[images.Region]:
        """The regions that the text so far marks in the picture."""
        return list(self.answer.regions)

    def delta(self, offset: int) -> dict[str, Any]:
        """Return a message with the tokens from `offset` on, and all regions."""
        return {**super().delta(offset), "regions": self._regions()}

    def snapshot(self) -> dict[str, Any]:
        """Return everything the page shows of this run."""
        return {
            **super().snapshot(),
            "picture": self.picture.number,
            "regions": self._regions(),
        }

    def trace(self) -> None:
        """Make the masks of all regions so far."""
        if self._decoder is not None:
            for region in self.regions:
                self._outline(region)

    def looking(self, on_event: Callable[[JobState | Token | Done], None]) -> GenerationJob:
        """Return a job that computes each token's attention and keeps it as `attention`."""
        return GenerationJob(self._lm, _Looking(self._lm, self), on_event=on_event)

    def attention_message(self) -> tuple[dict[str, Any], bytes]:
        """Return the attention for the page: each token's shares of its own peak in 255 levels."""
        maps = np.asarray(self.attention, np.float32)
        peaks = maps.max(axis=(1, 2), initial=0.0)
        levels = np.rint(255 * maps / np.maximum(peaks, 1e-12)[:, None, None]).astype(np.uint8)
        tokens, rows, columns = maps.shape
        return {
            "type": "attention",
            "run": self.number,
            "tokens": tokens,
            "rows": rows,
            "columns": columns,
            "peaks": [round(float(peak), 5) for peak in peaks],
            "window": list(self.window),
        }, levels.tobytes()

    def _regions(self) -> list[dict[str, Any]]:
        ends = list(itertools.accumulate(map(len, list(self._pieces))))
        return [self._region(region, ends) for region in self.regions]

    def _region(self, region: images.Region, ends: list[int]) -> dict[str, Any]:
        """Return a region for the page; `tokens` is [first, end) of the tokens that name it."""
        first = bisect.bisect_right(ends, region.start)
        after = bisect.bisect_left(ends, region.stop) + 1
        return {
            "label": region.label,
            "box": [round(float(edge), 5) for edge in region.box],
            "tokens": [first, max(first, min(after, len(ends)))],
            "mask": self._outline(region),
        }

    def _outline(self, region: images.Region) -> list[list[list[float]]]:
        """Return the mask's outline, rings of [x, y] as fractions of the picture. Each mask takes a
        pass through the decoder, so it is made once."""
        if self._decoder is None or not region.codes:
            return []
        key = (region.box, region.codes)
        if key not in self._drawn:
            size = smaller(self.picture.image, MASK_SIDE).size
            mask = region.mask(self._decoder, *size[::-1])
            self._drawn[key] = [np.round(ring / size, 5).tolist() for ring in images.polygons(mask)]
        return self._drawn[key]


class _Looking(Turn):
    """Reads the attention as a job in the model's queue."""

    prompt_tokens = 0

    def __init__(self, lm: Any, run: LookRun) -> None:
        self._lm, self._run = lm, run

    def stream(self, **settings: Any) -> Iterator[Event]:
        """Compute the attention; yield no token."""
        yield Status("prefill")
        ids = [token.id for token in self._run.job.tokens]
        self._run.attention = np.asarray(self._lm.image_attention(self._run.inputs, ids))
        yield Done("stop", "", Stats(0, 0, 0.0, 0.0))


def window_of(lm: Any, picture: Picture) -> tuple[float, float, float, float]:
    """Return the part of the picture that the model sees: (y0, x0, y1, x1) as fractions."""
    image = picture.image
    return lm.preprocessor.converter("image_converter").window(image.height, image.width)


def bounded(runs: list[LookRun], most: int) -> list[LookRun]:
    """Return the last runs, at most `most`, whose pictures together fit `KEPT_PIXELS`."""
    kept: list[LookRun] = []
    pixels: dict[int, int] = {}
    for run in reversed(runs[-most:]):
        image = run.picture.image
        pixels[id(image)] = image.width * image.height
        if kept and sum(pixels.values()) > KEPT_PIXELS:
            break
        kept.insert(0, run)
    return kept
