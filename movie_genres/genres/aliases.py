"""The table that maps labels to canonical genres.

Reads `data/genre_aliases.csv` (raw, genres, dropped_because); writes nothing.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from movie_genres.errors import InputError

_AND = re.compile(r"\s*(?:&|/|\band\b)\s*")
_FILM = " film"
_KIND_OF_FILM = re.compile(r"(?<=\w) (?:(?:tv )?(?:films?|movies?|series)|tv shows?)$")


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
    """The alias table: raw label -> canonical labels, regardless of case and whitespace.

    A label that it does not list is looked for without its hyphens, with `&`, `/` and `and` for
    one another, and without a last `film`, `movie` or `series`: `Action films` is Action.
    """

    def __init__(
        self, table: Mapping[str, tuple[str, ...]], seen: frozenset[str] = frozenset()
    ) -> None:
        self.table = {label_key(raw): genres for raw, genres in table.items()}
        self._loose: dict[str, tuple[str, ...]] = {}
        for raw, genres in self.table.items():
            self._loose.setdefault(_loose_key(raw), genres)
        self._first_words = {_first_word(key) for key in self.table}
        self._seen = seen

    def __contains__(self, label: str) -> bool:
        return self.lists(label) or label_key(label) in self._seen

    def lists(self, label: str) -> bool:
        """Whether the table itself knows a label, not only `with_seen`."""
        return self._find(label) is not None

    def lists_exactly(self, label: str) -> bool:
        """Whether the table, or `with_seen`, holds a label just so, but for case and whitespace."""
        return label_key(label) in self.table or label_key(label) in self._seen

    @cached_property
    def plain(self) -> GenreAliases:
        """Canonical genres alone, and what `with_seen` named."""
        return GenreAliases({genre: (genre,) for genre in self.genres()}, self._seen)

    def drops(self, label: str) -> bool:
        """Whether the table lists a label as none: `N/A`, `nan`."""
        return self._find(label) == ()

    def _find(self, label: str) -> tuple[str, ...] | None:
        key = label_key(label)
        found = self.table.get(key)
        if found is None and _first_word(key) in self._first_words:
            loose = _loose_key(key)
            found = self._loose.get(loose, self._loose.get(loose.removesuffix(_FILM)))
        return found

    def genres(self) -> tuple[str, ...]:
        """All canonical genres that the table knows, sorted."""
        return tuple(sorted({genre for genres in self.table.values() for genre in genres}))

    def with_known(self, genres: Iterable[str]) -> GenreAliases:
        """This table, and each of `genres` as its own canonical label if it is not listed."""
        named = {g: (g,) for g in genres if g.strip() and label_key(g) not in self.table}
        return GenreAliases(self.table | named, self._seen)

    def with_seen(self, labels: Iterable[str]) -> GenreAliases:
        """This table, and labels of a column that are whole names though it does not list them."""
        return GenreAliases(self.table, frozenset(map(label_key, labels)))

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
            if label_key(raw) in seen:
                raise InputError(f"{path} lists {raw!r} twice; keep one line")
            seen.add(label_key(raw))
            table[raw] = tuple(genre.strip() for genre in genres.split("|") if genre.strip())
        return cls(table)

    def canonical(self, raw_labels: Iterable[str]) -> Canonical:
        """Map one row's raw labels to canonical ones."""
        genres: set[str] = set()
        dropped, unlisted = [], []
        for raw in raw_labels:
            mapped = self._find(raw)
            if mapped is None:
                unlisted.append(raw)
                genres.add(raw)
            elif mapped:
                genres.update(mapped)
            else:
                dropped.append(raw)
        return Canonical(sorted(genres), dropped, unlisted)


def label_key(raw: str) -> str:
    """What two spellings of one label share: case and whitespace do not matter."""
    text = raw if raw.isascii() else unicodedata.normalize("NFKC", raw).replace("’", "'")
    return " ".join(text.split()).casefold()


def _first_word(key: str) -> str:
    """Few labels begin like one of the table; the others need not be looked for any further."""
    return re.split(r"[ /&-]", key, maxsplit=1)[0]


def _loose_key(key: str) -> str:
    joined = " ".join(_AND.sub(" and ", key.replace("-", " ")).split())
    return _KIND_OF_FILM.sub(_FILM, joined)
