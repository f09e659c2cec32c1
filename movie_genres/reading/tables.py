"""Every kind of source as a table: delimited text, JSON, Parquet, CMU's pair, the Hub."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from movie_genres.errors import InputError, one_line
from movie_genres.reading.delimited import (
    TRIPLE_COLON,
    DelimitedTable,
    TripleColonTable,
    check_names,
    picker,
)
from movie_genres.reading.encodings import Encoding, choose_encoding
from movie_genres.reading.records import OWN_SPLIT, Malformed, Record, Table, as_text

CMU_PLOTS = "plot_summaries.txt"
CMU_METADATA = "movie.metadata.tsv"
_HEAD_RECORDS = 1000
_LARGEST_JSON = 2**28
"""Bytes of a JSON file that is read as a whole; JSON Lines have no such limit."""
_BATCH_ROWS = 2000


def open_table(path: Path, encoding: str | None = None, *, strict: bool = False) -> Table:
    """A data file as a table, by its suffix, or by its first bytes.

    Raises:
        InputError: If the file is empty or cannot be read as what it is; if `strict`, also if
            single bytes are damaged.
    """
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
    if suffix in (".jsonl", ".ndjson"):
        return JsonLinesTable(path, text)
    opening = head.decode(text.name, errors="replace").lstrip("\ufeff \t\r\n")
    if suffix == ".json" or (suffix not in (".csv", ".tsv") and opening[:1] in ("{", "[")):
        # A file of one object a line is JSON Lines, whatever its name.
        lines = [line for line in opening.split("\n")[:2] if line.strip()]
        several = len(lines) == 2 and all(line.lstrip()[:1] == "{" for line in lines)
        if several and lines[0].rstrip().endswith("}"):
            return JsonLinesTable(path, text)
        return JsonTable(path, text)
    if opening.split("\n", 1)[0].count(TRIPLE_COLON) >= 2:
        return TripleColonTable(path, text)
    return DelimitedTable(path, text, strict=strict)


class _ObjectTable:
    """Records that are mappings; subclasses say where they come from."""

    path: Path
    notes: list[str]

    def __init__(self) -> None:
        head = list(itertools.islice(self._objects(), _HEAD_RECORDS))
        names = (name for item in head if isinstance(item, dict) for name in item)
        self.columns = list(dict.fromkeys(names))
        if not head:
            raise InputError(f"{self.path} is empty: it has no rows")
        if not self.columns:
            broken = next((item.detail for item in head if isinstance(item, Malformed)), head[0])
            raise InputError(f"{self.path} cannot be read, it is not well-formed: {broken}")

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        for number, item in enumerate(self._objects(), 1):
            if isinstance(item, Malformed):
                yield item
            elif isinstance(item, dict):
                yield tuple([as_text(item.get(column)) for column in columns])
            else:
                yield Malformed("no object with named fields", f"row {number}: {str(item)[:80]!r}")

    def _objects(self) -> Iterator[Any]:
        raise NotImplementedError


class JsonLinesTable(_ObjectTable):
    """One JSON object a line."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self.path, self.encoding = path, encoding
        self.notes = list(encoding.notes)
        super().__init__()

    def _objects(self) -> Iterator[Any]:
        # Only LF ends a line: a JSON text may contain U+2028 and the like.
        with self.encoding.open(self.path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield json.loads(line)
                    except (ValueError, RecursionError) as error:
                        yield Malformed("not well-formed JSON", f"line {number}: {error}")


class JsonTable(_ObjectTable):
    """An array of objects, or one object that holds one such array."""

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self.path, self.encoding = path, encoding
        if path.stat().st_size > _LARGEST_JSON:
            raise InputError(
                f"{path} is larger than {_LARGEST_JSON // 2**20} MiB; JSON is read as a whole, so "
                "convert it to JSON Lines, which are not: "
                f"jq -c '.[]' {path.name} > {path.stem}.jsonl"
            )
        self.notes = list(encoding.notes)
        super().__init__()

    def _objects(self) -> Iterator[Any]:
        with self.encoding.open(self.path) as file:
            text = file.read()
        if text.lstrip()[:1] == "[":
            yield from _array_items(text, text.index("[") + 1)
        else:
            yield from self._only_array(text)

    def _only_array(self, text: str) -> list[Any]:
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{self.path} cannot be read, it is not well-formed: {error}"
            ) from None
        arrays = {
            name: value
            for name, value in (whole.items() if isinstance(whole, dict) else ())
            if isinstance(value, list) and any(isinstance(item, dict) for item in value)
        }
        if len(arrays) != 1:
            found = ", ".join(arrays) or "none"
            raise InputError(
                f"{self.path} is one JSON object, which must hold one array of objects; found: "
                f"{found}; save the array of films alone (pandas: to_json(orient='records'))"
            )
        return next(iter(arrays.values()))


def _array_items(text: str, position: int) -> Iterator[Any]:
    """Items of a JSON array, and one `Malformed` for the rest where it is truncated or broken."""
    decoder = json.JSONDecoder()
    while True:
        position += len(text[position : position + 2**12]) - len(
            text[position : position + 2**12].lstrip(" \t\r\n,")
        )
        if text[position : position + 1] == "]":
            return
        try:
            item, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, position) + 1
            yield Malformed("truncated or broken JSON", f"from line {line} on: {error}")
            return
        yield item


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        try:
            with pq.ParquetFile(path) as file:
                self.columns = list(file.schema_arrow.names)
                rows = file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{path} cannot be read, it is not well-formed: {one_line(error)}"
            ) from None
        check_names(path, self.columns)
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
