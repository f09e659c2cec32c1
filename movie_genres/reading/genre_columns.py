"""Which column holds the genres, or which columns do: by their names, then by their labels."""

from __future__ import annotations

import itertools
import re
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import parse_genres
from movie_genres.genres.formats import detect_genre_format, names_of_column
from movie_genres.genres.labels import GenreReader
from movie_genres.reading.columns import normal_name
from movie_genres.reading.joined import (
    GenreColumns,
    genre_of_zero_one,
    is_zero_one,
    multi_hot_column,
    multi_hot_length,
    side_by_side,
    zero_one_columns,
)

Head = Mapping[str, Sequence[str]]

FLAG = "--genre-column"
_NAMES = (
    *("genres", "genre", "category", "categories", "listed_in", "genre_names", "movie_genres"),
    *("movie_genre", "genre_s"),
)
_NUMBERED = re.compile(r"((?:\w+_)?(?:genre|category|genre_name)s?)_?(\d+)(?:_(?:name|label))?")
_MAIN = re.compile(r"(?:(?:main|primary|first)_)?genres?(?:_(?:main|primary))?")
_FURTHER = re.compile(
    r"(?:second(?:ary)?|third|tertiary|sub|other|additional|extra|further|more)_?genres?(?:_\d+)?"
    r"|genres?_(?:secondary|second|other|additional|tertiary|third)"
)
_KNOWN_SHARE = 0.5
"""Share of a column's labels that the alias table must list for the column to be genres."""
_COMPARED = 2000
"""Rows, evenly spread over the head, whose genres are compared between columns."""
_LOOKED_AT = 500
"""Cells, evenly spread over the head, from which a column is known to hold genres."""
_LONGEST = 300
"""Characters of the median cell from which a column is a text."""
_HELD = 0.9
"""Share of the rows whose genres another column holds too, from which it holds them all."""


def find_genre_columns(
    head: Head, aliases: GenreAliases, requested: Sequence[str] = ()
) -> GenreColumns:
    """The column of genres, or several that are read as one.

    Args:
        head: The first cells of each column.
        aliases: Their labels identify a column of genres.
        requested: What `--genre-column` names; it is not questioned.

    Raises:
        InputError: If no column is found, several could be meant, or its cells are numbers that
            nobody has named.
    """
    if len(requested) > 1:
        flags = [column for column in requested if is_zero_one(head[column])]
        if len(flags) == len(requested):
            return zero_one_columns(requested, head)
        if flags:
            other = next(column for column in requested if column not in flags)
            raise InputError(
                f"{FLAG} names columns of 0 and 1 ({', '.join(flags)}) and others: '{other}' holds "
                f"{next((c for c in head[other] if c.strip()), '')[:60]!r}; name one kind alone"
            )
        return side_by_side(requested, head, aliases)
    chosen = _alone(requested[0], head) if requested else _best(head, aliases)
    if chosen.join is None:
        if length := multi_hot_length(head[chosen.name]):
            names = _repeated_names(chosen.name, length, head)
            if not names:
                raise InputError(_without_names(chosen.name, head[chosen.name], length))
            return multi_hot_column(chosen.name, names[1])
        _check_numbers(chosen, head, aliases)
    return chosen


def _best(head: Head, aliases: GenreAliases) -> GenreColumns:
    """The fullest of the columns that hold the same genres."""
    first, others = _candidates(head, aliases)
    compared = _Compared(head, aliases)
    best = first
    for other in others:
        if compared.is_fuller(other, best):
            best = other
    notes = []
    if best is not first and not set(first.parts) & set(best.parts):
        notes.append(
            f"genres were read from '{best.name}', which holds those of '{first.name}' and more: "
            f"{FLAG} {_quoted(first.parts)} takes only these"
        )
    for other in (first, *others):
        if not set(other.parts) <= set(best.parts) and compared.differs(other, best):
            both = dict.fromkeys((*best.parts, *other.parts))
            example = next(cell for cell in other.cells(head) if cell.strip("[] "))
            notes.append(
                f"genres were read from '{best.name}'; '{other.name}' looks like genres too, such "
                f"as {example[:60]!r}: {FLAG} {_quoted(other.parts)} takes these, {FLAG} "
                f"{_quoted(both)} takes both"
            )
            break
    return replace(best, notes=(*best.notes, *notes))


