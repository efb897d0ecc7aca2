"""A GGUF file, read: settings, weights and tokenizer in one. Split files are read together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import PresetError
from workbench.families.registry import Family, families
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
_USUAL_LENGTH = 1024  # a preprocessor's own default; models trained on less get less


class GgufFile:
    """What a file says, checked; nothing is built. A `PresetFolder`.

    Args:
        path: the file, or the first part of a split one.
        cls: the class that is wanted of it; of several families that share an architecture, the
            one that has it is taken.

    Raises:
        PresetError: the file is damaged, or of an architecture that is not known here.
    """

    quantization = None

    def __init__(self, path: Path, cls: type) -> None:
        self.folder = path
        self._paths = _parts(path)
        self._headers = [read_header(part) for part in self._paths]
        self._metadata = self._headers[0].metadata
        self._tensors = _joined(self._headers)
        self.family = _match(self._settings(), cls)
        self.weight_rules = self.family.gguf.rules
        self.manifest = Manifest(path)

    @property
    def ignored_weights(self) -> tuple[str, ...]:
        """Tensors that are not weights, and a tied head that only repeats the token table."""
        names = self.family.gguf.ignored
        return (*names, HEAD) if self.family.gguf.tied and self._head_is_rounded() else names

    def backbone_arguments(self) -> dict[str, Any]:
        """The backbone's constructor arguments, without the dtype."""
        return self.family.gguf.config(self._settings())

    def open_weights(self) -> TensorSource:
        """The backbone's weights."""
        return GgufTensors(self._paths, self._headers)

    def task(self) -> SavedObject | None:
        """These files say nothing about tasks."""
        return None

    def head(self) -> None:
        """These files hold no classifiers."""

    def has_tokenizer(self) -> bool:
        """Whether a preprocessor can be built."""
        return has_tokenizer(self._metadata)

    def preprocessor_arguments(self) -> dict[str, Any]:
        """The preprocessor's constructor arguments; prompts start as the file says."""
        self._check_rows()
        tokenizer = self.tokenizer()
        arguments = {"tokenizer": tokenizer, "add_start_token": tokenizer.prepends_start_token}
        context = self.context_length()
        if context is not None and context < _USUAL_LENGTH:
            arguments["sequence_length"] = context
        return arguments

    def context_length(self) -> int | None:
        """Tokens of the longest text the model was made for."""
        return self._settings().take("context_length", None)

    def tokenizer(self) -> Tokenizer:
        """The tokenizer with its vocabulary."""
        return read_tokenizer(self.folder.name, self._metadata)

    def _check_rows(self) -> None:
        """An id without a row would silently be taken for another."""
        rows, tokens = self._settings().rows(TABLE), token_count(self._metadata)
        if tokens > rows:
            file = self.folder.name
            raise PresetError.at(file, TABLE, f"{tokens} rows, one a token", rows)

    def _settings(self) -> GgufSettings:
        return GgufSettings(self.folder.name, self._metadata, self._tensors, self._values)

    def _head_is_rounded(self) -> bool:
        """Whether the head is the token table in another type of tensor, as its first rows show."""
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


def _match(settings: GgufSettings, cls: type) -> Family:
    """The family of a file: one that has a class `cls` first, then `Gguf.match` decides."""
    wanted = settings.architecture
    sharing = [f for f in families() if f.gguf and f.gguf.architecture == wanted]
    asked_for = [family for family in sharing if any(issubclass(c, cls) for c in family.classes)]
    for family in (*asked_for, *sharing):
        if family.gguf.match(settings):
            return family
    known = sorted({family.gguf.architecture for family in families() if family.gguf})
    raise PresetError.at(
        settings.file, "general.architecture", f"one of {', '.join(known)}", shown(wanted)
    )


def _parts(path: Path) -> list[Path]:
    """The files of a split model, in order; a file by itself is all there is."""
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
