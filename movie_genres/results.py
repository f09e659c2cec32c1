"""How a model with its decisions does on the test split: arrays in, metrics.json's content out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit

from movie_genres.decisions import StoredCalibration, tune
from movie_genres.scores import (
    average_precision_per_label,
    bootstrap_intervals,
    brier_score,
    compute_scores,
    confusion_counts,
    expected_calibration_error,
)
from movie_genres.thresholds import decide


@dataclass(frozen=True)
class Results:
    """How a model, with its decisions, does on the test split."""

    labels: list[str]
    y_true: np.ndarray
    y_prob: np.ndarray
    """Of the model as published, shape (n_samples, n_labels)."""
    y_prob_before: np.ndarray
    """The same without calibration."""
    y_pred: np.ndarray
    thresholds: np.ndarray
    policy: str
    objective: str
    test: dict[str, dict[str, float]]
    """Scores by policy, and "chosen"."""
    intervals: dict[str, tuple[float, float]]
    validation: dict[str, dict[str, float]] = field(default_factory=dict)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    selection: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)

    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json."""
        return {
            "validation": self.validation,
            "test": self.test,
            "intervals": {"chosen": {k: list(v) for k, v in self.intervals.items()}},
            "chosen_policy": self.policy,
            "objective": self.objective,
            "thresholds": dict(zip(self.labels, self.thresholds.tolist(), strict=True)),
            "per_genre": self.per_genre(),
            "baselines": self.baselines,
            "calibration": {
                "before": _calibration_scores(self.y_true, self.y_prob_before),
                "after": _calibration_scores(self.y_true, self.y_prob),
            },
            "selection": self.selection,
            "train": self.train or None,
        }

    def per_genre(self) -> dict[str, dict[str, float | int | None]]:
        counts = confusion_counts(self.y_true, self.y_pred)
        average_precision = average_precision_per_label(self.y_true, self.y_prob)
        table: dict[str, dict[str, float | int | None]] = {}
        for label, name in enumerate(self.labels):
            tp, fp, fn, tn = (int(counts[cell][label]) for cell in ("tp", "fp", "fn", "tn"))
            column = np.s_[:, [label]]
            ap = float(average_precision[label])
            table[name] = {
                "tp": tp, "fp": fp, "fn": fn, "tn": tn,
                "precision": tp / (tp + fp) if tp + fp else 0.0,
                "recall": tp / (tp + fn) if tp + fn else 0.0,
                "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
                "average_precision": None if np.isnan(ap) else ap,
                "support": tp + fn,
                "threshold": float(self.thresholds[label]),
                **_calibration_scores(self.y_true[column], self.y_prob[column]),
            }  # fmt: skip
        return table


def _calibration_scores(y_true: np.ndarray, y_prob: np.ndarray) -> dict[str, float]:
    return {
        "ece": expected_calibration_error(y_true, y_prob),
        "brier": brier_score(y_true, y_prob),
    }


def judge(
    labels: list[str],
    y_true: np.ndarray,
    logits: np.ndarray,
    stored: StoredCalibration,
    thresholds: Mapping[str, np.ndarray],
    *,
    policy: str,
    objective: str,
    seed: int = 0,
) -> Results:
    """Score a published model's logits on the test split under each policy's thresholds.

    Args:
        labels: In column order.
        y_true: Shape (n_samples, n_labels).
        logits: Of the model as published, calibration folded in, same shape.
        stored: That calibration.
        thresholds: By policy, each of shape (n_labels,); `policy` is one of them.
        policy: The chosen one.
        objective: What it was chosen for.
        seed: Of the bootstrap.
    """
    y_prob = expit(logits.astype(np.float64))
    test = {p: compute_scores(y_true, decide(y_prob, t), y_prob) for p, t in thresholds.items()}
    test["chosen"] = test[policy]
    y_pred = decide(y_prob, thresholds[policy])
    return Results(
        labels,
        y_true,
        y_prob,
        expit(stored.undo(logits)),
        y_pred,
        thresholds[policy],
        policy,
        objective,
        test,
        bootstrap_intervals(y_true, y_pred, y_prob, seed=seed),
    )


def score_baseline(
    y_validation: np.ndarray,
    validation_logits: np.ndarray,
    y_test: np.ndarray,
    test_logits: np.ndarray,
    *,
    pos_weight: np.ndarray | None = None,
    objective: str = "f1_micro",
    seed: int = 0,
) -> dict[str, float]:
    """Test scores of other logits under the policy and calibration that the same tuner chooses."""
    tuned = tune(
        y_validation, validation_logits, pos_weight=pos_weight, objective=objective, seed=seed
    )
    y_prob = tuned.calibration.map.probabilities(test_logits)
    return compute_scores(y_test, decide(y_prob, tuned.chosen), y_prob)
