"""Films that only training sees: those of `--train-source`.

They change nothing but the train split. The list of genres, validation and test are row for row
those of the same command without them, and no film that is held out comes in by this door.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from movie_genres.errors import InputError
from movie_genres.preparation.duplicates import nearly_equal_pairs, same_film_groups
from movie_genres.preparation.films import REPEATED, Films
from movie_genres.preparation.splits import SPLITS
from movie_genres.reading.genres import GenreAliases
from movie_genres.reading.sources import Asked, Source, read_sources

STANDS_IN_SOURCE = "its plot stands in --source"
MAYBE_HELD_OUT = "has the id or title of a film of validation or test"
OTHER_GENRES = "none of the genres of --source"
_LATER = "of --train-source"
_TRAIN = SPLITS.index("train")


def read_train_sources(
    names: Sequence[str], asked: Asked, aliases: GenreAliases, folder: Path
) -> list[Source]:
    """Open what `--train-source` names, as `read_sources` does."""
    folder.mkdir()
    return [
        replace(source, train_only=True, description=f"{source.description} (for training only)")
        for source in read_sources(names, asked, aliases, folder)
    ]


def hold_back(films: Films, sources: Sequence[Source]) -> np.ndarray:
    """Take the usable films of sources for training out until `admit`; their row numbers."""
    usable = films.usable
    later = np.array([source.train_only for source in sources])
    rows = usable[later[films.source[usable]]]
    films.reject(rows, _LATER)
    return rows


def admit(
    films: Films, rows: np.ndarray, split: np.ndarray, groups: np.ndarray, labels: Sequence[str]
) -> int:
    """Let rows that were held back into train, but for what is known or held out already.

    Without any, nothing is done.

    By an equal or nearly equal plot a film is known, whatever its split. An id or a title that it
    shares with a film of validation or test is enough to refuse it: two films may have one title,
    but to lose some is cheaper than to train on what is tested.

    Args:
        rows: What `hold_back` gave.
        split: Index into `SPLITS` of each row, -1 where it has none; filled in for `rows`.
        groups: Film of each row, -1 where it has none; filled in for `rows`.
        labels: The genres of the others; further ones are left out.

    Returns:
        How many films came in.

    Raises:
        InputError: If there were rows and none came in.
    """
    if not len(rows):
        return 0
    films.reason[rows] = 0
    _reject_known_plots(films, rows, split)
    left = rows[films.reason[rows] == 0]
    held_out = np.flatnonzero(split > _TRAIN)
    for column in (0, 1):
        keys = films.keys[left, column]
        films.reject(
            left[(keys != 0) & np.isin(keys, films.keys[held_out, column])], MAYBE_HELD_OUT
        )
        left = left[films.reason[left] == 0]
    genres = [tuple(g for g in films.genres_of(row) if g in labels) for row in left.tolist()]
    films.set_genres(left, genres)
    named = np.array([bool(found) for found in genres], dtype=bool)
    films.reject(left[~named], OTHER_GENRES)
    left = left[named]
    split[left] = _TRAIN
    groups[left] = groups.max() + 1 + np.arange(len(left))
    if not len(left):
        why = films.reasons[np.bincount(films.reason[rows]).argmax()]
        raise InputError(
            f"--train-source adds no film: none of its {len(rows):,} usable rows came in; of most "
            f"of them: {why}"
        )
    return len(left)


def _reject_known_plots(films: Films, rows: np.ndarray, split: np.ndarray) -> None:
    """Reject rows whose plot, or one nearly equal, stands in a row with a split or before them."""
    there = np.flatnonzero(split >= 0)
    both = np.union1d(there, rows)
    pairs = nearly_equal_pairs(films.bands[both], lambda asked: films.cells(both[asked], "plot"))
    group = same_film_groups([films.keys[both, 2]], pairs)
    known = np.isin(group, group[np.isin(both, there)]) & np.isin(both, rows)
    films.reject(both[known], STANDS_IN_SOURCE)
    new = np.flatnonzero(~np.isin(group, group[np.isin(both, there)]))
    _, first, inverse = np.unique(group[new], return_index=True, return_inverse=True)
    original = new[first[inverse]]
    repeated = original != new
    films.repeats.update(
        zip(both[new[repeated]].tolist(), both[original[repeated]].tolist(), strict=True)
    )
    films.reject(both[new[repeated]], REPEATED)
