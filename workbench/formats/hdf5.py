"""Reads Keras weight files: `model.weights.h5`, whole or sharded with `model.weights.json`.

Keras stores every variable as a plain contiguous dataset at `<layer path>/vars/<n>`; bfloat16 is
two opaque bytes marked by an attribute. All other HDF5 features (links to other paths or files,
external data, virtual and chunked datasets, variable-length types) are refused, because each has
been used to read foreign files or to exhaust memory.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from h5py import h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]  # compiled, no stubs

from workbench.errors import PresetError
from workbench.formats.tensor_digest import ATTRIBUTE, TensorDigest
from workbench.formats.tensors import MAX_RANK, MAX_TENSORS, STORED, check_files
from workbench.storage.json_files import read_json, shown
from workbench.storage.paths import has_file, plain_name, preset_file

WHOLE = "model.weights.h5"
INDEX = "model.weights.json"
MAX_DEPTH = 32
MAX_OBJECTS = 20_000
"""Keras writes three objects per weight; its largest models, with about 100 layers, have 5,000."""

_OLD_ROOT = "_layer_checkpoint_dependencies/"  # Keras 2.13 wrote this for "layers/"


class Hdf5File:
    """The tensors of one file. A `TensorSource`."""

    def __init__(self, path: Path) -> None:
        self.file = path.name
        with _library_errors(self.file, "content"):
            self._h5 = h5py.File(path, "r", locking=False)
        try:
            with _library_errors(self.file, "content"):
                found = _datasets(self.file, self._h5)
            _check_storage(self.file, found, path.stat().st_size)
        except BaseException:
            self._h5.close()
            raise
        self._datasets = {_current_name(name): dataset for name, dataset in found.items()}

    def names(self) -> Collection[str]:
        return self._datasets.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._datasets[name].shape

    def dtype(self, name: str) -> str:
        return _dtype_name(self._datasets[name])

    def read(self, name: str) -> np.ndarray:
        dataset = self._datasets[name]
        values = np.empty(dataset.shape, STORED[self.dtype(name)])
        stored = values.view("V2") if dataset.dtype.kind == "V" else values
        if values.size:
            with _library_errors(self.file, name):
                dataset.read_direct(stored)
        return values

    def integer(self, name: str) -> int:
        """Return a single integer.

        Raises:
            PresetError: there is no integer of this name.
        """
        dataset = self._datasets.get(name)
        if dataset is None or dataset.shape != () or dataset.dtype.kind not in "iu":
            got = "none" if dataset is None else f"{dataset.dtype} {dataset.shape}"
            raise PresetError.at(self.file, name, "one integer", got)
        with _library_errors(self.file, name):
            return int(dataset[()])

    def check_digest(self) -> None:
        """Compare the tensors with the file's digest, if it has one.

        Raises:
            PresetError: they differ.
        """
        digest = TensorDigest()
        with _library_errors(self.file, ATTRIBUTE):
            stated = self._h5.attrs.get(ATTRIBUTE)
            for name, dataset in self._datasets.items() if stated is not None else ():
                digest.add(name, np.asarray(dataset))
        if stated is not None and str(stated) != digest.hexdigest():
            expected = "the tensors that were saved: copy or save the file again"
            raise PresetError.at(self.file, "sha256", expected, "others")

    def close(self) -> None:
        self._h5.close()


class Hdf5Shards:
    """The tensors of several files listed in an index. A `TensorSource`."""

    def __init__(self, folder: Path) -> None:
        self.file = INDEX
        listed = _read_index(folder)
        self._shards: dict[str, Hdf5File] = {}
        try:
            for name in sorted({name for names in listed.values() for name in names}):
                self._shards[name] = Hdf5File(preset_file(folder, name))
            self._home = _homes(self._shards, listed)
        except BaseException:
            self.close()
            raise

    def names(self) -> Collection[str]:
        return self._home.keys()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._home[name].shape(name)

    def dtype(self, name: str) -> str:
        return self._home[name].dtype(name)

    def read(self, name: str) -> np.ndarray:
        return self._home[name].read(name)

    def close(self) -> None:
        for shard in self._shards.values():
            shard.close()


def open_hdf5(folder: Path) -> Hdf5File | Hdf5Shards:
    """Open the weights of a KerasHub folder; the caller closes them.

    Raises:
        PresetError: there are no weights, or a file is damaged or uses a refused HDF5 feature.
    """
    if has_file(folder, WHOLE):
        return Hdf5File(preset_file(folder, WHOLE))
    if has_file(folder, INDEX):
        return Hdf5Shards(folder)
    raise PresetError(f"{folder}: expected {WHOLE} or {INDEX}")


@contextmanager
def _library_errors(file: str, key: str) -> Iterator[None]:
    """Turn any error of the library into a PresetError; damaged files can raise anything."""
    try:
        yield
    except (PresetError, MemoryError):
        raise
    except Exception as error:
        raise PresetError.at(file, shown(key), "readable HDF5", shown(str(error))) from None


def _datasets(file: str, root: h5py.Group) -> dict[str, h5py.Dataset]:
    """Return every dataset by its path; refuse anything that Keras does not write.

    One pass over the links counts and checks them before any object is opened.
    """
    links = _Links(file, root)
    refused = root.id.links.visit(links.check, info=True)
    if refused is not None:
        raise refused
    found = {}
    for name in links.ends():
        child = root[name]
        if isinstance(child, h5py.Dataset):
            _check_dataset(file, name, child)
            found[name] = child
        elif not isinstance(child, h5py.Group):
            got = type(child).__name__
            raise PresetError.at(file, shown(name), "a group or dataset", got)
    return found


class _Links:
    """The links of a file: each leads to a different object in this file."""

    def __init__(self, file: str, root: h5py.Group) -> None:
        self._file = file
        self._addresses = {h5o.get_info(root.id).addr}
        self._names: list[str] = []

    def check(self, path: bytes, link: h5l.LinkInfo) -> PresetError | None:
        """Return the error of a link, which ends the library's pass, or None."""
        name = path.decode("utf-8", "surrogateescape")
        if link.type != h5l.TYPE_HARD:
            kind = _LINKS.get(link.type, "a link of another kind")
            return PresetError.at(self._file, shown(name), "an object of this file", kind)
        if name.count("/") > MAX_DEPTH:
            return PresetError.at(self._file, shown(name), f"at most {MAX_DEPTH} levels", "more")
        if link.u in self._addresses:
            return PresetError.at(self._file, shown(name), "one name for each object", "two")
        if len(self._names) >= MAX_OBJECTS:
            return PresetError.at(self._file, "objects", f"at most {MAX_OBJECTS}", "more")
        self._addresses.add(link.u)
        self._names.append(name)
        return None

    def ends(self) -> list[str]:
        """Return the leaf paths: datasets and empty groups."""
        inner = {name.rpartition("/")[0] for name in self._names}
        return [name for name in self._names if name not in inner]


