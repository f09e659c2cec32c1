"""Which rows are one film: by their ids, their plots, and their titles with years and plots.

Films that a stub describes ("Mexican feature film.") are not one film for having the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from movie_genres.preparation.duplicates import (
    ALIKE,
    COPIED,
    first_equal,
    in_order,
    likeness,
    nearly_equal_pairs,
    same_film_groups,
    same_title_pairs,
)
from movie_genres.preparation.films import REPEATED, Films, Genres
from movie_genres.reading.records import OWN_SPLIT
from movie_genres.reading.sources import Source

STUB_WORDS = 10
"""A plot of fewer words says of no film that it is the same. In 75,000 rows of five public data
sets, what films of different titles share has up to 9 words or is a plot of 22 and more."""
STUB_TITLES = 5
"""Different titles from which on a plot that they share is a stub, however long; in the same rows a
real plot has up to 3."""
RETOLD = 0.2
"""Share of a source's rows that have the title of another id, from which on its ids are those of
descriptions rather than of films. In databases of films it is 1 to 2 %, and 14 % without years."""
_SHOWN_TITLES = 5
_ID, _TITLE, _PLOT = range(3)
_BY_SOURCE, _BY_SPLIT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True)
class Groups:
    """Which rows are one film."""

    film: np.ndarray
    """Number of each row's film, -1 for rows without a usable plot, shape (n_rows,)."""
    label_conflicts: int
    """Plots whose rows had different genres."""
    by_title: int
    """Pairs of rows that only their title, with the year or the plot, makes one film."""
    titles_alone: Sequence[str]
    """Titles of several films whose plots are not alike and whose years do not tell them apart;
    the first few."""
    n_titles_alone: int


def reject_repeated(films: Films) -> None:
    """Keep the first of the rows with one title and plot, with the genres of all of them.

    Rows in different splits of the data's own repeat nothing.
    """
    usable = films.usable
    usable = usable[films.keys[usable, _PLOT] != 0]
    keys = films.keys[usable, _TITLE] * np.uint64(3) ^ films.keys[usable, _PLOT]
    keys ^= _of_stubs(films, usable, films.words[usable] < STUB_WORDS)
    keys ^= films.given[usable].astype(np.uint64) * _BY_SPLIT
    original = usable[first_equal(keys)]
    repeated = original != usable
    united: dict[int, set[str]] = {}
    for row, earlier in zip(usable[repeated].tolist(), original[repeated].tolist(), strict=True):
        if films.genres[row] != films.genres[earlier]:
            films.disputed.add(earlier)
        united.setdefault(earlier, set(films.genres_of(earlier))).update(films.genres_of(row))
        films.repeats[row] = earlier
        if films.source[row] != films.source[earlier]:
            films.also_in.setdefault(earlier, set()).add(int(films.source[row]))
    films.reject(usable[repeated], REPEATED)
    films.set_genres({row: tuple(sorted(genres)) for row, genres in united.items()})


def _of_stubs(films: Films, rows: np.ndarray, stub: np.ndarray) -> np.ndarray:
    """What besides the plot must agree for stubs to be of one film: title and year, or else the id.

    Returns:
        uint64, shape (n_rows,); 0 for rows that are no stubs.
    """
    title, year = films.keys[rows, _TITLE], films.year[rows].astype(np.uint64)
    named = title * np.uint64(5) ^ year * _BY_SPLIT
    return np.where(stub, np.where(title != 0, named, films.keys[rows, _ID]), np.uint64(0))


def same_plot_groups(films: Films, rows: np.ndarray) -> np.ndarray:
    """Group rows whose plots are equal or nearly equal; a stub is not enough.

    Returns:
        Group numbers, shape (n_rows,), counted from 0 in order of first appearance.
    """
    pairs = nearly_equal_pairs(films.bands[rows], lambda part: films.cells(rows[part], "plot"))
    group = same_film_groups([films.keys[rows, _PLOT]], pairs)
    titles = films.keys[rows, _TITLE]
    _, first = np.unique(group.astype(np.uint64) * _BY_SOURCE ^ titles, return_index=True)
    n_titles = np.bincount(group[first[titles[first] != 0]], minlength=len(rows))
    stub = (films.words[rows] < STUB_WORDS) | (n_titles[group] >= STUB_TITLES)
    besides = _of_stubs(films, rows, stub)
    return in_order(group.astype(np.uint64) * _BY_SOURCE ^ besides)


