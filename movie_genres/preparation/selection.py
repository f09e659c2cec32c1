"""Cleaned films -> which are kept, with which genres, and in which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from movie_genres.errors import InputError
from movie_genres.preparation.duplicates import in_order
from movie_genres.preparation.films import Films, reject_rare_genres
from movie_genres.preparation.given_splits import Overlap, complete, reject_overlap
from movie_genres.preparation.same_film import Groups, find_groups, reject_repeated
from movie_genres.preparation.splits import MIN_FILMS, MIN_SPLIT, SPLITS, split_groups
from movie_genres.preparation.train_only import admit, hold_back
from movie_genres.reading.sources import Source


@dataclass(frozen=True)
class Selection:
    """All rows, and what was decided about them."""

    films: Films
    labels: list[str]
    """Genre names in the order of the columns of labels."""
    split: np.ndarray
    """Index into `SPLITS` of each row, int8, -1 for rejected ones."""
    splits_from: Mapping[str, str]
    """How each split came about."""
    overlap: Overlap | None
    """Films in several splits of the data's own; None if all splits were drawn."""
    groups: Groups
    """Which rows are one film."""
    below_min_count: Mapping[str, int]
    """Genres that were dropped, with their number of films."""
    n_train_only: int
    """Films of `--train-source` that went to train."""
    used: np.ndarray | None
    """As `Films.used_by_source` gives it; None if a genre that is not given is absent."""
    min_genre_count: int
    seed: int


def select_films(
    films: Films,
    sources: Sequence[Source],
    *,
    min_genre_count: int,
    absent_is_unknown: bool,
    seed: int,
) -> Selection:
    """Unite repeated films, drop rare genres, and split 80 / 10 / 10 or as the data does.

    Args:
        films: All rows; changed in place.
        sources: Where they are from.
        min_genre_count: Genres with fewer films are dropped.
        absent_is_unknown: Whether a genre that a source never uses is unknown for its films.
        seed: Of the splits.

    Raises:
        InputError: If too few films are usable, all have the same genres, a split has too few
            films, or no film of `--train-source` could be added.
    """
    train_only = hold_back(films, sources)
    reject_repeated(films)
    groups = find_groups(films, sources)
    is_given = any(source.split_column or source.split for source in sources)
    overlap = reject_overlap(films, groups.film) if is_given else None
    below_min_count = reject_rare_genres(films, min_genre_count)
    _check_usable(films, groups.film, sources, drawn=not is_given)
    labels = sorted(films.genre_counts(films.usable))
    if is_given:
        split, splits_from = complete(films, groups.film, labels, sources, seed=seed)
    else:
        split = _split(films, groups.film, labels, seed=seed)
        splits_from = dict.fromkeys(SPLITS, "drawn")
    _check_sizes(split, groups.film, splits_from)
    n_train_only = admit(films, train_only, split, groups.film, labels)
    return Selection(
        films=films,
        labels=labels,
        split=split,
        splits_from=splits_from,
        overlap=overlap,
        groups=groups,
        below_min_count=below_min_count,
        n_train_only=n_train_only,
        used=films.used_by_source(len(sources), labels) if absent_is_unknown else None,
        min_genre_count=min_genre_count,
        seed=seed,
    )


def _check_usable(
    films: Films, groups: np.ndarray, sources: Sequence[Source], *, drawn: bool
) -> None:
    """Raises: InputError: If the usable films are too few, or all have the same genres."""
    kept = films.usable
    distinct = len(np.unique(groups[kept]))
    several_genres = len(np.unique(films.genres[kept])) > 1
    needed = MIN_FILMS if drawn else len(SPLITS) * MIN_SPLIT
    if several_genres and distinct >= needed:
        return
    why = [f"{reason}: {count}" for reason, count in films.rejected().most_common(4)]
    if len(kept) and not several_genres:
        same = ", ".join(films.genres_of(int(kept[0])))
        why.append(f"all have the same genres: {same}; a model needs films that differ")
    elif len(kept):
        why.append(f"distinct films: {distinct}; three splits need {needed}")
    columns = sources[0].columns
    raise InputError(
        f"only {len(kept)} of {len(films)} rows of {', '.join(s.name for s in sources)} are usable "
        f"({'; '.join(why)}); plots were read from {columns['plot']!r}, genres from "
        f"{columns['raw_genres']!r}: set --text-column, --genre-column, --min-words or "
        "--min-genre-count"
    )


def _split(films: Films, groups: np.ndarray, labels: Sequence[str], *, seed: int) -> np.ndarray:
    """Index into `SPLITS` of each row, int8, -1 for rejected ones."""
    kept = films.usable
    split = np.full(len(films), -1, dtype=np.int8)
    y = films.multi_hot(kept, labels)
    split[kept] = split_groups(y, in_order(groups[kept]), seed=seed)
    return split


def _check_sizes(split: np.ndarray, groups: np.ndarray, splits_from: Mapping[str, str]) -> None:
    """Raises: InputError: If a split has fewer than `MIN_SPLIT` films."""
    for number, name in enumerate(SPLITS):
        distinct = len(np.unique(groups[split == number]))
        if distinct < MIN_SPLIT:
            raise InputError(
                f"the {name} split ({splits_from[name]}) has {distinct} usable film(s) and needs "
                f"{MIN_SPLIT}; to draw splits, {MIN_FILMS} distinct films are needed"
            )
