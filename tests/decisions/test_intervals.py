from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from movie_genres.decisions.intervals import (
    HEADLINES,
    PER_LABEL,
    _resampled,
    bootstrap_intervals,
    paired_differences,
    resample_weights,
)
from movie_genres.decisions.scores import compute_scores

RNG = np.random.default_rng(0)
Y_TRUE = (RNG.random((60, 4)) < 0.4).astype(int)
Y_PROB = np.round(np.clip(0.3 * Y_TRUE + 0.7 * RNG.random((60, 4)), 0, 1), 1)  # with ties
Y_PRED = (Y_PROB >= 0.5).astype(int)


def test_resampled_scores_equal_scikit_learn_on_the_drawn_rows() -> None:
    weights = np.concatenate(list(resample_weights(len(Y_TRUE), 20, seed=1)))
    (resampled,) = _resampled(Y_TRUE, [(Y_PRED, Y_PROB)], 20, seed=1)
    for number, drawn in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(len(Y_TRUE)), drawn)
        assert len(rows) == len(Y_TRUE)
        true, pred, prob = Y_TRUE[rows], Y_PRED[rows], Y_PROB[rows]
        for name, value in compute_scores(true, pred, prob).items():
            if name in HEADLINES:
                assert resampled[name][number] == pytest.approx(value, abs=1e-6), name
        per_label = {
            "f1": f1_score(true, pred, average=None),
            "precision": precision_score(true, pred, average=None),
            "recall": recall_score(true, pred, average=None),
            "average_precision": average_precision_score(true, prob, average=None),
        }
        for name in PER_LABEL:
            assert resampled[name][number] == pytest.approx(per_label[name], abs=1e-6), name


def test_unknown_cells_count_in_no_resample() -> None:
    partly = np.where(RNG.random(Y_TRUE.shape) < 0.2, np.nan, Y_TRUE)
    weights = np.concatenate(list(resample_weights(len(Y_TRUE), 5, seed=1)))
    (resampled,) = _resampled(partly, [(Y_PRED, Y_PROB)], 5, seed=1)
    for number, drawn in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(len(Y_TRUE)), drawn)
        scores = compute_scores(partly[rows], Y_PRED[rows], Y_PROB[rows])
        for name in HEADLINES:
            assert resampled[name][number] == pytest.approx(scores[name], abs=1e-6), name


def test_intervals_hold_the_score_and_depend_on_the_seed_alone() -> None:
    scores = compute_scores(Y_TRUE, Y_PRED, Y_PROB)
    intervals = bootstrap_intervals(Y_TRUE, Y_PRED, Y_PROB, seed=4)
    for name, (low, high) in intervals.headline.items():
        assert low < scores[name] < high
    own = f1_score(Y_TRUE, Y_PRED, average=None)
    assert ((intervals.per_label["f1"][:, 0] < own) & (own < intervals.per_label["f1"][:, 1])).all()
    assert intervals.headline == bootstrap_intervals(Y_TRUE, Y_PRED, Y_PROB, seed=4).headline
    assert intervals.headline != bootstrap_intervals(Y_TRUE, Y_PRED, Y_PROB, seed=5).headline


def test_an_interval_is_as_wide_as_the_binomial_distribution_has_it() -> None:
    # Subset accuracy with one label is a share of 400 films: 1.96 standard errors to each side.
    y_true = np.ones((400, 1))
    y_pred = (np.arange(400) < 100).astype(int)[:, None]
    low, high = bootstrap_intervals(y_true, y_pred, y_pred * 0.9).headline["subset_accuracy"]
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(0.25 * 0.75 / 400), rel=0.1)


def test_a_genre_without_films_has_no_interval_of_its_average_precision() -> None:
    y_true = np.column_stack([Y_TRUE[:, 0], np.zeros(60)])
    intervals = bootstrap_intervals(y_true, Y_PRED[:, :2], Y_PROB[:, :2], n_resamples=50)
    assert np.isnan(intervals.per_label["average_precision"][1]).all()
    assert intervals.per_label["f1"][1].tolist() == [0, 0]


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
        assert difference.a_better == 1
    same = paired_differences(Y_TRUE, (Y_PRED, Y_PROB), (Y_PRED, Y_PROB))
    for difference in same.values():
        assert (difference.difference, difference.interval) == (0, (0, 0))
        assert difference.a_better == 0.5


def test_pairing_narrows_the_interval() -> None:
    slightly = np.clip(Y_PROB + 0.02 * RNG.random(Y_PROB.shape), 0, 1)
    pair = paired_differences(Y_TRUE, (Y_PRED, slightly), (Y_PRED, Y_PROB))
    low, high = pair["average_precision_macro"].interval
    alone = bootstrap_intervals(Y_TRUE, Y_PRED, Y_PROB).headline["average_precision_macro"]
    assert high - low < (alone[1] - alone[0]) / 2
