"""Every kind of source as a table; those of Parquet, ` ::: `, CMU's pair and the Hub are here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from movie_genres.errors import InputError, one_line
from movie_genres.reading.delimited import DelimitedTable, defect, picker
from movie_genres.reading.encodings import Encoding, choose_encoding
from movie_genres.reading.json_tables import json_table
from movie_genres.reading.records import OWN_SPLIT, Malformed, Record, Table, as_text
from movie_genres.reading.workbooks import WorkbookTable, is_workbook

CMU_PLOTS = "plot_summaries.txt"
CMU_METADATA = "movie.metadata.tsv"
_TRIPLE_COLON = " ::: "
_TRIPLE_COLON_NAMES = {
    3: ["id", "title", "description"],
    4: ["id", "title", "genre", "description"],
}
_HEAD_ROWS = 200
_BATCH_ROWS = 2000
_LOOKED_AT = 20
"""Rows by which bytes are known to be text."""


def open_table(
    path: Path, encoding: str | None = None, *, sheet: str | None = None, strict: bool = False
) -> Table:
    """A data file as a table, by its first bytes, or by its suffix.

    Args:
        path: The file, not compressed (`archives.expand`).
        encoding: Of a text file; None: found out.
        sheet: Of a workbook; None: the only one, or those that are named as splits.
        strict: Whether rows that could be read after a repair are `Malformed`, and damaged bytes
            an error.

    Raises:
        InputError: If the file is empty or cannot be read as what it is; if `strict`, also if
            single bytes are damaged.
    """
    if is_workbook(path):
        return WorkbookTable(path, sheet)
    if sheet is not None:
        raise InputError(f"--sheet {sheet!r} is for workbooks, and {path} is none")
    with path.open("rb") as file:
        head = file.read(2**16)
    if not head.strip():
        raise InputError(f"{path} is empty")
    suffix = path.suffix.lower()
    if head[:4] == b"PAR1":
        return ParquetTable(path)
    if suffix == ".parquet":
        raise InputError(f"{path} cannot be read, it is not well-formed: no Parquet file")
    text = choose_encoding(path, encoding, strict=strict)
    opening = head.decode(text.name, errors="replace").lstrip("\ufeff \t\r\n")
    is_json = suffix in (".json", ".jsonl", ".ndjson")
    if is_json or (suffix not in (".csv", ".tsv") and opening[:1] in ("{", "[")):
        return json_table(path, text)
    if opening.split("\n", 1)[0].count(_TRIPLE_COLON) >= 2:
        return TripleColonTable(path, text)
    return DelimitedTable(path, text, strict=strict)


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        try:
            with pq.ParquetFile(path) as file:
                rows = file.metadata.num_rows
                self.columns = _readable(file) if rows else []
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{path} cannot be read, it is not well-formed: {one_line(error)}"
            ) from None
        if rows == 0:
            raise InputError(f"{path} is empty: it has no rows")

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        distinct = list(dict.fromkeys(columns))
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=distinct):
                    cells = {c: [as_text(v) for v in batch[c].to_pylist()] for c in distinct}
                    yield from zip(*(cells[c] for c in columns), strict=True)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self.path} cannot be read, it is not well-formed: {one_line(error)}"
            ) from None


def _readable(file: pq.ParquetFile) -> list[str]:
    """Columns that may hold text, labels or ids; pictures and embeddings are never read."""
    schema = file.schema_arrow
    maybe = [field.name for field in schema if is_binary(field.type)]
    first = next(file.iter_batches(_LOOKED_AT, columns=maybe)) if maybe else None
    pictures = [name for name in maybe if first is not None and not _is_text(first[name])]
    repeated = [name for name in schema.names if schema.names.count(name) > 1]
    return [
        field.name
        for field in schema
        if (field.name in maybe or is_light(field.type))
        and field.name not in (*pictures, *repeated)
    ]


def is_light(kind: pa.DataType) -> bool:
    """Whether values of a type are text, numbers or dates, or lists or objects of text."""
    types = pa.types
    if types.is_dictionary(kind):
        return is_light(kind.value_type)
    if types.is_struct(kind):
        return all(is_light(part.type) for part in kind)
    if types.is_map(kind):
        return is_light(kind.key_type) and is_light(kind.item_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        numbers = types.is_floating(kind.value_type) or types.is_nested(kind.value_type)
        objects = types.is_struct(kind.value_type)
        return is_light(kind.value_type) and (objects or not numbers)
    return not (is_binary(kind) or types.is_fixed_size_binary(kind))


def is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_text(column: pa.Array) -> bool:
    """Whether bytes are UTF-8 texts, as some programs write them."""
    try:
        column.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


class TripleColonTable:
    """A file of `ID ::: TITLE ::: GENRE ::: DESCRIPTION` lines, as IMDb dumps are shared."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self.path, self.encoding = path, encoding
        self.notes = list(encoding.notes)
        with encoding.open(path) as file:
            head = [line for line in itertools.islice(file, _HEAD_ROWS) if line.strip()]
        widths = [line.count(_TRIPLE_COLON) + 1 for line in head]
        width = max(set(widths), key=widths.count)
        cells = [cell.strip().casefold() for cell in head[0].split(_TRIPLE_COLON)]
        self._has_header = cells[0] == "id"
        names = cells if self._has_header else _TRIPLE_COLON_NAMES.get(width)
        if names is None:
            raise InputError(
                f"{path} has {width} fields separated by ':::'; expected are ID ::: TITLE ::: "
                "GENRE ::: DESCRIPTION and the same without GENRE"
            )
        self.columns = names

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        pick = picker([self.columns.index(column) for column in columns])
        width = len(self.columns)
        with self.encoding.open(self.path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip() or (number == 1 and self._has_header):
                    continue
                cells = line.rstrip("\r\n").split(_TRIPLE_COLON, width - 1)
                if len(cells) < width:
                    yield defect("fewer fields than the others", cells, number)
                else:
                    yield pick(cells)


class CmuTable:
    """The CMU Movie Summary Corpus as published: plots and metadata, joined by Wikipedia id.

    Films that only one of the two files has are rows too, with empty cells.
    """

    def __init__(self, plots: Path, metadata: Path) -> None:
        self.columns = ["id", "title", "plot", "genres"]
        self._plots = plots, choose_encoding(plots)
        self._films: dict[str, tuple[str, str]] = {}
        encoding = choose_encoding(metadata)
        self.notes = [*self._plots[1].notes, *encoding.notes]
        with encoding.open(metadata) as file:
            for number, line in enumerate(file, 1):
                cells = line.rstrip("\r\n").split("\t")
                if len(cells) != 9:
                    raise InputError(
                        f"{metadata} line {number} has {len(cells)} fields, not the 9 of "
                        f"{CMU_METADATA}"
                    )
                self._films[cells[0]] = cells[2], cells[8]

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        pick = picker([self.columns.index(column) for column in columns])
        without_plot = dict(self._films)
        path, encoding = self._plots
        with encoding.open(path) as file:
            for number, line in enumerate(file, 1):
                key, tab, plot = line.rstrip("\r\n").partition("\t")
                if not tab:
                    yield Malformed("fewer fields than the others", f"line {number}: {key[:77]}")
                    continue
                title, genres = self._films.get(key, ("", ""))
                without_plot.pop(key, None)
                yield pick([key, title, plot, genres])
        for key, (title, genres) in without_plot.items():
            yield pick([key, title, "", genres])


class HubTable:
    """A data set of the Hub (or a folder that `datasets` opens): the rows of all its splits.

    Its last column, `OWN_SPLIT`, names the split of each row.
    """

    def __init__(self, name: str) -> None:
        from datasets import concatenate_datasets, load_dataset

        try:
            splits = load_dataset(name)
            rows = concatenate_datasets(list(splits.values()))
        except Exception as error:  # datasets raises dozens of kinds, none of them its own base
            cause = error.__cause__ or error  # "An error occurred while ..." says nothing
            raise InputError(
                f"--source {name!r} is no file, and no data set could be loaded by that name: "
                f"{one_line(cause)}"
            ) from None
        self.notes = [f"all splits of {name} were read: {', '.join(splits)}"]
        self.notes += [
            f"{one} and {other} of {name} are identical"
            for one, other in itertools.combinations(splits, 2)
            if splits[one].data.table.equals(splits[other].data.table)
        ]
        self.fingerprint = str(rows._fingerprint)
        own = [split for split, part in splits.items() for _ in range(len(part))]
        arrow = rows.features.arrow_schema
        rows = rows.select_columns([field.name for field in arrow if is_light(field.type)])
        self._rows = rows.add_column(OWN_SPLIT, pa.array(own).dictionary_encode())
        self.columns = list(self._rows.column_names)

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        names = {column: self._label_names(column) for column in columns}
        for batch in self._rows.select_columns(list(dict.fromkeys(columns))).iter(_BATCH_ROWS):
            cells = {
                column: [as_text(_named(value, names[column])) for value in batch[column]]
                for column in columns
            }
            yield from zip(*(cells[column] for column in columns), strict=True)

    def _label_names(self, column: str) -> list[str] | None:
        feature = self._rows.features[column]
        feature = getattr(feature, "feature", feature)
        return getattr(feature, "names", None)


def _named(value: Any, names: list[str] | None) -> Any:
    """Label numbers of a ClassLabel column as names."""
    if names is None:
        return value
    return [names[i] for i in value] if isinstance(value, list) else names[value]
