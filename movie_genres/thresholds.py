"""Thresholds: the decision rule, the exact search for them, and the policies that set them.

A threshold is searched over all distinct scores and placed midway between two neighbouring ones,
so that equal scores are decided alike and float rounding moves no decision. Fit on validation only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

OBJECTIVES = ("f1_micro", "f1_macro", "f1_samples", "jaccard_samples", "subset_accuracy")
POLICIES = ("fixed_0.5", "global", "per_genre", "shrunk")

SHRINKAGE_POSITIVES = 20
"""A genre with this many positives stands midway between its own threshold and the global one."""


def decide(y_prob: np.ndarray, thresholds: np.ndarray | float) -> np.ndarray:
    """The decision rule of the whole project: a genre is given when `y_prob >= threshold`.

    Args:
        y_prob: Probabilities, shape (n_samples, n_labels).
        thresholds: Shape (n_labels,), or a scalar.

    Returns:
        Multi-hot decisions, int8, shape (n_samples, n_labels).
    """
    return (y_prob >= thresholds).astype(np.int8)


@dataclass(frozen=True)
class _Objective:
    """A mean over groups of cells of value(tp, predicted, positives, group size)."""

    group: Callable[[int, int], np.ndarray]
    """(n_samples, n_labels) -> group number of each cell, flattened."""
    value: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _f1(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    total = predicted + positives
    return np.divide(2.0 * tp, total, out=np.zeros(len(tp)), where=total > 0)


def _jaccard(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    union = predicted + positives - tp
    return np.divide(tp, union, out=np.zeros(len(tp)), where=union > 0)


def _exact_match(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    return ((tp == predicted) & (tp == positives)).astype(float)


def _pooled(n: int, k: int) -> np.ndarray:
    return np.zeros(n * k, dtype=np.int64)


def _by_label(n: int, k: int) -> np.ndarray:
    return np.tile(np.arange(k), n)


def _by_row(n: int, k: int) -> np.ndarray:
    return np.repeat(np.arange(n), k)


_OBJECTIVES = {
    "f1_micro": _Objective(_pooled, _f1),
    "f1_macro": _Objective(_by_label, _f1),
    "f1_samples": _Objective(_by_row, _f1),
    "jaccard_samples": _Objective(_by_row, _jaccard),
    "subset_accuracy": _Objective(_by_row, _exact_match),
}


def objective_value(y_true: np.ndarray, y_pred: np.ndarray, objective: str) -> float:
    """The score that `objective` names, out of `OBJECTIVES`; equal to scikit-learn's."""
    group = _OBJECTIVES[objective].group(*y_true.shape)
    tp, predicted, positives = (
        np.bincount(group, weights=np.ravel(cells).astype(float))
        for cells in (y_true * y_pred, y_pred, y_true)
    )
    return float(_OBJECTIVES[objective].value(tp, predicted, positives).mean())


def search_global_threshold(
    y_true: np.ndarray, y_prob: np.ndarray, objective: str = "f1_micro"
) -> float:
    """The one threshold for all labels with the best `objective`, exactly.

    All cells are sorted by score. Lowering the threshold past a cell changes the value of its
    group (all cells, its label, or its row) alone; the objective at every threshold is the
    cumulative sum of these changes.

    Returns:
        A threshold in [0, 1]; the highest of those that are equally good.

    Raises:
        ValueError: If the shapes differ or the objective is not one of `OBJECTIVES`.
    """
    if y_true.shape != y_prob.shape:
        raise ValueError(f"shapes differ: y_true {y_true.shape}, y_prob {y_prob.shape}")
    if objective not in _OBJECTIVES:
        raise ValueError(f"unknown objective {objective!r}; known: {', '.join(OBJECTIVES)}")
    value = _OBJECTIVES[objective].value
    score = np.ravel(y_prob)
    order = np.argsort(-score, kind="stable")
    score = score[order]
    true = np.ravel(y_true)[order].astype(np.int64)
    group = _OBJECTIVES[objective].group(*y_true.shape)[order]
    positives = np.bincount(group, weights=true).astype(np.int64)
    tp, predicted = _running_counts(true, group)
    size = positives[group]
    change = value(tp, predicted, size) - value(tp - true, predicted - 1, size)
    empty = value(np.zeros_like(positives), np.zeros_like(positives), positives)
    return _best_cut(score, empty.sum() + np.cumsum(change), float(empty.sum()))


