"""Stand-ins for tests of the inspect panel's views: a text read by no model, and a bare panel."""

import threading
from pathlib import Path
from typing import ClassVar

import numpy as np
import traitlets
from doubles import STORY, FakeLM
from patience import HANG
from workbench.widgets.inspect.views import InspectViews
from workbench.widgets.shared.pages import page, style
from workbench.widgets.shared.panel import Panel

from workbench.inspection import Lens

WORDS = tuple(f" {word}" for word in STORY.split())
TEXT = ("Once", *WORDS[1:12])


class FakeInspection:
    """Draws everything at random, from the seed alone; deeper layers are surer.

    `hold` is waited for before an answer, `error` is raised instead of it; `asked` counts.
    """

    def __init__(self, pieces=TEXT, layers=4, heads=4, seed=0, hold=None, error=None):
        self.vocabulary = (*dict.fromkeys(pieces), *WORDS, "\n", "<script>alert(1)</script>")
        self.pieces, self.layers, self.heads = tuple(pieces), layers, heads
        self.ids = np.array([self.vocabulary.index(piece) for piece in pieces], np.int32)
        self.hold, self.error, self.asked = hold, error, []
        self._draw = np.random.default_rng(seed)

    def piece(self, token):
        return self.vocabulary[token]

    def lens(self, k=5):
        self._ask("lens")
        places, rows = len(self.ids) + 1, self.layers + 1
        logits = self._draw.normal(size=(rows, places, len(self.vocabulary)))
        last = self._draw.normal(size=logits.shape[1:]) * 5
        last[np.arange(1, places - 1), self.ids[1:]] += 6
        depth = np.linspace(0, 1, rows)[:, None, None]
        logits = logits * (1 - depth) + last * depth**2
        logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        order = np.argsort(-logprobs, -1, kind="stable").astype(np.int32)
        ranks = np.argsort(order, -1) + 1
        tokens = np.append(self.ids, 0)[None, :, None].repeat(rows, 0)
        own = np.take_along_axis(logprobs, tokens, -1)[..., 0]
        rank = np.take_along_axis(ranks, tokens, -1)[..., 0].astype(np.int32)
        entropies = -(np.exp(logprobs) * logprobs).sum(-1)
        best = np.take_along_axis(logprobs, order[..., :k], -1)
        ids = order[..., :k].copy()
        ids[:, 0], best[:, 0], entropies[:, 0] = -1, np.nan, np.nan
        for end in (0, -1):
            own[:, end], rank[:, end] = np.nan, 0
        names = ("embedding", *(f"decoder_block_{i}" for i in range(self.layers)))
        single = (array.astype(np.float32) for array in (best, own, entropies))
        best, own, entropies = single
        return Lens(names, ids, best, own, rank, entropies)

    def attention(self, layer):
        self._ask(layer)
        size = len(self.ids)
        draw = np.random.default_rng(layer)
        scores = draw.normal(size=(self.heads, size, size)) * 2
        scores[..., 0] += 3  # as models do, they rest on the first token
        scores[0] += 6 * np.eye(size, k=-1)
        scores[:, *np.triu_indices(size, 1)] = -np.inf
        weights = np.exp(scores)
        return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)

    def _ask(self, what):
        self.asked.append(what)
        if self.hold is not None:
            assert self.hold.wait(HANG)
        if self.error is not None:
            raise self.error


class ViewsPanel(InspectViews, Panel):
    """A panel with nothing but one of the views."""

    _esm = page(Path(__file__).with_name("views_page.js"))
    _css = style("inspect")

    view = traitlets.Unicode("lens").tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)
    reading = traitlets.Dict().tag(sync=True)
    page_writes: ClassVar = {"place": int}

    def __init__(self, inspection=None, view="lens", **traits):
        self.inspection, self.shown_key = None, 0
        self._lm = FakeLM()
        super().__init__(view=view, reading={"key": 0, "pieces": []}, **traits)
        if inspection is not None:
            self.read(inspection)

    def read(self, inspection):
        """Show another text."""
        self.inspection = inspection
        self.shown_key += 1
        self.reading = {"key": self.shown_key, "pieces": list(inspection.pieces)}

    def release(self):
        self.drop_views()


def held():
    """An event that a `FakeInspection` waits for."""
    return threading.Event()
