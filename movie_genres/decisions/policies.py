"""How many thresholds, and how far each is trusted: the policies, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from movie_genres.decisions.objectives import objective_value
from movie_genres.decisions.thresholds import (
    decide,
    search_global_threshold,
    search_label_thresholds,
)

POLICIES = ("fixed_0.5", "global", "per_genre", "shrunk")

SHRINKAGE_POSITIVES = 20
"""A genre with this many positives stands midway between its own threshold and the global one."""


def tune_policies(
    y_true: np.ndarray, y_prob: np.ndarray, objective: str = "f1_micro"
) -> dict[str, np.ndarray]:
    """Thresholds by each of `POLICIES`, each of shape (n_labels,), fitted on the rows given.

    - fixed_0.5: no fitting.
    - global: one threshold for all, the best for `objective`.
    - per_genre: one for each genre, by `search_label_thresholds`; a genre without positives takes
      the global one.
    - shrunk: per genre, drawn towards the global one by n / (n + 20), n its positives, because
      the best threshold on a handful of positives is mostly noise.

    Args:
        y_true: Multi-hot, NaN where unknown, shape (n_samples, n_labels).
        y_prob: Probabilities, same shape.
        objective: As `objectives.find_objective` takes it.

    Raises:
        ValueError: If the shapes differ or there is no such objective.
    """
    shared = np.full(y_true.shape[1], search_global_threshold(y_true, y_prob, objective))
    own = search_label_thresholds(y_true, y_prob, objective)
    own = np.where(np.isnan(own), shared, own)
    positives = np.nansum(y_true, axis=0)
    weight = positives / (positives + SHRINKAGE_POSITIVES)
    return {
        "fixed_0.5": np.full(y_true.shape[1], 0.5),
        "global": shared,
        "per_genre": own,
        "shrunk": weight * own + (1 - weight) * shared,
    }


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
    *,
    never_empty: bool = False,
) -> PolicyChoice:
    """Choose the policy with the best objective on held-out rows of the validation split.

    Args:
        y_true: Labels, NaN where unknown, shape (n_samples, n_labels).
        folds: For each fold (fit_rows, held_out_rows, y_prob): the rows by number, and the
            probabilities of all rows, calibrated (if at all) on `fit_rows` alone.
        objective: As `objectives.find_objective` takes it.
        never_empty: Decide as `decide` does with it. The thresholds are searched without.

    Returns:
        The choice; of equally good policies the simplest, in the order of `POLICIES`.
    """
    held_out = {policy: np.zeros(y_true.shape, dtype=np.int8) for policy in POLICIES}
    for fit_rows, rows, y_prob in folds:
        fitted = tune_policies(y_true[fit_rows], y_prob[fit_rows], objective)
        for policy, thresholds in fitted.items():
            held_out[policy][rows] = decide(y_prob[rows], thresholds, never_empty=never_empty)
    values = {p: objective_value(y_true, y_pred, objective) for p, y_pred in held_out.items()}
    return PolicyChoice(max(values, key=lambda policy: values[policy]), held_out, values)
