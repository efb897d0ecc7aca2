"""A comparison as a static HTML table with marked differences, for places without a live page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from workbench.jobs.column import Result

from ..shared.runs import token_count
from .diff import common_units

_CELL = "text-align: left; vertical-align: top; padding: 4px 8px; border: 1px solid #9e9e9e"
_TEXT = f"{_CELL}; white-space: pre-wrap"


def table_html(
    heading: str, rows: Sequence[Sequence[Result]], endings: Sequence[Sequence[str]], at: int
) -> str:
    """Return a table with a row per prompt: each column's text and figures, with the differences
    from column `at` underlined.

    `endings` says for each result why it stopped.
    """
    titles = [result.title for result in rows[0]]
    head = "".join(f'<th style="{_CELL}" scope="col">{html.escape(t)}</th>' for t in titles)
    body = "".join(_row(*pair, at) for pair in zip(rows, endings, strict=True))
    note = f"Underlined: differs from {titles[at]}."
    return (
        f"<div>{html.escape(heading)}</div>"
        f'<table style="border-collapse: collapse"><thead><tr><th style="{_CELL}" scope="col">'
        f"Prompt</th>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"<div>{html.escape(note)}</div>"
    )


def figures_text(result: Result) -> str:
    """Return the result's counts and means in words; empty without a token."""
    if not result.tokens or result.stats is None:
        return ""
    return (
        f"{token_count(len(result.tokens))} · {result.tokens_per_second:.0f} tokens/s · "
        f"log-probability {result.mean_logprob:.2f} a token"
    )


def _row(results: Sequence[Result], endings: Sequence[str], at: int) -> str:
    reference = _units(results[at].text)
    cells = "".join(
        f'<td style="{_TEXT}">{_marked(result, reference)}<br><small>'
        f"{html.escape(' · '.join(filter(None, [figures_text(result), ending])))}</small></td>"
        for result, ending in zip(results, endings, strict=True)
    )
    prompt = html.escape(results[0].prompt)
    return f'<tr><th style="{_TEXT}; font-weight: normal" scope="row">{prompt}</th>{cells}</tr>'


def _units(text: str) -> list[str]:
    """Split a text into words, signs and the spaces between them."""
    return re.findall(r"\w+|\s+|[^\w\s]", text)


def _marked(result: Result, reference: list[str]) -> str:
    if result.error is not None:
        return html.escape(str(result.error))
    return "".join(
        html.escape(text) if same else f"<u>{html.escape(text)}</u>"
        for text, same in stretches(reference, _units(result.text))
    )


def stretches(reference: list[str], units: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield stretches of the units' text, each with whether the reference has it, too."""
    pairs = zip(units, common_units(reference, units), strict=True)
    for same, stretch in groupby(pairs, lambda pair: pair[1]):
        yield "".join(unit for unit, _ in stretch), same
