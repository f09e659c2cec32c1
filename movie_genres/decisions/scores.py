"""Multi-label scores, confusion counts and calibration error: arrays in, numbers out.

`y_true` is multi-hot, NaN where it is not known whether a film has the genre: such a cell counts
in nothing. `y_pred` is multi-hot, `y_prob` probabilities, all of shape (n_samples, n_labels).
F1 of nothing predicted and nothing true is 0, as scikit-learn's `zero_division=0` has it.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlog1py, xlogy
from scipy.stats import pearson3
from sklearn.metrics import (
    average_precision_score,
    jaccard_score,
    precision_recall_fscore_support,
)

SCORE_NAMES = (
    "f1_micro",
    "f1_macro",
    "f1_weighted",
    "f1_samples",
    "precision_micro",
    "recall_micro",
    "precision_macro",
    "recall_macro",
    "average_precision_macro",
    "average_precision_micro",
    "subset_accuracy",
    "jaccard_samples",
    "hamming_loss",
    "labels_per_row",
)


def average_precision_per_label(y_true: np.ndarray, y_prob: np.ndarray) -> np.ndarray:
    """Average precision of each label, shape (n_labels,); NaN where a label has no positive."""
    values = []
    for true, prob in zip(y_true.T, y_prob.T, strict=True):
        known = ~np.isnan(true)
        has_positive = (true == 1).any()
        values.append(average_precision_score(true[known], prob[known]) if has_positive else np.nan)
    return np.array(values)


def mean_average_precision(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """Macro mean of the average precision (mAP) over the labels that have a positive."""
    per_label = average_precision_per_label(y_true, y_prob)
    return float(np.nanmean(per_label)) if np.isfinite(per_label).any() else 0.0


def compute_scores(y_true: np.ndarray, y_pred: np.ndarray, y_prob: np.ndarray) -> dict[str, float]:
    """All of `SCORE_NAMES`, as scikit-learn defines them, over the known cells.

    `subset_accuracy` is the share of rows decided right in every known label; means over rows
    leave out rows of which nothing is known. `labels_per_row` is the mean number of labels
    predicted, over all rows and labels.

    Raises:
        ValueError: If no cell is known.
    """
    known = ~np.isnan(y_true)
    if not known.any():
        raise ValueError("no label is known (all of y_true is NaN): there is nothing to score")
    rows = known.any(axis=1)
    # A cell that is neither true nor predicted counts in no precision, recall, F1 or Jaccard.
    true, pred = ((y == 1) & known for y in (y_true, y_pred))
    true, pred = true[rows].astype(np.int8), pred[rows].astype(np.int8)
    scores = {}
    for average in ("micro", "macro", "weighted", "samples"):
        found = precision_recall_fscore_support(true, pred, average=average, zero_division=0)
        for name, score in zip(("precision", "recall", "f1"), found, strict=False):
            scores[f"{name}_{average}"] = score
    scores["average_precision_macro"] = mean_average_precision(y_true, y_prob)
    scores["average_precision_micro"] = (
        average_precision_score(y_true[known], y_prob[known]) if true.any() else 0.0
    )
    scores["subset_accuracy"] = np.mean((true == pred).all(axis=1))
    scores["jaccard_samples"] = jaccard_score(true, pred, average="samples", zero_division=0)
    scores["hamming_loss"] = (true != pred).sum() / known.sum()
    scores["labels_per_row"] = y_pred.sum(axis=1).mean()
    return {name: float(scores[name]) for name in SCORE_NAMES}


def confusion_counts(y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, np.ndarray]:
    """The 2x2 confusion matrix of each label as {"tp", "fp", "fn", "tn"}, each (n_labels,)."""
    true, false, pred = y_true == 1, y_true == 0, y_pred.astype(bool)
    return {
        "tp": (true & pred).sum(axis=0),
        "fp": (false & pred).sum(axis=0),
        "fn": (true & ~pred).sum(axis=0),
        "tn": (false & ~pred).sum(axis=0),
    }


def co_confusion(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """The wrong genres that are given to films whose own genre is missed.

    Returns:
        Counts, shape (n_labels, n_labels + 1): of the films that have the row's genre and do not
        get it, those that wrongly get the column's; in the last column those that get no wrong one.
    """
    # In floating point, which is exact up to 2**24 films and has a fast product.
    missed = ((y_true == 1) & (y_pred == 0)).astype(np.float32)
    wrong = ((y_true == 0) & (y_pred == 1)).astype(np.float32)
    return (missed.T @ np.column_stack([wrong, ~wrong.any(axis=1)])).astype(np.int64)


def calibration_bins(
    y_true: np.ndarray, y_prob: np.ndarray, n_bins: int = 15
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(labels, probabilities) of equal-mass bins: known cells by probability, equal in number.

    Equal probabilities go into one bin, that of their middle; so bins may be fewer.
    """
    known = ~np.isnan(y_true)
    true, prob = y_true[known].astype(float), y_prob[known].astype(float)
    order = np.argsort(prob, kind="stable")
    true, prob = true[order], prob[order]
    middle = (np.searchsorted(prob, prob, "left") + np.searchsorted(prob, prob, "right")) / 2
    places = np.minimum((middle * n_bins / max(1, len(prob))).astype(int), n_bins - 1)
    ends = np.flatnonzero(np.diff(places)) + 1
    return [
        (t, p) for t, p in zip(np.split(true, ends), np.split(prob, ends), strict=True) if len(t)
    ]


