"""Calibration and thresholds as one: fitted on validation, stored in a model's config, read back.

Everything is stored by genre name, because config dicts are written with sorted keys, and with a
fingerprint of the label list, so that stale thresholds are noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PretrainedConfig, PreTrainedModel

from movie_genres.calibration import (
    AffineMap,
    CalibrationChoice,
    choose_calibration,
    fit_map,
    validation_folds,
)
from movie_genres.errors import InputError
from movie_genres.head import fold_affine
from movie_genres.loading import label_fingerprint
from movie_genres.scores import compute_scores
from movie_genres.thresholds import POLICIES, choose_policy, tune_policy


@dataclass(frozen=True)
class Tuned:
    """What was fitted on the validation split."""

    calibration: CalibrationChoice
    pos_weight: np.ndarray
    """Class weights of the training, whose shift the calibration undoes; shape (n_labels,)."""
    objective: str
    policy: str
    thresholds: dict[str, np.ndarray]
    """By policy, each of shape (n_labels,)."""
    validation: dict[str, dict[str, float]]
    """Scores by policy on validation rows that neither calibration nor thresholds were fitted on
    (cross-validation inside the split)."""

    @property
    def chosen(self) -> np.ndarray:
        """Thresholds of the chosen policy, shape (n_labels,)."""
        return self.thresholds[self.policy]


def tune(
    y_true: np.ndarray,
    logits: np.ndarray,
    *,
    pos_weight: np.ndarray | None = None,
    objective: str = "f1_micro",
    seed: int = 0,
) -> Tuned:
    """Calibrate, then choose the policy, then fit its thresholds, all on the validation split.

    The policies are compared by cross-validation with the calibration nested in it.

    Args:
        y_true: Labels of the validation split, shape (n_samples, n_labels).
        logits: The model's, uncalibrated, same shape.
        pos_weight: Class weights of the training, shape (n_labels,); None for none.
        objective: What the thresholds are for, out of `thresholds.OBJECTIVES`.
        seed: Of the folds.
    """
    weight = np.ones(y_true.shape[1]) if pos_weight is None else pos_weight.astype(np.float64)
    calibration = choose_calibration(y_true, logits, weight, seed=seed)
    folds = []
    held_out_prob = np.empty(logits.shape)
    for fit_rows, rows in validation_folds(len(logits), seed):
        fitted = fit_map(calibration.method, y_true[fit_rows], logits[fit_rows], weight)
        y_prob = fitted.probabilities(logits)
        held_out_prob[rows] = y_prob[rows]
        folds.append((fit_rows, rows, y_prob))
    choice = choose_policy(y_true, folds, objective)
    y_prob = calibration.map.probabilities(logits)
    return Tuned(
        calibration,
        weight,
        objective,
        choice.policy,
        {policy: tune_policy(policy, y_true, y_prob, objective) for policy in POLICIES},
        {p: compute_scores(y_true, y_pred, held_out_prob) for p, y_pred in choice.held_out.items()},
    )


def publish_decisions(model: PreTrainedModel, tuned: Tuned, labels: list[str]) -> None:
    """Fold the calibration into the model and write the decisions into its config, in place.

    Thresholds, policy, objective, label fingerprint and the calibration, which can be undone.
    """
    fold_affine(model, tuned.calibration.map.slope, tuned.calibration.map.shift)

    def by_name(values: np.ndarray) -> dict[str, float]:
        return dict(zip(labels, np.asarray(values, dtype=np.float64).tolist(), strict=True))

    model.config.update(
        {
            "thresholds": by_name(tuned.chosen),
            "threshold_policy": tuned.policy,
            "threshold_objective": tuned.objective,
            "label_fingerprint": label_fingerprint(labels),
            "calibration": {
                "method": tuned.calibration.method,
                "slope": by_name(tuned.calibration.map.slope),
                "shift": by_name(tuned.calibration.map.shift),
                "pos_weight": by_name(tuned.pos_weight),
            },
        }
    )


@dataclass(frozen=True)
class StoredCalibration:
    """The calibration that a model's config says is folded into it."""

    method: str
    map: AffineMap
    pos_weight: np.ndarray

    @classmethod
    def of_config(cls, model: PreTrainedModel, labels: list[str]) -> StoredCalibration:
        """Read it; no change at all where the config has none.

        Raises:
            InputError: If it is incomplete or for other labels.
        """
        stored = getattr(model.config, "calibration", None)
        if not stored:
            ones = np.ones(len(labels))
            return cls("none", AffineMap(ones, np.zeros(len(labels))), ones)
        try:
            slope, shift, weight = (
                np.array([float(stored[key][label]) for label in labels])
                for key in ("slope", "shift", "pos_weight")
            )
        except (KeyError, TypeError, ValueError):
            raise InputError(
                "the calibration in the model's config.json is not one that this project wrote, or "
                "is for other genres; it cannot be undone"
            ) from None
        return cls(stored["method"], AffineMap(slope, shift), weight)

    def undo(self, logits: np.ndarray) -> np.ndarray:
        """Logits as they were before the calibration, exact to float rounding."""
        return (logits.astype(np.float64) - self.map.shift) / self.map.slope


def label_names(config: PretrainedConfig) -> list[str]:
    """Genre names of a model in column order."""
    id2label: dict[Any, str] = config.id2label or {}
    return [id2label[index] for index in sorted(id2label)]


@dataclass(frozen=True)
class Decisions:
    """Thresholds as `config.json` stores them, in label order."""

    labels: list[str]
    thresholds: np.ndarray

    @classmethod
    def of_config(cls, model: PreTrainedModel, name: str) -> Decisions:
        """Read a model's thresholds.

        Raises:
            InputError: If the config has none, or they were tuned for another label list.
        """
        config = model.config
        labels = label_names(config)
        thresholds = getattr(config, "thresholds", None)
        if not isinstance(thresholds, dict):
            raise InputError(
                f"{name} has no thresholds in its config.json; it was not made by finetune.py"
            )
        fingerprint = getattr(config, "label_fingerprint", None)
        if set(thresholds) != set(labels) or fingerprint != label_fingerprint(labels):
            raise InputError(
                f"the thresholds in {name} were tuned for another label list; "
                "tune them anew: python evaluate_model.py --retune"
            )
        if not all(isinstance(threshold, int | float) for threshold in thresholds.values()):
            raise InputError(f"the thresholds in {name}'s config.json are not all numbers")
        return cls(labels, np.array([float(thresholds[label]) for label in labels]))


def undo_calibration(model: PreTrainedModel, labels: list[str]) -> StoredCalibration:
    """Take the stored calibration out of the model's final Linear, in place; return what it was."""
    stored = StoredCalibration.of_config(model, labels)
    fold_affine(model, 1 / stored.map.slope, -stored.map.shift / stored.map.slope)
    model.config.calibration = None
    return stored
