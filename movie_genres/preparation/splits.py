"""Train, validation and test: stratified by genre, each film in one of them."""

from __future__ import annotations

import numpy as np

SPLITS = ("train", "validation", "test")
MIN_FILMS = 10
"""Distinct films without which there are no three splits."""
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
    n_groups = int(groups.max()) + 1
    united = np.zeros((n_groups, y.shape[1]), dtype=bool)
    np.logical_or.at(united, groups, y > 0)
    split = np.zeros(n_groups, dtype=np.int8)
    held_out = _second_fold(united, 2 * HELD_OUT, seed)
    split[held_out] = SPLITS.index("validation")
    split[held_out[_second_fold(united[held_out], 0.5, seed)]] = SPLITS.index("test")
    return split[groups]


def _second_fold(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Numbers of the rows in the second of two stratified folds, ascending."""
    # Importing scikit-learn takes a second, and most of what needs `SPLITS` makes no splits.
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    folds = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    return np.sort(next(folds.split(np.zeros(len(y)), y))[1])
