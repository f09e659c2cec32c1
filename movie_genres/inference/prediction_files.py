"""Predictions as rows of CSV, JSON Lines or Parquet files: parts, and one file joined from them.

Columns row, id (where the input has one), title, text, genres, probabilities, and those that are
kept. In CSV the genres are written as prepare_dataset.py reads them, `Action|Crime`, and the
probabilities as a JSON object.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from movie_genres.errors import InputError
from movie_genres.reading.columns import PLOT, TITLE

if TYPE_CHECKING:
    from movie_genres.inference.classifier import Prediction
    from movie_genres.inference.films import Film

SUFFIXES = (".csv", ".jsonl", ".parquet")
_ALWAYS = ("row", "title", "text", "genres", "probabilities")
_PARTS_PER_ROW_GROUP = 10
"""Of Parquet: enough rows to compress well, few enough to hold in memory."""


def check_output(path: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse an --output that cannot be written, or that would destroy a file unasked.

    Args:
        path: Of the output.
        source: Of the input, which is never replaced.
        overwrite: Whether another file may be replaced.

    Raises:
        InputError: If it is a folder, a device or the input itself, under any name; has an unknown
            suffix; or exists and must not be replaced.
    """
    if path.is_dir():
        raise InputError(f"--output {path} is a folder; name a file")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--output {path}: the file name must end in one of {', '.join(SUFFIXES)}")
    if not path.exists():
        return
    if source.exists() and path.samefile(source):
        raise InputError(f"--output {path} is the file of --input; name another")
    if not path.is_file():
        raise InputError(f"--output {path} is a device or a pipe; name a file")
    if not overwrite:
        raise InputError(f"--output {path} exists; name another, or replace it with --overwrite")


@dataclass(frozen=True)
class Columns:
    """Of an output."""

    labels: list[str]
    """Of the probabilities, in their order."""
    id: str | None = None
    """The input's column of ids."""
    kept: tuple[str, ...] = ()
    """The input's columns that are written through, as text."""

    @property
    def names(self) -> list[str]:
        """In their order; a kept column whose name is taken is called `input_...`."""
        names = ["row", *(["id"] if self.id is not None else []), *_ALWAYS[1:]]
        for column in self.kept:
            name = column
            while name in names:
                name = f"input_{name}"
            names.append(name)
        return names

    def row(self, film: Film, prediction: Prediction) -> dict[str, Any]:
        """What is written for a film."""
        values = [film.row, *([film.kept[self.id]] if self.id is not None else [])]
        values += [film.fields.get(TITLE, ""), film.fields[PLOT], list(prediction.genres)]
        values += [prediction.probabilities, *(film.kept[column] for column in self.kept)]
        return dict(zip(self.names, values, strict=True))

    @property
    def schema(self) -> pa.Schema:
        text = pa.string()
        kinds = {
            "row": pa.int64(),
            "genres": pa.list_(text),
            "probabilities": pa.struct([(label, pa.float64()) for label in self.labels]),
        }
        return pa.schema([(name, kinds.get(name, text)) for name in self.names])


def write_part(path: Path, rows: Sequence[Mapping[str, Any]], columns: Columns) -> None:
    """Write rows in the format of the path's suffix, without a header, for `join_parts`."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows), schema=columns.schema), path)
    elif suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            # Lines end in CR LF, as csv has it: else a cell with a lone CR would not be quoted.
            csv.writer(file).writerows(map(_cells, rows))
    else:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def count_rows(part: Path) -> int:
    """Complete rows of a file that `write_part` wrote; 0 for one that cannot be read."""
    if part.suffix.lower() == ".parquet":
        try:
            return int(pq.read_metadata(part).num_rows)
        except pa.ArrowInvalid:
            return 0
    # In CSV a newline between quotes belongs to a plot; a quote inside a cell is written twice.
    content = part.read_bytes()
    outside = content.split(b'"')[::2] if part.suffix.lower() == ".csv" else [content]
    return sum(text.count(b"\n") for text in outside)


def join_parts(parts: Sequence[Path], path: Path, columns: Columns) -> None:
    """Join the parts to one file, a few of them in memory at a time."""
    if path.suffix.lower() == ".parquet":
        with pq.ParquetWriter(path, columns.schema) as writer:
            for first in range(0, len(parts), _PARTS_PER_ROW_GROUP):
                some = parts[first : first + _PARTS_PER_ROW_GROUP]
                writer.write_table(pa.concat_tables(map(pq.read_table, some)))
        return
    with path.open("w", encoding="utf-8", newline="") as header:
        if path.suffix.lower() == ".csv":
            csv.writer(header).writerow(columns.names)
    with path.open("ab") as file:
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, file, 2**20)


def _cells(row: Mapping[str, Any]) -> list[str]:
    written = {
        "genres": "|".join(row["genres"]),
        "probabilities": json.dumps(row["probabilities"], ensure_ascii=False),
    }
    return [written.get(name, value) for name, value in row.items()]
