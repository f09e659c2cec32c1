"""Which film a row is: its id and its year of release, and the columns that hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from movie_genres.reading.records import SPLIT_NAMES

_ID_NAMES = (
    *("id", "movieid", "filmid", "titleid", "showid", "tmdbid", "tmdbmovieid", "themoviedbid"),
    *("imdbid", "imdbtitleid", "imdbmovieid", "tconst", "const", "imdb", "tmdb"),
    *("wikidataid", "wikidata", "qid", "wikipediamovieid", "wikipediaid", "wikiid", "freebaseid"),
    *("netflixid", "letterboxdid", "movielensid", "rottentomatoesid", "rtid", "tvdbid", "omdbid"),
    *("doubanid", "kinopoiskid", "afiid", "uuid", "identifier", "imdblink", "imdburl"),
    *("movieimdblink", "url"),
)
"""Without case and punctuation: `imdb_title_id`, `imdbTitleID` and `IMDb title ID` are one name."""
_IMDB_NAMES = ("imdb", "tconst", "const")
_YEAR_NAMES = (
    *("year", "releaseyear", "yearofrelease", "releasedyear", "startyear", "titleyear"),
    *("movieyear", "filmyear", "yr", "releasedate", "datepublished", "originalreleasedate"),
    *("released", "premiered"),
)
_SPLIT_COLUMNS = ("split", "subset", "partition", "set")
_MOST_ROWS_A_FILM = 10
"""Mean rows of an id, up to which a column may be ids: a film has a row a genre or a retelling."""
_NO_ID = frozenset(("", "0", "-", "n/a", "na", "nan", "none", "null", "unknown"))
_IMDB_ID = re.compile(
    r"(?:.*imdb\.com/(?:\w+/)?title/)?tt0*([0-9]{1,12})(?:[/?#].*)?", re.ASCII | re.I
)
_NUMBER = re.compile(r"0*([0-9]+)(?:\.0+)?", re.ASCII)
_YEAR = re.compile(r"(?<![0-9])(?:18[89]|19[0-9]|20[0-9])[0-9](?![0-9])", re.ASCII)


def find_id(head: Mapping[str, Sequence[str]]) -> str | None:
    """The column of ids: one with such a name whose cells are filled and varied."""
    named = id_columns(list(head)).values()
    return next((column for column in named if _are_ids(column, head[column])), None)


def id_columns(columns: Sequence[str]) -> dict[str, str]:
    """The columns that are named as ids are, by this name without case and punctuation."""
    return _named(columns, _ID_NAMES)


def _are_ids(column: str, cells: Sequence[str]) -> bool:
    ids = [key for cell in cells if (key := id_key(cell, imdb=is_imdb(column)))]
    return len(ids) >= len(cells) / 2 and len(ids) <= _MOST_ROWS_A_FILM * len(set(ids))


def is_imdb(column: str) -> bool:
    """Whether a column's name says that its ids are IMDb's, with or without their `tt`."""
    name = _compact(column)
    return _IMDB_NAMES[0] in name or name in _IMDB_NAMES


def id_key(identifier: str, *, imdb: bool = False) -> str:
    """What is compared of an identifier; empty where a database writes that it has none.

    `862`, `0862` and `862.0` are one number. An IMDb id is `tt` and seven digits or more, also in
    an address of imdb.com; a bare number is one only if `imdb`, because other databases number
    their films too.
    """
    identifier = identifier.strip()
    if found := _IMDB_ID.fullmatch(identifier):
        return f"tt{found[1]:0>7}"
    if found := _NUMBER.fullmatch(identifier):
        identifier = found[1]
        if imdb and identifier != "0":
            return f"tt{identifier:0>7}"
    return "" if identifier.casefold() in _NO_ID else identifier


def find_year(head: Mapping[str, Sequence[str]]) -> str | None:
    """The column of the years or dates of release, by its name, if most of its cells have one."""
    for column in _named(list(head), _YEAR_NAMES).values():
        filled = [cell for cell in head[column] if cell.strip()]
        if sum(year_of(cell) > 0 for cell in filled) > len(filled) / 2:
            return column
    return None


def year_of(text: str) -> int:
    """The first year from 1880 to 2099 in a cell; 0 if there is none."""
    found = _YEAR.search(text)
    return int(found[0]) if found else 0


def unused_split(head: Mapping[str, Sequence[str]]) -> str | None:
    """A column that holds names of splits and that nobody asked for."""
    for column in _named(list(head), _SPLIT_COLUMNS).values():
        names = {cell.strip().casefold() for cell in head[column]}
        if len(names) > 1 and names <= SPLIT_NAMES.keys():
            return column
    return None


def _named(columns: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """The columns with one of these names, by the name and in the order of the names."""
    by_name = {_compact(column): column for column in reversed(columns)}
    return {name: by_name[name] for name in names if name in by_name}


def _compact(column: str) -> str:
    """A column's name without case, whitespace and punctuation."""
    return re.sub(r"[\W_]+", "", column.casefold())
