"""A table of presets: a sequence that can be filtered and printed as text or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, overload

from workbench.errors import SettingError
from workbench.presets.catalog import PresetInfo

HEADINGS = ("name", "family", "parameters", "on disk", "context", "kind", "licence", "notes")
NUMBERS = (2, 3, 4)  # right-aligned columns

STYLE = """
.wb-presets {max-height: 32em; overflow: auto; color: var(--jp-ui-font-color1, inherit);
  font-family: var(--jp-ui-font-family, sans-serif)}
.wb-presets table {border-collapse: collapse}
.wb-presets caption {text-align: left; padding: 4px 8px; color: var(--jp-ui-font-color2, inherit)}
.wb-presets th {position: sticky; top: 0; background: var(--jp-layout-color2, Canvas)}
.wb-presets th, .wb-presets td {padding: 2px 8px; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--jp-border-color2, GrayText)}
.wb-presets .wb-number {text-align: right; font-variant-numeric: tabular-nums}
"""


class PresetTable(Sequence[PresetInfo]):
    """An ordered sequence of presets, shown as a table by the notebook and by `print`."""

    def __init__(self, presets: Sequence[PresetInfo]) -> None:
        self._presets = tuple(presets)

    def __len__(self) -> int:
        return len(self._presets)

    def __iter__(self) -> Iterator[PresetInfo]:
        return iter(self._presets)

    @overload
    def __getitem__(self, index: int) -> PresetInfo: ...
    @overload
    def __getitem__(self, index: slice) -> PresetTable: ...
    def __getitem__(self, index: int | slice) -> PresetInfo | PresetTable:
        found = self._presets[index]
        return found if isinstance(found, PresetInfo) else PresetTable(found)

    def filter(
        self,
        *,
        search: str = "",
        family: str | None = None,
        modality: str | None = None,
        instruct: bool | None = None,
        licence: str | None = None,
        max_parameters: float | None = None,
    ) -> PresetTable:
        """Return the presets that match every given argument, as in `workbench.presets()`.

        Raises:
            SettingError: no preset of this table has this family, modality or licence.
        """
        kept = list(self._presets)
        wanted = {"family": family, "modality": modality, "licence": licence}
        for fact, value in wanted.items():
            if value is not None:
                self._check(fact, value)
                kept = [p for p in kept if _plain(getattr(p, fact)) == _plain(value)]
        words = search.casefold().split()
        return PresetTable(
            [
                preset
                for preset in kept
                if all(word in _words_of(preset) for word in words)
                and (instruct is None or preset.instruct == instruct)
                and (max_parameters is None or preset.parameters <= max_parameters)
            ]
        )

    def _check(self, fact: str, value: object) -> None:
        there = sorted({getattr(preset, fact) for preset in self._presets})
        if not isinstance(value, str) or _plain(value) not in map(_plain, there):
            expected = ", ".join(there) or "nothing, the table is empty"
            raise SettingError(f"presets: {fact}: expected one of {expected}; got {value!r}")

    def __repr__(self) -> str:
        rows = [HEADINGS, *map(_cells, self._presets)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join([*(_line(row, widths) for row in rows), _count(len(self))])

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th scope="col"{_right(i)}>{escape(text)}</th>' for i, text in enumerate(HEADINGS)
        )
        body = "".join(_html_row(preset) for preset in self._presets)
        return (
            f'<style>{STYLE}</style><div class="wb-presets" tabindex="0"><table>'
            f"<caption>{_count(len(self))}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def _html_row(preset: PresetInfo) -> str:
    cells = _cells(preset)
    data = "".join(f"<td{_right(i)}>{escape(text)}</td>" for i, text in enumerate(cells) if i)
    about = escape(preset.description)
    return f'<tr title="{about}"><th scope="row">{escape(cells[0])}</th>{data}</tr>'


def _right(column: int) -> str:
    return ' class="wb-number"' if column in NUMBERS else ""


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(row, widths, strict=True)
    texts = [c.rjust(w) if i in NUMBERS else c.ljust(w) for i, (c, w) in enumerate(cells)]
    return "  ".join(texts).rstrip()


def _count(number: int) -> str:
    return f"{number} preset{'' if number == 1 else 's'}"


def _cells(preset: PresetInfo) -> tuple[str, ...]:
    kind = "instruct" if preset.instruct else "base"
    notes = {
        "embedded": preset.embedded,
        preset.modality: preset.modality != "text",
        preset.stored_dtype: preset.stored_dtype.startswith("int"),
        "gated": preset.gated,
        "not supported yet": not preset.supported,
    }
    return (
        preset.name,
        preset.family,
        short(preset.parameters, billion="B"),
        short(preset.bytes_on_disk) + "B",
        "" if preset.context_length is None else f"{preset.context_length:,}",
        kind,
        preset.licence,
        ", ".join(note for note, said in notes.items() if said),
    )


def short(number: float, billion: str = "G") -> str:
    """Format with three digits and a decimal prefix: 2614341888 is 2.61 G, or 2.61 B for
    parameters, which are counted in billions."""
    for size, prefix in ((1e9, billion), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return f"{number / size:#.3g} {prefix}".replace(". ", " ")
    return f"{number:g} "


def _words_of(preset: PresetInfo) -> str:
    texts = (preset.name, preset.family, preset.licence, preset.description)
    return " ".join(texts).casefold()


def _plain(text: Any) -> str:
    return re.sub(r"[\s_-]", "", str(text)).casefold()
