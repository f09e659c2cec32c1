"""The column `image` of a prepared folder: written by prepare_dataset.py, read when needed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.posters.pictures import IDENTICAL, PictureFolder, UnusableError, clean_picture
from movie_genres.preparation.dataset_card import render_dataset_card
from movie_genres.preparation.loading import Prepared
from movie_genres.preparation.selection import Selection
from movie_genres.preparation.splits import SPLITS
from movie_genres.reading.sources import Source

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""What `datasets.Image` is in a file."""
_ROWS = 500
_NAMED = 5


def add_posters(
    folder: Path,
    pictures: PictureFolder,
    selected: Selection,
    sources: Sequence[Source],
    report: dict[str, Any],
) -> None:
    """Add the column `image` to a new prepared folder, and to its report what is said of it.

    Of pictures that stand for several films, such as "no poster", none is kept.

    Raises:
        InputError: If no film has a picture that can be used.
    """
    id_columns = [source.columns["id"] for source in sources]
    dropped: dict[str, list[str]] = defaultdict(list)
    places: dict[bytes, list[tuple[str, int, int, str]]] = defaultdict(list)  # by the content

    def cells(split: str, rows: np.ndarray) -> Iterator[dict[str, Any] | None]:
        ids = list(_cells(_file(folder, split), "id"))
        source, film = selected.films.source[rows], selected.groups.film[rows]
        for row, identifier in enumerate(ids):
            path = pictures.of_film(identifier, id_columns[source[row]])
            try:
                content = path and clean_picture(path)
            except UnusableError as error:
                dropped[str(error)].append(path.name if path else "")
                content = None
            if path and content:
                places[sha256(content).digest()].append((split, row, film[row], path.name))
            yield {"bytes": content, "path": path.name} if path and content else None

    for number, split in enumerate(SPLITS):
        rows = np.flatnonzero(selected.split == number)
        _write_column(_file(folder, split), cells(split, rows))
    repeated = [p for p in places.values() if len({film for _, _, film, _ in p}) > 1]
    dropped[IDENTICAL] += [name for same in repeated for *_, name in same]
    unwanted = {(split, row) for same in repeated for split, row, *_ in same}
    for split in {split for split, _ in unwanted}:
        old = enumerate(_cells(_file(folder, split), "image"))
        kept = (None if (split, row) in unwanted else cell for row, cell in old)
        _write_column(_file(folder, split), kept)
    having = [(split, row) for same in places.values() for split, row, *_ in same]
    counts = {split: sum(s == split for s, _ in {*having} - unwanted) for split in SPLITS}
    _report(folder, report, counts, {reason: names for reason, names in dropped.items() if names})


def _report(
    folder: Path, report: dict[str, Any], counts: dict[str, int], dropped: dict[str, list[str]]
) -> None:
    found = [
        f"{len(names):,} picture(s) were left out, {reason}: {', '.join(names[:_NAMED])}"
        + ", ... (report.json lists them)" * (len(names) > _NAMED)
        for reason, names in dropped.items()
    ]
    if not any(counts.values()):
        raise InputError(
            "--image-dir has no usable picture of any film; its files must be named by the films' "
            f"ids (--id-column), such as 862.jpg{''.join('; ' + line for line in found)}"
        )
    splits = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    report["posters"] = {"films": counts, "dropped": dropped}
    report["notes"] += [f"the films with a poster, in the column image: {splits}", *found]
    write_json(folder / "report.json", report)
    (folder / "README.md").write_text(render_dataset_card(report), encoding="utf-8")


def _file(folder: Path, split: str) -> Path:
    return folder / "data" / f"{split}-00000-of-00001.parquet"


def _cells(path: Path, column: str) -> Iterator[Any]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS, columns=[column]):
            yield from batch.column(0).to_pylist()


def _write_column(path: Path, cells: Iterator[Any]) -> None:
    """Give a Parquet file these cells as its column `image`."""
    new = path.with_suffix(".new")
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        if "image" not in schema.names:
            about = json.loads(schema.metadata[b"huggingface"])
            about["info"]["features"]["image"] = {"_type": "Image"}
            schema = schema.append(pa.field("image", _IMAGE))
            schema = schema.with_metadata({"huggingface": json.dumps(about)})
        lists = ["genres.list.element", "labels.list.element"]
        with pq.ParquetWriter(new, schema, use_dictionary=lists) as writer:
            for batch in file.iter_batches(_ROWS):
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                columns["image"] = pa.array(list(islice(cells, len(batch))), _IMAGE)
                writer.write_table(pa.table(columns, schema=schema))
    new.replace(path)


def rows_with_poster(prepared: Prepared, split: str) -> np.ndarray:
    """Rows of a split, ascending."""
    rows = prepared.splits[split]
    if "image" not in rows.column_names:
        return np.array([], dtype=int)
    return np.flatnonzero(rows.with_format("arrow")[:]["image"].is_valid().to_numpy())


def posters_of(prepared: Prepared, split: str) -> tuple[np.ndarray, list[bytes]]:
    """The rows of a split that have a poster, and the posters as JPEG."""
    rows = rows_with_poster(prepared, split)
    cells = prepared.splits[split].with_format("arrow")[:]["image"].take(rows) if len(rows) else []
    return rows, [cell["bytes"].as_py() for cell in cells]