def expected_calibration_error(
    y_true: np.ndarray, y_prob: np.ndarray, *, n_bins: int = 15
) -> float:
    """ECE with equal-mass bins (Nixon et al., 2019): mean |observed rate - mean probability|.

    The cells are sorted by probability and divided into `n_bins` bins of equal size (as far as
    equal probabilities let them); the bins are weighted by their size. Pass the whole array: of one
    genre of a few hundred films it would be mostly noise (`calibration_test` is for that).
    """
    bins = calibration_bins(y_true, y_prob, n_bins)
    gaps = [abs(true.sum() - prob.sum()) for true, prob in bins]
    return float(np.sum(gaps) / max(1, sum(len(true) for true, _ in bins)))


def calibration_test(y_true: np.ndarray, y_prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each label's probabilities differ from its rates by more than chance.

    Spiegelhalter's z (1986), whose null distribution is taken with its skewness (Pearson type III),
    because a rare genre has few films; two-sided p-values, corrected for the number of labels
    (Holm 1979).

    Args:
        y_true: NaN where unknown, shape (n_samples, n_labels).
        y_prob: Probabilities, same shape.

    Returns:
        z, positive where probabilities are too low, or too extreme at their high end; p in [0, 1].
        Both of shape (n_labels,); 0 and 1 where nothing can be told.
    """
    known = ~np.isnan(y_true)
    true, prob = np.where(known, y_true, 0), np.where(known, y_prob, 0.0)
    weight, spread = 1 - 2 * prob, prob * (1 - prob)
    variance = np.sum(weight**2 * spread, axis=0)
    usable = variance > 1e-9
    scale = np.sqrt(np.where(usable, variance, 1.0))
    z = np.where(usable, np.sum((true - prob) * weight, axis=0) / scale, 0.0)
    skew = np.sum(weight**4 * spread, axis=0) / scale**3
    skew = np.where(usable, skew, 0.0)
    tail = np.minimum(pearson3.cdf(z, skew), pearson3.sf(z, skew))
    p = np.where(usable, np.minimum(1.0, 2 * tail), 1.0)
    order = np.argsort(p, kind="stable")
    corrected = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    p[order] = np.minimum(1.0, corrected)
    return z, p


def brier_score(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """Mean squared difference of probability and label over the known cells."""
    return float(np.nanmean((y_prob - y_true) ** 2))


def log_loss(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """Mean binary cross-entropy over the known cells, in nats.

    Probabilities of 0 and 1 are moved inwards by the float64 epsilon, as scikit-learn does.
    """
    epsilon = np.finfo(np.float64).eps
    y_prob = np.clip(y_prob.astype(np.float64), epsilon, 1 - epsilon)
    return float(-np.nanmean(xlogy(y_true, y_prob) + xlog1py(1 - y_true, -y_prob)))
