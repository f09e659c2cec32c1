"""Genre strings in their usual formats, and the table that maps them to canonical labels.

Reads `data/genre_aliases.csv` (raw, genres, dropped_because); writes nothing.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from movie_genres.errors import InputError


class GenreFormat(StrEnum):
    """How one column writes its genres; decided once per column, never per row."""

    LITERAL = "literal"
    """JSON or Python text: a list of strings, a list of objects with `name`, {id: name}."""
    QUOTED = "quoted"
    """`"Thriller",  "Horror"`."""
    PIPE = "pipe"
    SEMICOLON = "semicolon"
    COMMA = "comma"
    """`Action, Thriller`; one label a row is this too."""
    SLASH = "slash"


_SEPARATORS = {
    GenreFormat.PIPE: "|",
    GenreFormat.SEMICOLON: ";",
    GenreFormat.COMMA: ",",
    GenreFormat.SLASH: "/",
}
_SLIP = 0.05
"""A separator in a smaller share of the rows with several genres is taken for a slip."""
_QUOTED_LABEL = re.compile(r'"([^"]*)"')


def detect_genre_format(values: Iterable[str]) -> GenreFormat:
    """Decide a column's format by what most of its values look like; empty ones do not count."""
    values = [value.strip() for value in values if value.strip()]
    half = len(values) / 2
    if sum(value[0] in "[{" for value in values) > half:
        return GenreFormat.LITERAL
    if sum(value[0] == value[-1] == '"' and len(value) > 1 for value in values) > half:
        return GenreFormat.QUOTED
    # "Arts|Crime, Law": a pipe is never part of a name, a comma may be. So the pipe decides before
    # the comma does, unless it is so rare that it is a slip. A slash is often part of a name
    # ("Action/Adventure"), so it decides last.
    several = [
        value for value in values if any(separator in value for separator in _SEPARATORS.values())
    ]
    for genre_format in _SEPARATORS:
        rows = sum(_SEPARATORS[genre_format] in value for value in several)
        if rows and rows >= _SLIP * len(several):
            return genre_format
    return GenreFormat.COMMA


def parse_genres(
    value: str, genre_format: GenreFormat, aliases: GenreAliases | None = None
) -> list[str]:
    """Raw labels of one row, stripped, in their order, without empty ones or repeats.

    Args:
        value: The cell.
        genre_format: How its column is written.
        aliases: A label that this table lists is kept whole, also where it holds the separator
            ("Arts, Entertainment, and Culture").

    Raises:
        ValueError: If the value is not of the format (an empty value is no labels, not an error).
    """
    value = value.strip()
    if not value:
        return []
    if genre_format is GenreFormat.LITERAL:
        labels = _literal_labels(value)
    elif genre_format is GenreFormat.QUOTED:
        labels = _QUOTED_LABEL.findall(value)
        if re.sub(r"[\s,]+", "", _QUOTED_LABEL.sub("", value)):
            raise ValueError(f"not a list of quoted names: {value[:80]!r}")
    elif value[0] in "[{":
        raise ValueError(f"a list among names: {value[:80]!r}")
    else:
        separator = _SEPARATORS[genre_format]
        labels = value.split(separator)
        if aliases is not None and len(labels) > 1:
            labels = _join_known(labels, separator, aliases)
    labels = list(dict.fromkeys(label for label in (raw.strip() for raw in labels) if label))
    if any("\ud800" <= character <= "\udfff" for label in labels for character in label):
        raise ValueError(f"half a character in a genre's name: {value[:80]!r}")
    if aliases is not None and genre_format in _SEPARATORS:
        _check_separators(labels, aliases)
    return labels


def _check_separators(labels: Iterable[str], aliases: GenreAliases) -> None:
    """Raises: ValueError: If a label is several known genres with another separator."""
    for label in labels:
        for separator in ("|", ";", ","):
            pieces = label.split(separator)
            if len(pieces) > 1 and label not in aliases and all(p in aliases for p in pieces):
                raise ValueError(f"several genres, separated by {separator!r}: {label[:80]!r}")


def _join_known(pieces: list[str], separator: str, aliases: GenreAliases) -> list[str]:
    """Undo the separation inside labels that the table lists, the longest first."""
    most = 1 + aliases.most_separators(separator)
    joined, start = [], 0
    while start < len(pieces):
        for end in range(min(start + most, len(pieces)), start, -1):
            label = separator.join(pieces[start:end])
            if end == start + 1 or label in aliases:
                break
        joined.append(label)
        start = end
    return joined


