"""Which cell of a source's records holds what, and in which split the data puts a record."""

from __future__ import annotations

from dataclasses import dataclass

from movie_genres.errors import InputError
from movie_genres.genres.cells import GenreFormat
from movie_genres.reading.identity import is_imdb
from movie_genres.reading.records import OWN_SPLIT, SPLIT_NAMES, SPLITS
from movie_genres.reading.sources import Source

_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Layout:
    """How the records of one source are to be read: cells id, title, plot, genres and the other
    fields of the text, in this order, then what `year` and `split` point at."""

    genre_format: GenreFormat
    has_id: bool
    name: str = ""
    """Of the source."""
    imdb: bool = False
    """Whether numbers are ids of IMDb."""
    year: int | None = None
    """Which cell is the year or date of release."""
    split: int | None = None
    """Which cell is the record's split."""
    split_from: str = ""
    """Where this cell is from, in words."""
    given: int = -1
    """Index into `SPLITS` of the split of all records; -1 = none."""
    genre_names: frozenset[str] = frozenset()
    """Names of genres that the alias table does not list."""

    @classmethod
    def of(cls, source: Source) -> Layout:
        """As `source.records` gives them."""
        identifier = source.columns["id"]
        end = len(source.columns) + len(source.extra)
        own = source.split_column == OWN_SPLIT
        return cls(
            source.genre_format,
            has_id=identifier is not None,
            name=source.name,
            imdb=identifier is not None and is_imdb(identifier),
            year=None if source.year is None else end,
            split=None if source.split_column is None else end + (source.year is not None),
            split_from="the split" if own else f"the column {source.split_column!r}",
            given=-1 if source.split is None else SPLITS.index(source.split),
            genre_names=source.genre_names,
        )

    def split_of(self, record: tuple[str, ...], row: int, *, usable: bool) -> int:
        """Index into `SPLITS` of the split that the data gives a record; -1 = none.

        Raises:
            InputError: If the record is usable and its cell is no name of a split.
        """
        if self.split is None:
            return self.given
        name = record[self.split].strip()
        given = SPLIT_NAMES.get(name.casefold(), -1)
        if usable and given < 0:
            raise InputError(
                f"{self.name}, row {row}: {self.split_from} says {name[:_SHOWN_CHARACTERS]!r}, "
                f"none of {', '.join(SPLIT_NAMES)}: rename it, or leave such rows out"
            )
        return given
