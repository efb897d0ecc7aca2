"""Reading vocabulary files. Whatever is wrong with one ends in a `PresetError` that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import PresetError, WorkbenchError
from workbench.storage.json_files import parse_json

MAX_BYTES = 64 << 20  # the largest published vocabulary file, Gemma 3's, is 33 MB

Where = str | Path


def read_bytes(path: Where) -> bytes:
    """The whole file; refused before reading when it is no plain file or above 64 MiB."""
    if not isinstance(path, str | Path):
        raise PresetError(f"expected the path of a file, got {type(path).__name__}")
    path = Path(path)
    if not path.is_file():
        raise PresetError(f"{path}: no such file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise PresetError.at(path, "size", f"at most {MAX_BYTES} bytes", size)
    return path.read_bytes()


def read_text(path: Where) -> str:
    """The whole file as UTF-8, line ends untouched."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise PresetError(f"{path}: not UTF-8 at byte {error.start}") from error


def read_json(path: Where) -> dict:
    """The JSON object in a file; refused as `presets.json_files.parse_json` does."""
    return parse_json(read_bytes(path), str(path))


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turns any unnamed failure into a `PresetError` beginning with `what`.

    A panic inside the `tokenizers` library is a `BaseException` of a class that cannot be
    imported, so it is known by its name.
    """
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:
        raise PresetError(f"{what}: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise PresetError(f"{what}: {error}") from error
