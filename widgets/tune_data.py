"""Training data as the tune panel shows it: counts, lengths, and single examples as tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .settings import Settings

if TYPE_CHECKING:
    from workbench.data.examples import Example, Examples

BINS = 24
MOST_TOKENS = 1000  # of one example that are shown


def data_facts(examples: Examples, validation: int) -> Settings:
    """Counts of the examples, and how many of them have how many tokens.

    Args:
        examples: What is trained on.
        validation: How many examples are kept to measure on.
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
    """Edges of whole numbers, one more than counts; about `BINS` of them."""
    if not lengths.size:
        return {}
    low, high = int(lengths.min()), int(lengths.max()) + 1
    width = max(1, -(-(high - low) // BINS))
    edges = list(range(low, high + width, width))
    counts, _ = np.histogram(lengths, edges)
    return {"edges": edges, "counts": counts.tolist()}


def data_text(facts: Settings) -> str:
    """The counts in a line, for where no page shows them."""
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
    """One example for the page: the texts of its tokens, and which are in the loss."""
    from workbench.tuning.preview import preview  # not needed to show a panel

    pieces = preview(example.cut(MOST_TOKENS), tokenizer)
    return {
        "type": "example",
        "number": number,
        "pieces": [piece.text for piece in pieces],
        "mask": [int(piece.loss) for piece in pieces],
        "learned": example.loss_tokens,
        "length": len(example),
    }
