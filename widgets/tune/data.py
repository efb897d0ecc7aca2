"""The training data on the tune panel: counts, lengths, and single examples as tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..shared.settings import Settings

if TYPE_CHECKING:
    from workbench.data.examples import Example, Examples

BINS = 24
MOST_TOKENS = 1000  # shown of one example


def data_facts(examples: Examples, validation: int) -> Settings:
    """Return counts of the examples, and a histogram of their tokens.

    Args:
        examples: The training examples.
        validation: The number of held-out examples.
    """
    lengths = np.array([len(example) for example in examples], np.int64)
    return {
        "examples": len(examples),
        "tokens": examples.tokens,
        "longest": examples.longest,
        "cut": examples.cut,
        "dropped": len(examples.dropped),
        "share": examples.loss_tokens / examples.tokens,
        "validation": validation,
        "histogram": histogram(lengths),
    }


def histogram(lengths: np.ndarray) -> Settings:
    """Return about `BINS` counts and their edges, whole numbers, one more than the counts."""
    if not lengths.size:
        return {}
    low, high = int(lengths.min()), int(lengths.max()) + 1
    width = max(1, -(-(high - low) // BINS))
    edges = list(range(low, high + width, width))
    counts, _ = np.histogram(lengths, edges)
    return {"edges": edges, "counts": counts.tolist()}


def data_text(facts: Settings) -> str:
    """Return the counts in one line, for places without a page."""
    if not facts.get("examples"):
        return "no examples"
    parts = [
        f"{facts['examples']:,} examples",
        f"{facts['tokens']:,} tokens",
        f"longest {facts['longest']:,}",
        f"{facts['cut']:,} cut",
        f"{facts['share']:.0%} in the loss",
    ]
    return ", ".join(parts)


def example_view(number: int, example: Example, tokenizer: Any) -> Settings:
    """Return one example for the page: its tokens' texts, and which of them are in the loss."""
    from workbench.tuning.preview import preview  # a panel shows without it

    pieces = preview(example.cut(MOST_TOKENS), tokenizer)
    return {
        "type": "example",
        "number": number,
        "pieces": [piece.text for piece in pieces],
        "mask": [int(piece.loss) for piece in pieces],
        "learned": example.loss_tokens,
        "length": len(example),
    }
