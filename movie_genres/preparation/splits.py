"""Train, validation and test: stratified by genre, each film in one of them."""

from __future__ import annotations

import numpy as np

from movie_genres.reading.records import SPLITS

MIN_FILMS = 30
"""Distinct films from which on every split that is drawn has `MIN_SPLIT` of them: measured on 80
random sets of labels of this size."""
MIN_SPLIT = 2
"""Films without which a split is nothing to judge by."""
HELD_OUT = 0.1
"""Share of the groups in validation, and in test."""


def split_groups(y: np.ndarray, groups: np.ndarray, *, seed: int) -> np.ndarray:
    """Assign each row to a split, 80 / 10 / 10, whole groups at a time.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011) knows no groups: one row per
    group, with the union of its labels, is stratified and the result expanded.

    Args:
        y: Multi-hot labels, shape (n_rows, n_labels).
        groups: Group number of each row, shape (n_rows,), from 0 without gaps; at least `MIN_FILMS`
            groups.
        seed: Decides the order in which rows are dealt out.

    Returns:
        Index into `SPLITS` of each row, int8, shape (n_rows,).
    """
    united = _united(y, groups)
    split = np.zeros(len(united), dtype=np.int8)
    held_out = _second_fold(united, 2 * HELD_OUT, seed)
    split[held_out] = SPLITS.index("validation")
    split[held_out[_second_fold(united[held_out], 0.5, seed)]] = SPLITS.index("test")
    return split[groups]


def draw_groups(y: np.ndarray, groups: np.ndarray, *, seed: int) -> np.ndarray:
    """Draw a tenth of the groups, stratified.

    Args:
        y: Multi-hot labels, shape (n_rows, n_labels).
        groups: Group number of each row, shape (n_rows,), from 0 without gaps.
        seed: Decides the order in which rows are dealt out.

    Returns:
        Whether a row is drawn, bool, shape (n_rows,).
    """
    drawn = np.zeros(int(groups.max()) + 1, dtype=bool)
    drawn[_second_fold(_united(y, groups), HELD_OUT, seed)] = True
    return drawn[groups]


def _united(y: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Labels of each group, bool, shape (n_groups, n_labels)."""
    united = np.zeros((int(groups.max()) + 1, y.shape[1]), dtype=bool)
    np.logical_or.at(united, groups, y > 0)
    return united


def _second_fold(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Numbers of the rows in the second of two stratified folds, ascending."""
    # Importing scikit-learn takes a second, and most of what needs `SPLITS` makes no splits.
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    folds = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    return np.sort(next(folds.split(np.zeros(len(y)), y))[1])