def _alone(column: str, head: Head) -> GenreColumns:
    """One column, as the user asked for; with a note if it is one of several that are numbered."""
    family = [c for c in head if _family(c) is not None and _family(c) == _family(column)]
    note = (
        f"genres were read from '{column}' alone, as {FLAG} says; {FLAG} {_quoted(family)} takes "
        f"all {len(family)}"
    )
    return GenreColumns(column, (column,), notes=(note,) * (len(family) > 1))


def _family(column: str) -> str | None:
    """`genre` for `genre_1`, `Genre 2`, ...; None for columns without a number."""
    found = _NUMBERED.fullmatch(normal_name(column))
    return found[1].rstrip("s") if found else None


def _candidates(head: Head, aliases: GenreAliases) -> tuple[GenreColumns, list[GenreColumns]]:
    """The column that is meant by name or content, and others that may be fuller."""
    filled = [c for c in head if any(cell.strip() for cell in head[c]) and not is_zero_one(head[c])]
    plain = {column: normal_name(column) for column in filled}
    lists, names_of_lists = _multi_hot(filled, head)
    joined = [*_joined(filled, plain, head, aliases), *lists, *zero_one_genres(head, aliases)]
    within = {part for columns in joined for part in columns.parts} | names_of_lists
    by_labels = [c for c in filled if c not in names_of_lists and is_of_genres(head[c], aliases)]
    named = [c for c in filled if plain[c] in _NAMES and c not in names_of_lists]
    if joined:  # `category` may be anything where `genre_1`, ... are the genres
        lists_too = {columns.parts[0] for columns in lists}
        named = [c for c in named if c in by_labels or c in lists_too]
    if len(named) > 1:
        named = _same_genres([c for c in named if c in by_labels] or named, head, aliases)
    alike = [c for c in filled if "genre" in plain[c] and c not in named and c not in within]
    alike = [c for c in alike if c in by_labels] or alike
    if not named and not joined:
        # Several names, or none: the columns whose labels are those of genres.
        named = alike or by_labels
        if len(named) > 1:
            named = _same_genres(named, head, aliases)
    singles = [GenreColumns(c, (c,)) for c in dict.fromkeys((*named, *by_labels, *alike))]
    if len(named) == 1:
        whole = [columns for columns in lists if columns.parts == (named[0],)]
        first = (whole or singles)[0]
        return first, [c for c in (*joined, *singles) if c.parts != first.parts]
    if joined and not named:
        return joined[0], [*joined[1:], *singles]
    raise InputError(_no_column(head, named))


def _no_column(head: Head, named: Sequence[str]) -> str:
    """Why there is no one column of genres."""
    if named:
        return (
            f"several columns could be meant: {', '.join(named)}; set {FLAG} to one of them, or to "
            f"several whose genres are to be joined: {FLAG} {_quoted(named)}"
        )
    for column, cells in head.items():
        if length := multi_hot_length(cells):
            return _without_names(column, cells, length)
        if is_zero_one(cells) and normal_name(column) in _NAMES:
            return _zero_one_alone(column, head)
    flags = [column for column in head if is_zero_one(head[column])]
    message = f"no column found for {FLAG}; set it to one of: {', '.join(head)}"
    if len(flags) < 2:
        return message
    return f"{message}; {len(flags)} columns hold 0 and 1: {FLAG} {_quoted(flags)} takes these"


