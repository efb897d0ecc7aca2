"""The training data of the tune panel, read once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from workbench.tuning.settings import TuneSettings

from ..shared.settings import Settings
from .data import data_facts

if TYPE_CHECKING:
    from workbench.data.examples import Example, Examples

PROMPTS = 2  # taken from the data if none are given
FIRST_WORDS = 4  # of a text, as a prompt
LOOKED_AT = 200  # examples that prompts are taken from


class TuneSource:
    """Data and validation data as given, and as examples after reading.

    Args:
        data: Anything that `read_examples` reads.
        validation: Separate validation data; None if a share of the data is held out.
    """

    def __init__(self, data: Any, validation: Any) -> None:
        self.data, self.validation = data, validation
        self.examples: Examples | None = None
        self.held_out: Examples | None = None

    def read(self, lm: Any) -> None:
        """Read the data into examples; a failure changes nothing.

        Raises:
            DataError: The data cannot be read.
        """
        from workbench.data.sources import read_examples  # a panel shows without it

        examples = read_examples(self.data, lm)
        self.held_out = None if self.validation is None else read_examples(self.validation, lm)
        self.examples = examples

    def used(self, settings: Settings) -> Examples:
        """Return the examples at the length of the settings."""
        length = settings["length"]
        return self.examples if length is None else self.examples.at_length(length)

    def facts(self, settings: Settings) -> Settings:
        """Return counts for the page.

        Raises:
            SettingError: The length exceeds the model's.
            DataError: Nothing is left to learn at this length.
        """
        return data_facts(self.used(settings), self._held_out_count(settings))

    def _held_out_count(self, settings: Settings) -> int:
        if self.held_out is not None:
            return len(self.held_out)
        share = settings["validation"]
        if isinstance(share, float):
            return max(1, round(share * len(self.examples)))
        return share or 0

    def planned(self, settings: Settings, asked: TuneSettings) -> TuneSettings:
        """Return the settings of a run with its number of steps filled in."""
        from workbench.data.batches import Batches

        if asked.steps is not None:
            return asked.planned(1)
        examples, share = self.used(settings), settings["validation"]
        if share and self.held_out is None:
            examples, _ = examples.split(share, asked.seed)
        batches = Batches(examples, asked.batch_size, asked.length, asked.packing, asked.seed)
        return asked.planned(batches.per_epoch)

    def longest(self, settings: Settings) -> int:
        """Return the positions of the longest row."""
        examples = self.used(settings)
        return examples.length if settings["packing"] else examples.longest - 1

    def prompts(self) -> tuple[Any, ...]:
        """Return prompts for sample completions, from the first examples."""
        found = (_prompt_of(example) for example in itertools.islice(self.examples, LOOKED_AT))
        return tuple(itertools.islice(_different(found), PROMPTS))


def _prompt_of(example: Example) -> Any:
    if example.prompt is None:
        return " ".join(example.text.split()[:FIRST_WORDS])
    images = example.source.get("images")
    return example.prompt if images is None else {"images": images, "prompts": example.prompt}


def _different(prompts: Iterator[Any]) -> Iterator[Any]:
    """Yield the prompts with text, each text once."""
    seen = {""}
    for prompt in prompts:
        text = prompt if isinstance(prompt, str) else prompt["prompts"]
        if text.strip() not in seen:
            seen.add(text.strip())
            yield prompt
