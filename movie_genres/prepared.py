"""Films and their splits -> the files of a prepared folder, shard after shard."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from movie_genres.films import Films, read_shard
from movie_genres.splits import SPLITS

_REPETITIVE = ["genres.list.element", "labels.list.element", "source"]
"""Columns that a dictionary shortens; for the others, to try one takes half of the time."""
_SHARDS = 8
"""Shards that are written together, as one row group."""
_STRING = {"dtype": "string", "_type": "Value"}
_FEATURES: dict[str, tuple[pa.DataType, dict[str, Any]]] = {
    "id": (pa.string(), _STRING),
    "title": (pa.string(), _STRING),
    "text": (pa.string(), _STRING),
    "genres": (pa.list_(pa.string()), {"feature": _STRING, "_type": "List"}),
    "labels": (
        pa.list_(pa.float32()),
        {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "List"},
    ),
}


def parquet_schema(several_sources: bool) -> pa.Schema:
    """Columns of the splits, with what `datasets` writes about them into a Parquet file.

    Written out here because `datasets` takes half a second to import.
    """
    features = _FEATURES | ({"source": (pa.string(), _STRING)} if several_sources else {})
    described = {name: feature for name, (_, feature) in features.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": described}})}
    return pa.schema([(name, kind) for name, (kind, _) in features.items()], metadata=metadata)


def write_splits(
    folder: Path,
    films: Films,
    split: np.ndarray,
    labels: Sequence[str],
    source_names: Sequence[str],
    used: np.ndarray | None = None,
) -> None:
    """Write `{split}-00000-of-00001.parquet` for each split, and rejected.csv beside `folder`.

    Args:
        folder: Where the Parquet files go.
        films: All rows.
        split: Index into `SPLITS` of each row, -1 for rejected ones.
        labels: Genre names in the order of the column `labels`.
        source_names: Of `films.source`; with more than one they become the column `source`.
        used: Which source uses which genre, (n_sources, n_labels): a genre that a film's source
            never uses is unknown for it (NaN), unless it is known to have it. None: it is absent.
    """
    several = len(source_names) > 1
    schema = parquet_schema(several)
    y = films.multi_hot(np.arange(len(films)), labels).astype(np.float32)
    if used is not None:
        y[~used[films.source] & (y == 0)] = np.nan
    genre_lists = pa.array(films.genre_sets, pa.list_(pa.string()))
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                pq.ParquetWriter(
                    folder / f"{name}-00000-of-00001.parquet", schema, use_dictionary=_REPETITIVE
                )
            )
            for name in SPLITS
        ]
        file = stack.enter_context(
            (folder.parent / "rejected.csv").open("w", encoding="utf-8", newline="")
        )
        rejected = csv.writer(file, lineterminator="\n")
        columns = ["row", "id", "title", "reason", "detail"]
        rejected.writerow(["source", *columns] if several else columns)
        for first in range(0, len(films.shards), _SHARDS):
            shard = pa.concat_tables(map(read_shard, films.shards[first : first + _SHARDS]))
            start = int(films.shard_starts[first])
            rows = slice(start, start + len(shard))
            for number, writer in enumerate(writers):
                inside = np.flatnonzero(split[rows] == number)
                if len(inside):
                    rows_used = inside + start
                    columns_of = {
                        c: shard[c].take(pa.array(inside)) for c in ("id", "title", "text")
                    }
                    columns_of["genres"] = genre_lists.take(pa.array(films.genres[rows_used]))
                    columns_of["labels"] = _lists(y[rows_used])
                    if several:
                        columns_of["source"] = pa.array(
                            [source_names[i] for i in films.source[rows_used]]
                        )
                    writer.write_table(pa.table(columns_of, schema=schema))
            lost = np.flatnonzero(split[rows] < 0)
            for row, cells in zip(
                (lost + start).tolist(), shard.take(lost).to_pylist(), strict=True
            ):
                line = [
                    films.row[row],
                    cells["id"],
                    cells["title"],
                    films.reasons[films.reason[row]],
                    films.notes.get(row, cells["detail"]),
                ]
                rejected.writerow([source_names[films.source[row]], *line] if several else line)


def _lists(values: np.ndarray) -> pa.ListArray:
    n_rows, width = values.shape
    offsets = pa.array(np.arange(n_rows + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))
