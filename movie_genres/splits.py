"""Train, validation and test: stratified by genre, and no film in two of them."""

from __future__ import annotations

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

SPLITS = ("train", "validation", "test")
MIN_FILMS = 10
HELD_OUT = 0.1
"""Share of the groups in validation, and the same in test."""


def split_groups(y: np.ndarray, groups: np.ndarray, *, seed: int) -> np.ndarray:
    """Assign each row to a split, 80 / 10 / 10, whole groups at a time.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011) knows no groups: one row per
    group, with the union of its labels, is stratified and the result expanded.

    Args:
        y: Multi-hot labels, shape (n_rows, n_labels).
        groups: Group number of each row, shape (n_rows,), from 0 without gaps.
        seed: Of the shuffling.

    Returns:
        Names out of `SPLITS`, shape (n_rows,).

    Raises:
        ValueError: If there are fewer than `MIN_FILMS` groups.
    """
    n_groups = int(groups.max()) + 1
    if n_groups < MIN_FILMS:
        raise ValueError(
            f"{n_groups} distinct films are too few for three splits (at least {MIN_FILMS})"
        )
    united = np.zeros((n_groups, y.shape[1]), dtype=np.int8)
    np.maximum.at(united, groups, (y > 0).astype(np.int8))
    train, held_out = _stratified_pair(united, 2 * HELD_OUT, seed)
    half = _stratified_pair(united[held_out], 0.5, seed)
    names = np.empty(n_groups, dtype=object)
    names[train] = "train"
    names[held_out[half[0]]] = "validation"
    names[held_out[half[1]]] = "test"
    return names[groups]


def _stratified_pair(y: np.ndarray, size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    return next(splitter.split(np.zeros(len(y)), y))