def _literal_labels(value: str) -> list[str]:
    # Python's way to write what JSON writes differs by the quotes; to read it as JSON is twenty
    # times faster than as Python.
    as_json = value if '"' in value or "\\" in value else value.replace("'", '"')
    try:
        parsed: Any = json.loads(as_json)
    except (ValueError, RecursionError):
        try:
            parsed = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise ValueError(f"neither JSON nor a Python literal: {value[:80]!r}") from None
    if isinstance(parsed, Mapping):
        parsed = list(parsed.values())
    if not isinstance(parsed, list):
        raise ValueError(f"not a list of genres: {value[:80]!r}")
    labels: list[Any] = [i.get("name") if isinstance(i, Mapping) else i for i in parsed]
    if not all(isinstance(label, str) for label in labels):
        raise ValueError(f"a genre without a name: {value[:80]!r}")
    return labels


@dataclass(frozen=True)
class Canonical:
    """One row's raw labels, mapped by the alias table."""

    genres: list[str]
    """Canonical labels, sorted."""
    dropped: list[str]
    """Raw labels that the table drops: formats, origins, audiences."""
    unlisted: list[str]
    """Raw labels that the table does not know; they are kept under their own name."""


class GenreAliases:
    """The alias table: raw label -> canonical labels, regardless of case and whitespace."""

    def __init__(self, table: Mapping[str, tuple[str, ...]]) -> None:
        self._table = {_key(raw): genres for raw, genres in table.items()}

    def __contains__(self, label: str) -> bool:
        return _key(label) in self._table

    def genres(self) -> tuple[str, ...]:
        """All canonical genres that the table knows, sorted."""
        return tuple(sorted({genre for genres in self._table.values() for genre in genres}))

    def most_separators(self, separator: str) -> int:
        """The most separators in one label of the table."""
        return max((label.count(separator) for label in self._table), default=0)

    def with_known(self, genres: Iterable[str]) -> GenreAliases:
        """This table, and each of `genres` as its own canonical label if it is not listed."""
        named = {genre: (genre,) for genre in genres if genre.strip() and genre not in self}
        return GenreAliases(self._table | named)

    @classmethod
    def read(cls, path: Path) -> GenreAliases:
        """Read a CSV with the columns `raw` and `genres` (canonical, pipe-separated; empty = drop).

        Raises:
            InputError: If the file is missing, lacks a column, or lists one raw label twice.
        """
        if not path.is_file():
            raise InputError(f"no alias table at {path}; --aliases takes a CSV with raw,genres")
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                missing = {"raw", "genres"} - set(reader.fieldnames or ())
                if missing:
                    raise InputError(f"{path} lacks the column(s) {', '.join(sorted(missing))}")
                rows = [(row["raw"] or "", row["genres"] or "") for row in reader]
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path} is no CSV in UTF-8: {error}") from None
        table: dict[str, tuple[str, ...]] = {}
        seen: set[str] = set()
        for raw, genres in rows:
            if _key(raw) in seen:
                raise InputError(f"{path} lists {raw!r} twice; keep one line")
            seen.add(_key(raw))
            table[raw] = tuple(genre.strip() for genre in genres.split("|") if genre.strip())
        return cls(table)

    def canonical(self, raw_labels: Iterable[str]) -> Canonical:
        """Map one row's raw labels to canonical ones."""
        genres: set[str] = set()
        dropped, unlisted = [], []
        for raw in raw_labels:
            mapped = self._table.get(_key(raw))
            if mapped is None:
                unlisted.append(raw)
                genres.add(raw)
            elif mapped:
                genres.update(mapped)
            else:
                dropped.append(raw)
        return Canonical(sorted(genres), dropped, unlisted)


class Labels(NamedTuple):
    """One cell, read; a tuple because it is sent from process to process by the thousand."""

    raw: tuple[str, ...]
    genres: tuple[str, ...]
    """Canonical, sorted."""
    dropped: tuple[str, ...]
    unlisted: tuple[str, ...]
    error: str = ""
    """Why the cell could not be read; empty if it could."""


class GenreReader:
    """Cells of one column -> labels. Equal cells are read once: few are different."""

    def __init__(self, genre_format: GenreFormat, aliases: GenreAliases) -> None:
        self.genre_format = genre_format
        self.aliases = aliases
        self._seen: dict[str, Labels] = {}

    def __call__(self, cell: str) -> Labels:
        labels = self._seen.get(cell)
        if labels is None:
            if len(self._seen) >= _MOST_CELLS:
                self._seen.clear()
            labels = self._seen[cell] = self._read(cell)
        return labels

    def _read(self, cell: str) -> Labels:
        try:
            raw = parse_genres(cell, self.genre_format, self.aliases)
        except ValueError as error:
            return Labels((), (), (), (), str(error))
        found = self.aliases.canonical(raw)
        return Labels(tuple(raw), tuple(found.genres), tuple(found.dropped), tuple(found.unlisted))


_MOST_CELLS = 50_000  # remembered; some tens of megabytes


def _key(raw: str) -> str:
    return " ".join(raw.split()).casefold()
