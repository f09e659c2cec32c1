"""Films and their splits -> the files of a prepared folder, shard after shard."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from movie_genres.preparation.films import RARE, Films, read_shard
from movie_genres.preparation.splits import SPLITS

_REPETITIVE = ["genres.list.element", "labels.list.element", "source"]
"""Columns that a dictionary shortens; for the others, to try one takes half of the time."""
_REJECTED_COLUMNS = ("row", "id", "title", "reason", "detail")
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


def parquet_schema(*more: str) -> pa.Schema:
    """Columns of the splits, with what `datasets` writes about them into a Parquet file.

    Args:
        more: Names of columns of strings behind them: `source`, `plot`.

    Written out here because `datasets` takes half a second to import.
    """
    features = _FEATURES | dict.fromkeys(more, (pa.string(), _STRING))
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
    *,
    with_plots: bool = False,
) -> None:
    """Write `{split}-00000-of-00001.parquet` for each split, and rejected.csv beside `folder`.

    Args:
        folder: Where the Parquet files go.
        films: All rows.
        split: Index into `SPLITS` of each row, -1 for rejected ones.
        labels: Genre names in the order of the column `labels`.
        source_names: Of `films.source`; with more than one they become the column `source`.
        used: Which source uses which genre, (n_sources, n_labels): a genre that none of a film's
            sources ever uses is unknown for it (NaN), unless it is known to have it. None: it is
            absent.
        with_plots: Write the column `plot` too, the plot alone: where `text` is more than title and
            plot.
    """
    with_source = len(source_names) > 1
    schema = parquet_schema(*["source"] * with_source, *["plot"] * with_plots)
    y = films.multi_hot(np.arange(len(films)), labels).astype(np.float32)
    if used is not None:
        y[~films.known(used) & (y == 0)] = np.nan
    genres = pa.array(films.genre_sets, pa.list_(pa.string()))
    with (
        _split_files(folder, schema) as write,
        (folder.parent / "rejected.csv").open("w", encoding="utf-8", newline="") as rejected,
    ):
        lines = csv.writer(rejected, lineterminator="\n")
        lines.writerow(_line(source_names, "source", _REJECTED_COLUMNS))
        for first in range(0, len(films.shards), _SHARDS):
            shard = pa.concat_tables(map(read_shard, films.shards[first : first + _SHARDS]))
            start = int(films.shard_starts[first])
            part = split[start : start + len(shard)]
            tables = []
            for number in range(len(SPLITS)):
                inside = np.flatnonzero(part == number)
                rows = inside + start
                made = {"genres": genres.take(films.genres[rows]), "labels": _lists(y[rows])}
                if with_source:
                    made["source"] = pa.array(source_names).take(films.source[rows])
                copied = [name for name in schema.names if name not in made]
                columns = made | {name: shard[name].take(inside) for name in copied}
                tables.append(pa.table(columns, schema=schema))
            write(tables)
            lines.writerows(_rejected(films, shard, start, part, source_names))


@contextmanager
def _split_files(folder: Path, schema: pa.Schema) -> Iterator[Callable[[Sequence[pa.Table]], None]]:
    """Open a file per split; what is yielded appends a table to each of them.

    Arrow writes without Python's lock, so the caller makes the next tables meanwhile.
    """
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                pq.ParquetWriter(
                    folder / f"{name}-00000-of-00001.parquet", schema, use_dictionary=_REPETITIVE
                )
            )
            for name in SPLITS
        ]
        threads = stack.enter_context(ThreadPoolExecutor(len(SPLITS)))
        writing: list[Future[None]] = []

        def finish() -> None:
            for one in writing:
                one.result()

        def write(tables: Sequence[pa.Table]) -> None:
            finish()
            writing[:] = [
                threads.submit(writer.write_table, table)
                for writer, table in zip(writers, tables, strict=True)
                if len(table)
            ]

        yield write
        finish()


def _rejected(
    films: Films, shard: pa.Table, start: int, split: np.ndarray, source_names: Sequence[str]
) -> Iterator[list[object]]:
    """Lines of rejected.csv."""
    lost = np.flatnonzero(split < 0)
    for row, cells in zip((lost + start).tolist(), shard.take(lost).to_pylist(), strict=True):
        reason, detail = films.reasons[films.reason[row]], cells["detail"]
        if row in films.repeats:
            earlier = films.repeats[row]
            detail = f"row {films.row[earlier]}"
            if films.source[earlier] != films.source[row]:
                detail += f" of {source_names[films.source[earlier]]}"
        elif reason.startswith(RARE.split("{")[0]):
            detail = ", ".join(films.label_sets[films.labels[row]].raw)
        line = [films.row[row], cells["id"], cells["title"], reason, detail]
        yield _line(source_names, source_names[films.source[row]], line)


def _line(source_names: Sequence[str], source: str, cells: Sequence[object]) -> list[object]:
    """A line of rejected.csv, which names the source where there are several."""
    return [source, *cells] if len(source_names) > 1 else [*cells]


def _lists(values: np.ndarray) -> pa.ListArray:
    n_rows, width = values.shape
    offsets = pa.array(np.arange(n_rows + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))
