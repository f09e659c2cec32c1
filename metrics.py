"""What is logged at each evaluation, and the same scores for `evaluate.load("metrics.py")`.

import evaluate
metric = evaluate.load("/absolute/path/to/metrics.py")
metric.compute(predictions=probabilities, references=labels, thresholds=0.5)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import datasets
import evaluate
import numpy as np
from scipy.special import expit

from movie_genres.scores import compute_scores, confusion_counts
from movie_genres.thresholds import decide, search_global_threshold, search_label_thresholds

LOGGED = (
    "average_precision_macro",
    "best_threshold",
    "f1_micro",
    "f1_macro",
    "f1_samples",
    "precision_micro",
    "recall_micro",
    "subset_accuracy",
    "f1_micro_at_0.5",
    "f1_macro_per_genre",
)
"""Names of what `GenreMetrics` gives."""


@dataclass
class GenreMetrics:
    """`compute_metrics` of the Trainer: logits in, scalars with constant names out.

    The scores of validation films under thresholds fitted on the same films flatter a little;
    they serve to follow a training. What is reported at the end is cross-validated.
    """

    labels: list[str]
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    """2x2 counts per genre at the best global threshold of the last evaluation."""

    def __call__(self, prediction: Any) -> dict[str, float]:
        """Sweep the thresholds over one evaluation.

        Args:
            prediction: `EvalPrediction` with logits and multi-hot labels, (n_samples, n_labels).
        """
        y_true = np.asarray(prediction.label_ids).astype(np.int8)
        y_prob = expit(np.asarray(prediction.predictions, dtype=np.float64))
        threshold = search_global_threshold(y_true, y_prob)
        y_pred = decide(y_prob, threshold)
        scores = compute_scores(y_true, y_pred, y_prob)
        per_genre = np.nan_to_num(search_label_thresholds(y_true, y_prob), nan=threshold)
        counts = confusion_counts(y_true, y_pred)
        self.confusion = {
            name: {cell: int(counts[cell][label]) for cell in counts}
            for label, name in enumerate(self.labels)
        }
        at_half = compute_scores(y_true, decide(y_prob, 0.5), y_prob)
        at_own = compute_scores(y_true, decide(y_prob, per_genre), y_prob)
        logged = scores | {
            "best_threshold": threshold,
            "f1_micro_at_0.5": at_half["f1_micro"],
            "f1_macro_per_genre": at_own["f1_macro"],
        }
        return {name: logged[name] for name in LOGGED}


class MultiLabelScores(evaluate.Metric):
    """Every score of this project for probabilities, labels and thresholds."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Multi-label scores of probabilities cut at thresholds.",
            citation="",
            inputs_description=(
                "predictions: probabilities in [0, 1], one list per row; references: multi-hot "
                "labels, same shape; thresholds: one number, or one per label (default 0.5)."
            ),
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Sequence(datasets.Value("int64")),
                }
            ),
        )

    def _compute(
        self,
        predictions: list[list[float]],
        references: list[list[int]],
        thresholds: float | list[float] = 0.5,
    ) -> dict[str, float]:
        y_true, y_prob = np.asarray(references), np.asarray(predictions)
        return compute_scores(y_true, decide(y_prob, np.asarray(thresholds)), y_prob)
