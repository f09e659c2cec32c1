from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, multilabel_confusion_matrix

from movie_genres.scores import _RESAMPLED as RESAMPLED
from movie_genres.scores import (
    INTERVAL_SCORES,
    SCORE_NAMES,
    average_precision_per_label,
    bootstrap_intervals,
    brier_score,
    compute_scores,
    confusion_counts,
    expected_calibration_error,
    resample_weights,
)

RNG = np.random.default_rng(0)
Y_TRUE = (RNG.random((60, 4)) < 0.4).astype(int)
Y_PROB = np.round(np.clip(0.3 * Y_TRUE + 0.7 * RNG.random((60, 4)), 0, 1), 1)  # with ties
Y_PRED = (Y_PROB >= 0.5).astype(int)


def test_scores_by_hand() -> None:
    y_true = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    y_pred = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    scores = compute_scores(y_true, y_pred, y_pred * 0.9)
    assert list(scores) == list(SCORE_NAMES)
    assert scores["f1_micro"] == pytest.approx(2 * 3 / (4 + 4))
    assert scores["f1_macro"] == pytest.approx((2 * 2 / 5 + 2 * 1 / 3) / 2)
    assert scores["subset_accuracy"] == pytest.approx(2 / 4)
    assert scores["hamming_loss"] == pytest.approx(2 / 8)
    assert scores["labels_per_row"] == pytest.approx(1.0)


def test_confusion_counts_equal_scikit_learn() -> None:
    counts = confusion_counts(Y_TRUE, Y_PRED)
    for label, matrix in enumerate(multilabel_confusion_matrix(Y_TRUE, Y_PRED)):
        cells = [[counts["tn"][label], counts["fp"][label]],
                 [counts["fn"][label], counts["tp"][label]]]  # fmt: skip
        assert np.array_equal(matrix, cells)


def test_a_label_without_positives_has_no_average_precision() -> None:
    y_true = np.array([[1, 0], [0, 0]])
    per_label = average_precision_per_label(y_true, np.array([[0.9, 0.5], [0.1, 0.5]]))
    assert per_label[0] == 1
    assert np.isnan(per_label[1])


def test_resampled_scores_equal_scikit_learn_on_the_drawn_rows() -> None:
    weights = resample_weights(len(Y_TRUE), 20, seed=1)
    resampled = {name: RESAMPLED[name](weights, Y_TRUE, Y_PRED, Y_PROB) for name in INTERVAL_SCORES}
    for number, drawn in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(len(Y_TRUE)), drawn)
        true, pred, prob = Y_TRUE[rows], Y_PRED[rows], Y_PROB[rows]
        expected = {
            "f1_micro": f1_score(true, pred, average="micro"),
            "f1_macro": f1_score(true, pred, average="macro"),
            "average_precision_macro": average_precision_score(true, prob, average="macro"),
            "subset_accuracy": np.mean((true == pred).all(axis=1)),
        }
        for name, value in expected.items():
            assert resampled[name][number] == pytest.approx(value), name


def test_intervals_hold_the_score_and_depend_on_the_seed_alone() -> None:
    scores = compute_scores(Y_TRUE, Y_PRED, Y_PROB)
    intervals = bootstrap_intervals(Y_TRUE, Y_PRED, Y_PROB, seed=4)
    for name, (low, high) in intervals.items():
        assert low < scores[name] < high
    assert intervals == bootstrap_intervals(Y_TRUE, Y_PRED, Y_PROB, seed=4)


def test_calibration_error_by_hand() -> None:
    y_true = np.array([0, 0, 1, 1])
    y_prob = np.array([0.1, 0.3, 0.6, 0.8])
    # Two bins of two cells: |0 - 0.2| and |1 - 0.7|, weighted by one half each.
    assert expected_calibration_error(y_true, y_prob, n_bins=2) == pytest.approx(0.25)
    assert brier_score(y_true, y_prob) == pytest.approx((0.01 + 0.09 + 0.16 + 0.04) / 4)


def test_true_probabilities_have_a_small_calibration_error() -> None:
    rng = np.random.default_rng(2)
    y_prob = rng.random((50_000, 1))
    y_true = (rng.random((50_000, 1)) < y_prob).astype(int)
    assert expected_calibration_error(y_true, y_prob) < 0.01
