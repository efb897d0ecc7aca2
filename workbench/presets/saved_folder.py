"""Saves into a folder: files that we wrote before are removed, all others stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import PresetError
from workbench.presets.folders.manifest import checksums, read_table, write_table
from workbench.storage.atomic import real_path, replacing
from workbench.storage.disk import sync_tree
from workbench.storage.files import (
    ASSETS,
    CHAT_TEMPLATE,
    CHECKSUMS,
    CONFIG,
    CONVERTERS,
    METADATA,
    PREPROCESSOR,
    TASK,
    TOKENIZER,
)
from workbench.storage.json_files import read_json
from workbench.storage.paths import has_file, preset_file
from workbench.workers import in_background

_VOCABULARIES = ("vocabulary.json", "merges.txt", "vocabulary.txt", "vocabulary.spm", TOKENIZER)
_BEFORE_TABLES = (
    *(CONFIG, METADATA, TASK, PREPROCESSOR, TOKENIZER, CHAT_TEMPLATE, *CONVERTERS.values()),
    *(f"{ASSETS}/tokenizer/{name}" for name in _VOCABULARIES),
)
"""The files that project versions without tables of digests wrote in addition to the weights."""


class Weights(NamedTuple):
    """The names of a layout's weight files: one file, or an index of several."""

    whole: str
    listing: str
    suffix: str


@contextmanager
def saving(
    folder: str | Path,
    needed: int,
    superseded: Callable[[str], bool] = lambda name: True,
    weights: Weights | None = None,
    table: str = CHECKSUMS,
) -> Iterator[Path]:
    """Replace as `atomic.replacing` does, and add the digests of the new files, see `manifest`.

    Args:
        folder: the folder to create or replace.
        needed: bytes about to be written.
        superseded: returns whether a file that was saved there before is removed even if no new
            file has its name.
        weights: the names of the weight files. Old ones in either form are removed, whoever wrote
            them, because a reader would find both.
        table: the file for the digests.

    Raises:
        PresetError: as `atomic.replacing`.
    """

    def dropped(old: Path) -> set[str]:
        known = _known(old, table)
        return {name for name in known if superseded(name)} | _old_weights(old, weights)

    with replacing(folder, needed, dropped) as new:
        yield new
        old = real_path(folder)
        gone = dropped(old)
        kept = {name: digest for name, digest in _stated(old, table).items() if name not in gone}
        write_table(new, table, kept | _digests(new))


def _digests(new: Path) -> dict[str, str]:
    """Return the digests of the new files, hashed while the disk writes them."""
    written = in_background(lambda: sync_tree(new), "sync")
    try:
        return checksums(new)
    finally:
        written.result()


def _stated(folder: Path, table: str) -> dict[str, str]:
    with suppress(PresetError):
        return read_table(folder, table)
    return {}


def _known(folder: Path, table: str) -> set[str]:
    """Return the files that this project wrote into a folder."""
    known = set(_stated(folder, table))
    if table == CHECKSUMS and not has_file(folder, table) and _is_of_before(folder):
        known.update(_BEFORE_TABLES)
    return known


def _is_of_before(folder: Path) -> bool:
    return "workbench_version" in _json(folder, METADATA)


def _old_weights(folder: Path, weights: Weights | None) -> set[str]:
    """Return the names of old weight files: the single file, and the files that the index lists."""
    if weights is None:
        return set()
    return {weights.whole, weights.listing, *_listed(folder, weights)}


def _listed(folder: Path, weights: Weights) -> Iterator[str]:
    where = _json(folder, weights.listing).get("weight_map")
    for names in where.values() if isinstance(where, dict) else ():
        for name in names if isinstance(names, list) else [names]:
            if isinstance(name, str) and name.endswith(weights.suffix):
                yield name


def _json(folder: Path, name: str) -> dict[str, Any]:
    """Return the content of a JSON file; empty if it is missing or damaged."""
    with suppress(PresetError):
        if has_file(folder, name):
            return read_json(preset_file(folder, name))
    return {}
