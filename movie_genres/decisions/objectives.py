"""What thresholds are tuned for, as functions of counts: arrays in, numbers out.

`y_true` is multi-hot, NaN where it is not known whether a film has the genre: such a cell counts
in nothing. F1 of nothing predicted and nothing true is 0, as scikit-learn's `zero_division=0`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

OBJECTIVES = ("f1_micro", "f1_macro", "f1_samples", "jaccard_samples", "subset_accuracy")
RECALL_AT_PRECISION = "recall_at_precision_"
"""Followed by the precision asked for: recall_at_precision_0.8."""

Counts = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(true positives, predicted, positives) of groups of cells -> a value for each group."""


@dataclass(frozen=True)
class Objective:
    """The mean over groups of cells of a function of their counts."""

    name: str
    value: Counts
    group: Callable[[int, int], np.ndarray] | None
    """(n_samples, n_labels) -> group number of each cell, flattened; None: all cells are one."""

    @property
    def own_value(self) -> Counts:
        """What a genre's own threshold is searched for: the F1 of its cells, or the recall."""
        return self.value if self.name.startswith(RECALL_AT_PRECISION) else _f1


def _f1(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    return _ratio(2.0 * tp, predicted + positives)


def _jaccard(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    return _ratio(tp, predicted + positives - tp)


def _exact_match(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
    return ((tp == predicted) & (tp == positives)).astype(float)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Of counts: 0 / 0 is 0, since a whole that is not 0 is at least 1."""
    return part / np.maximum(whole, 1)


def _recall_at_precision(minimum: float) -> Counts:
    """Recall where the precision suffices; else how far it is short, negative."""

    def value(tp: np.ndarray, predicted: np.ndarray, positives: np.ndarray) -> np.ndarray:
        precision = np.where(predicted > 0, _ratio(tp, predicted), 1.0)
        enough = precision >= minimum - 1e-12  # 4 / 5 is to be 0.8
        return np.where(enough, _ratio(tp, positives), precision - minimum)

    return value


def _by_label(n: int, k: int) -> np.ndarray:
    return np.tile(np.arange(k), n)


def _by_row(n: int, k: int) -> np.ndarray:
    return np.repeat(np.arange(n), k)


_OBJECTIVES = {
    "f1_micro": Objective("f1_micro", _f1, None),
    "f1_macro": Objective("f1_macro", _f1, _by_label),
    "f1_samples": Objective("f1_samples", _f1, _by_row),
    "jaccard_samples": Objective("jaccard_samples", _jaccard, _by_row),
    "subset_accuracy": Objective("subset_accuracy", _exact_match, _by_row),
}


def find_objective(name: str) -> Objective:
    """The objective of a name out of `OBJECTIVES`, or `recall_at_precision_P`.

    `recall_at_precision_P`, P in (0, 1], asks for the most recall among the cuts whose precision
    is at least P (that of all cells for one threshold, of its own cells for a genre's threshold).

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
            return Objective(name, _recall_at_precision(minimum), None)
    raise ValueError(
        f"unknown objective {name!r}; known: {', '.join(OBJECTIVES)}, and "
        f"{RECALL_AT_PRECISION}P with P in (0, 1], such as {RECALL_AT_PRECISION}0.8"
    )


def objective_value(y_true: np.ndarray, y_pred: np.ndarray, objective: str) -> float:
    """The score that `objective` names; equal to scikit-learn's where all cells are known.

    Groups (films, genres) without a known cell are left out of the mean.
    """
    found = find_objective(objective)
    known = np.ravel(~np.isnan(y_true))
    group = (found.group or _all_cells)(*y_true.shape)[known]
    true, predicted = np.ravel(y_true)[known] == 1, np.ravel(y_pred)[known] == 1
    counts = (
        np.bincount(group, weights=cells.astype(float))
        for cells in (true & predicted, predicted, true)
    )
    return float(found.value(*counts)[np.bincount(group) > 0].mean())


def _all_cells(n: int, k: int) -> np.ndarray:
    return np.zeros(n * k, dtype=np.int64)
