"""Turns a user's lists, tables, files and datasets into examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from workbench.data.examples import Example, Examples, Reader, check_length
from workbench.data.fields import AUDIO, IMAGES, NAMES
from workbench.data.files import records_of_file
from workbench.data.readers import reader_of
from workbench.errors import DataError, SettingError, WorkbenchError
from workbench.preprocessing.columns import is_column
from workbench.preprocessing.preprocessor import Preprocessor
from workbench.storage.json_files import shown
from workbench.storage.progress import check

Records = Iterator[tuple[str, Any]]
_MEDIA = {*NAMES[IMAGES], *NAMES[AUDIO]}


@runtime_checkable
class TableOfColumns(Protocol):
    """The interface of `datasets.Dataset`: rows by number, columns by name."""

    column_names: list[str]

    def __len__(self) -> int: ...
    def __getitem__(self, key: Any) -> Any: ...


@runtime_checkable
class Frame(Protocol):
    """The interface of a pandas data frame."""

    columns: Any

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        """Return the rows, for `orient="records"`."""
        ...


class HasPreprocessor(Protocol):
    """The part of a task that reading needs."""

    preprocessor: Preprocessor | None
    backbone: Any


def read_examples(
    source: Any,
    lm: HasPreprocessor | Preprocessor,
    length: int | None = None,
    *,
    columns: Mapping[str, str] | None = None,
) -> Examples:
    """Read training data into examples.

    The kind of a record decides which tokens are learnt: of a text, every token after the first;
    of a prompt with a response, the response; of a conversation, the assistant's replies, as the
    tokenizer's chat template writes them. The token that ends each of them is learnt too. Prompt
    and response are joined without a space, so a response that begins with a new word must begin
    with a space, and the prompt must end without one.

    Args:
        source: one of
            - a list or other iterable of records, where a record is a text, a pair of prompt and
              response, a list of messages, or a dict: `{"text"}`, `{"prompt", "response"}`,
              `{"messages"}` with `role` and `content` (or `{"conversations"}` with `from` and
              `value`), optionally with `tools`; `{"images", "prompt", "response"}` for models that
              read pictures, `{"audio", "text"}` for speech models, `{"encoder_text",
              "decoder_text"}` for encoder-decoders; or `{"token_ids"}`, optionally with `labels`
              or `loss`. Plurals are read too; other keys are ignored;
            - a dict of such columns;
            - the path of a `.jsonl`, `.json`, `.csv`, `.tsv` or `.txt` file, as `files` reads it;
            - a Hugging Face `datasets.Dataset`, or a pandas data frame;
            - `Examples`, which are cut to `length`.
        lm: the model, or its preprocessor.
        length: positions an example may take; longer examples are cut and counted. By default
            the length the model takes.
        columns: our names mapped to those of your data, such as `{"prompt": "question"}`.

    Raises:
        DataError: there is no data, or a record or line lacks an input of the model.
        PromptError, ChatTemplateError: a text or a conversation cannot be read; the message says
            which.
        SettingError: the model has no preprocessor or is of another kind; the length is impossible.

    Example:
        >>> examples = read_examples([("What is the sky?", " Blue.")], lm)
        >>> examples.loss_tokens
        7
    """
    preprocessor = lm if isinstance(lm, Preprocessor) else getattr(lm, "preprocessor", lm)
    if not isinstance(preprocessor, Preprocessor):
        raise SettingError(
            "read_examples: expected a model with a preprocessor, or a preprocessor, got "
            f"{type(lm).__name__}{' without one' if preprocessor is None else ''}"
        )
    limit = None if isinstance(lm, Preprocessor) else lm.backbone.max_length
    usual = preprocessor.sequence_length
    length = min(usual, limit or usual) if length is None else length
    check_length(length, limit)
    if isinstance(source, Examples):
        return source.at_length(length)
    reader = reader_of(preprocessor, columns)
    made = [_example(reader, where, record) for where, record in records_of(source)]
    if not made:
        raise DataError("training data: expected at least one record, got none")
    return Examples(made, reader, length, limit)


def records_of(source: Any) -> Records:
    """Yield the records of a source of `read_examples`, each with its place; texts, pairs and lists
    of messages unchanged.

    Raises:
        DataError: as `read_examples`.
    """
    if isinstance(source, str | Path):
        yield from _with_columns(records_of_file(source))
    elif isinstance(source, Mapping):
        yield from _rows_of_columns(source)
    elif isinstance(source, TableOfColumns):
        yield from _rows_of_table(source)
    elif isinstance(source, Frame):
        yield from _numbered(source.to_dict("records"))
    elif isinstance(source, Iterable) and not isinstance(source, bytes):
        yield from _numbered(source)
    else:
        raise DataError(
            "training data: expected records, columns, the path of a file or a dataset, got "
            f"{type(source).__name__}"
        )


def as_record(item: Any) -> Mapping[str, Any]:
    """Return a text, a pair, messages or a dict as a record: a dict.

    Raises:
        DataError: the item is something else.
    """
    if isinstance(item, Mapping):
        return item
    if isinstance(item, str | bytes):
        return {"text": item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)}
    if isinstance(item, list | tuple | np.ndarray):
        if len(item) == 2 and all(isinstance(part, str) for part in item):
            return dict(zip(("prompt", "response"), item, strict=True))
        if len(item) and all(isinstance(part, Mapping) for part in item):
            return {"messages": list(item)}
    raise DataError(
        "expected a text, a pair of prompt and response, messages, or a dict, got "
        f"{type(item).__name__}"
    )


def _example(reader: Reader, where: str, item: Any) -> Example:
    check()
    try:
        made = reader.example(as_record(item))
    except WorkbenchError as error:
        raise type(error)(f"{where}: {error}") from error
    except RecursionError:
        raise DataError(f"{where}: nested too deep") from None
    return replace(made, where=where)


def _numbered(items: Iterable[Any]) -> Records:
    return ((f"record {number}", item) for number, item in enumerate(items))


def _with_columns(found: Records) -> Records:
    """Yield the records of a file; one that holds columns is split into rows."""
    for where, record in found:
        if where.endswith(", columns"):
            yield from _rows_of_columns(record, where.removesuffix("columns"))
        else:
            yield where, record


def _rows_of_columns(columns: Mapping[str, Any], where: str = "") -> Records:
    splits = [name for name, value in columns.items() if isinstance(value, TableOfColumns)]
    if splits:
        raise DataError(f"training data: expected one split of a dataset, got {sorted(splits)}")
    lengths = {name: len(value) for name, value in columns.items() if is_column(name, value)}
    if len(set(lengths.values())) != 1:
        raise DataError(
            f"{where or 'training data: '}expected columns of one length, got "
            f"{shown(lengths or sorted(map(str, columns)))}"
        )
    for number in range(next(iter(lengths.values()))):
        row = {name: value[number] if name in lengths else value for name, value in columns.items()}
        yield f"{where}record {number}", row


class _Columns(dict[str, list[Any]]):
    """The columns of a table, each read at its first use."""

    def __init__(self, table: TableOfColumns) -> None:
        super().__init__()
        self.table = table

    def __missing__(self, name: str) -> list[Any]:
        self[name] = list(self.table[name])
        return self[name]


class _TableRow(Mapping[str, Any]):
    """A row of a table; its pictures and recordings are decoded at each access."""

    def __init__(self, columns: _Columns, number: int) -> None:
        self._columns, self._number = columns, number

    def __getitem__(self, name: str) -> Any:
        table = self._columns.table
        if name not in table.column_names:
            raise KeyError(name)
        if name in _MEDIA:
            return table[self._number][name]
        return self._columns[name][self._number]

    def __contains__(self, name: object) -> bool:
        return name in self._columns.table.column_names  # without decoding the value

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.table.column_names)

    def __len__(self) -> int:
        return len(self._columns.table.column_names)


def _rows_of_table(table: TableOfColumns) -> Records:
    columns = _Columns(table)
    return _numbered(_TableRow(columns, number) for number in range(len(table)))
