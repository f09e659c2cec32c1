"""Class weights and the loss that uses them; labels that are not known take no part."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

CLASS_WEIGHTS = ("sqrt", "none", "balanced")

UNKNOWN = -100.0
"""How a batch marks a label that is not known (NaN in the prepared data): the mark that torch's
losses ignore by convention, and that the Trainer leaves out when it counts the labels of a step."""

MAX_POS_WEIGHT = 10.0
"""Beyond it a rare genre's few films dominate the gradient and are learnt by heart."""


def positive_weights(y: np.ndarray, mode: str) -> np.ndarray:
    """Weight of each label's positives in the loss, float32, shape (n_labels,).

    Args:
        y: Multi-hot labels of the training split, NaN where unknown, shape (n_samples, n_labels).
        mode: "none" (1), "balanced" (negatives / positives, so that both sides weigh the same)
            or "sqrt" (its square root). Capped at `MAX_POS_WEIGHT`, never below 1; a label
            without positives weighs 1.

    Raises:
        ValueError: If the mode is not one of `CLASS_WEIGHTS`.
    """
    if mode not in CLASS_WEIGHTS:
        raise ValueError(f"unknown class weights {mode!r}; known: {', '.join(CLASS_WEIGHTS)}")
    positives, negatives = ((y == value).sum(axis=0).astype(np.float64) for value in (1, 0))
    ratio = np.divide(negatives, positives, out=np.ones(y.shape[1]), where=positives > 0)
    weights = {"none": np.ones_like(ratio), "balanced": ratio, "sqrt": np.sqrt(ratio)}[mode]
    return np.clip(weights, 1.0, MAX_POS_WEIGHT).astype(np.float32)


def restore_unknown(labels: np.ndarray) -> np.ndarray:
    """Labels as batches have them -> as the prepared data have them: NaN for `UNKNOWN`."""
    return np.where(labels == UNKNOWN, np.nan, labels)


def weighted_bce_sum(
    logits: torch.Tensor, labels: torch.Tensor, pos_weight: torch.Tensor
) -> torch.Tensor:
    """Binary cross-entropy with weighted positives, summed over the known cells, in float32.

    The sum, because whoever sees the whole step (all processes, all accumulation steps) must
    divide by the number of its cells; means of parts are not the mean.

    Args:
        logits: Shape (n_rows, n_labels).
        labels: Multi-hot, float, `UNKNOWN` where unknown, same shape.
        pos_weight: Shape (n_labels,).
    """
    known = labels != UNKNOWN
    return binary_cross_entropy_with_logits(
        logits.float(),
        labels.float() * known,
        weight=known.float(),
        pos_weight=pos_weight,
        reduction="sum",
    )


def mean_loss(logits: np.ndarray, labels: np.ndarray, pos_weight: torch.Tensor) -> float:
    """`weighted_bce_sum` by the number of known cells; 0 where none is known."""
    y = torch.from_numpy(labels)
    total = weighted_bce_sum(torch.from_numpy(logits), y, pos_weight.cpu())
    return float(total / (y != UNKNOWN).sum().clamp(min=1))
