"""Multi-label scores, confusion counts, calibration error and intervals: arrays in, numbers out.

`y_true` and `y_pred` are multi-hot, `y_prob` probabilities, all of shape (n_samples, n_labels).
F1 of nothing predicted and nothing true is 0, as scikit-learn's `zero_division=0` has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    hamming_loss,
    jaccard_score,
    precision_score,
    recall_score,
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
INTERVAL_SCORES = ("f1_micro", "f1_macro", "average_precision_macro", "subset_accuracy")


def average_precision_per_label(y_true: np.ndarray, y_prob: np.ndarray) -> np.ndarray:
    """Average precision of each label, shape (n_labels,); NaN where a label has no positive."""
    return np.array(
        [
            average_precision_score(y_true[:, label], y_prob[:, label])
            if y_true[:, label].any()
            else np.nan
            for label in range(y_true.shape[1])
        ]
    )


def mean_average_precision(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """Macro mean of the average precision (mAP) over the labels that have a positive."""
    per_label = average_precision_per_label(y_true, y_prob)
    return float(np.nanmean(per_label)) if np.isfinite(per_label).any() else 0.0


def compute_scores(y_true: np.ndarray, y_pred: np.ndarray, y_prob: np.ndarray) -> dict[str, float]:
    """All of `SCORE_NAMES`, as scikit-learn defines them.

    `subset_accuracy` is the share of rows decided right in every label; `labels_per_row` the
    mean number of labels predicted.
    """
    y_true, y_pred = y_true.astype(np.int8), y_pred.astype(np.int8)
    scores = {
        f"f1_{average}": f1_score(y_true, y_pred, average=average, zero_division=0)
        for average in ("micro", "macro", "weighted", "samples")
    }
    for average in ("micro", "macro"):
        scores[f"precision_{average}"] = precision_score(
            y_true, y_pred, average=average, zero_division=0
        )
        scores[f"recall_{average}"] = recall_score(y_true, y_pred, average=average, zero_division=0)
    scores["average_precision_macro"] = mean_average_precision(y_true, y_prob)
    scores["average_precision_micro"] = (
        average_precision_score(y_true.ravel(), y_prob.ravel()) if y_true.any() else 0.0
    )
    scores["subset_accuracy"] = np.mean((y_true == y_pred).all(axis=1))
    scores["jaccard_samples"] = jaccard_score(y_true, y_pred, average="samples", zero_division=0)
    scores["hamming_loss"] = hamming_loss(y_true, y_pred)
    scores["labels_per_row"] = y_pred.sum(axis=1).mean()
    return {name: float(scores[name]) for name in SCORE_NAMES}


def confusion_counts(y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, np.ndarray]:
    """The 2x2 confusion matrix of each label as {"tp", "fp", "fn", "tn"}, each (n_labels,)."""
    true, pred = y_true.astype(bool), y_pred.astype(bool)
    return {
        "tp": (true & pred).sum(axis=0),
        "fp": (~true & pred).sum(axis=0),
        "fn": (true & ~pred).sum(axis=0),
        "tn": (~true & ~pred).sum(axis=0),
    }


def expected_calibration_error(
    y_true: np.ndarray, y_prob: np.ndarray, *, n_bins: int = 15
) -> float:
    """ECE with equal-mass bins (Nixon et al., 2019): mean |observed rate - mean probability|.

    The cells are sorted by probability and cut into `n_bins` bins of equal size (to one); the bins
    are weighted by their size. Pass one column for one label's ECE, the whole array for the pooled.
    """
    order = np.argsort(y_prob, axis=None, kind="stable")
    true = np.array_split(np.ravel(y_true)[order].astype(float), n_bins)
    prob = np.array_split(np.ravel(y_prob)[order].astype(float), n_bins)
    gaps = [abs(t.sum() - p.sum()) for t, p in zip(true, prob, strict=True)]
    return float(np.sum(gaps) / y_true.size)


def brier_score(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """Mean squared difference of probability and label over all cells."""
    return float(np.mean((y_prob - y_true) ** 2))


def bootstrap_intervals(
    y_true: np.ndarray,
    y_pred: np.ndarray,
    y_prob: np.ndarray,
    *,
    names: Sequence[str] = INTERVAL_SCORES,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals over rows (films).

    Each resample is a vector of row weights, so that all scores are weighted sums.

    Args:
        names: Out of `INTERVAL_SCORES`.
        level: Coverage, in (0, 1).

    Returns:
        {name: (low, high)}.
    """
    weights = resample_weights(len(y_true), n_resamples, seed)
    values = {name: _RESAMPLED[name](weights, y_true, y_pred, y_prob) for name in names}
    tail = (1 - level) / 2
    return {
        name: (float(np.nanquantile(v, tail)), float(np.nanquantile(v, 1 - tail)))
        for name, v in values.items()
    }


def resample_weights(n_rows: int, n_resamples: int, seed: int) -> np.ndarray:
    """How often each row is drawn in each resample, shape (n_resamples, n_rows)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_rows, np.full(n_rows, 1 / n_rows), size=n_resamples).astype(np.float64)


def _resampled_f1(
    weights: np.ndarray, y_true: np.ndarray, y_pred: np.ndarray, *, macro: bool
) -> np.ndarray:
    true, pred = y_true.astype(float), y_pred.astype(float)
    tp, total = weights @ (true * pred), weights @ (true + pred)
    if not macro:
        tp, total = tp.sum(axis=1, keepdims=True), total.sum(axis=1, keepdims=True)
    f1 = np.divide(2 * tp, total, out=np.zeros_like(tp), where=total > 0)
    return f1.mean(axis=1)


def _resampled_average_precision(
    weights: np.ndarray, y_true: np.ndarray, y_prob: np.ndarray
) -> np.ndarray:
    per_label = np.full((len(weights), y_true.shape[1]), np.nan)
    for label in range(y_true.shape[1]):
        order = np.argsort(-y_prob[:, label], kind="stable")
        true, prob = y_true[order, label].astype(float), y_prob[order, label]
        last_of_tie = np.append(prob[1:] != prob[:-1], True)
        drawn = np.cumsum(weights[:, order], axis=1)[:, last_of_tie]
        tp = np.cumsum(weights[:, order] * true, axis=1)[:, last_of_tie]
        precision = np.divide(tp, drawn, out=np.zeros_like(tp), where=drawn > 0)
        gained = np.diff(tp, axis=1, prepend=0)
        found = tp[:, -1]
        has_positive = found > 0
        per_label[has_positive, label] = (gained * precision).sum(axis=1)[has_positive] / found[
            has_positive
        ]
    return np.nanmean(per_label, axis=1)


_RESAMPLED = {
    "f1_micro": lambda w, t, d, p: _resampled_f1(w, t, d, macro=False),
    "f1_macro": lambda w, t, d, p: _resampled_f1(w, t, d, macro=True),
    "average_precision_macro": lambda w, t, d, p: _resampled_average_precision(w, t, p),
    "subset_accuracy": lambda w, t, d, p: (w @ (t == d).all(axis=1).astype(float)) / len(t),
}
