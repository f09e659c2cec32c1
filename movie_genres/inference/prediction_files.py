"""Predictions as rows of CSV, JSON Lines or Parquet files: parts, and one file joined from them.

Columns title, text, genres, probabilities. In CSV the genres are written as prepare_dataset.py
reads them, `Action|Crime`, and the probabilities as a JSON object.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from movie_genres.errors import InputError

if TYPE_CHECKING:
    from movie_genres.inference.classifier import Prediction

SUFFIXES = (".csv", ".jsonl", ".parquet")
_COLUMNS = ("title", "text", "genres", "probabilities")
_PARTS_PER_ROW_GROUP = 10
"""Of Parquet: enough rows to compress well, few enough to hold in memory."""


def check_output(path: Path) -> None:
    """Refuse an --output that is a folder or has an unknown suffix.

    Raises:
        InputError: If it is one of these.
    """
    if path.is_dir():
        raise InputError(f"--output {path} is a folder; name a file")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--output {path}: the file name must end in one of {', '.join(SUFFIXES)}")


def rows_of(
    films: Sequence[Mapping[str, str]], predictions: Sequence[Prediction]
) -> list[dict[str, Any]]:
    """What is written for each film: its title and plot, its genres, all probabilities."""
    return [
        {
            "title": film.get("title", ""),
            "text": film["plot"],
            "genres": list(prediction.genres),
            "probabilities": prediction.probabilities,
        }
        for film, prediction in zip(films, predictions, strict=True)
    ]


def write_part(path: Path, rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> None:
    """Write rows in the format of the path's suffix, without a header, for `join_parts`."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows), schema=_schema(labels)), path)
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


def join_parts(parts: Sequence[Path], path: Path, labels: Sequence[str]) -> None:
    """Join the parts to one file, a few of them in memory at a time."""
    if path.suffix.lower() == ".parquet":
        with pq.ParquetWriter(path, _schema(labels)) as writer:
            for first in range(0, len(parts), _PARTS_PER_ROW_GROUP):
                some = parts[first : first + _PARTS_PER_ROW_GROUP]
                writer.write_table(pa.concat_tables(map(pq.read_table, some)))
        return
    with path.open("wb") as file:
        if path.suffix.lower() == ".csv":
            file.write((",".join(_COLUMNS) + "\r\n").encode())
        for part in parts:
            with part.open("rb") as content:
                shutil.copyfileobj(content, file, 2**20)


def _cells(row: Mapping[str, Any]) -> list[str]:
    probabilities = json.dumps(row["probabilities"], ensure_ascii=False)
    return [row["title"], row["text"], "|".join(row["genres"]), probabilities]


def _schema(labels: Sequence[str]) -> pa.Schema:
    text = pa.string()
    probabilities = pa.struct([(label, pa.float64()) for label in labels])
    return pa.schema(zip(_COLUMNS, (text, text, pa.list_(text), probabilities), strict=True))
