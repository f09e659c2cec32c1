"""Which weights are kept: the average of the seed runs, or the best of them.

Averaging pays where the seed runs lie in one basin. Where they are few, short or far apart, their
average can be worse than each of them: the validation split decides. But the best of several seed
runs looks better than it is, so it must be ahead by more than chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import EvalPrediction, PreTrainedModel

from movie_genres.model.batching import rows_of_batches, tokens_that_suit
from movie_genres.model.devices import autocast
from movie_genres.training.averaging import Weights, average, set_trainable_weights
from movie_genres.training.batches import TrainingInputs, forward
from movie_genres.training.losses import mean_loss

AVERAGE = "average"
PARTS = 20
"""Of the validation films, for the standard error of a difference."""


@dataclass(frozen=True)
class Choice:
    """What was kept, and the validation scores that it was chosen by."""

    kept: str
    """`AVERAGE`, or "seed run 2"."""
    metric: str
    """Name of the score: that of `--metric_for_best_model`."""
    scores: dict[str, float]
    """Of the average and of each seed run."""

    def sentence(self) -> str:
        """For the log and the card."""
        name = "mAP" if self.metric == "average_precision_macro" else self.metric
        alone = " / ".join(f"{v:.3f}" for k, v in self.scores.items() if k != AVERAGE)
        what = "their average" if self.kept == AVERAGE else self.kept
        return (
            f"{what} is kept: validation {name} {self.scores[AVERAGE]:.3f} of the averaged "
            f"weights, {alone} of the seed runs"
        )


@dataclass(frozen=True)
class Scorer:
    """Scores a model on the validation split as the evaluations of the training do.

    On one process: the others may have left by then.
    """

    inputs: TrainingInputs
    compute_metrics: Callable[[EvalPrediction], dict[str, float]]
    pos_weight: np.ndarray
    metric: str
    """One of the scores that `compute_metrics` gives, or "loss"."""
    greater_is_better: bool
    precision: str

    @torch.inference_mode()
    def predict(self, model: PreTrainedModel) -> EvalPrediction:
        logits, labels = [], []
        model.eval()
        lengths = self.inputs.lengths["validation"]
        with autocast(self.precision, model.device):
            for rows in rows_of_batches(lengths, tokens_that_suit(model.device)):
                outputs, batch = forward(model, self.inputs, "validation", rows)
                logits.append(outputs.logits.float().cpu().numpy())
                labels.append(batch["labels"].numpy())
        return EvalPrediction(np.concatenate(logits), np.concatenate(labels))

    def score(self, found: EvalPrediction, rows: np.ndarray | slice = slice(None)) -> float:
        logits, labels = found.predictions[rows], found.label_ids[rows]
        if self.metric == "loss":
            return mean_loss(logits, labels, torch.from_numpy(self.pos_weight))
        return self.compute_metrics(EvalPrediction(logits, labels))[self.metric]

    def keep_best(self, model: PreTrainedModel, weights: Sequence[Weights]) -> Choice:
        """Give the model the average of the seed runs' weights, or the best of them, in place.

        The best is kept if it is ahead of the average by more than one standard error.
        """
        candidates: dict[str, Any] = {AVERAGE: average(weights)}
        candidates |= {f"seed run {number}": one for number, one in enumerate(weights, start=1)}
        found = {}
        for name, candidate in candidates.items():
            set_trainable_weights(model, candidate)
            found[name] = self.predict(model)
        scores = {name: self.score(predicted) for name, predicted in found.items()}
        kept = (max if self.greater_is_better else min)(scores, key=lambda name: scores[name])
        ahead = abs(scores[kept] - scores[AVERAGE])
        if kept != AVERAGE and ahead <= self._standard_error(found[kept], found[AVERAGE]):
            kept = AVERAGE
        set_trainable_weights(model, candidates[kept])
        return Choice(kept, self.metric, scores)

    def _standard_error(self, one: EvalPrediction, other: EvalPrediction) -> float:
        """Of the difference of two scores: a jackknife over parts of the films.

        Shao and Tu, The Jackknife and Bootstrap (1995), section 2.3.
        """
        part = np.arange(len(one.label_ids)) % PARTS
        without = [self.score(one, part != p) - self.score(other, part != p) for p in range(PARTS)]
        return float(np.sqrt((PARTS - 1) * np.var(without)))
