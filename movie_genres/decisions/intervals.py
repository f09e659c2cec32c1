"""Uncertainty of the scores: bootstrap over films, of one model and of two models paired.

A resample is a vector of how often each film is drawn, so that every score of it is a weighted
sum: a thousand resamples cost matrix products and one pass over the sorted scores of each genre.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

HEADLINES = (
    "f1_micro",
    "f1_macro",
    "precision_micro",
    "recall_micro",
    "average_precision_macro",
    "subset_accuracy",
)
PER_LABEL = ("precision", "recall", "f1", "average_precision")
N_RESAMPLES = 1000
LEVEL = 0.95

_CELLS_AT_ONCE = 2**22
"""Of the weights: 32 MiB, whatever the number of films."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """Percentile bootstrap intervals, (low, high); NaN where no resample has a value."""

    headline: dict[str, Interval]
    """By name out of `HEADLINES`."""
    per_label: dict[str, np.ndarray]
    """By name out of `PER_LABEL`, each of shape (n_labels, 2)."""


def bootstrap_intervals(
    y_true: np.ndarray,
    y_pred: np.ndarray,
    y_prob: np.ndarray,
    *,
    n_resamples: int = N_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Intervals:
    """Intervals of the scores of some decisions, over resampled rows (films).

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        y_pred: Multi-hot decisions, same shape.
        y_prob: Probabilities, same shape.
        n_resamples: Number of resamples.
        level: Coverage, in (0, 1).
        seed: Of the resamples.
    """
    (drawn,) = _resampled(y_true, [(y_pred, y_prob)], n_resamples, seed)
    quantiles = {name: _quantiles(values, level) for name, values in drawn.items()}
    return Intervals(
        {name: (float(quantiles[name][0]), float(quantiles[name][1])) for name in HEADLINES},
        {name: quantiles[name].T for name in PER_LABEL},
    )


@dataclass(frozen=True)
class Difference:
    """Of one score between two models on the same films: a - b."""

    a: float
    b: float
    interval: Interval
    a_better: float
    """Share of the resamples in which a scores higher; those in which both are equal count half."""

    @property
    def difference(self) -> float:
        return self.a - self.b


def paired_differences(
    y_true: np.ndarray,
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
    *,
    n_resamples: int = N_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Difference]:
    """Differences of the scores of a and b, scored on the same resampled films.

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        a: (y_pred, y_prob), each of that shape; `b` likewise.
        n_resamples: Number of resamples.
        level: Coverage of the intervals, in (0, 1).
        seed: Of the resamples.

    Returns:
        By name out of `HEADLINES`.
    """
    once = np.ones((1, len(y_true)), dtype=np.float32)
    of_all = [_scores(once, y_true, *prediction) for prediction in (a, b)]
    drawn_a, drawn_b = _resampled(y_true, [a, b], n_resamples, seed)
    differences = {}
    for name in HEADLINES:
        drawn = drawn_a[name] - drawn_b[name]
        low, high = _quantiles(drawn, level)
        value_a, value_b = (float(scores[name][0]) for scores in of_all)
        differences[name] = Difference(
            value_a, value_b, (float(low), float(high)), float(np.mean((np.sign(drawn) + 1) / 2))
        )
    return differences


def resample_weights(n_rows: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn in each resample: float32, (at most n_resamples, n_rows)."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // n_rows)
    for start in range(0, n_resamples, at_once):
        count = min(at_once, n_resamples - start)
        rows = rng.integers(n_rows, size=(count, n_rows)) + n_rows * np.arange(count)[:, None]
        drawn = np.bincount(rows.ravel(), minlength=count * n_rows)
        yield drawn.reshape(count, n_rows).astype(np.float32)


def _resampled(
    y_true: np.ndarray,
    predictions: Sequence[tuple[np.ndarray, np.ndarray]],
    n_resamples: int,
    seed: int,
) -> list[dict[str, np.ndarray]]:
    """For each prediction: by score, shape (n_resamples,) or (n_resamples, n_labels)."""
    parts: list[list[dict[str, np.ndarray]]] = [[] for _ in predictions]
    for weights in resample_weights(len(y_true), n_resamples, seed):
        for part, (y_pred, y_prob) in zip(parts, predictions, strict=True):
            part.append(_scores(weights, y_true, y_pred, y_prob))
    return [{name: np.concatenate([p[name] for p in part]) for name in part[0]} for part in parts]


def _scores(
    weights: np.ndarray, y_true: np.ndarray, y_pred: np.ndarray, y_prob: np.ndarray
) -> dict[str, np.ndarray]:
    known = ~np.isnan(y_true)
    true, pred = (y_true == 1), (y_pred == 1) & known
    tp, predicted, positives = (
        (weights @ cells.astype(np.float32)).astype(np.float64)
        for cells in (true & pred, pred, true)
    )
    right = ((true == pred).all(axis=1) & known.any(axis=1)).astype(np.float32)
    average_precision = np.stack(
        [_average_precision(weights, t, p) for t, p in zip(y_true.T, y_prob.T, strict=True)], axis=1
    )
    found = np.isfinite(average_precision)
    f1 = _ratio(2 * tp, predicted + positives)
    total = [counts.sum(axis=1) for counts in (tp, predicted, positives)]
    return {
        "precision": _ratio(tp, predicted),
        "recall": _ratio(tp, positives),
        "f1": f1,
        "average_precision": average_precision,
        "f1_micro": _ratio(2 * total[0], total[1] + total[2]),
        "f1_macro": f1.mean(axis=1),
        "precision_micro": _ratio(total[0], total[1]),
        "recall_micro": _ratio(total[0], total[2]),
        "average_precision_macro": _ratio(
            np.where(found, average_precision, 0).sum(axis=1), found.sum(axis=1)
        ),
        "subset_accuracy": _ratio(weights @ right, weights @ known.any(axis=1).astype(np.float32)),
    }


def _average_precision(weights: np.ndarray, true: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """Of one label in each resample, equal scores taken together; NaN without a positive."""
    known = np.flatnonzero(~np.isnan(true))
    order = known[np.argsort(-prob[known], kind="stable")]
    true, prob = true[order] == 1, prob[order]
    positive = np.flatnonzero(true)
    # Precision and recall count at the last of equal scores.
    last = np.searchsorted(-prob, -prob[positive], side="right") - 1
    drawn = np.cumsum(weights[:, order], axis=1)[:, last]
    hits = weights[:, order[positive]]
    tied = np.searchsorted(-prob[positive], -prob[positive], side="right") - 1
    tp = np.cumsum(hits, axis=1)[:, tied]
    total = hits.sum(axis=1, dtype=np.float64)
    value = (hits * _ratio(tp, drawn)).sum(axis=1, dtype=np.float64)
    return np.divide(value, total, out=np.full(len(weights), np.nan), where=total > 0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def _quantiles(values: np.ndarray, level: float) -> np.ndarray:
    """(low, high) over the resamples, shape (2, ...); those without a value are left out."""
    tail = (1 - level) / 2
    empty = np.isnan(values).all(axis=0)
    bounds = np.nanquantile(np.where(empty, 0.0, values), [tail, 1 - tail], axis=0)
    return np.where(empty, np.nan, bounds)
