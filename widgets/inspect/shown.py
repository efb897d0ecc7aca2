"""How the inspect panel shows a branch: as arrays for the page, as a table for print."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .branches import Branch
from .views import buffer_of

PRINTED = 200  # tokens in the table of a printed panel
PRINTED_NEXT = 5
HEAD = ("place", "token", "id", "probability", "entropy", "rank")
TOKEN_COLUMN = 1
MAX_PIECE = 24  # characters of a token in the table
UNLIKELY, LIKELY = (0.78, 0.14, 60.0), (0.97, 0.015, 240.0)  # oklch, as in writing.css
_SIGNS = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"})


def reading_of(branch: Branch, key: int, written: bool) -> dict[str, Any]:
    """Return the tokens of a branch for the page, with one number for each place, 0 to T.

    `ids` int32 (T,), `logprobs` float32 (T,) in nats, `entropies` float32 (T + 1,) in nats and
    `ranks` int32 (T + 1,), little-endian. While the branch is written, unknown numbers are NaN and
    unknown ranks 0.
    """
    entropies, ranks = _measures(branch)
    return {
        "key": key,
        "branch": branch.number,
        "from": branch.place,
        "written": written,
        "pieces": list(branch.pieces),
        "ids": buffer_of(np.array(branch.ids, np.int32)),
        "logprobs": buffer_of(np.array(branch.logprobs, np.float32)),
        "entropies": buffer_of(entropies),
        "ranks": buffer_of(ranks),
    }


def distribution_of(inspection: Any, place: int) -> dict[str, Any]:
    """Return the distribution at a place for the page: `Distribution`'s arrays, little-endian."""
    found = inspection.distribution(place)
    return {
        "place": place,
        "pieces": [inspection.piece(token) for token in found.ids.tolist()],
        "ids": buffer_of(found.ids),
        "logits": buffer_of(found.logits),
        "rest_logits": buffer_of(found.rest_logits),
        "rest_counts": buffer_of(found.rest_counts),
    }


def table_of(branch: Branch) -> list[str]:
    """Return tokens with probability, entropy and rank, and the next place, as lines of text."""
    rows = _rows(branch)
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == TOKEN_COLUMN else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [_summary(branch), *lines, f"next: {_next(branch.inspection)}"]


def printed(heading: str, branch: Branch) -> str:
    """Return the panel as HTML without script or style sheet."""
    parts = [heading, _summary(branch), f"next: {_next(branch.inspection)}"]
    first, second, last = (f"<div>{html.escape(part)}</div>" for part in parts)
    return f"{first}{coloured(branch)}{second}{_table(_rows(branch))}{last}"


def coloured(branch: Branch) -> str:
    """Return the tokens as HTML, coloured by probability, with their figures as titles."""
    spans = []
    for place in range(min(len(branch.ids), PRINTED)):
        piece = branch.pieces[place]
        shown = html.escape(piece.replace("\n", "⏎\n"))
        logprob = branch.logprobs[place]
        if math.isnan(logprob):
            spans.append(f"<span>{shown}</span>")
            continue
        cells = _row(branch.inspection, place)
        title = html.escape(f"{cells[2]}, {cells[3]}, rank {cells[4]}", quote=True)
        colour = colour_of(math.exp(logprob))
        style = f"background:{colour};color:#111"
        spans.append(f'<span style="{style}" title="{title}">{shown}</span>')
    return f'<div style="white-space:pre-wrap;font-family:monospace">{"".join(spans)}</div>'


def visible(piece: str) -> str:
    """Return a token in one line, with visible signs for spaces and line breaks."""
    return piece.translate(_SIGNS)


def colour_of(share: float) -> str:
    """Return the colour of a share, 0 to 1, on the panel's light scale, linear in OKLab, as
    `#rrggbb`."""
    low, high = (_oklab(*colour) for colour in (UNLIKELY, LIKELY))
    return _hex(low + (high - low) * min(1.0, max(0.0, share)))


