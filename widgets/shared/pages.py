"""Joins a panel's page modules into the single one that anywidget takes, and its style sheets.

Page modules import each other as ES modules do. The joined module has one scope, so only one of
them may define a name at its top level.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

FOLDER = Path(__file__).parents[1]
_IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|let|class)\b)", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?:async function|function|const|let|class) (\w+)", re.MULTILINE)
_RENDER = "export default { render };\n"
_OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_NAMES = re.compile(r"\s*\w+(?:\s*,\s*\w+)*\s*,?\s*")


@functools.cache
def page(entry: str | Path) -> str:
    """Return the module at `entry` joined with all its imports; imports come first.

    Args:
        entry: A path, absolute or from the folder of the panels: "look/panel.js".

    Raises:
        ImportError: A module is missing, does not export an imported name, is part of an import
            cycle, or has an import or export of an unsupported form.
    """
    joined: dict[Path, str] = {}
    _add((FOLDER / entry).resolve(), (), joined)
    return "\n".join(joined.values())


@functools.cache
def style(panel: str) -> str:
    """Return the style sheets of all panels, then those in this panel's folder."""
    folders = (FOLDER / name for name in ("shared", panel))
    sheets = (sheet for folder in folders for sheet in sorted(folder.glob("*.css")))
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)


def _add(module: Path, importers: tuple[Path, ...], joined: dict[Path, str]) -> None:
    """Add the module after its imports, unless it is already added."""
    if module in importers:
        circle = (*importers[importers.index(module) :], module)
        raise ImportError(f"page modules import each other: {' -> '.join(map(_name, circle))}")
    if module in joined:
        return
    text = _read(module, importers)
    for names, path in _imports_of(module, text):
        imported = (module.parent / path).resolve()
        _add(imported, (*importers, module), joined)
        missing = names - set(_EXPORTED.findall(_read(imported, (module,))))
        if missing:
            raise ImportError(
                f"{_name(module)} imports {', '.join(sorted(missing))} from {_name(imported)}, "
                "which does not export it"
            )
    joined[module] = _script(text, is_entry=not importers)


def _read(module: Path, importers: tuple[Path, ...]) -> str:
    try:
        return module.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        asked = f", which {_name(importers[-1])} imports" if importers else ""
        raise ImportError(f"there is no page module {_name(module)}{asked}") from error


def _imports_of(module: Path, text: str) -> list[tuple[set[str], str]]:
    """Return the module's imports: names, and the path as written."""
    known = _IMPORT.sub("", _EXPORT.sub("", text)).replace(_RENDER, "")
    other = _OTHER.search(known)
    found = _IMPORT.findall(text)
    wrong = [names for names, _ in found if not _NAMES.fullmatch(names)]
    if other or wrong:
        raise ImportError(
            f"{_name(module)}: cannot join {other.group() if other else wrong[0]!r}; a page module "
            'has lines like import { make } from "./dom.js"; and export function make()'
        )
    return [(set(re.findall(r"\w+", names)), path) for names, path in found]


def _script(text: str, is_entry: bool) -> str:
    """Return the text without imports and exports, except the entry module's default export."""
    script = _EXPORT.sub("", _IMPORT.sub("", text))
    return script if is_entry else script.replace(_RENDER, "")


def _name(module: Path) -> str:
    is_ours = module.is_relative_to(FOLDER)
    return module.relative_to(FOLDER).as_posix() if is_ours else str(module)
