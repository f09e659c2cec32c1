from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    hamming_loss,
    jaccard_score,
    multilabel_confusion_matrix,
    precision_score,
    recall_score,
)
from sklearn.metrics import log_loss as sklearn_log_loss

from movie_genres.decisions.scores import (
    SCORE_NAMES,
    average_precision_per_label,
    brier_score,
    calibration_bins,
    calibration_test,
    co_confusion,
    compute_scores,
    confusion_counts,
    expected_calibration_error,
    log_loss,
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


def reference_scores(true: np.ndarray, pred: np.ndarray, prob: np.ndarray) -> dict[str, float]:
    """Every score by scikit-learn alone."""
    quiet = {"zero_division": 0}
    return {
        **{f"f1_{a}": f1_score(true, pred, average=a, **quiet)
           for a in ("micro", "macro", "weighted", "samples")},
        **{f"precision_{a}": precision_score(true, pred, average=a, **quiet)
           for a in ("micro", "macro")},
        **{f"recall_{a}": recall_score(true, pred, average=a, **quiet) for a in ("micro", "macro")},
        **{f"average_precision_{a}": average_precision_score(true, prob, average=a)
           for a in ("micro", "macro")},
        "subset_accuracy": accuracy_score(true, pred),
        "jaccard_samples": jaccard_score(true, pred, average="samples", **quiet),
        "hamming_loss": hamming_loss(true, pred),
        "labels_per_row": pred.sum() / len(pred),
    }  # fmt: skip


def test_every_score_equals_scikit_learn() -> None:
    assert compute_scores(Y_TRUE, Y_PRED, Y_PROB) == pytest.approx(
        reference_scores(Y_TRUE, Y_PRED, Y_PROB)
    )


def test_a_film_of_which_nothing_is_known_changes_no_score() -> None:
    unknown = np.full((5, 4), np.nan)
    more = compute_scores(
        np.vstack([Y_TRUE, unknown]),
        np.vstack([Y_PRED, np.ones((5, 4), int)]),
        np.vstack([Y_PROB, np.full((5, 4), 0.99)]),
    )
    expected = reference_scores(Y_TRUE, Y_PRED, Y_PROB)
    del more["labels_per_row"], expected["labels_per_row"]  # that one is about what is given
    assert more == pytest.approx(expected)


def test_unknown_cells_count_in_nothing() -> None:
    partly = Y_TRUE.astype(float)
    partly[:20, 1] = np.nan
    scores = compute_scores(partly, Y_PRED, Y_PROB)
    per_label = [
        f1_score(Y_TRUE[rows, label], Y_PRED[rows, label])
        for label, rows in enumerate([slice(0, 60), slice(20, 60), slice(0, 60), slice(0, 60)])
    ]
    assert scores["f1_macro"] == pytest.approx(np.mean(per_label))
    known = ~np.isnan(partly)
    assert scores["f1_micro"] == pytest.approx(f1_score(Y_TRUE[known], Y_PRED[known]))
    assert scores["hamming_loss"] == pytest.approx(np.mean(Y_TRUE[known] != Y_PRED[known]))
    assert average_precision_per_label(partly, Y_PROB)[1] == pytest.approx(
        average_precision_score(Y_TRUE[20:, 1], Y_PROB[20:, 1])
    )
    assert brier_score(partly, Y_PROB) == pytest.approx(np.mean((Y_TRUE - Y_PROB)[known] ** 2))
    assert expected_calibration_error(partly[:, [1]], Y_PROB[:, [1]]) == pytest.approx(
        expected_calibration_error(Y_TRUE[20:, [1]], Y_PROB[20:, [1]])
    )
    assert {cell: int(n[1]) for cell, n in confusion_counts(partly, Y_PRED).items()} == {
        cell: int(n[1]) for cell, n in confusion_counts(Y_TRUE[20:], Y_PRED[20:]).items()
    }
    with pytest.raises(ValueError, match="nothing to score"):
        compute_scores(np.full((2, 2), np.nan), np.zeros((2, 2)), np.zeros((2, 2)))


def test_brier_score_and_log_loss_equal_scikit_learn() -> None:
    true, prob = Y_TRUE[:, 0], np.clip(Y_PROB[:, 0], 0.01, 0.99)
    assert brier_score(true, prob) == pytest.approx(brier_score_loss(true, prob))
    assert log_loss(true, prob) == pytest.approx(sklearn_log_loss(true, prob))


def test_co_confusion_by_hand() -> None:
    y_true = np.array([[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, np.nan, 0]])
    y_pred = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]])
    # Genre 0 is missed in rows 0, 1 and 3; only row 0 gets a genre that is known to be wrong.
    assert co_confusion(y_true, y_pred).tolist() == [[0, 1, 0, 2], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_equal_probabilities_share_a_bin_whatever_the_order_of_the_rows() -> None:
    y_true = np.repeat([1.0, 0.0], [90, 210])
    y_prob = np.full(300, 0.3)
    for rows in (np.arange(300), np.random.default_rng(0).permutation(300)):
        assert expected_calibration_error(y_true[rows], y_prob[rows]) == pytest.approx(0)
        assert len(calibration_bins(y_true[rows], y_prob[rows])) == 1
    mixed = np.concatenate([y_prob, np.linspace(0.5, 0.9, 300)])
    bins = calibration_bins(np.concatenate([y_true, y_true]), mixed, 10)
    assert [len(prob) for _, prob in bins] == [300, 60, 60, 60, 60, 60]


def test_calibrated_genres_are_rarely_called_off_and_others_are_found() -> None:
    rng = np.random.default_rng(2)
    flagged, least = 0, []
    for _ in range(300):
        y_prob = rng.beta(1, [1, 4, 30, 99], (400, 4))  # means of 0.5 to 0.01
        y_true = (rng.random(y_prob.shape) < y_prob).astype(float)
        flagged += (calibration_test(y_true, y_prob)[1] < 0.05).any()
        least.append(calibration_test(y_true[:, [3]], y_prob[:, [3]])[1][0])
    assert 2 <= flagged <= 27  # 15 of 300 are expected at 5 % over the four
    assert np.mean(np.array(least) < 0.05) < 0.08
    y_prob = rng.beta(1, 4, (400, 2))
    y_true = (rng.random(y_prob.shape) < y_prob).astype(float)
    z, p = calibration_test(y_true, np.column_stack([y_prob[:, 0], y_prob[:, 1] ** 0.5]))
    assert p[0] > 0.05 and p[1] < 1e-6 and z[1] < -4
    unknown = np.where(rng.random(y_true.shape) < 0.3, np.nan, y_true)
    moved = np.where(np.isnan(unknown), 0.99, y_prob)
    for first, again in zip(
        calibration_test(unknown, y_prob), calibration_test(unknown, moved), strict=True
    ):
        assert first == pytest.approx(again)
    assert calibration_test(np.full((3, 1), np.nan), np.full((3, 1), 0.5))[1] == 1