def find_groups(films: Films, sources: Sequence[Source]) -> Groups:
    """Group the rows by film and give the rows of one plot the genres of all of them.

    Rows are one film if they share their id, if their plots are equal or nearly equal and no stub,
    or if they share their title and either their year or an alike plot (`_of_one_film`). Rows that
    were rejected, but have a usable plot, link films too.
    """
    train_only = np.array([source.train_only for source in sources])
    rows = np.flatnonzero((films.keys[:, _PLOT] != 0) & ~train_only[films.source])
    keys = films.keys[rows]
    same_plot = same_plot_groups(films, rows)
    by_id = _id_keys(films, rows, sources)
    # Nothing distinguishes the films of one stub if they have no titles: their texts are equal.
    untitled = np.where(keys[:, _TITLE] == 0, keys[:, _PLOT], np.uint64(0))
    known = same_film_groups([same_plot + 1, untitled, *by_id])
    pairs = same_title_pairs(keys[:, _TITLE], films.year[rows], known)
    shared = likeness(pairs, len(rows), lambda part, column: films.cells(rows[part], column))
    one_film = _of_one_film(films, rows[pairs], shared)
    found = same_film_groups([known + 1], pairs[one_film])
    apart = pairs[~one_film]
    apart = apart[found[apart[:, 0]] != found[apart[:, 1]]]
    _, first = np.unique(keys[apart[:, 0], _TITLE], return_index=True)
    shown = np.unique(rows[apart[np.sort(first)[:_SHOWN_TITLES], 0]])
    film = np.full(len(films), -1, dtype=np.int64)
    film[rows] = found
    return Groups(
        film=film,
        label_conflicts=_unite_genres(films, rows, same_plot),
        by_title=int(one_film.sum()),
        titles_alone=list(films.cells(shown, "title")),
        n_titles_alone=len(first),
    )


def _id_keys(films: Films, rows: np.ndarray, sources: Sequence[Source]) -> list[np.ndarray]:
    """Keys that rows with one id share; 0 for none.

    An id of IMDb is the same film everywhere. Other ids are one film within their source; those of
    two sources are compared together with the titles, because two databases may give one number
    twice, and so are those of two splits that were tables of their own.
    """
    ids, titles = films.keys[rows, _ID], films.keys[rows, _TITLE]
    own_tables = np.array([source.split_column == OWN_SPLIT for source in sources])
    split = np.where(own_tables[films.source[rows]] & (titles != 0), films.given[rows], 0)
    table = films.source[rows].astype(np.uint64) * _BY_SOURCE
    table ^= split.astype(np.uint64) * _BY_SPLIT
    within = np.where(films.imdb[rows], ids, ids ^ table)
    titled = ids * np.uint64(3) ^ titles
    within[ids == 0] = 0
    titled[(ids == 0) | (titles == 0)] = 0
    return [within, titled]


def _of_one_film(films: Films, pairs: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Whether rows with one title, and years that may be one, are one film.

    They are if their years are the same, or their plots are alike; but where one source gives them
    two ids, only if one plot is mostly the other's. Of 59,217 films with ids of one database, 140
    share title and year with another one.

    Args:
        films: All rows.
        pairs: Row numbers, shape (n_pairs, 2).
        shared: As `likeness` gives it.
    """
    a, b = pairs.T
    ids = films.keys[:, _ID]
    two_ids = (films.source[a] == films.source[b]) & (ids[a] != 0) & (ids[b] != 0)
    for source in np.unique(films.source[a[two_ids]]):
        inside = two_ids & (films.source[a] == source)
        if len(np.unique(pairs[inside])) > RETOLD * (films.source == source).sum():
            two_ids[inside] = False
    same_year = (films.year[a] == films.year[b]) & (films.year[a] != 0)
    return np.where(two_ids, shared >= COPIED, same_year | (shared >= ALIKE))


def _unite_genres(films: Films, rows: np.ndarray, same_plot: np.ndarray) -> int:
    """Give usable rows of one plot, in one split of the data's own, the genres of all of them.

    Returns:
        Number of plots whose rows, or the rows that repeated them, had different genres.
    """
    usable = films.reason[rows] == 0
    rows = rows[usable]
    groups = in_order(same_plot[usable] * 4 + films.given[rows] + 1)
    disputed = set(groups[np.isin(rows, list(films.disputed))].tolist())
    repeated = np.flatnonzero(np.bincount(groups)[groups] > 1)
    order = repeated[np.argsort(groups[repeated], kind="stable")]
    united: dict[int, Genres] = {}
    for plot in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        members = rows[plot].tolist()
        found = {films.genres_of(row) for row in members}
        sources = set(films.source[members].tolist())
        sources.update(*(films.also_in.get(row, ()) for row in members))
        if len(sources) > 1:
            films.also_in.update((row, sources) for row in members)
        if len(found) > 1:
            disputed.add(int(groups[plot[0]]))
            united |= dict.fromkeys(members, tuple(sorted(set().union(*found))))
    films.set_genres(united)
    return len(disputed)
