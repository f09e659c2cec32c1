"""The decision rule, what thresholds are tuned for, and the exact search for them.

`y_true` is multi-hot, NaN where it is not known whether a film has the genre: such a cell counts
in nothing. F1 of nothing predicted and nothing true is 0, as scikit-learn's `zero_division=0`.
A threshold is searched over all distinct scores and placed midway between two neighbouring ones,
so that equal scores are decided alike and float rounding changes no decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

OBJECTIVES = ("f1_micro", "f1_macro", "f1_samples", "jaccard_samples", "subset_accuracy")
RECALL_AT_PRECISION = "recall_at_precision_"
"""Followed by the precision asked for: recall_at_precision_0.8."""

PRECISION_MARGIN = 1.645
"""Standard errors by which a searched threshold is to exceed that precision: 95 %, one-sided."""

Counts = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(true positives, predicted, positives) of groups of cells -> a value for each group."""


@dataclass(frozen=True)
class Objective:
    """The mean over groups of cells of a function of their counts."""

    name: str
    value: Counts
    groups: Literal["all cells", "genres", "films"]
    searched: Counts | None = None
    """What a search maximises instead of `value`, to reach it on new films."""

    @property
    def search_value(self) -> Counts:
        return self.searched or self.value

    @property
    def has_minimum_precision(self) -> bool:
        return self.name.startswith(RECALL_AT_PRECISION)

    @property
    def own_value(self) -> Counts:
        """What a genre's own threshold is searched for: the F1 of its cells, or the recall."""
        return self.search_value if self.has_minimum_precision else _f1