_LINKS = {h5l.TYPE_SOFT: "SoftLink", h5l.TYPE_EXTERNAL: "ExternalLink"}


def _check_dataset(file: str, name: str, dataset: h5py.Dataset) -> None:
    problem = _storage_problem(dataset)
    if problem:
        raise PresetError.at(file, shown(name), "a plain contiguous dataset", problem)


def _storage_problem(dataset: h5py.Dataset) -> str | None:
    settings = dataset.id.get_create_plist()
    if settings.get_external_count():
        return "external storage"
    if dataset.is_virtual:
        return "a virtual dataset"
    if settings.get_nfilters() or settings.get_layout() == h5py.h5d.CHUNKED:
        return "chunked or compressed storage"
    if dataset.shape is None or len(dataset.shape) > MAX_RANK:
        return "no shape, or too many axes"
    if dataset.dtype.hasobject or dataset.dtype.fields or dataset.dtype.subdtype:
        return "a variable-length or compound type"
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    if dataset.id.get_storage_size() != size:
        return f"{dataset.id.get_storage_size()} bytes for a shape of {size}"
    return None


def _check_storage(file: str, datasets: dict[str, h5py.Dataset], file_size: int) -> None:
    """Check that no two datasets share bytes of the file, and that none ends beyond it."""
    used = [(d.id.get_offset(), d.id.get_storage_size(), name) for name, d in datasets.items()]
    position = 0
    for offset, size, name in sorted(item for item in used if item[0] is not None):
        if offset < position or offset + size > file_size:
            got = f"{size} bytes at offset {offset}"
            raise PresetError.at(file, shown(name), "bytes of its own in the file", got)
        position = offset + size


def _dtype_name(dataset: h5py.Dataset) -> str:
    if dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2:
        return "bfloat16" if dataset.attrs.get("dtype") == "bfloat16" else "opaque"
    return dataset.dtype.name


def _current_name(name: str) -> str:
    return "layers/" + name.removeprefix(_OLD_ROOT) if name.startswith(_OLD_ROOT) else name


def _read_index(folder: Path) -> dict[str, list[str]]:
    """Read the map from group paths, such as "/layers/embedding/vars", to their datasets' files."""
    weight_map = read_json(preset_file(folder, INDEX)).get("weight_map")
    if not isinstance(weight_map, dict) or not 0 < len(weight_map) <= MAX_TENSORS:
        expected = f"an object of 1 to {MAX_TENSORS} groups"
        raise PresetError.at(INDEX, "weight_map", expected, shown(weight_map))
    listed = {}
    for group, files in weight_map.items():
        names = files if isinstance(files, list) else [files]
        listed[group] = [plain_name(name, f"{INDEX}: {shown(group)}") for name in names]
    check_files(INDEX, {name for names in listed.values() for name in names})
    return listed


def _homes(shards: dict[str, Hdf5File], listed: dict[str, list[str]]) -> dict[str, Hdf5File]:
    """Return the shard of each dataset; each must be listed, and be in exactly one shard."""
    home: dict[str, Hdf5File] = {}
    for shard_name, shard in shards.items():
        for tensor in shard.names():
            group = "/" + tensor.rpartition("/")[0]
            if shard_name not in listed.get(group, ()):
                expected = f"to be listed for {shard_name}"
                raise PresetError.at(INDEX, shown(group), expected, "no such entry")
            if tensor in home:
                expected = "to be held by one file"
                got = f"{home[tensor].file} and {shard_name}"
                raise PresetError.at(INDEX, shown(tensor), expected, got)
            home[tensor] = shard
    return home
