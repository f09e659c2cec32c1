from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import average_precision_score, f1_score

from benchmarks.coverage import Films, intervals_of, true_scores
from movie_genres.decisions.intervals import (
    HEADLINES,
    _Scores,
    average_precision_without,
    paired_differences,
    score_intervals,
    wilson,
)
from movie_genres.decisions.scores import compute_scores

RNG = np.random.default_rng(0)
Y_TRUE = (RNG.random((60, 4)) < 0.4).astype(int)
Y_PROB = np.round(np.clip(0.3 * Y_TRUE + 0.7 * RNG.random((60, 4)), 0, 1), 1)  # with ties
Y_PRED = (Y_PROB >= 0.5).astype(int)
PARTLY = np.where(RNG.random(Y_TRUE.shape) < 0.2, np.nan, Y_TRUE)


@pytest.mark.parametrize("y_true", [Y_TRUE, PARTLY], ids=["known", "partly known"])
def test_each_score_without_a_film_equals_the_score_of_the_others(y_true: np.ndarray) -> None:
    found = _Scores.of(y_true, Y_PRED, Y_PROB).headline
    whole = compute_scores(y_true, Y_PRED, Y_PROB)
    assert set(found) == set(HEADLINES)
    for film in range(0, len(y_true), 5):
        others = np.arange(len(y_true)) != film
        scores = compute_scores(y_true[others], Y_PRED[others], Y_PROB[others])
        for name, score in found.items():
            assert score.value == pytest.approx(whole[name], abs=1e-12), name
            assert score.without[film] == pytest.approx(scores[name], abs=1e-12), name


def test_the_average_precision_without_bias_by_hand() -> None:
    true, prob = np.array([1, 0, 1, 0, 1]) == 1, np.array([0.9, 0.8, 0.7, 0.6, 0.6])
    value, unbiased, without = average_precision_without(true, np.ones(5, dtype=bool), prob)
    assert value == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    # Itself left out: none above the first, one of two above the second, two of four at the third.
    assert unbiased == pytest.approx((1 + 1 / 2 + 2 / 4) / 3)
    for film in range(5):
        others = np.arange(5) != film
        expected = average_precision_score(true[others], prob[others])
        assert without[film] == pytest.approx(expected)


def test_the_mean_of_many_small_test_sets_is_the_true_average_precision() -> None:
    rng = np.random.default_rng(5)

    def draw(n_films: int) -> tuple[np.ndarray, np.ndarray]:
        true = rng.random(n_films) < 0.03
        return true, rng.normal(1.2 * true, 1)

    truth = average_precision_score(*draw(400_000))
    sets = [(true, prob) for true, prob in (draw(300) for _ in range(1500)) if true.any()]
    found = [average_precision_without(t, np.ones(300, dtype=bool), p)[:2] for t, p in sets]
    raw, unbiased = np.mean(found, axis=0)
    assert raw - truth > 0.03
    assert abs(unbiased - truth) < 0.012


def test_wilson_covers_shares_of_few_and_of_many() -> None:
    z = 1.959964
    for n in (5, 12, 60):
        counts = np.arange(n + 1)
        low, high = wilson(counts, np.full(n + 1, n), z).T
        assert (low <= counts / n).all() and (counts / n <= high).all()
        assert (high - low > 0.03).all()
        for share in np.linspace(0.02, 0.98, 25):
            weights = binom.pmf(counts, n, share)
            covered = weights[(low <= share) & (share <= high)].sum()
            assert covered > 0.9, (n, share)
    assert wilson(np.array([0]), np.array([0]), z).tolist() == [[0, 1]]


def test_intervals_hold_the_score() -> None:
    scores = compute_scores(Y_TRUE, Y_PRED, Y_PROB)
    intervals = score_intervals(Y_TRUE, Y_PRED, Y_PROB)
    for name, (low, high) in intervals.headline.items():
        assert low < scores[name] < high
    own = f1_score(Y_TRUE, Y_PRED, average=None)
    assert ((intervals.per_label["f1"][:, 0] < own) & (own < intervals.per_label["f1"][:, 1])).all()


def test_an_interval_is_as_wide_as_the_binomial_distribution_has_it() -> None:
    # Subset accuracy with one label is a share of 400 films: 1.96 standard errors to each side.
    y_true = np.ones((400, 1))
    y_pred = (np.arange(400) < 100).astype(int)[:, None]
    low, high = score_intervals(y_true, y_pred, y_pred * 0.9).headline["subset_accuracy"]
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(0.25 * 0.75 / 400), rel=0.1)


