"""Reads a GGUF file with its settings, weights and tokenizer; split files are read together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import PresetError
from workbench.families.registry import Family, families
from workbench.formats.gguf_family import Gguf
from workbench.formats.gguf_file import Entry, GgufHeader, read_header
from workbench.formats.gguf_settings import GgufSettings
from workbench.formats.gguf_tensors import GgufTensors
from workbench.formats.gguf_tokenizer import has_tokenizer, read_tokenizer, token_count
from workbench.formats.tensors import TensorSource
from workbench.presets.folders.manifest import Manifest
from workbench.presets.folders.objects import SavedObject
from workbench.storage.json_files import shown
from workbench.tokenizers import Tokenizer

MAX_PARTS = 1000
HEAD, TABLE = "output.weight", "token_embd.weight"

_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_USUAL_LENGTH = 1024  # the preprocessor's default; shorter for models trained on shorter texts


class GgufFile:
    """The checked content of a file, a `PresetFolder`; nothing is built.

    Args:
        path: the file, or the first part of a split one.
        cls: the wanted class; among families with the same architecture it selects the one that has
            this class.

    Raises:
        PresetError: the file is damaged, or its architecture is unknown.
    """

    quantization = None

    def __init__(self, path: Path, cls: type) -> None:
        self.folder = path
        self._paths = _parts(path)
        self._headers = [read_header(part) for part in self._paths]
        self._metadata = self._headers[0].metadata
        self._tensors = _joined(self._headers)
        self.family, self._files = _match(self._settings(), cls)
        self.weight_rules = self._files.rules
        self.manifest = Manifest(path)

    @property
    def ignored_weights(self) -> tuple[str, ...]:
        """The tensors that are not weights, and a tied head that only repeats the token table."""
        names = self._files.ignored
        return (*names, HEAD) if self._files.tied and self._head_is_rounded() else names

    def backbone_arguments(self) -> dict[str, Any]:
        """Return the backbone's constructor arguments, without the dtype."""
        return self._files.arguments(self._settings())

    def open_weights(self) -> TensorSource:
        """Open the backbone's weights."""
        return GgufTensors(self._paths, self._headers)

    def task(self) -> SavedObject | None:
        """Return None: GGUF files do not describe tasks."""
        return None

    def head(self) -> None:
        """Return None: GGUF files hold no classifiers."""

    def has_tokenizer(self) -> bool:
        """Return whether a preprocessor can be built."""
        return has_tokenizer(self._metadata)

    def preprocessor_arguments(self) -> dict[str, Any]:
        """Return the preprocessor's constructor arguments; the file decides how prompts start."""
        self._check_rows()
        tokenizer = self.tokenizer()
        arguments = {"tokenizer": tokenizer, "add_start_token": tokenizer.prepends_start_token}
        context = self.context_length()
        if context is not None and context < _USUAL_LENGTH:
            arguments["sequence_length"] = context
        return arguments

    def context_length(self) -> int | None:
        """Return the longest text that the model supports, in tokens."""
        return self._settings().take("context_length", None)

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer with its vocabulary."""
        return read_tokenizer(self.folder.name, self._metadata)

    def _check_rows(self) -> None:
        """Check that every id has a row: the model would silently use another row."""
        rows, tokens = self._settings().rows(TABLE), token_count(self._metadata)
        if tokens > rows:
            file = self.folder.name
            raise PresetError.at(file, TABLE, f"{tokens} rows, one a token", rows)

    def _settings(self) -> GgufSettings:
        return GgufSettings(self.folder.name, self._metadata, self._tensors, self._values)

    def _head_is_rounded(self) -> bool:
        """Return whether the head is the token table in another tensor type, judged by its first
        rows."""
        head, table = self._tensors.get(HEAD), self._tensors.get(TABLE)
        if head is None or table is None or head.type == table.type or head.shape != table.shape:
            return False
        source = GgufTensors(self._paths, self._headers)
        try:
            one, other = (source.first_rows(name, 256).astype(np.float32) for name in (HEAD, TABLE))
        finally:
            source.close()
        return bool(np.linalg.norm(one - other) < 0.2 * np.linalg.norm(other))

    def _values(self, name: str) -> np.ndarray:
        source = self.open_weights()
        try:
            return source.read(name)
        finally:
            source.close()


def _match(settings: GgufSettings, cls: type) -> tuple[Family, Gguf]:
    """Return the family of a file: prefer one with the class `cls`, then let `Gguf.match`
    decide."""
    wanted = settings.architecture
    having = [(family, family.gguf) for family in families() if family.gguf is not None]
    sharing = [pair for pair in having if pair[1].architecture == wanted]
    asked_for = [pair for pair in sharing if any(issubclass(c, cls) for c in pair[0].classes)]
    for family, files in (*asked_for, *sharing):
        if files.match(settings):
            return family, files
    known = sorted({files.architecture for _, files in having})
    raise PresetError.at(
        settings.file, "general.architecture", f"one of {', '.join(known)}", shown(wanted)
    )


def _parts(path: Path) -> list[Path]:
    """Return the files of a split model in order, or the single file."""
    found = _PART.fullmatch(path.name)
    if found is None:
        return [path]
    stem, index, count = found[1], int(found[2]), int(found[3])
    if index != 1 or not 1 <= count <= MAX_PARTS:
        first = f"{stem}-00001-of-{count:05}.gguf"
        raise PresetError.at(path.name, "file name", f"the first part, {first}", f"part {index}")
    paths = [path.with_name(f"{stem}-{i:05}-of-{count:05}.gguf") for i in range(1, count + 1)]
    missing = [part.name for part in paths if not part.is_file()]
    if missing:
        raise PresetError.at(path.name, "parts", f"{count} files", f"no {missing[0]}")
    return paths


def _joined(headers: Iterable[GgufHeader]) -> dict[str, Entry]:
    headers = list(headers)
    allowed = ("0", "1") if len(headers) == 1 else (str(len(headers)),)
    tensors: dict[str, Entry] = {}
    for index, header in enumerate(headers):
        count, number = (header.metadata.get(f"split.{key}", 0) for key in ("count", "no"))
        if shown(count) not in allowed or shown(number) != str(index):
            expected = f"part {index + 1} of {len(headers)}"
            raise PresetError.at(
                header.file, "split.no, split.count", expected, f"{shown(number)}, {shown(count)}"
            )
        twice = tensors.keys() & header.tensors.keys()
        if twice:
            raise PresetError.at(header.file, shown(min(twice)), "a tensor once", "in two parts")
        tensors |= header.tensors
    return tensors
