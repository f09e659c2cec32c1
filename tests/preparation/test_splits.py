from __future__ import annotations

import numpy as np

from movie_genres.preparation.duplicates import same_film_groups
from movie_genres.preparation.splits import SPLITS, split_groups


def test_rows_that_share_any_key_are_one_group_also_through_others() -> None:
    ids = ["1", "2", "3", "3", ""]
    plots = ["a", "b", "b", "c", ""]
    assert same_film_groups([ids, plots]).tolist() == [0, 1, 1, 1, 2]


def test_splits_are_stratified_and_groups_stay_whole() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((1000, 4)) < [0.5, 0.3, 0.1, 0.04]).astype(int)
    groups = np.minimum(np.arange(1000), rng.integers(0, 1000, 1000))
    groups = np.unique(groups, return_inverse=True)[1]
    splits = split_groups(y, groups, seed=3)
    for group in range(groups.max() + 1):
        assert len(set(splits[groups == group])) == 1
    for split in range(len(SPLITS)):
        rows = splits == split
        assert np.allclose(y[rows].mean(axis=0), y.mean(axis=0), atol=0.05)
    assert 0.7 < np.mean(splits == SPLITS.index("train")) < 0.9


def test_the_seed_alone_decides_the_split() -> None:
    y = np.eye(3, dtype=int)[np.arange(90) % 3]
    groups = np.arange(90)
    first, again, other = (split_groups(y, groups, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
