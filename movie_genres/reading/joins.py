"""Films whose plots and genres are in two files: the lines of pandas that join them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from movie_genres.errors import InputError
from movie_genres.reading.column_names import normal_name
from movie_genres.reading.delimited import DelimitedTable
from movie_genres.reading.records import Table
from movie_genres.reading.tables import open_table

_KEYS = ("id", "movie_id", "tmdb_id", "imdb_id", "movieid", "tmdbid", "imdbid", "tconst", "film_id")
"""Names of columns that identify a film, the usual ones first."""


def join_hint(path: Path, others: Sequence[Path], encoding: str | None = None) -> str:
    """The end of a message about a file that lacks a column: how to join it with another one.

    Args:
        path: The file.
        others: Further files that the user gave; the first that shares a key with it is named.
        encoding: Of the files; None: found out.
    """
    table = _opened(path, encoding)
    for other in others:
        second = _opened(other, encoding)
        keys = _shared_key(table, second) if table and second else None
        if keys is not None:
            left, right = (_read(part, t) for part, t in ((path, table), (other, second)))
            return (
                ". Several --source are further films; to join two files of the same films, in "
                f"Python: import pandas as pd; {left}.merge({right}, left_on={keys[0]!r}, "
                f"right_on={keys[1]!r}, suffixes=('', '_2')).to_csv('joined.csv', index=False)"
            )
    if table is None:
        return ""
    key = next((c for name in _KEYS for c in table.columns if normal_name(c) == name), None)
    if key is None:
        return ""
    return (
        "; if another file has it, join them, in Python: import pandas as pd; "
        f"{_read(path, table)}.merge(pd.read_csv('OTHER.csv'), on={key!r})"
        ".to_csv('joined.csv', index=False)"
    )


def _opened(path: Path, encoding: str | None) -> Table | None:
    try:
        return open_table(path, encoding)
    except InputError:
        return None


def _shared_key(table: Table, other: Table) -> tuple[str, str] | None:
    """A column of each that identifies films: of one name, or `id` with `movie_id` and the like."""
    mine, theirs = (
        {name: c for c in t.columns for name in _KEYS if normal_name(c) == name}
        for t in (table, other)
    )
    pairs = [(name, name) for name in _KEYS]
    pairs += [(a, b) for a in _KEYS for b in _KEYS if "id" in (a, b)]
    return next(((mine[a], theirs[b]) for a, b in pairs if a in mine and b in theirs), None)


def _read(path: Path, table: Table | None) -> str:
    """The call of pandas that reads a file."""
    if not isinstance(table, DelimitedTable):
        kind = {".parquet": "parquet", ".xlsx": "excel"}.get(path.suffix.lower(), "json")
        lines = ", lines=True" if path.suffix.lower() in (".jsonl", ".ndjson") else ""
        return f"pd.read_{kind}({path.name!r}{lines})"
    separator = "" if table.delimiter == "," else f", sep={table.delimiter!r}"
    known = table.encoding.name in ("utf-8-sig", "utf-8")
    return f"pd.read_csv({path.name!r}{separator}" + (
        ")" if known else f", encoding={table.encoding.name!r})"
    )
