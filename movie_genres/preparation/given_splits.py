"""Splits that the data brings: kept as they are, but no held-out film stays in train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from movie_genres.errors import InputError
from movie_genres.genres.aliases import GenreAliases
from movie_genres.preparation.duplicates import in_order
from movie_genres.preparation.films import Films
from movie_genres.preparation.splits import HELD_OUT, SPLITS, draw_groups
from movie_genres.reading.records import OWN_SPLIT
from movie_genres.reading.sources import Source, SourceOptions, read_sources

HELD_OUT_TOO = "its film is in validation or test too"
_TRAIN, _VALIDATION, _TEST = range(3)


@dataclass(frozen=True)
class Overlap:
    """Films that the data puts into several splits."""

    films: Mapping[str, int]
    """How many are in each two of them: 'train and test', ..."""
    removed: int
    """Rows that were therefore removed from train."""


def read_given_splits(
    names: Mapping[str, Sequence[str]],
    options: SourceOptions,
    aliases: GenreAliases,
    folder: Path,
) -> list[Source]:
    """Open the sources of each split, as `read_sources` does.

    Args:
        names: What a user calls the sources of each split; where only train has any, its films
            are those of all splits.
        options: What the user says about the sources.
        aliases: Their labels identify a column of genres.
        folder: Where archives are expanded.

    Raises:
        InputError: As `read_sources`; if `options.keep_splits` and a source has no splits.
    """
    one_each = any(names[split] for split in SPLITS[1:])
    sources = []
    for split in SPLITS:
        part = folder / split
        part.mkdir()
        opened = read_sources(names[split], options, aliases, part)
        sources += [replace(s, split=split if one_each else None) for s in opened]
    without = [source.name for source in sources if source.split_column is None]
    if options.keep_splits and without:
        raise InputError(
            f"--keep-splits: {', '.join(without)} has no splits of its own; name the column that "
            "holds them with --split-column, give a file each with --validation-source and "
            "--test-source, or further films to train on with --train-source"
        )
    return sources


def reject_overlap(films: Films, groups: np.ndarray) -> Overlap:
    """Reject the rows of train whose film is in validation or test; count the films in two splits.

    A film in both validation and test stays there: which one it belongs to, only its owner knows.

    Args:
        films: All rows; changed in place.
        groups: Film of each row, -1 for rows that have none.
    """
    kept = films.usable
    number = in_order(groups[kept])
    is_in = np.zeros((int(number.max(initial=-1)) + 1, len(SPLITS)), dtype=bool)
    is_in[number, films.given[kept]] = True
    train = films.given[kept] == _TRAIN
    removed = kept[train & is_in[number, _TRAIN + 1 :].any(axis=1)]
    films.reject(removed, HELD_OUT_TOO)
    pairs = ((_TRAIN, _VALIDATION), (_TRAIN, _TEST), (_VALIDATION, _TEST))
    counts = {
        f"{SPLITS[a]} and {SPLITS[b]}": int((is_in[:, a] & is_in[:, b]).sum()) for a, b in pairs
    }
    return Overlap(counts, len(removed))


def complete(
    films: Films,
    groups: np.ndarray,
    labels: Sequence[str],
    sources: Sequence[Source],
    *,
    seed: int,
) -> tuple[np.ndarray, dict[str, str]]:
    """The data's splits; a validation or test split that it lacks is drawn from its train split.

    Args:
        films: All rows.
        groups: Film of each row, -1 for rows that have none.
        labels: Genre names.
        sources: Where the films are from.
        seed: Of what is drawn.

    Returns:
        Index into `SPLITS` of each row, int8, -1 for rejected ones; and how each split came about.

    Raises:
        InputError: If there is no train split.
    """
    split = np.where(films.reason == 0, films.given, -1).astype(np.int8)
    if not (split == _TRAIN).any():
        raise InputError(
            f"no usable row is of the train split ({_origin(sources, _TRAIN)}); nothing can be "
            "learnt from the others"
        )
    origin = {}
    for number, name in enumerate(SPLITS):
        origin[name] = _origin(sources, number)
        if (films.given == number).any():
            continue
        train = np.flatnonzero(split == _TRAIN)
        y = films.multi_hot(train, labels)
        split[train[draw_groups(y, in_order(groups[train]), seed=seed)]] = number
        origin[name] = f"drawn from train, {HELD_OUT:.0%} of it"
    return split, origin


def _origin(sources: Sequence[Source], split: int) -> str:
    """Where the data's own split is from, in words."""
    found = []
    for source in sources:
        if source.split == SPLITS[split]:
            found.append(f"the source {source.name}")
        elif source.split_column == OWN_SPLIT:
            found.append(f"the splits of {source.name}")
        elif source.split_column:
            found.append(f"the column '{source.split_column}' of {source.name}")
    return "from " + " and ".join(dict.fromkeys(found))
