"""A linear probe: one logistic regression per label on what enters the final Linear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import log_loss

from movie_genres.model.head import LinearHead

PENALTIES = (0.001, 0.003, 0.01, 0.03)
"""Inverse ones, to choose from. Encoders differ: on 2,849 films the validation log-loss of 768
features is 0.31 with 0.003 and 0.48 with 0.3; on 3,885 films that of 384 is 0.25 with 0.01."""
_FOLDS = 3
_MOST_FILMS = 10_000
"""That a penalty is chosen on."""


def fit_probe(
    features: np.ndarray,
    y: np.ndarray,
    pos_weight: np.ndarray,
    *,
    inverse_penalty: float | None = None,
) -> LinearHead:
    """One regularised logistic regression per label on standardised features, as a head.

    Args:
        features: What enters the final Linear, shape (n_samples, n_features).
        y: Multi-hot labels, NaN where unknown, shape (n_samples, n_labels).
        pos_weight: Weights of the positives, shape (n_labels,): the probe minimises the loss that
            training continues with.
        inverse_penalty: `C` of `LogisticRegression`; smaller is stronger. If None, chosen from
            `PENALTIES` for each label, by cross-validation.
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
        x = standard if known.all() else standard[known]
        class_weight = {0: 1.0, 1: float(pos_weight[label])}
        penalty = inverse_penalty
        if penalty is None:
            penalty = _choose_penalty(x, true, class_weight)
        probe = LogisticRegression(C=penalty, class_weight=class_weight, max_iter=300).fit(x, true)
        weight[label] = probe.coef_[0] / scale
        bias[label] = probe.intercept_[0] - weight[label] @ mean
    return LinearHead(weight.astype(np.float32), bias.astype(np.float32))


def _choose_penalty(x: np.ndarray, true: np.ndarray, class_weight: dict[int, float]) -> float:
    """The one of `PENALTIES` with the lowest loss on films that the regression has not seen."""
    step = -(-len(true) // _MOST_FILMS)
    x, true = x[::step], true[::step]
    if np.bincount(true.astype(int), minlength=2).min() < _FOLDS:
        return PENALTIES[0]
    chosen = LogisticRegressionCV(
        Cs=PENALTIES, l1_ratios=(0,), cv=_FOLDS, class_weight=class_weight, max_iter=300,
        scoring=_loss_of_training(class_weight[1]), use_legacy_attributes=False,
    ).fit(x, true)  # fmt: skip
    return float(chosen.C_)


def _loss_of_training(pos_weight: float) -> Callable[..., float]:
    """A scorer for scikit-learn: minus the cross-entropy with the training's class weight."""

    def score(probe: LogisticRegression, x: np.ndarray, true: np.ndarray) -> float:
        weight = np.where(true == 1, pos_weight, 1.0)
        return -float(log_loss(true, probe.predict_proba(x)[:, 1], sample_weight=weight))

    return score
