"""Calibration, policy and thresholds, fitted on the validation split: arrays in, decisions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from movie_genres.decisions.calibration import (
    CalibrationChoice,
    choose_calibration,
    validation_folds,
)
from movie_genres.decisions.policies import PolicyChoice, choose_policy, tune_policies
from movie_genres.decisions.scores import compute_scores
from movie_genres.decisions.thresholds import OBJECTIVES, decide


@dataclass(frozen=True)
class ThresholdSets:
    """Thresholds under which a model can decide, each of shape (n_labels,)."""

    objective: str
    """What the chosen ones are for."""
    policy: str
    """Of the chosen ones, a key of `by_policy`."""
    by_policy: dict[str, np.ndarray]
    never_empty: bool = False
    """Whether a film that reaches no threshold gets its most probable genre."""
    other_objectives: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    """By objective: (policy, thresholds), which a user of the model can select."""

    @property
    def chosen(self) -> np.ndarray:
        return self.by_policy[self.policy]

    def decide(self, y_prob: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """Multi-hot decisions, int8, shape (n_samples, n_labels)."""
        return decide(y_prob, thresholds, never_empty=self.never_empty)


@dataclass(frozen=True)
class Tuned:
    """What was fitted on the validation split."""

    calibration: CalibrationChoice
    pos_weight: np.ndarray
    """Class weights of the training, whose shift the calibration undoes; shape (n_labels,)."""
    thresholds: ThresholdSets
    choice: PolicyChoice
    """Decisions on held-out rows, to which neither calibration nor thresholds were fitted
    (cross-validation inside the validation split), and their objective."""
    held_out_prob: np.ndarray
    """Probabilities of the held-out rows, shape (n_samples, n_labels)."""

    def validation_scores(self, y_true: np.ndarray) -> dict[str, dict[str, float]]:
        """Cross-validated scores by policy, `y_true` being the labels that `tune` was given."""
        return {
            policy: compute_scores(y_true, y_pred, self.held_out_prob)
            for policy, y_pred in self.choice.held_out.items()
        }


def tune(
    y_true: np.ndarray,
    logits: np.ndarray,
    *,
    pos_weight: np.ndarray | None = None,
    objective: str = "f1_micro",
    other_objectives: Sequence[str] = OBJECTIVES,
    never_empty: bool = False,
    seed: int = 0,
) -> Tuned:
    """Calibrate, then choose the policy, then fit its thresholds, all on the validation split.

    The policies are compared by cross-validation; the calibration, its method included, is chosen
    and fitted anew in each fold.

    Args:
        y_true: Labels of the validation split, NaN where unknown, shape (n_samples, n_labels).
        logits: The model's, uncalibrated, same shape.
        pos_weight: Class weights of the training, shape (n_labels,); None for none.
        objective: What the thresholds are for, as `thresholds.find_objective` takes it.
        other_objectives: For each of these, too, a policy is chosen and its thresholds fitted.
        never_empty: Decide as `thresholds.decide` does with it.
        seed: Of folds and bootstrap.
    """
    weight = np.ones(y_true.shape[1]) if pos_weight is None else pos_weight.astype(np.float64)
    calibration = choose_calibration(y_true, logits, weight, seed=seed)
    folds = []
    held_out_prob = np.empty(logits.shape)
    for fit_rows, rows in validation_folds(len(logits), seed):
        fitted = choose_calibration(y_true[fit_rows], logits[fit_rows], weight, seed=seed)
        y_prob = fitted.map.probabilities(logits)
        held_out_prob[rows] = y_prob[rows]
        folds.append((fit_rows, rows, y_prob))
    y_prob = calibration.map.probabilities(logits)
    choices = {
        name: choose_policy(y_true, folds, name, never_empty=never_empty, seed=seed)
        for name in dict.fromkeys((objective, *other_objectives))
    }
    fits = {name: tune_policies(y_true, y_prob, name) for name in choices}
    choice = choices.pop(objective)
    return Tuned(
        calibration=calibration,
        pos_weight=weight,
        thresholds=ThresholdSets(
            objective=objective,
            policy=choice.policy,
            by_policy=fits[objective],
            never_empty=never_empty,
            other_objectives={
                name: (other.policy, fits[name][other.policy]) for name, other in choices.items()
            },
        ),
        choice=choice,
        held_out_prob=held_out_prob,
    )