def _rows(branch: Branch) -> list[tuple[str, ...]]:
    """Return the table's header, a row for each token, and one for the place after them."""
    inspection = branch.inspection
    count = min(len(branch.ids), PRINTED)
    rows = [HEAD, *((str(place), *_row(inspection, place)) for place in range(count))]
    if count < len(branch.ids):
        rows.append(("…", f"({len(branch.ids) - count} more)", "", "", "", ""))
    return [*rows, ("next", "", "", "", *_spread(inspection, len(branch.ids)))]


def _table(rows: list[tuple[str, ...]]) -> str:
    """Return rows as an HTML table; the first is the header."""

    def line(row: tuple[str, ...], tag: str) -> str:
        cells = (
            f'<{tag} style="text-align:{"left" if column == TOKEN_COLUMN else "right"}">'
            f"{html.escape(cell)}</{tag}>"
            for column, cell in enumerate(row)
        )
        return f"<tr>{''.join(cells)}</tr>"

    head, *body = rows
    lines = "".join(line(row, "td") for row in body)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{lines}</tbody></table>"


def _measures(branch: Branch) -> tuple[np.ndarray, np.ndarray]:
    """Return entropies float32 (T + 1,) and ranks int32 (T + 1,)."""
    places = len(branch.pieces) + 1
    entropies, ranks = np.full(places, np.nan, np.float32), np.zeros(places, np.int32)
    for place in range(places):
        source = branch.source(place)
        if source is None:
            break
        if source is branch.inspection:
            return source.entropies, source.ranks
        entropies[place] = source.entropies[place]
        ranks[place] = source.ranks[place] if place < branch.place else 0
    return entropies, ranks


def _row(inspection: Any, place: int) -> Sequence[str]:
    """Return token, id, probability, entropy and rank."""
    piece = visible(inspection.pieces[place])
    token = piece if len(piece) <= MAX_PIECE else piece[: MAX_PIECE - 1] + "…"
    logprob = float(inspection.logprobs[place])
    return (
        token,
        str(inspection.ids[place]),
        "" if math.isnan(logprob) else percent_text(math.exp(logprob)),
        *_spread(inspection, place),
    )


def _spread(inspection: Any, place: int) -> tuple[str, str]:
    """Return entropy and rank."""
    entropy, rank = float(inspection.entropies[place]), int(inspection.ranks[place])
    bits = "" if math.isnan(entropy) else f"{abs(entropy) / math.log(2):.2f} bits"
    return bits, f"{rank:,}" if rank else ""


def percent_text(share: float) -> str:
    """Return a probability as readable text."""
    if share >= 0.1:
        return f"{100 * share:.1f} %"
    return f"{100 * share:.2g} %" if share >= 1e-4 else "< 0.01 %"


def _summary(branch: Branch) -> str:
    known = np.asarray(branch.logprobs[1:], np.float64)
    count = f"{len(branch.ids):,} token" + ("" if len(branch.ids) == 1 else "s")
    if not len(known):
        return count
    mean = float(np.mean(known))
    return f"{count}, mean log-probability {mean:.2f}, perplexity {math.exp(-mean):,.1f}"


def _next(inspection: Any) -> str:
    ids, logprobs = (part[len(inspection.ids)][:PRINTED_NEXT] for part in inspection.alternatives)
    pairs = zip(ids.tolist(), logprobs.tolist(), strict=True)
    return ", ".join(
        f"{visible(inspection.piece(token))} {percent_text(math.exp(chance))}"
        for token, chance in pairs
    )


def _oklab(lightness: float, chroma: float, hue: float) -> np.ndarray:
    angle = math.radians(hue)
    return np.array([lightness, chroma * math.cos(angle), chroma * math.sin(angle)])


def _hex(oklab: np.ndarray) -> str:
    """Return the sRGB colour of an OKLab one (Björn Ottosson's matrices)."""
    to_cones = np.array(
        [
            [1, 0.3963377774, 0.2158037573],
            [1, -0.1055613458, -0.0638541728],
            [1, -0.0894841775, -1.2914855480],
        ]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(to_linear @ (to_cones @ oklab) ** 3, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * part):02x}" for part in srgb)
