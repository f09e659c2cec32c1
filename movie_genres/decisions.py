"""Calibration and thresholds as one: fitted on validation, stored in a model's config, read back.

Everything is stored by genre name, because config dicts are written with sorted keys, and with a
fingerprint of the label list, so that stale thresholds are noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
from movie_genres.objectives import OBJECTIVES
from movie_genres.policies import PolicyChoice, choose_policy, tune_policies
from movie_genres.scores import compute_scores
from movie_genres.thresholds import decide


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
    """(policy, thresholds) chosen for other objectives, to be asked for at use."""

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
    """Of the policy: decisions on validation rows that neither calibration nor thresholds were
    fitted on (cross-validation inside the split), and their objective."""
    held_out_prob: np.ndarray
    """Probabilities of these rows, shape (n_samples, n_labels)."""

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

    The policies are compared by cross-validation with the calibration nested in it.

    Args:
        y_true: Labels of the validation split, NaN where unknown, shape (n_samples, n_labels).
        logits: The model's, uncalibrated, same shape.
        pos_weight: Class weights of the training, shape (n_labels,); None for none.
        objective: What the thresholds are for, as `objectives.find_objective` takes it.
        other_objectives: For these, too, a policy is chosen and its thresholds fitted.
        never_empty: Decide as `thresholds.decide` does with it.
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
    y_prob = calibration.map.probabilities(logits)
    choices = {
        name: choose_policy(y_true, folds, name, never_empty=never_empty)
        for name in dict.fromkeys((objective, *other_objectives))
    }
    fits = {name: tune_policies(y_true, y_prob, name) for name in choices}
    choice = choices.pop(objective)
    others = {name: (other.policy, fits[name][other.policy]) for name, other in choices.items()}
    return Tuned(
        calibration,
        weight,
        ThresholdSets(objective, choice.policy, fits[objective], never_empty, others),
        choice,
        held_out_prob,
    )


def publish_decisions(model: PreTrainedModel, tuned: Tuned, labels: list[str]) -> None:
    """Fold the calibration into the model and write the decisions into its config, in place.

    Thresholds, policy, objective, those for other objectives, label fingerprint and the
    calibration, which can be undone.
    """
    fold_affine(model, tuned.calibration.map.slope, tuned.calibration.map.shift)

    def by_name(values: np.ndarray) -> dict[str, float]:
        return dict(zip(labels, np.asarray(values, dtype=np.float64).tolist(), strict=True))

    sets = tuned.thresholds
    model.config.update(
        {
            "thresholds": by_name(sets.chosen),
            "threshold_policy": sets.policy,
            "threshold_objective": sets.objective,
            "never_empty": sets.never_empty,
            "thresholds_for_other_objectives": {
                name: {"policy": policy, "thresholds": by_name(thresholds)}
                for name, (policy, thresholds) in sets.other_objectives.items()
            },
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
    """How a model decides at use, as its `config.json` says or its user asks."""

    labels: list[str]
    thresholds: np.ndarray
    """In label order, shape (n_labels,)."""
    never_empty: bool = False

    @classmethod
    def of_config(
        cls,
        config: PretrainedConfig,
        name: str,
        *,
        threshold: float | None = None,
        objective: str | None = None,
        never_empty: bool | None = None,
    ) -> Decisions:
        """Read a model's thresholds.

        Args:
            config: Of a model, as `publish_decisions` wrote it.
            name: Of the model, for messages.
            threshold: One for all genres instead, in [0, 1]; the stored ones are not looked at.
            objective: Take the thresholds that were tuned for it; None: those chosen at training.
            never_empty: As `thresholds.decide` takes it; None: as the config says.

        Raises:
            InputError: If the config has none, has none for the objective, or they were tuned for
                another label list.
        """
        labels = label_names(config)
        if never_empty is None:
            never_empty = bool(getattr(config, "never_empty", False))
        if threshold is not None:
            if not 0 <= threshold <= 1:
                raise InputError(f"--threshold {threshold} is not in [0, 1]")
            return cls(labels, np.full(len(labels), float(threshold)), never_empty)
        thresholds = _stored_thresholds(config, name, objective)
        fingerprint = getattr(config, "label_fingerprint", None)
        if set(thresholds) != set(labels) or fingerprint != label_fingerprint(labels):
            raise InputError(
                f"the thresholds in {name} were tuned for another label list; tune them anew "
                "(python evaluate_model.py --retune), or cut at one of your own: --threshold 0.5"
            )
        if not all(isinstance(value, int | float) for value in thresholds.values()):
            raise InputError(f"the thresholds in {name}'s config.json are not all numbers")
        values = np.array([float(thresholds[label]) for label in labels])
        return cls(labels, values, never_empty)

    def decide(self, y_prob: np.ndarray) -> np.ndarray:
        """Multi-hot decisions, int8, shape (n_samples, n_labels)."""
        return decide(y_prob, self.thresholds, never_empty=self.never_empty)


def _stored_thresholds(
    config: PretrainedConfig, name: str, objective: str | None
) -> dict[str, float]:
    chosen = getattr(config, "thresholds", None)
    if not isinstance(chosen, dict):
        raise InputError(
            f"{name} has no thresholds in its config.json; it was not made by finetune.py "
            "(--threshold 0.5 cuts at one of your own)"
        )
    chosen_for = getattr(config, "threshold_objective", None)
    if objective is None or objective == chosen_for:
        return chosen
    others = getattr(config, "thresholds_for_other_objectives", None) or {}
    if objective not in others:
        known = ", ".join(dict.fromkeys([str(chosen_for), *others]))
        raise InputError(
            f"--objective {objective}: {name} has thresholds for {known} only; for another, tune "
            "them: python evaluate_model.py --retune --objective ..."
        )
    return others[objective]["thresholds"]


def undo_calibration(model: PreTrainedModel, labels: list[str]) -> StoredCalibration:
    """Take the stored calibration out of the model's final Linear, in place; return what it was."""
    stored = StoredCalibration.of_config(model, labels)
    fold_affine(model, 1 / stored.map.slope, -stored.map.shift / stored.map.slope)
    model.config.calibration = None
    return stored
