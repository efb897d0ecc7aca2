"""Stand-ins for tests of the preset browser: a long catalog, and presets that load when told."""

from __future__ import annotations

import itertools
import random
import threading
import weakref

from doubles import Pace

from workbench.presets.catalog import PresetInfo
from workbench.storage.progress import Progress, report

FAMILIES = (
    ("Llama", "LlamaBackbone", "Llama 3.2", True),
    ("Gemma 3", "Gemma3Backbone", "Gemma", True),
    ("Falcon", "FalconBackbone", "Apache-2.0", False),
    ("BLOOM", "BloomBackbone", "BigScience RAIL 1.0", False),
)


def info(name, parameters=1_000_000_000, **facts):
    """A preset of a family that is here, with likely facts where none are given."""
    return PresetInfo(
        **{
            "name": name,
            "family": "Llama",
            "backbone": "LlamaBackbone",
            "description": f"A model called {name}, for tests.",
            "parameters": parameters,
            "layers": 16,
            "hidden_dim": 2048,
            "intermediate_dim": 8192,
            "heads": 16,
            "kv_heads": 8,
            "head_dim": 128,
            "vocabulary_size": 32_000,
            "modality": "text",
            "instruct": False,
            "context_length": 2048,
            "bytes_on_disk": 2 * parameters,
            "licence": "Apache-2.0",
            "gated": False,
            "kaggle": None,
            "hugging_face": None,
            "embedded": False,
            **facts,
        }
    )


def catalog_of(count):
    """So many presets, the embedded one first; from 0.1 B to 100 B parameters."""
    choose = random.Random(5)
    return (
        info("stories_tiny_en", 2_754_816, embedded=True),
        *(_any(choose, i) for i in range(1, count)),
    )


def _any(choose, index):
    family, backbone, licence, gated = choose.choice(FAMILIES)
    parameters = int(10 ** choose.uniform(8, 11))
    instruct = choose.random() < 0.5
    word = "_instruct" if instruct else ""
    return info(
        f"{family.lower().replace(' ', '')}{word}_{index}",
        parameters,
        family=family,
        backbone=backbone,
        licence=licence,
        gated=gated,
        instruct=instruct,
        layers=choose.randint(8, 80),
        context_length=choose.choice((2048, 8192, 32768, 131072)),
        kaggle=f"kaggle://keras/any/keras/any_{index}",
    )


class Hub:
    """What `from_preset` does in a test: a megabyte at a time, as fast as the test lets it.

    Set `outcome` to what the load gives, an exception to raise it. `hold()` stops it half way.
    """

    def __init__(self, outcome):
        self.outcome = outcome
        self.calls = []
        self.half_way = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def hold(self):
        self._open.clear()

    def go_on(self):
        self._open.set()

    def from_preset(self, handle, dtype=None):
        self.calls.append((handle, dtype))
        report(
            Progress("downloading", 600_000_000, 1_500_000_000, "model.weights.h5", 24_000_000.0)
        )
        self.half_way.set()
        while not self._open.wait(0.02):
            report(Progress("downloading", 600_000_000, 1_500_000_000, "model.weights.h5", 24e6))
        report(Progress("reading", 1_500_000_000, 1_500_000_000, "model.weights.h5"))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def slow_reading(delay):
    """Make every load in this process read its weights at a pace of `delay` seconds more for each;
    the `Pace`."""
    from workbench.presets.loading import WeightLoader

    pace, value, counts = Pace(delay), WeightLoader.value, weakref.WeakKeyDictionary()

    def slowly(self, *arguments):
        pace.wait(next(counts.setdefault(self, itertools.count())))
        return value(self, *arguments)

    WeightLoader.value = slowly
    return pace
