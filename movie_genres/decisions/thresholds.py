"""The decision rule, and the exact search for its thresholds.

A threshold is searched over all distinct scores and placed midway between two neighbouring ones,
so that equal scores are decided alike and float rounding moves no decision. Cells whose label is
NaN (unknown) count in nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from movie_genres.decisions.objectives import Counts, Objective, find_objective


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
        objective: As `objectives.find_objective` takes it.

    Returns:
        A threshold; the highest of those that are equally good. It lies in [0, 1], unless nothing
        is to be predicted and a score is 1.

    Raises:
        ValueError: If the shapes differ or there is no such objective.
    """
    _check_shapes(y_true, y_prob)
    found = find_objective(objective)
    if found.group is None:
        cuts = _Cuts.of(np.ravel(y_true), np.ravel(y_prob))
        return cuts.threshold(cuts.best(found.value))
    return _search_grouped(y_true, y_prob, found)


def search_label_thresholds(
    y_true: np.ndarray, y_prob: np.ndarray, objective: str = "f1_macro"
) -> np.ndarray:
    """A threshold for each label, exactly.

    - f1_micro: those that are best together (the labels share one fraction), by Dinkelbach's
      iteration.
    - recall_at_precision_P: each label's most recall with a precision of at least P.
    - Any other: each label's own best F1, which together is the best `f1_macro`.

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        y_prob: Probabilities, same shape.
        objective: As `objectives.find_objective` takes it.

    Returns:
        Shape (n_labels,); NaN for a label without positives, of which nothing can be learnt.

    Raises:
        ValueError: If the shapes differ or there is no such objective.
    """
    _check_shapes(y_true, y_prob)
    found = find_objective(objective)
    # In memory one after the other: a strided column is read several times slower.
    by_label = (np.ascontiguousarray(cells.T) for cells in (y_true, y_prob))
    columns = [_Cuts.of(true, prob) for true, prob in zip(*by_label, strict=True)]
    if found.name == "f1_micro":
        best = _dinkelbach(columns)
    else:
        best = [cuts.best(found.own_value) for cuts in columns]
    return np.array(
        [c.threshold(b) if c.positives else np.nan for c, b in zip(columns, best, strict=True)]
    )


def _check_shapes(y_true: np.ndarray, y_prob: np.ndarray) -> None:
    if y_true.shape != y_prob.shape:
        raise ValueError(f"shapes differ: y_true {y_true.shape}, y_prob {y_prob.shape}")


@dataclass(frozen=True)
class _Cuts:
    """Every place where a threshold over some cells can be best: just below a positive score.

    A cut further down, between there and the next positive, only adds false positives.
    """

    positive: np.ndarray
    """Scores of the positives, ascending; `negative` those of the negatives."""
    negative: np.ndarray
    score: np.ndarray
    """The distinct positive scores, ascending: the lowest that is predicted at each cut."""
    tp: np.ndarray
    predicted: np.ndarray
    """True positives and predicted cells at each cut."""

    @classmethod
    def of(cls, true: np.ndarray, prob: np.ndarray) -> _Cuts:
        positive, negative = np.sort(prob[true == 1]), np.sort(prob[true == 0])
        first = np.flatnonzero(np.append(True, positive[1:] != positive[:-1])[: len(positive)])
        score = positive[first]
        tp = len(positive) - first
        predicted = tp + len(negative) - np.searchsorted(negative, score)
        return cls(positive, negative, score, tp, predicted)

    @property
    def positives(self) -> int:
        return len(self.positive)

    def best(self, value: Counts) -> int:
        """Number of the cut with the best value; the number of cuts if to predict nothing is."""
        positives = np.array([self.positives])
        nothing = np.zeros(1, dtype=np.int64)
        at_cuts = value(self.tp, self.predicted, positives)
        return _last_best(np.append(at_cuts, value(nothing, nothing, positives)))

    def threshold(self, cut: int) -> float:
        """Midway between the lowest score that the cut predicts and the next distinct one."""
        if cut == len(self.score):
            return _above(float(max(s[-1] for s in (self.positive, self.negative) if len(s))))
        below = [self.score[cut - 1]] if cut else []
        lower = np.searchsorted(self.negative, self.score[cut])
        below += [self.negative[lower - 1]] if lower else []
        return _midway(float(self.score[cut]), float(max(below)) if below else None)


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


def _dinkelbach(columns: list[_Cuts]) -> list[int]:
    """Cuts of all labels that are together the best in micro-F1 (Dinkelbach, 1967).

    F1 = 2 tp / (predicted + positives). For a trial value f, maximise 2 tp - f * predicted, which
    each label can do alone; the F1 of these cuts is the next trial value. It rises to the optimum,
    in a handful of rounds.
    """
    positives, f1 = sum(cuts.positives for cuts in columns), 0.0
    while True:
        best = [_last_best(np.append(2.0 * cuts.tp - f1 * cuts.predicted, 0.0)) for cuts in columns]
        tp, predicted = (
            sum(int(counts[b]) for counts, b in zip(both, best, strict=True) if b < len(counts))
            for both in ([c.tp for c in columns], [c.predicted for c in columns])
        )
        reached = 2 * tp / (predicted + positives) if positives else 0.0
        if reached <= f1 + 1e-12:
            return best
        f1 = reached


def _search_grouped(y_true: np.ndarray, y_prob: np.ndarray, objective: Objective) -> float:
    """The best threshold where the objective is a mean over films or genres.

    All cells are sorted by score. Lowering the threshold past a cell changes the value of its
    group alone; the objective at every threshold is the cumulative sum of these changes.
    """
    assert objective.group is not None
    known = np.ravel(~np.isnan(y_true))
    score = np.ravel(y_prob)[known]
    order = np.argsort(-score, kind="stable")
    score = score[order]
    true = (np.ravel(y_true)[known][order] == 1).astype(np.int64)
    group = objective.group(*y_true.shape)[known][order]
    positives = np.bincount(group, weights=true).astype(np.int64)
    tp, predicted = _running_counts(true, group)
    size, value = positives[group], objective.value
    change = value(tp, predicted, size) - value(tp - true, predicted - 1, size)
    nothing = np.zeros_like(positives)
    empty = float(value(nothing, nothing, positives)[np.bincount(group) > 0].sum())
    # Only the last of equal scores is a place to cut.
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