def _running_counts(true: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True positives and predictions of each cell's group once the cell is predicted."""
    by_group = np.argsort(group, kind="stable")
    sorted_group = group[by_group]
    starts = np.flatnonzero(np.diff(sorted_group, prepend=-1))
    lengths = np.diff(np.append(starts, len(group)))
    total = np.cumsum(true[by_group])
    before = np.repeat(total[starts] - true[by_group][starts], lengths)
    tp, predicted = np.empty_like(true), np.empty_like(true)
    tp[by_group] = total - before
    predicted[by_group] = np.arange(len(group)) - np.repeat(starts, lengths) + 1
    return tp, predicted


def _best_cut(score: np.ndarray, value: np.ndarray, empty_value: float) -> float:
    """The cut after the best position in descending `score`, midway to the next distinct score."""
    # Only the last of equal scores is a place to cut. The tolerance keeps the rounding of a long
    # sum from preferring one of two equal values.
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    best = value[ends].max()
    tolerance = 1e-12 * max(1.0, abs(best))
    if empty_value >= best - tolerance:
        # Nothing is predicted: above the highest score, outside [0, 1] only if that score is 1.
        highest = float(score[0])
        return (highest + 1) / 2 if highest < 1 else float(np.nextafter(highest, 2))
    end = ends[np.argmax(value[ends] >= best - tolerance)]
    lowest = float(score[end])
    below = float(score[end + 1]) if end + 1 < len(score) else min(0.0, lowest)
    middle = (lowest + below) / 2
    # Between two neighbouring floating-point numbers there is no middle.
    return middle if end + 1 == len(score) or middle > below else lowest


def search_label_thresholds(y_true: np.ndarray, y_prob: np.ndarray) -> np.ndarray:
    """Each label's threshold with its own best F1 (together the best `f1_macro`), exactly.

    Returns:
        Shape (n_labels,); NaN for a label without positives, whose F1 is 0 at any threshold.
    """
    return np.array(
        [
            search_global_threshold(y_true[:, [label]], y_prob[:, [label]])
            if y_true[:, label].any()
            else np.nan
            for label in range(y_true.shape[1])
        ]
    )


def tune_policy(
    policy: str, y_true: np.ndarray, y_prob: np.ndarray, objective: str = "f1_micro"
) -> np.ndarray:
    """Thresholds by one of `POLICIES`, shape (n_labels,), fitted on the rows given.

    - fixed_0.5: no fitting.
    - global: one threshold for all, the best for `objective`.
    - per_genre: each genre's own best F1; a genre without positives takes the global one.
    - shrunk: per genre, drawn towards the global one by n / (n + 20), n its positives, because
      the best threshold on a handful of positives is mostly noise.

    Raises:
        ValueError: If the policy is not one of `POLICIES`.
    """
    n_labels = y_true.shape[1]
    if policy == "fixed_0.5":
        return np.full(n_labels, 0.5)
    shared = np.full(n_labels, search_global_threshold(y_true, y_prob, objective))
    if policy == "global":
        return shared
    if policy not in POLICIES:
        raise ValueError(f"unknown policy {policy!r}; known: {', '.join(POLICIES)}")
    own = search_label_thresholds(y_true, y_prob)
    own = np.where(np.isnan(own), shared, own)
    if policy == "per_genre":
        return own
    positives = y_true.sum(axis=0)
    weight = positives / (positives + SHRINKAGE_POSITIVES)
    return weight * own + (1 - weight) * shared


@dataclass(frozen=True)
class PolicyChoice:
    """The policy that a comparison by cross-validation chose."""

    policy: str
    held_out: dict[str, np.ndarray]
    """Decisions of each policy on rows that its thresholds were not fitted on."""
    values: dict[str, float]
    """The objective of these decisions."""


def choose_policy(
    y_true: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    objective: str = "f1_micro",
) -> PolicyChoice:
    """Choose the policy with the best objective on held-out rows of the validation split.

    Args:
        y_true: Labels, shape (n_samples, n_labels).
        folds: For each fold (fit_rows, held_out_rows, y_prob): the rows by number, and the
            probabilities of all rows, calibrated (if at all) on `fit_rows` alone.
        objective: Out of `OBJECTIVES`.

    Returns:
        The choice; of equally good policies the simplest, in the order of `POLICIES`.
    """
    held_out = {policy: np.zeros(y_true.shape, dtype=np.int8) for policy in POLICIES}
    for fit_rows, rows, y_prob in folds:
        for policy, y_pred in held_out.items():
            thresholds = tune_policy(policy, y_true[fit_rows], y_prob[fit_rows], objective)
            y_pred[rows] = decide(y_prob[rows], thresholds)
    values = {p: objective_value(y_true, y_pred, objective) for p, y_pred in held_out.items()}
    return PolicyChoice(max(values, key=lambda policy: values[policy]), held_out, values)
