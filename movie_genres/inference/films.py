"""A file of films to predict: which columns are read, which rows are broken, and the films."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from movie_genres.errors import InputError
from movie_genres.files import file_sha256
from movie_genres.reading.archives import expand
from movie_genres.reading.columns import PLOT, TITLE, field_names
from movie_genres.reading.identity import find_id
from movie_genres.reading.records import Malformed, Table, light_columns
from movie_genres.reading.sources import HEAD_ROWS
from movie_genres.reading.tables import open_table
from movie_genres.texts.text import says_nothing

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""A surrogate: JSON can hold it, UTF-8 cannot."""
_SHOWN_ROWS = 5


class Film(NamedTuple):
    """A row of the file."""

    row: int
    """1 = the first record, as in messages and in rejected.csv."""
    fields: dict[str, str]
    """What the model reads, by the names of its fields."""
    kept: dict[str, str]
    """The other cells that are written through, by their columns."""


@dataclass(frozen=True)
class FilmsFile:
    """A file of films that was read once from beginning to end."""

    table: Table
    sha256: str
    names: dict[str, str]
    """What each column is called in a composition of text fields."""
    id: str | None
    """The column of ids."""
    n_films: int
    n_without_plot: int
    notes: list[str] = field(default_factory=list)
    """What the user should know about how the file is read, one sentence each."""

    def columns_of(self, fields: Sequence[str]) -> dict[str, str]:
        """The column of each of these fields that the file has; the first of several."""
        found: dict[str, str] = {}
        for column, name in self.names.items():
            if name in fields:
                found.setdefault(name, column)
        return found

    def others(self) -> list[str]:
        """Columns that are neither id, nor title, nor plot."""
        known = {self.id, *self.columns_of((TITLE, PLOT)).values()}
        return [column for column in self.table.columns if column not in known]

    def films(self, fields: Sequence[str], kept: Sequence[str] = ()) -> Iterator[Film]:
        """The films in their order, broken rows left out.

        Args:
            fields: Of the model's text.
            kept: Columns whose cells are wanted as they are.
        """
        columns = self.columns_of(fields)
        names = list(columns)
        for row, record in enumerate(self.table.records([*columns.values(), *kept]), 1):
            if not isinstance(record, Malformed):
                cells = [_HALF_CHARACTER.sub("\ufffd", cell) for cell in record]
                split = len(names)
                yield Film(
                    row,
                    dict(zip(names, cells[:split], strict=True)),
                    dict(zip(kept, cells[split:], strict=True)),
                )


def open_films(
    path: Path,
    folder: Path,
    *,
    text_column: str | None = None,
    title_column: str | None = None,
    sheet: str | None = None,
    encoding: str | None = None,
    skip_broken: bool = False,
) -> FilmsFile:
    """Open a file of films and read all of it, so that its defects are reported before the work.

    Args:
        path: CSV, TSV, JSON, JSON Lines, Parquet, Excel, ` ::: `-separated, compressed or zipped.
        folder: Where an archive is expanded; it must exist as long as the films are read.
        text_column: Column of the plots; None: found by name or content, as in preparation.
        title_column: Column of the titles; None: found by name.
        sheet: Of a workbook; None: the only one, or those that are named as splits.
        encoding: Of a text file; None: found out.
        skip_broken: Leave out rows that cannot be read.

    Raises:
        InputError: If the file is missing, cannot be read or has no plot, or if it has broken rows
            and `skip_broken` is false.
    """
    if path.is_dir():
        raise InputError(f"--input {path} is a folder; name one file in it")
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    parts = expand(path, folder)
    if len(parts) > 1:
        raise InputError(f"{path} holds several files; unpack it and name one")
    table = open_table(parts[0], encoding, sheet=sheet)
    head = _head(table, light_columns(table))
    names = field_names([c for c in table.columns if c], text_column, title_column, lambda: head)
    plot = next(column for column, name in names.items() if name == PLOT)
    n_films = n_without_plot = 0
    broken: list[str] = []
    for number, record in enumerate(table.records([plot]), 1):
        if isinstance(record, Malformed):
            broken.append(f"row {number}: {record.reason} ({record.detail})")
        else:
            n_films += 1
            n_without_plot += says_nothing(record[0])
    if broken and not skip_broken:
        more = f"; {len(broken):,} such rows in all" if len(broken) > 1 else ""
        raise InputError(
            f"{path} {broken[0]}{more}; correct them, or leave them out with --skip-broken"
        )
    if n_films == n_without_plot:
        raise InputError(
            f"{path} has no plot: the column {plot!r} is empty in all {n_films:,} rows"
        )
    notes = list(table.notes)
    if broken:
        shown = "; ".join(broken[:_SHOWN_ROWS]) + ("; ..." if len(broken) > _SHOWN_ROWS else "")
        notes.append(f"{len(broken):,} rows cannot be read and are left out: {shown}")
    return FilmsFile(
        table, file_sha256(parts[0]), names, find_id(head), n_films, n_without_plot, notes
    )


def _head(table: Table, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The first cells of each column, by which a column of plots is recognised."""
    first = itertools.islice(table.records(columns), HEAD_ROWS)
    rows = [record for record in first if not isinstance(record, Malformed)]
    cells = zip(*rows, strict=True) if rows else [()] * len(columns)
    return dict(zip(columns, cells, strict=True))
