"""Train, validation and test: stratified by genre, and no film in two of them."""

from __future__ import annotations

import numpy as np

SPLITS = ("train", "validation", "test")
MIN_FILMS = 10
HELD_OUT = 0.1
"""Share of the groups in validation, and the same in test."""


def split_groups(y: np.ndarray, groups: np.ndarray, *, seed: int) -> np.ndarray:
    """Assign each row to a split, 80 / 10 / 10, whole groups at a time.

    Iterative stratification knows no groups: one row per group, with the union of its labels, is
    stratified and the result expanded.

    Args:
        y: Multi-hot labels, shape (n_rows, n_labels).
        groups: Group number of each row, shape (n_rows,), from 0 without gaps.
        seed: Of the shuffling.

    Returns:
        Index into `SPLITS` of each row, int8, shape (n_rows,).

    Raises:
        ValueError: If there are fewer than `MIN_FILMS` groups.
    """
    n_groups = int(groups.max()) + 1
    if n_groups < MIN_FILMS:
        raise ValueError(
            f"{n_groups} distinct films are too few for three splits (at least {MIN_FILMS})"
        )
    united = np.zeros((n_groups, y.shape[1]), dtype=bool)
    np.logical_or.at(united, groups, y > 0)
    split = np.zeros(n_groups, dtype=np.int8)
    held_out = np.flatnonzero(_second_fold(united, 2 * HELD_OUT, seed))
    second = _second_fold(united[held_out], 0.5, seed)
    split[held_out] = np.where(second, SPLITS.index("test"), SPLITS.index("validation"))
    return split[groups]


def _second_fold(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which rows of a shuffle of `y` go to the second of two folds; bool, shape (n_rows,).

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, 2011), with the random numbers of
    `iterstrat.MultilabelStratifiedShuffleSplit(1, test_size=share, random_state=seed)`, so that the
    folds are the same as its; that library takes a step in numpy for each row, this one for each
    label, which is what a million films need. The most wanting fold gets the next row of the
    rarest label that is left.
    """
    n_rows = len(y)
    rng = np.random.RandomState(seed)
    order = np.arange(n_rows)
    rng.shuffle(order)
    labels = y[order]
    n_second = int(np.ceil(share * n_rows))
    shares = np.array([n_rows - n_second, n_second]) / n_rows
    wanted = (shares * n_rows).tolist()
    wanted_labels = np.outer(shares, labels.sum(axis=0))
    fold = np.zeros(n_rows, dtype=np.int8)
    left = np.ones(n_rows, dtype=bool)
    while left.any():
        counts = labels[left].sum(axis=0)
        if not counts.any():
            rows = np.flatnonzero(left)
            fold[rows] = _deal(len(rows), wanted, wanted, rng)
            break
        rarest = np.flatnonzero(counts == counts[counts > 0].min())
        label = rarest[rng.choice(len(rarest))] if len(rarest) > 1 else rarest[0]
        rows = np.flatnonzero(labels[:, label] & left)
        dealt = _deal(len(rows), wanted_labels[:, label].tolist(), wanted, rng)
        for number in range(2):
            wanted_labels[number] -= labels[rows[dealt == number]].sum(axis=0)
        fold[rows] = dealt
        left[rows] = False
    return fold[np.argsort(order)] == 1


def _deal(
    n_rows: int, label_wanted: list[float], wanted: list[float], rng: np.random.RandomState
) -> np.ndarray:
    """Give rows with one label to the fold that lacks it most, ties to the emptier, then by lot."""
    same = label_wanted is wanted
    dealt = []
    for _ in range(n_rows):
        first, second = label_wanted
        if first == second and not same:
            first, second = wanted
        number = int(rng.choice(2)) if first == second else int(second > first)
        dealt.append(number)
        wanted[number] -= 1
        if not same:
            label_wanted[number] -= 1
    return np.array(dealt, dtype=np.int8)
