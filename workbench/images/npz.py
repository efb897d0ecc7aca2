"""Reading arrays of known names and shapes out of an `.npz` file that nobody vouches for.

An `.npz` file is a zip archive of `.npy` files (NumPy's `numpy.lib.format`). Only the wanted
members are opened; what a member's header says is compared before a value is read, so that
neither a bomb nor a pickle gets a chance.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG

import numpy as np

from workbench.errors import PresetError
from workbench.storage.json_files import first

MAX_BYTES = 200 * 10**6
_MAX_MEMBERS = 1000
_END = b"PK\x05\x06"  # of the archive's directory; 22 bytes and a comment (PKWARE APPNOTE 4.3.16)
_END_SEARCH = 22 + 65_535


def read_npz(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The arrays named in `shapes`, as float32.

    Raises:
        PresetError: no such file, not an archive, over 200 MB, more than 1,000 members; or arrays
            that are missing, have another shape, or are not floats. The first 20 are listed.
    """
    try:
        _check_file(path)
        with zipfile.ZipFile(path) as archive:
            return _arrays(archive, path, shapes)
    except PresetError:
        raise
    except FileNotFoundError:
        raise PresetError(f"{path.name}: there is no such file") from None
    except Exception as error:  # zipfile, zlib and NumPy's header reader fail in a dozen ways
        raise PresetError.at(path.name, "content", "an .npz file", type(error).__name__) from None


def _check_file(path: Path) -> None:
    facts = path.stat()
    if not S_ISREG(facts.st_mode):
        raise PresetError.at(path.name, "file", "a regular file", "another kind")
    if facts.st_size > MAX_BYTES:
        raise PresetError.at(path.name, "file size", f"at most {MAX_BYTES} bytes", facts.st_size)
    with path.open("rb") as file:
        file.seek(max(facts.st_size - _END_SEARCH, 0))
        tail = file.read()
    at = tail.rfind(_END)
    members = int.from_bytes(tail[at + 10 : at + 12], "little")
    if at < 0 or members > _MAX_MEMBERS:
        got = "no archive" if at < 0 else f"{members} or more"
        raise PresetError.at(path.name, "members", f"at most {_MAX_MEMBERS}", got)


def _arrays(
    archive: zipfile.ZipFile, path: Path, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    present = set(archive.namelist())
    problems = [f"{name}: missing" for name in shapes if f"{name}.npy" not in present]
    arrays = {}
    for name, shape in shapes.items():
        if f"{name}.npy" in present:
            with archive.open(f"{name}.npy") as member:
                found = _array(member, shape)
            if isinstance(found, str):
                problems.append(f"{name}: expected floats of the shape {shape}, got {found}")
            else:
                arrays[name] = found
    if problems:
        raise PresetError(f"{path.name}: arrays that do not fit:\n{first(problems)}")
    return arrays


def _array(member: zipfile.ZipExtFile, shape: tuple[int, ...]) -> np.ndarray | str:
    """The values as float32, or what is wrong with them."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(member)
    if version not in readers:
        return f"version {version} of the format"
    found, by_columns, dtype = readers[version](member)
    if found != shape or dtype.kind != "f":
        return f"{dtype} {found}"[:100]
    size = dtype.itemsize * int(np.prod(shape))
    data = member.read(size)
    if len(data) != size:
        return f"{len(data)} bytes instead of {size}"
    values = np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")
    return np.ascontiguousarray(values, np.float32)
