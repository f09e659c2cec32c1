"""Films of `--train-source`, which go to the train split alone.

The list of genres, validation and test are row for row those of the same command without them, and
no film of validation or test is added to train.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.preparation.duplicates import (
    COPIED,
    first_equal,
    likeness,
    word_runs,
    words,
)
from movie_genres.preparation.films import REPEATED, Films
from movie_genres.preparation.same_film import same_plot_groups
from movie_genres.preparation.splits import SPLITS
from movie_genres.reading.sources import Source, SourceOptions, read_sources

IN_SOURCE = "its plot is in --source"
MAYBE_HELD_OUT = "has the id or title of a film of validation or test"
RETELLS_HELD_OUT = "has much of the plot of a film of validation or test"
OTHER_GENRES = "none of the genres of --source"
RUNS_IN_COMMON = 4
"""Runs of three words of a held-out film, from which on a further film is compared with it."""
FILMS_OF_RUN = 3
"""Held-out films up to which a run of three words tells them apart ("in order to" does not)."""
_SET_ASIDE = "of --train-source"
_TRAIN = SPLITS.index("train")


def read_train_sources(
    names: Sequence[str], options: SourceOptions, aliases: GenreAliases, folder: Path
) -> list[Source]:
    """Open what `--train-source` names, as `read_sources` does; splits of theirs do not count."""
    folder.mkdir()
    options = replace(options, split_column=None, keep_splits=False)
    return [
        replace(source, train_only=True, description=f"{source.description} (for training only)")
        for source in read_sources(names, options, aliases, folder)
    ]


def hold_back(films: Films, sources: Sequence[Source]) -> np.ndarray:
    """Set the usable films of `--train-source` aside until `admit`; their row numbers."""
    usable = films.usable
    train_only = np.array([source.train_only for source in sources])
    rows = usable[train_only[films.source[usable]]]
    films.reject(rows, _SET_ASIDE)
    return rows


def admit(
    films: Films, rows: np.ndarray, split: np.ndarray, groups: np.ndarray, labels: Sequence[str]
) -> int:
    """Add rows that were held back to train, except films that are in `--source` already.

    A film is rejected if its plot equals or nearly equals one in any split, or if it shares its id,
    its title or much of its plot with a film of validation or test. Two films may have one title,
    but losing some is cheaper than training on what is tested.

    Args:
        rows: What `hold_back` gave.
        split: Index into `SPLITS` of each row, -1 where it has none; filled in for `rows`.
        groups: Film of each row, -1 where it has none; filled in for `rows`.
        labels: The genres of `--source`; others are left out.

    Returns:
        How many films were added.

    Raises:
        InputError: If there were rows and none was added.
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
    films.reject(_retelling(films, left, held_out), RETELLS_HELD_OUT)
    left = left[films.reason[left] == 0]
    genres = {r: tuple(g for g in films.genres_of(r) if g in labels) for r in left.tolist()}
    films.set_genres(genres)
    named = np.array([bool(found) for found in genres.values()], dtype=bool)
    films.reject(left[~named], OTHER_GENRES)
    left = left[named]
    split[left] = _TRAIN
    groups[left] = groups.max() + 1 + np.arange(len(left))
    if not len(left):
        why = films.reasons[np.bincount(films.reason[rows]).argmax()]
        raise InputError(
            f"--train-source adds no film: none of its {len(rows):,} usable rows was added, most "
            f"of them because: {why}"
        )
    return len(left)


def _reject_known_plots(films: Films, rows: np.ndarray, split: np.ndarray) -> None:
    """Reject rows whose plot equals or nearly equals one of a split or of an earlier row."""
    in_split = np.flatnonzero(split >= 0)
    compared = np.union1d(in_split, rows)
    group = same_plot_groups(films, compared)
    is_known = np.isin(group, group[np.isin(compared, in_split)])
    films.reject(compared[is_known & np.isin(compared, rows)], IN_SOURCE)
    new = compared[~is_known]
    original = new[first_equal(group[~is_known])]
    repeated = original != new
    films.repeats.update(zip(new[repeated].tolist(), original[repeated].tolist(), strict=True))
    films.reject(new[repeated], REPEATED)


def _retelling(films: Films, rows: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """The rows that share much of their plot with a held-out film, whatever their ids say.

    Of 54,577 films beside the 1,134 held-out ones of a benchmark without titles, 37 do. A dozen of
    them are held-out films, told in other words.
    """
    having: dict[bytes, list[int]] = defaultdict(list)
    for film, plot in zip(held_out.tolist(), films.cells(held_out, "plot"), strict=True):
        for run in set(word_runs(words(plot))):
            having[run].append(film)
    telling = {run: found for run, found in having.items() if len(found) <= FILMS_OF_RUN}
    pairs = []
    for row, plot in zip(rows.tolist(), films.cells(rows, "plot"), strict=True):
        runs = telling.keys() & word_runs(words(plot))
        shared = Counter(film for run in runs for film in telling[run])
        pairs += [(row, film) for film, count in shared.items() if count >= RUNS_IN_COMMON]
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    alike = likeness(found, len(films), films.cells) >= COPIED
    return np.unique(found[alike, 0])
