"""The threshold policies, and the choice between them by cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from movie_genres.decisions.thresholds import (
    decide,
    find_objective,
    objective_value,
    search_global_threshold,
    search_label_thresholds,
    weighted_objective,
)

POLICIES = ("fixed", "global", "per_genre")
"""From the simplest to the least simple."""

SHRINKAGE_POSITIVES = 20
"""A genre with this many positives stands midway between its own threshold and the global one."""

_N_RESAMPLES = 200
"""Enough for a standard error (Efron & Tibshirani 1993, chapter 6): this one is right to 5 %."""

_CELLS_AT_ONCE = 2**22
"""Of the resamples' weights: 16 MiB, whatever the number of films."""


def tune_policies(
    y_true: np.ndarray, y_prob: np.ndarray, objective: str = "f1_micro"
) -> dict[str, np.ndarray]:
    """Thresholds by each of `POLICIES`, each of shape (n_labels,), fitted on the rows given.

    - fixed: 0.5 for all genres, no fitting.
    - global: one threshold for all genres, the best for `objective`.
    - per_genre: one for each genre, by `search_label_thresholds`, drawn towards the global one:
      n / (n + 20) of its own and the rest of the global one, n being the genre's positives,
      because the best threshold on a handful of positives is mostly noise.

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        y_prob: Probabilities, same shape.
        objective: As `thresholds.find_objective` takes it.

    Raises:
        ValueError: If the shapes differ or there is no such objective.
    """
    shared = np.full(y_true.shape[1], search_global_threshold(y_true, y_prob, objective))
    own = search_label_thresholds(y_true, y_prob, objective)
    positives = np.nansum(y_true, axis=0)
    weight = positives / (positives + SHRINKAGE_POSITIVES)
    return {
        "fixed": np.full(y_true.shape[1], 0.5),
        "global": shared,
        "per_genre": np.where(np.isnan(own), shared, weight * own + (1 - weight) * shared),
    }


@dataclass(frozen=True)
class PolicyChoice:
    """The policy that a comparison by cross-validation chose."""

    policy: str
    held_out: dict[str, np.ndarray]
    """Decisions of each policy on rows that its thresholds were not fitted on."""
    values: dict[str, float]
    """The objective of these decisions."""
    standard_errors: dict[str, float]
    """Of the difference between the best policy's value and each policy's."""

    @property
    def differences(self) -> dict[str, float]:
        """The best policy's value minus each policy's, >= 0."""
        best = max(self.values.values())
        return {policy: best - value for policy, value in self.values.items()}


def choose_policy(
    y_true: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    objective: str = "f1_micro",
    *,
    never_empty: bool = False,
    seed: int = 0,
) -> PolicyChoice:
    """Choose the simplest policy that is within a standard error of the best one.

    The policies are compared on held-out rows of the validation split. The one-standard-error rule
    is that of Breiman et al. (1984, section 3.4.3), for the difference to the best policy, as
    `paired_standard_errors` has it.

    Where the objective is a recall under a minimum precision, the best policy is taken: tuned
    thresholds end close to the minimum, where the objective jumps between recall and missing
    precision, so that its standard error is as large as the recall and would excuse any policy.

    Args:
        y_true: Labels, NaN where unknown, shape (n_samples, n_labels).
        folds: For each fold (fit_rows, held_out_rows, y_prob): the rows by number, and the
            probabilities of all rows, calibrated (if at all) on `fit_rows` alone.
        objective: As `thresholds.find_objective` takes it.
        never_empty: Decide as `decide` does with it. The thresholds are searched without.
        seed: Of the resamples.

    Returns:
        The choice; of equally good policies the simplest, in the order of `POLICIES`.
    """
    held_out = {policy: np.zeros(y_true.shape, dtype=np.int8) for policy in POLICIES}
    for fit_rows, rows, y_prob in folds:
        fitted = tune_policies(y_true[fit_rows], y_prob[fit_rows], objective)
        for policy, thresholds in fitted.items():
            held_out[policy][rows] = decide(y_prob[rows], thresholds, never_empty=never_empty)
    values = {p: objective_value(y_true, y_pred, objective) for p, y_pred in held_out.items()}
    best = max(values, key=lambda policy: values[policy])
    if find_objective(objective).has_minimum_precision:
        errors = dict.fromkeys(values, 0.0)
    else:
        errors = paired_standard_errors(y_true, held_out, best, objective, seed=seed)
    policy = next(p for p in POLICIES if values[best] - values[p] <= errors[p])
    return PolicyChoice(policy, held_out, values, errors)


def paired_standard_errors(
    y_true: np.ndarray,
    decisions: Mapping[str, np.ndarray],
    best: str,
    objective: str,
    *,
    seed: int = 0,
) -> dict[str, float]:
    """Standard errors of the objective's differences between one set of decisions and each.

    Paired bootstrap over films (Efron & Tibshirani 1993, chapters 6 and 8): all decisions are
    scored on the same resampled films, and the standard error is the standard deviation of the
    differences. So it holds for objectives that are no mean over films, such as micro-F1 and
    macro-F1, and what makes films hard for every policy cancels out. It covers the choice of the
    films that are scored, not that of the films that the thresholds were fitted on.

    Args:
        y_true: Labels, NaN where unknown, shape (n_samples, n_labels).
        decisions: Multi-hot decisions by name, same shape each.
        best: The name that all are compared with.
        objective: As `thresholds.find_objective` takes it.
        seed: Of the resamples.

    Returns:
        By name, in units of the objective; 0 for `best` itself and whatever decides like it.
    """
    drawn = []
    for weights in resample_weights(len(y_true), _N_RESAMPLES, seed):
        values = {
            name: weighted_objective(y_true, y_pred, objective, weights)
            for name, y_pred in decisions.items()
        }
        drawn.append([values[best] - values[name] for name in decisions])
    errors = np.concatenate(drawn, axis=1).std(axis=1, ddof=1)
    return dict(zip(decisions, errors.tolist(), strict=True))


def resample_weights(n_rows: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn in each resample: float32, (at most n_resamples, n_rows)."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // n_rows)
    for start in range(0, n_resamples, at_once):
        count = min(at_once, n_resamples - start)
        rows = rng.integers(n_rows, size=(count, n_rows)) + n_rows * np.arange(count)[:, None]
        drawn = np.bincount(rows.ravel(), minlength=count * n_rows)
        yield drawn.reshape(count, n_rows).astype(np.float32)
