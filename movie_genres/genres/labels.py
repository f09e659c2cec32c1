"""Cells of a column of genres -> raw and canonical labels."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from movie_genres.genres.aliases import GenreAliases
from movie_genres.genres.cells import GenreFormat, read_cell

_MOST_CELLS = 50_000  # remembered; some tens of megabytes


class Labels(NamedTuple):
    """One cell, read; a tuple because it is sent from process to process by the thousand."""

    raw: tuple[str, ...]
    genres: tuple[str, ...]
    """Canonical, sorted."""
    dropped: tuple[str, ...]
    unlisted: tuple[str, ...]
    error: str = ""
    """Why the cell could not be read; empty if it could."""
    split: tuple[str, ...] = ()
    """Labels that were read as several ones that are known: 'Comedy Drama'."""


class GenreReader:
    """Cells of one column -> labels. Equal cells are read once: few are different.

    Args:
        genre_format: How the column is written.
        aliases: The table; with `with_seen`, names of the column too.
    """

    def __init__(self, genre_format: GenreFormat, aliases: GenreAliases) -> None:
        self.genre_format = genre_format
        self.aliases = aliases
        self._remembered = lru_cache(_MOST_CELLS)(self._read)

    def __call__(self, cell: str) -> Labels:
        return self._remembered(cell)

    def _read(self, cell: str) -> Labels:
        try:
            raw, split = read_cell(cell, self.genre_format, self.aliases)
        except ValueError as error:
            return Labels((), (), (), (), str(error))
        found = self.aliases.canonical(raw)
        return Labels(
            tuple(raw),
            tuple(found.genres),
            tuple(found.dropped),
            tuple(found.unlisted),
            split=tuple(split),
        )
