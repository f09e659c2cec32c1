"""A linear probe: one logistic regression per label on what enters the final Linear."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from movie_genres.model.head import LinearHead


def fit_probe(
    features: np.ndarray, y: np.ndarray, pos_weight: np.ndarray, *, inverse_penalty: float
) -> LinearHead:
    """One regularised logistic regression per label on standardised features, as a head.

    Args:
        features: What enters the final Linear, shape (n_samples, n_features).
        y: Multi-hot labels, NaN where unknown, shape (n_samples, n_labels).
        pos_weight: Weights of the positives, shape (n_labels,): the probe minimises the loss that
            training continues with.
        inverse_penalty: `C` of `LogisticRegression`; smaller is stronger.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    standard = features - mean
    standard /= scale
    weight, bias = np.zeros((y.shape[1], features.shape[1])), np.zeros(y.shape[1])
    for label in range(y.shape[1]):
        known = ~np.isnan(y[:, label])
        true = y[known, label]
        if len(np.unique(true)) < 2:
            # Nothing to separate: the log odds of a rate that one film more would give.
            bias[label] = np.log((true.sum() + 0.5) / (len(true) - true.sum() + 0.5))
            continue
        probe = LogisticRegression(
            C=inverse_penalty, class_weight={0: 1.0, 1: float(pos_weight[label])}, max_iter=300
        ).fit(standard if known.all() else standard[known], true)
        weight[label] = probe.coef_[0] / scale
        bias[label] = probe.intercept_[0] - weight[label] @ mean
    return LinearHead(weight.astype(np.float32), bias.astype(np.float32))
