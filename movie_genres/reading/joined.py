"""Several columns as one column of genres, whose cells are JSON lists of names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.formats import detect_genre_format as detect
from movie_genres.genres.formats import names_of_column
from movie_genres.genres.labels import GenreReader
from movie_genres.reading.records import Malformed, Record, Table

_TRUE = {"1", "1.0", "true", "t", "yes", "y", "x"}
_FALSE = {"0", "0.0", "false", "f", "no", "n", ""}
_IS_GENRE = re.compile(r"(?:is|has|genres?|genre_name)(?:\s*[_.:/-]+\s*|\s+)(?=\S)", re.IGNORECASE)
_ONE_OF_LIST = re.compile(r"[01](?:\.0*)?(?!\d)|true|false", re.IGNORECASE)
_MULTI_HOT = re.compile(rf"[\[(]?\s*(?:(?:{_ONE_OF_LIST.pattern})[\s,;|]*+)+[\])]?", re.IGNORECASE)
_remember = lru_cache(50_000)  # equal rows are joined once: few are different
Join = Callable[[tuple[str, ...]], str]


@dataclass(frozen=True)
class GenreColumns:
    """Where a source's genres are."""

    name: str
    """Of the column, or of what stands for several ones."""
    parts: tuple[str, ...]
    """The columns."""
    join: Join | None = None
    """Their cells in one row -> a list of names as JSON; None if the one column is it."""
    notes: tuple[str, ...] = ()

    def cells(self, head: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """The first cells."""
        if self.join is None:
            return head[self.name]
        return [self.join(row) for row in zip(*(head[part] for part in self.parts), strict=True)]

    def wrap(self, table: Table) -> Table:
        """A table that has this column too."""
        return table if self.join is None else JoinedTable(table, self.name, self.parts, self.join)


class JoinedTable:
    """A table with a further column, made of several ones."""

    def __init__(self, table: Table, name: str, parts: tuple[str, ...], join: Join) -> None:
        self._table, self._name, self._parts, self._join = table, name, parts, join

    @property
    def columns(self) -> list[str]:
        """Those of the table itself."""
        return self._table.columns

    @property
    def notes(self) -> list[str]:
        return self._table.notes

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        if self._name not in columns:
            yield from self._table.records(columns)
            return
        wanted = list(dict.fromkeys((*(c for c in columns if c != self._name), *self._parts)))
        where = {column: index for index, column in enumerate(wanted)}
        parts = [where[part] for part in self._parts]
        picked = [where.get(column) for column in columns]
        for record in self._table.records(wanted):
            if isinstance(record, Malformed):
                yield record
            else:
                genres = self._join(tuple([record[index] for index in parts]))
                yield tuple([genres if index is None else record[index] for index in picked])


def is_zero_one(cells: Sequence[str]) -> bool:
    """Whether a column says yes or no: 0 and 1, true and false, 1 and nothing."""
    if not all(cell.strip().casefold() in _TRUE | _FALSE for cell in cells[:20]):
        return False  # which is so for most columns, and soon known
    values = {value.strip().casefold() for value in set(cells)}
    return values <= _TRUE | _FALSE and values != {""}


def genre_of_zero_one(column: str) -> str:
    """`Action` for a column `Action`, `genre_Action` or `is action`."""
    return _IS_GENRE.sub("", column.strip(), count=1)


def zero_one_columns(parts: Sequence[str], head: Mapping[str, Sequence[str]]) -> GenreColumns:
    """One column of 0 and 1 for each genre, which is its name."""
    names = [genre_of_zero_one(part) for part in parts]

    def join(row: tuple[str, ...]) -> str:
        found = []
        for name, cell in zip(names, row, strict=True):
            value = cell.strip().casefold()
            if value in _TRUE:
                found.append(name)
            elif value not in _FALSE:
                return f"{name} is neither 0 nor 1: {cell[:40]!r}"
        return json.dumps(found, ensure_ascii=False)

    digits = any(cell.strip()[:1] in ("0", "1") for cell in head[parts[0]])
    kind = "0 and 1" if digits else "yes and no"
    name = f"{len(parts)} columns of {kind}: {parts[0]} ... {parts[-1]}"
    return GenreColumns(name, tuple(parts), _remember(join))


def side_by_side(
    parts: Sequence[str], head: Mapping[str, Sequence[str]], aliases: GenreAliases
) -> GenreColumns:
    """Columns of names, `genre_1`, `genre_2`, ...: a film has the genres of all of them."""
    readers = []
    for part in parts:
        genre_format = detect(head[part], aliases)
        names = names_of_column(head[part], genre_format, aliases)
        readers.append(GenreReader(genre_format, aliases.with_seen(names)))

    def join(row: tuple[str, ...]) -> str:
        found: dict[str, None] = {}
        for read, part, cell in zip(readers, parts, row, strict=True):
            labels = read(cell)
            if labels.error:
                return f"{part}: {labels.error}"
            found.update(dict.fromkeys(labels.raw))
        return json.dumps(list(found), ensure_ascii=False)

    shown = ", ".join(parts) if len(parts) < 8 else f"{parts[0]} ... {parts[-1]}"
    return GenreColumns(shown, tuple(parts), _remember(join))


def multi_hot_length(cells: Sequence[str]) -> int:
    """How many numbers each cell has if all are lists of 0 and 1, of one length; otherwise 0."""
    if not all(not cell.strip() or _MULTI_HOT.fullmatch(cell.strip()) for cell in cells[:20]):
        return 0
    different = {cell.strip() for cell in set(cells)} - {""}
    if not all(map(_MULTI_HOT.fullmatch, different)):
        return 0
    lengths = {len(_ONE_OF_LIST.findall(cell)) for cell in different}
    length = lengths.pop() if len(lengths) == 1 else 0
    return length if length > 1 else 0


def multi_hot_column(column: str, names: Sequence[str]) -> GenreColumns:
    """Lists of 0 and 1, one for each of the names."""

    def join(row: tuple[str, ...]) -> str:
        flags = [flag.casefold() in _TRUE for flag in _ONE_OF_LIST.findall(row[0].rstrip(".])"))]
        if row[0].strip() and len(flags) != len(names):
            return f"{len(flags)} flags for {len(names)} genres: {row[0][:80]!r}"
        found = [name for name, flag in zip(names, flags, strict=False) if flag]
        return json.dumps(found, ensure_ascii=False)

    return GenreColumns(f"{column} (0 and 1 in lists)", (column,), _remember(join))
