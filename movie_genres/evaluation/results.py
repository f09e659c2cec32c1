"""Scores of a model and its decisions on the test split: arrays in, metrics.json's content out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit

from movie_genres.decisions.intervals import (
    METHOD,
    PER_LABEL,
    Intervals,
    paired_differences,
    score_intervals,
)
from movie_genres.decisions.scores import (
    average_precision_per_label,
    brier_score,
    calibration_test,
    compute_scores,
    confusion_counts,
    expected_calibration_error,
    log_loss,
)
from movie_genres.decisions.stored import StoredCalibration
from movie_genres.decisions.tuning import ThresholdSets, tune


@dataclass(frozen=True)
class Baseline:
    """A simpler model on the same test films; arrays of shape (n_samples, n_labels)."""

    y_pred: np.ndarray
    y_prob: np.ndarray
    scores: dict[str, float]
    settings: dict[str, Any] = field(default_factory=dict)
    """What was chosen of it on validation."""


@dataclass(frozen=True)
class Results:
    """Scores of a model and its decisions on the test split."""

    labels: list[str]
    y_true: np.ndarray
    """NaN where unknown, shape (n_samples, n_labels)."""
    y_prob: np.ndarray
    """Of the model as published, shape (n_samples, n_labels)."""
    y_prob_before: np.ndarray
    """The same without calibration."""
    y_pred: np.ndarray
    thresholds: ThresholdSets
    test: dict[str, dict[str, float]]
    """Scores by policy, and "chosen"."""
    objectives: dict[str, dict[str, Any]]
    """By objective: the policy chosen for it, and the scores of its decisions."""
    intervals: Intervals
    plots_alone: dict[str, float] | None = None
    """Scores of the same decisions when the model reads only the plots; None where it always reads
    only the plots."""
    validation: dict[str, dict[str, float]] = field(default_factory=dict)
    baselines: dict[str, Baseline] = field(default_factory=dict)
    selection: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    """Type of the device that computed the probabilities, such as cpu or cuda."""
    posters: dict[str, Any] = field(default_factory=dict)
    """What `judge_posters` found, where the model reads posters too."""

    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return {
            "validation": self.validation,
            "test": self.test,
            "objectives": self.objectives,
            "plots_alone": self.plots_alone,
            "intervals": {
                "method": METHOD,
                "chosen": {k: list(v) for k, v in self.intervals.headline.items()},
            },
            "chosen_policy": self.thresholds.policy,
            "objective": self.thresholds.objective,
            "never_empty": self.thresholds.never_empty,
            "thresholds": dict(zip(self.labels, self.thresholds.chosen.tolist(), strict=True)),
            "per_genre": self.per_genre(),
            "baselines": {name: baseline.scores for name, baseline in self.baselines.items()},
            "baseline_settings": {
                name: baseline.settings
                for name, baseline in self.baselines.items()
                if baseline.settings
            },
            "differences": self.differences(),
            "calibration": {
                "before": _calibration_scores(self.y_true, self.y_prob_before),
                "after": _calibration_scores(self.y_true, self.y_prob),
            },
            "selection": self.selection,
            "train": self.train or None,
            "measured_on": self.device,
        } | ({"posters": self.posters} if self.posters else {})

    def differences(self) -> dict[str, dict[str, Any]]:
        """By baseline and score: this model minus the baseline, paired over films."""
        ours = self.y_pred, self.y_prob
        return {
            name: {
                score: found.to_json()
                for score, found in paired_differences(
                    self.y_true, ours, (baseline.y_pred, baseline.y_prob)
                ).items()
            }
            for name, baseline in self.baselines.items()
        }

    def per_genre(self) -> dict[str, dict[str, Any]]:
        """2x2 counts, scores, intervals, threshold and calibration of each genre, by name."""
        counts = confusion_counts(self.y_true, self.y_pred)
        average_precision = average_precision_per_label(self.y_true, self.y_prob)
        z, p = calibration_test(self.y_true, self.y_prob)
        table: dict[str, dict[str, Any]] = {}
        for label, name in enumerate(self.labels):
            tp, fp, fn, tn = (int(counts[cell][label]) for cell in ("tp", "fp", "fn", "tn"))
            known = ~np.isnan(self.y_true[:, label])
            true, prob = self.y_true[known, label], self.y_prob[known, label]
            table[name] = {
                "tp": tp, "fp": fp, "fn": fn, "tn": tn,
                "precision": tp / (tp + fp) if tp + fp else 0.0,
                "recall": tp / (tp + fn) if tp + fn else 0.0,
                "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
                "average_precision": _number(average_precision[label]),
                "support": tp + fn,
                "threshold": float(self.thresholds.chosen[label]),
                "intervals": {
                    score: [_number(bound) for bound in self.intervals.per_label[score][label]]
                    for score in PER_LABEL
                },
                "expected_films": float(prob.sum()),
                "calibration_z": float(z[label]),
                "calibration_p": float(p[label]),
                "brier": brier_score(true, prob) if known.any() else None,
                "log_loss": log_loss(true, prob) if known.any() else None,
            }  # fmt: skip
        return table


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)


def _calibration_scores(y_true: np.ndarray, y_prob: np.ndarray) -> dict[str, float]:
    return {
        "ece": expected_calibration_error(y_true, y_prob),
        "brier": brier_score(y_true, y_prob),
        "log_loss": log_loss(y_true, y_prob),
    }


def judge(
    labels: list[str],
    y_true: np.ndarray,
    logits: np.ndarray,
    stored: StoredCalibration,
    *,
    thresholds: ThresholdSets,
    plot_logits: np.ndarray | None = None,
) -> Results:
    """Score a published model's logits on the test split under each set of thresholds.

    Args:
        labels: In column order.
        y_true: NaN where unknown, shape (n_samples, n_labels).
        logits: Of the model as published, calibration folded in, same shape.
        stored: That calibration.
        thresholds: By policy and by objective.
        plot_logits: The logits of the plots alone, where the texts hold more than the plot.
    """
    y_prob = expit(logits.astype(np.float64))

    def scores(values: np.ndarray, y_prob: np.ndarray = y_prob) -> dict[str, float]:
        return compute_scores(y_true, thresholds.decide(y_prob, values), y_prob)

    plots_alone = None
    if plot_logits is not None:
        plots_alone = scores(thresholds.chosen, expit(plot_logits.astype(np.float64)))
    test = {policy: scores(values) for policy, values in thresholds.by_policy.items()}
    test["chosen"] = test[thresholds.policy]
    objectives: dict[str, dict[str, Any]] = {
        thresholds.objective: {"policy": thresholds.policy, "test": test["chosen"]}
    }
    for name, (policy, values) in thresholds.other_objectives.items():
        objectives[name] = {"policy": policy, "test": scores(values)}
    y_pred = thresholds.decide(y_prob, thresholds.chosen)
    return Results(
        labels=labels,
        y_true=y_true,
        y_prob=y_prob,
        y_prob_before=expit(stored.undo(logits)),
        y_pred=y_pred,
        thresholds=thresholds,
        test=test,
        objectives=objectives,
        intervals=score_intervals(y_true, y_pred, y_prob),
        plots_alone=plots_alone,
    )


def judge_baseline(
    y_validation: np.ndarray,
    validation_logits: np.ndarray,
    y_test: np.ndarray,
    test_logits: np.ndarray,
    *,
    pos_weight: np.ndarray | None = None,
    objective: str = "f1_micro",
    never_empty: bool = False,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> Baseline:
    """Score the logits of a baseline, calibrated and decided as the model's are."""
    tuned = tune(
        y_validation,
        validation_logits,
        pos_weight=pos_weight,
        objective=objective,
        other_objectives=(),
        never_empty=never_empty,
        seed=seed,
    )
    y_prob = tuned.calibration.map.probabilities(test_logits)
    y_pred = tuned.thresholds.decide(y_prob, tuned.thresholds.chosen)
    return Baseline(y_pred, y_prob, compute_scores(y_test, y_pred, y_prob), dict(settings or {}))