def _multi_hot(filled: Sequence[str], head: Head) -> tuple[list[GenreColumns], set[str]]:
    """Columns of lists of 0 and 1 whose names another column repeats, and these other columns."""
    found, names_of_lists = [], set()
    for column in filled:
        length = multi_hot_length(head[column])
        if length and (names := _repeated_names(column, length, head)):
            found.append(multi_hot_column(column, names[1]))
            names_of_lists.add(names[0])
    return found, names_of_lists


def _repeated_names(column: str, length: int, head: Head) -> tuple[str, list[str]] | None:
    """The column that repeats so many names in every row, and the names."""
    for other, cells in head.items():
        if len(set(cells)) == 1 and other != column:
            try:
                names = parse_genres(cells[0], detect_genre_format(cells[:1]))
            except ValueError:
                continue
            if len(names) == length:
                return other, names
    return None


def _without_names(column: str, cells: Sequence[str], length: int) -> str:
    example = next(cell for cell in cells if cell.strip())
    return (
        f"the column '{column}' holds lists of 0 and 1, such as {example[:60]!r}, without the "
        f"names of the {length} genres: add a column that repeats them in every row, such as "
        f'["Action", "Drama", ...], or name another column with {FLAG}'
    )


def _joined(
    filled: Sequence[str], plain: Mapping[str, str], head: Head, aliases: GenreAliases
) -> list[GenreColumns]:
    """`genre_1`, `genre_2`, ... and `primary_genre`, `secondary_genre` as one column each."""
    families: dict[str, list[tuple[int, str]]] = {}
    for column in filled:
        if found := _NUMBERED.fullmatch(plain[column]):
            families.setdefault(found[1].rstrip("s"), []).append((int(found[2]), column))
    joined = []
    for base, family in families.items():
        bare = [(-1, column) for column in filled if plain[column].rstrip("s") == base]
        parts = [column for _, column in sorted((*bare[:1], *family), key=lambda part: part[0])]
        one = GenreColumns(parts[0], (parts[0],))
        joined.append(side_by_side(parts, head, aliases) if len(parts) > 1 else one)
    main = [column for column in filled if _MAIN.fullmatch(plain[column])]
    further = [column for column in filled if _FURTHER.fullmatch(plain[column])]
    if main and further:
        main.sort(key=lambda column: plain[column] not in _NAMES)
        joined.append(side_by_side([*main, *further], head, aliases))
    return joined


def _same_genres(named: Sequence[str], head: Head, aliases: GenreAliases) -> list[str]:
    """The first of several columns if one of them holds the genres of all; otherwise all."""
    compared = _Compared(head, aliases)
    columns = [GenreColumns(column, (column,)) for column in named]
    columns.sort(key=lambda c: _NAMES.index(n) if (n := normal_name(c.name)) in _NAMES else 99)
    for full in columns:
        if all(not compared.differs(other, full) for other in columns):
            return [columns[0].name]
    return list(named)


def _quoted(columns: Iterable[str]) -> str:
    return " ".join(map(shlex.quote, columns))