def test_nothing_right_or_all_right_is_no_certainty() -> None:
    y_true = np.zeros((200, 3))
    y_true[:6] = 1
    for y_pred in (np.zeros((200, 3)), y_true):
        found = score_intervals(y_true, y_pred, 0.1 + 0.5 * y_pred)
        for name, (low, high) in found.headline.items():
            assert high - low > 0.01, name
        for name, bounds in found.per_label.items():
            assert (np.diff(bounds, axis=1) > 0.05).all(), name


def test_a_genre_without_films_has_no_interval_of_its_average_precision() -> None:
    y_true = np.column_stack([Y_TRUE[:, 0], np.zeros(60)])
    intervals = score_intervals(y_true, Y_PRED[:, :2], Y_PROB[:, :2])
    assert np.isnan(intervals.per_label["average_precision"][1]).all()
    low, high = intervals.per_label["f1"][1]
    assert low == 0 and 0 < high < 0.3


def test_unknown_films_and_cells_change_no_interval() -> None:
    unknown = np.full((5, 4), np.nan)
    ones = np.ones((5, 4), dtype=int)
    first = score_intervals(PARTLY, Y_PRED, Y_PROB)
    more = score_intervals(
        np.vstack([PARTLY, unknown]), np.vstack([Y_PRED, ones]), np.vstack([Y_PROB, 0.99 * ones])
    )
    moved = np.where(np.isnan(PARTLY), 1 - Y_PROB, Y_PROB)
    other = score_intervals(PARTLY, np.where(np.isnan(PARTLY), 1 - Y_PRED, Y_PRED), moved)
    for found in (more, other):
        for name, bounds in found.headline.items():
            assert bounds == pytest.approx(first.headline[name]), name
        for name, bounds in found.per_label.items():
            assert bounds == pytest.approx(first.per_label[name])


def test_the_intervals_of_small_test_sets_hold_the_true_values() -> None:
    # The whole simulation is benchmarks/coverage.py; a percentile bootstrap often misses mAP.
    films = Films(3)
    parts = [films.draw(20_000) for _ in range(4)]
    y_true, a, b = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    of_a, of_b = true_scores(y_true, a), true_scores(y_true, b)
    held = {name: [] for name in ("average_precision_macro", "f1_macro", "f1_micro", "genre, f1")}
    pair = []
    for _ in range(60):
        found = intervals_of(films.draw(400))
        for name, outcomes in held.items():
            low, high = found[name].T
            outcomes.append(np.mean((low <= of_a[name]) & (of_a[name] <= high)))
        low, high = found["a - b, average_precision_macro"]
        true = of_a["average_precision_macro"] - of_b["average_precision_macro"]
        pair.append(low <= true <= high)
    for name, outcomes in held.items():
        assert np.mean(outcomes) > 0.88, name
    assert np.mean(pair) > 0.88


def test_the_paired_comparison_knows_the_better_model() -> None:
    noise = np.random.default_rng(1).random(Y_TRUE.shape)
    better = np.clip(0.5 * Y_TRUE + 0.5 * noise, 0, 1)
    found = paired_differences(
        Y_TRUE, ((better >= 0.5).astype(int), better), ((noise >= 0.5).astype(int), noise)
    )
    assert set(found) == set(HEADLINES)
    for difference in found.values():
        assert difference.difference > 0
        assert difference.interval[0] > 0
        assert difference.a_better > 0.999
    same = paired_differences(Y_TRUE, (Y_PRED, Y_PROB), (Y_PRED, Y_PROB))
    for difference in same.values():
        assert (difference.difference, difference.interval) == (0, (0, 0))
        assert difference.a_better == 0.5


def test_pairing_narrows_the_interval() -> None:
    slightly = np.clip(Y_PROB + 0.02 * RNG.random(Y_PROB.shape), 0, 1)
    pair = paired_differences(Y_TRUE, (Y_PRED, slightly), (Y_PRED, Y_PROB))
    low, high = pair["average_precision_macro"].interval
    alone = score_intervals(Y_TRUE, Y_PRED, Y_PROB).headline["average_precision_macro"]
    assert high - low < (alone[1] - alone[0]) / 2
