"""Writes the figures that `evaluate` measured as a table into the preset's model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: written by evaluate.py -->", "<!-- end of the figures -->"


def table(figures: dict[str, Any]) -> str:
    """Return all figures as Markdown."""
    captions, answers = figures["captions"], figures["questions"]
    found, jagged = figures["detections"], figures["captions_of_jagged_pictures"]
    by_count = " / ".join(_percent(v) for name, v in captions.items() if name != "exact")
    rows = {
        "captions, right letter for letter": _percent(captions["exact"]),
        "of one / two / three things": by_count,
        "answers, right": _percent(answers["right"]),
        "boxes found with an overlap of at least 0.5": _percent(found["found_at_half"]),
        "boxes found with an overlap of at least 0.75": _percent(found["found_at_three_quarters"]),
        "mean overlap of the boxes asked for": f"{found['mean_overlap']:.2f}",
        "boxes given that are right": _percent(found["given_that_are_right"]),
        "`none` where there is none": _percent(found["none_where_there_is_none"]),
        "captions of jagged pictures, 150 x 150, no antialiasing": _percent(jagged["exact"]),
    }
    rows |= {f"answers about {k}": _percent(v) for k, v in answers.items() if k != "right"}
    lines = [f"| {name} | {figure} |" for name, figure in rows.items()]
    return "\n".join([f"| {figures['pictures']} pictures | |", "|---|--:|", *lines])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def renew(card: Path, figures: dict[str, Any]) -> None:
    """Write the figures between the card's two marks."""
    before, _, rest = card.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    card.write_text(f"{before}{BEGIN}\n{table(figures)}\n{END}{after}", encoding="utf-8")