def _f1(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    return _ratio(2.0 * tp, predicted + positives)


def _jaccard(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    return _ratio(tp, predicted + positives - tp)


def _exact_match(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    return ((tp == predicted) & (tp == positives)).astype(float)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Of counts: 0 / 0 is 0, since a whole that is not 0 is at least 1."""
    return part / np.maximum(whole, 1)


def _recall_at_precision(minimum: float, *, z: float = 0.0) -> Counts:
    """Recall where the precision suffices; else precision minus minimum, which is negative.

    With z > 0 Wilson's lower confidence bound of the precision is to suffice.
    """

    def value(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
        n = np.maximum(predicted, 1)
        share = tp / n
        half = z * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
        bound = (share + z**2 / (2 * n) - half) / (1 + z**2 / n)
        precision = np.where(predicted > 0, bound, 1.0)
        enough = precision >= minimum - 1e-12  # 4 / 5 is to be 0.8
        return np.where(enough, _ratio(tp, positives), precision - minimum)

    return value


_OBJECTIVES = {
    "f1_micro": Objective("f1_micro", _f1, "all cells"),
    "f1_macro": Objective("f1_macro", _f1, "genres"),
    "f1_samples": Objective("f1_samples", _f1, "films"),
    "jaccard_samples": Objective("jaccard_samples", _jaccard, "films"),
    "subset_accuracy": Objective("subset_accuracy", _exact_match, "films"),
}


def find_objective(name: str) -> Objective:
    """The objective of a name out of `OBJECTIVES`, or `recall_at_precision_P`.

    `recall_at_precision_P`, P in (0, 1], asks for the most recall among the thresholds whose
    precision is at least P (over all cells for the global threshold, over its own cells for a
    genre's threshold). A threshold that just reaches P on some films misses it on about half of
    all new ones, so a search asks that of the lower confidence bound of the precision.

    Raises:
        ValueError: If there is no such objective.
    """
    if name in _OBJECTIVES:
        return _OBJECTIVES[name]
    if name.startswith(RECALL_AT_PRECISION):
        try:
            minimum = float(name.removeprefix(RECALL_AT_PRECISION))
        except ValueError:
            minimum = 0.0
        if 0 < minimum <= 1:
            searched = _recall_at_precision(minimum, z=PRECISION_MARGIN)
            return Objective(name, _recall_at_precision(minimum), "all cells", searched)
    raise ValueError(
        f"unknown objective {name!r}; known: {', '.join(OBJECTIVES)}, and "
        f"{RECALL_AT_PRECISION}P with P in (0, 1], such as {RECALL_AT_PRECISION}0.8"
    )


def objective_value(y_true: np.ndarray, y_pred: np.ndarray, objective: str) -> float:
    """The score that `objective` names; equal to scikit-learn's where all cells are known.

    Groups (films, genres) without a known cell are left out of the mean.
    """
    once = np.ones((1, len(y_true)))
    return float(weighted_objective(y_true, y_pred, objective, once)[0])


def weighted_objective(
    y_true: np.ndarray, y_pred: np.ndarray, objective: str, weights: np.ndarray
) -> np.ndarray:
    """`objective_value` of several resamples of the films.

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        y_pred: Multi-hot decisions, same shape.
        objective: As `find_objective` takes it.
        weights: How often each film is drawn, floats, shape (n_resamples, n_samples).

    Returns:
        Shape (n_resamples,); 0 for a resample without a known cell.
    """
    found = find_objective(objective)
    known = ~np.isnan(y_true)
    true, predicted = y_true == 1, (y_pred == 1) & known
    cells = [c.astype(weights.dtype) for c in (true & predicted, predicted, true, known)]
    if found.groups != "genres":
        cells = [c.sum(axis=1, keepdims=True) for c in cells]
    if found.groups == "films":
        has_known = (cells[3] > 0)[:, 0]
        total = weights @ (found.value(*cells[:3])[:, 0] * has_known)
        count = weights @ has_known
    else:
        *counts, size = (weights @ c for c in cells)
        total = (found.value(*counts) * (size > 0)).sum(axis=1)
        count = (size > 0).sum(axis=1)
    return total / np.maximum(count, 1)


def decide(
    y_prob: np.ndarray, thresholds: np.ndarray | float, *, never_empty: bool = False
) -> np.ndarray:
    """The decision rule of the whole project: a genre is given when `y_prob >= threshold`.

    Args:
        y_prob: Probabilities, shape (n_samples, n_labels).
        thresholds: Shape (n_labels,), or a scalar.
        never_empty: Give the most probable genre (of equal ones the first) where none passes.

    Returns:
        Multi-hot decisions, int8, shape (n_samples, n_labels).
    """
    y_pred = (y_prob >= thresholds).astype(np.int8)
    if never_empty:
        empty = np.flatnonzero(~y_pred.any(axis=1))
        y_pred[empty, y_prob[empty].argmax(axis=1)] = 1
    return y_pred


def search_global_threshold(
    y_true: np.ndarray, y_prob: np.ndarray, objective: str = "f1_micro"
) -> float:
    """The one threshold for all labels with the best `objective`, exactly.

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        y_prob: Probabilities, same shape.
        objective: As `find_objective` takes it.

    Returns:
        A threshold; the highest of those that are equally good. It lies in [0, 1], unless nothing
        is to be predicted and a score is 1. 0.5 where nothing is known.

    Raises:
        ValueError: If the shapes differ or there is no such objective.
    """
    _check_shapes(y_true, y_prob)
    found = find_objective(objective)
    if np.isnan(y_true).all():
        return 0.5
    if found.groups == "all cells":
        return _Candidates.of(np.ravel(y_true), np.ravel(y_prob)).best(found.search_value)
    return _search_grouped(y_true, y_prob, found)


def search_label_thresholds(
    y_true: np.ndarray, y_prob: np.ndarray, objective: str = "f1_macro"
) -> np.ndarray:
    """A threshold for each label by itself, exactly.

    - recall_at_precision_P: the most recall with a precision of at least P.
    - Any other: the best F1 of the label, which over all labels is the best `f1_macro`.

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        y_prob: Probabilities, same shape.
        objective: As `find_objective` takes it.

    Returns:
        Shape (n_labels,); NaN for a label without positives, of which nothing can be learnt.

    Raises:
        ValueError: If the shapes differ or there is no such objective.
    """
    _check_shapes(y_true, y_prob)
    found = find_objective(objective)
    # In memory one after the other: a strided column is read several times slower.
    by_label = (np.ascontiguousarray(cells.T) for cells in (y_true, y_prob))
    return np.array(
        [
            _Candidates.of(true, prob).best(found.own_value) if (true == 1).any() else np.nan
            for true, prob in zip(*by_label, strict=True)
        ]
    )


def _check_shapes(y_true: np.ndarray, y_prob: np.ndarray) -> None:
    if y_true.shape != y_prob.shape:
        raise ValueError(f"shapes differ: y_true {y_true.shape}, y_prob {y_prob.shape}")


@dataclass(frozen=True)
class _Candidates:
    """Every place where a threshold over some cells can be best: just below a positive score.

    A threshold further down, between there and the next positive, only adds false positives.
    """

    positive: np.ndarray
    """Scores of the positives, ascending; `negative` those of the negatives."""
    negative: np.ndarray
    score: np.ndarray
    """The distinct positive scores, ascending: the lowest that each candidate predicts."""
    tp: np.ndarray
    predicted: np.ndarray
    """True positives and predicted cells of each candidate."""

    @classmethod
    def of(cls, true: np.ndarray, prob: np.ndarray) -> _Candidates:
        positive, negative = np.sort(prob[true == 1]), np.sort(prob[true == 0])
        first = np.flatnonzero(np.append(True, positive[1:] != positive[:-1])[: len(positive)])
        score = positive[first]
        tp = len(positive) - first
        predicted = tp + len(negative) - np.searchsorted(negative, score)
        return cls(positive, negative, score, tp, predicted)

    def best(self, value: Counts) -> float:
        """The threshold with the best value, midway between two neighbouring scores."""
        positives = np.array([len(self.positive)])
        nothing = np.zeros(1, dtype=np.int64)
        values = value(self.tp, self.predicted, positives)
        number = _last_best(np.append(values, value(nothing, nothing, positives)))
        if number == len(self.score):
            return _above(float(max(s[-1] for s in (self.positive, self.negative) if len(s))))
        below = [self.score[number - 1]] if number else []
        lower = np.searchsorted(self.negative, self.score[number])
        below += [self.negative[lower - 1]] if lower else []
        return _midway(float(self.score[number]), float(max(below)) if below else None)


def _last_best(value: np.ndarray) -> int:
    """Place of the best value, the last of equal ones; rounding does not part equal ones."""
    best = value.max()
    good = value >= best - 1e-12 * max(1.0, abs(best))
    return len(value) - 1 - int(np.argmax(good[::-1]))


def _above(highest: float) -> float:
    """A threshold that nothing reaches: outside [0, 1] only if the highest score is 1."""
    return (highest + 1) / 2 if highest < 1 else float(np.nextafter(highest, 2))


def _midway(score: float, below: float | None) -> float:
    if below is None:
        return (score + min(0.0, score)) / 2
    middle = (score + below) / 2
    # Between two neighbouring floating-point numbers there is no middle.
    return middle if middle > below else score


def _search_grouped(y_true: np.ndarray, y_prob: np.ndarray, objective: Objective) -> float:
    """The best threshold where the objective is a mean over films or genres.

    All cells are sorted by score. Lowering the threshold past a cell changes the value of its
    group alone; the objective at every threshold is the cumulative sum of these changes.
    """
    n, k = y_true.shape
    groups = np.repeat(np.arange(n), k) if objective.groups == "films" else np.tile(np.arange(k), n)
    known = np.ravel(~np.isnan(y_true))
    score = np.ravel(y_prob)[known]
    order = np.argsort(-score, kind="stable")
    score = score[order]
    true = (np.ravel(y_true)[known][order] == 1).astype(np.int64)
    group = groups[known][order]
    positives = np.bincount(group, weights=true).astype(np.int64)
    tp, predicted = _running_counts(true, group)
    size, value = positives[group], objective.value
    change = value(tp, predicted, size) - value(tp - true, predicted - 1, size)
    nothing = np.zeros_like(positives)
    empty = float(value(nothing, nothing, positives)[np.bincount(group) > 0].sum())
    # A threshold can only stand below the last of equal scores.
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    best = _last_best(np.append((empty + np.cumsum(change))[ends][::-1], empty))
    if best == len(ends):
        return _above(float(score[0]))
    end = ends[::-1][best]
    return _midway(float(score[end]), float(score[end + 1]) if end + 1 < len(score) else None)


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
