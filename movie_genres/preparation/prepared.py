"""The files of a prepared folder: the folder itself, and the splits, shard after shard."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from movie_genres.errors import InputError
from movie_genres.files import replace_folder, write_json
from movie_genres.preparation.dataset_card import render_dataset_card
from movie_genres.preparation.films import RARE, Films, read_shard
from movie_genres.preparation.selection import Selection
from movie_genres.preparation.splits import SPLITS
from movie_genres.reading.sources import Source
from movie_genres.texts.fields import TextFields

_REPETITIVE = ["genres.list.element", "labels.list.element", "source"]
"""Columns that a dictionary shortens; trying one for the others takes half of the time."""
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


def check_output_dir(folder: Path) -> None:
    """Raises: InputError: If `folder` holds anything but an earlier prepared dataset."""
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    files = ("labels.json", "report.json", "rejected.csv")
    if not empty and not all((folder / name).is_file() for name in files):
        raise InputError(f"--output-dir {folder} exists and holds something else; name another")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A new folder that replaces `folder` at the end, and is removed after an error.

    What a killed process has left behind is removed first.
    """
    folder = folder.resolve()
    new_parents = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    for path in folder.parent.iterdir():
        left = re.fullmatch(rf"\.{re.escape(folder.name)}-(\d+)-\w+", path.name)
        # In a container, a process and the one killed before it often have the same number.
        if left and (int(left[1]) == os.getpid() or not psutil.pid_exists(int(left[1]))):
            shutil.rmtree(path, ignore_errors=True)
    prefix = f".{folder.name}-{os.getpid()}-"
    new = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield new
        new.chmod(0o755)  # mkdtemp makes it private to this user
        replace_folder(new, folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        for parent in new_parents:
            parent.rmdir()
        raise


def parquet_schema(*more: str) -> pa.Schema:
    """Columns of the splits, with what `datasets` writes about them into a Parquet file.

    Args:
        more: Further columns of strings: `source`, `plot`.

    Written out, because `datasets` takes half a second to import.
    """
    features = _FEATURES | dict.fromkeys(more, (pa.string(), _STRING))
    described = {name: feature for name, (_, feature) in features.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": described}})}
    return pa.schema([(name, kind) for name, (kind, _) in features.items()], metadata=metadata)


def write_prepared(
    folder: Path, selected: Selection, sources: Sequence[Source], report: Mapping[str, Any]
) -> None:
    """Write the splits, rejected.csv, labels.json, report.json and README.md into `folder`."""
    (folder / "data").mkdir()
    fields = TextFields.from_json(report["text_fields"], "the report")
    names = [source.name for source in sources]
    with_plots = not fields.is_title_and_plot
    _write_splits(folder / "data", selected, names, with_plots=with_plots)
    write_json(folder / "labels.json", selected.labels)
    write_json(folder / "report.json", report)
    (folder / "README.md").write_text(render_dataset_card(report), encoding="utf-8")


def _write_splits(
    folder: Path,
    selected: Selection,
    source_names: Sequence[str],
    *,
    with_plots: bool,
) -> None:
    """Write `{split}-00000-of-00001.parquet` for each split, and rejected.csv beside `folder`.

    Args:
        folder: Where the Parquet files go.
        selected: All rows.
        source_names: Of `films.source`; with more than one they become the column `source`.
        with_plots: Write the column `plot` too, the plot alone: where `text` is more than title and
            plot.
    """
    with_source = len(source_names) > 1
    schema = parquet_schema(*["source"] * with_source, *["plot"] * with_plots)
    films, split = selected.films, selected.split
    y = films.multi_hot(np.arange(len(films)), selected.labels).astype(np.float32)
    if selected.used is not None:
        # A genre that none of a film's sources ever uses, and that it is not known to have.
        y[~films.known(selected.used) & (y == 0)] = np.nan
    genres = pa.array(films.genre_sets, pa.list_(pa.string()))
    with (
        _split_files(folder, schema) as write,
        (folder.parent / "rejected.csv").open("w", encoding="utf-8", newline="") as rejected,
    ):
        lines = csv.writer(rejected)  # its line end makes it quote a "\r" in a cell, too
        lines.writerow(_line(source_names, "source", _REJECTED_COLUMNS))
        for first in range(0, len(films.shards), _SHARDS):
            shard = pa.concat_tables(map(read_shard, films.shards[first : first + _SHARDS]))
            start = int(films.shard_starts[first])
            rows = slice(start, start + len(shard))
            columns = {name: shard[name] for name in ("id", "title", "text", "plot")} | {
                "genres": genres.take(films.genres[rows]),
                "labels": _lists(y[rows]),
                "source": pa.array(source_names).take(films.source[rows]),
            }
            table = pa.table({name: columns[name] for name in schema.names}, schema=schema)
            part = split[rows]
            write([table.take(np.flatnonzero(part == number)) for number in range(len(SPLITS))])
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
    """A line of rejected.csv, which begins with the source if there are several."""
    return [source, *cells] if len(source_names) > 1 else [*cells]


def _lists(values: np.ndarray) -> pa.ListArray:
    n_rows, width = values.shape
    offsets = pa.array(np.arange(n_rows + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))