class _Compared:
    """The genres of some rows, by candidate."""

    def __init__(self, head: Head, aliases: GenreAliases) -> None:
        rows = len(next(iter(head.values()), ()))
        step = max(1, -(-rows // _COMPARED))
        self._head = {column: cells[::step] for column, cells in head.items()}
        self._aliases = aliases
        self._found: dict[str, list[frozenset[str]]] = {}

    def _genres(self, columns: GenreColumns) -> list[frozenset[str]]:
        if columns.name not in self._found:
            cells = columns.cells(self._head)
            genre_format = detect_genre_format(cells, self._aliases)
            names = names_of_column(cells, genre_format, self._aliases)
            read = GenreReader(genre_format, self._aliases.with_seen(names))
            self._found[columns.name] = [frozenset(read(cell).genres) for cell in cells]
        return self._found[columns.name]

    def is_fuller(self, one: GenreColumns, other: GenreColumns) -> bool:
        """Whether `one` holds more genres, and in nearly all rows those of `other`."""
        ours, theirs = self._genres(one), self._genres(other)
        if sum(map(len, ours)) <= 1.02 * sum(map(len, theirs)) or self.differs(other, one):
            return False
        known = set(self._aliases.genres()).union(*theirs)
        labels = [genre for genres in ours for genre in genres]
        return sum(label in known for label in labels) >= _HELD * len(labels)

    def differs(self, one: GenreColumns, other: GenreColumns) -> bool:
        """Whether `one` has genres that `other` lacks, in more rows than slips explain."""
        pairs = [(a, b) for a, b in zip(self._genres(one), self._genres(other), strict=True) if a]
        return sum(a <= b for a, b in pairs) < _HELD * len(pairs)


def zero_one_genres(head: Head, aliases: GenreAliases) -> list[GenreColumns]:
    """Columns of 0 and 1 side by side, most of them with the name of a genre, as one column."""

    def is_genre(column: str) -> bool:
        name = genre_of_zero_one(column)
        return name != column.strip() or bool(aliases.canonical([name]).genres and name in aliases)

    alike = itertools.groupby(head, lambda column: is_zero_one(head[column]))
    runs = [list(run) for zero_one, run in alike if zero_one]
    taken: list[str] = []
    for run in runs:
        places = [place for place, column in enumerate(run) if is_genre(column)]
        if places:
            taken += run[places[0] : places[-1] + 1]
    if len(taken) < 2 or 2 * sum(map(is_genre, taken)) < len(taken):
        return []
    left = [column for run in runs for column in run if column not in taken]
    note = (
        f"these columns of 0 and 1 were not taken for genres: {', '.join(left)}; {FLAG} names "
        f"those to take: {FLAG} {_quoted([*taken, *left])}"
    )
    return [replace(zero_one_columns(taken, head), notes=(note,) * bool(left))]


def _zero_one_alone(column: str, head: Head) -> str:
    flags = [other for other in head if is_zero_one(head[other])]
    example = next(cell for cell in head[column] if cell.strip())
    such = f"such columns: {FLAG} {_quoted(flags)}" if len(flags) > 1 else f"of 0 and 1 ({FLAG})"
    return (
        f"the column '{column}' holds 0 and 1, such as {example[:20]!r}, and no names of genres; "
        f"name a column of names, or several {such}"
    )


def _check_numbers(chosen: GenreColumns, head: Head, aliases: GenreAliases) -> None:
    """Raises: InputError: If a column's cells are numbers that the table does not list."""
    cells = [cell for cell in head[chosen.name][:_COMPARED] if cell.strip()]
    read = GenreReader(detect_genre_format(cells, aliases), aliases)
    unknown = [cell for cell in cells if read(cell).error.startswith("a number")]
    if len(unknown) <= len(cells) / 2:
        return
    if is_zero_one(cells):
        raise InputError(_zero_one_alone(chosen.name, head))
    label = re.sub(r"[^0-9]+", " ", read(unknown[0]).error).split()[0]
    raise InputError(
        f"the column '{chosen.name}' holds numbers, such as {unknown[0][:60]!r}, that the alias "
        f"table does not list: add a line for each of them, such as {label},Drama, to a copy of "
        f"data/genre_aliases.csv and name the copy with --aliases, or name another column with "
        f"{FLAG}"
    )


def is_of_genres(cells: Sequence[str], aliases: GenreAliases) -> bool:
    """Whether most labels are genres of the alias table; plain numbers are none."""
    cells = cells[:: max(1, -(-len(cells) // _LOOKED_AT))]
    if statistics.median(map(len, cells)) > _LONGEST:
        return False
    read = GenreReader(detect_genre_format(cells, aliases), aliases)
    listed = total = 0
    for cell in cells:
        labels = read(cell)
        unnamed = labels.error or cell.strip().replace(".", "").isdecimal()
        total += 1 if unnamed else len(labels.raw)
        listed += 0 if unnamed else len(labels.raw) - len(labels.unlisted)
    return listed >= _KNOWN_SHARE * total > 0
