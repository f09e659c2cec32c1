"""Calibration: an affine map of each genre's logit, fitted on validation.

Probabilities are sigmoid(slope * logit + shift). The map can be folded into the final Linear
(movie_genres/model/head.py), so that plain `pipeline` gives calibrated probabilities. Cells
whose label is NaN (unknown) count in nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.model_selection import KFold

from movie_genres.decisions.affine import AffineMap

METHODS = ("none", "temperature", "affine")
"""From the simplest to the least simple."""
N_FOLDS = 5

_LOG_SLOPE_SD = 0.3
_SHIFT_SD = 0.5
"""Standard deviations of the prior around "no change": with the log-loss summed over films, a
genre with eight positives hardly changes, one with hundreds follows its films."""


@dataclass(frozen=True)
class CalibrationChoice:
    """The map that a comparison by cross-validation adopted."""

    method: str
    map: AffineMap
    cross_validated: dict[str, float]
    """Mean log-loss of each method on rows that it was not fitted on."""
    standard_errors: dict[str, float]
    """Of the difference between each method's log-loss and the least one, over films."""


def cross_entropy(y_true: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of each cell in nats, finite for a finite logit; NaN where unknown."""
    return -(y_true * log_expit(logits) + (1 - y_true) * log_expit(-logits))


def fit_map(
    method: str, y_true: np.ndarray, logits: np.ndarray, pos_weight: np.ndarray
) -> AffineMap:
    """Fit one of `METHODS`.

    Weighting the positives of a label by w raises the optimal logit by log w, so every method
    starts from the logit minus log w.

    Args:
        method: "none" (the logit minus log w), "temperature" (one slope for all labels) or "affine"
            (slope and shift per label). A Gaussian prior on log slope and shift, around no change.
        y_true: Labels, NaN where unknown, shape (n_samples, n_labels).
        logits: As the model gives them, same shape.
        pos_weight: Weights of the positives in training, shape (n_labels,), 1 for none.

    Raises:
        ValueError: If the method is not one of `METHODS`.
    """
    start = logits.astype(np.float64) - np.log(pos_weight)
    n_labels, known = logits.shape[1], ~np.isnan(y_true)
    if method == "none":
        slope, extra = np.ones(n_labels), np.zeros(n_labels)
    elif method == "temperature":
        slope = np.full(n_labels, np.exp(_fit_log_slope(y_true[known], start[known])))
        extra = np.zeros(n_labels)
    elif method == "affine":
        fitted = [
            _fit_label(y_true[known[:, k], k], start[known[:, k], k]) for k in range(n_labels)
        ]
        slope, extra = np.exp([f[0] for f in fitted]), np.array([f[1] for f in fitted])
    else:
        raise ValueError(f"unknown calibration {method!r}; known: {', '.join(METHODS)}")
    return AffineMap(slope, extra - slope * np.log(pos_weight))


def _fit_log_slope(y_true: np.ndarray, logits: np.ndarray) -> float:
    """At the maximum of the posterior: films that are separable do not make it run away."""
    precision = _LOG_SLOPE_SD**-2.0

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = np.exp(parameters[0]) * logits
        slope_gradient = np.sum((expit(scaled) - y_true) * scaled)
        value = np.sum(cross_entropy(y_true, scaled)) + precision * parameters[0] ** 2 / 2
        return float(value), np.array([slope_gradient + precision * parameters[0]])

    return float(minimize(loss, np.zeros(1), jac=True, method="L-BFGS-B").x[0])


def _fit_label(y_true: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """(log slope, shift) of one label, at the maximum of the posterior."""
    precision = np.array([_LOG_SLOPE_SD, _SHIFT_SD]) ** -2.0

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = np.exp(parameters[0]) * logits
        residual = expit(scaled + parameters[1]) - y_true
        value = np.sum(cross_entropy(y_true, scaled + parameters[1]))
        gradient = np.array([np.sum(residual * scaled), np.sum(residual)])
        penalty = np.sum(precision * parameters**2) / 2
        return float(value + penalty), gradient + precision * parameters

    return minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B").x


def validation_folds(n_rows: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(fit_rows, held_out_rows) of the folds inside the validation split."""
    folds = KFold(n_splits=min(N_FOLDS, n_rows), shuffle=True, random_state=seed)
    yield from folds.split(np.zeros(n_rows))


def choose_calibration(
    y_true: np.ndarray, logits: np.ndarray, pos_weight: np.ndarray, *, seed: int = 0
) -> CalibrationChoice:
    """Adopt the simplest method within a standard error of the least cross-validated log-loss.

    The one-standard-error rule of Breiman et al. (1984, section 3.4.3), for the paired difference
    to the best method, with films as the units. The method is fitted on all rows.

    Args:
        y_true: Labels of the validation split, NaN where unknown, shape (n_samples, n_labels).
        logits: As the model gives them, same shape.
        pos_weight: Weights of the positives in training, shape (n_labels,).
        seed: Of the folds.

    Raises:
        ValueError: If no label is known.
    """
    known = ~np.isnan(y_true)
    if not known.any():
        raise ValueError("no label of the validation split is known: nothing can be fitted on it")
    losses = {}
    for method in METHODS:
        mapped = np.empty(logits.shape)
        for fit_rows, held_out in validation_folds(len(logits), seed):
            fitted = fit_map(method, y_true[fit_rows], logits[fit_rows], pos_weight)
            mapped[held_out] = fitted.logits(logits[held_out].astype(np.float64))
        losses[method] = np.nansum(cross_entropy(y_true, mapped), axis=1)
    means = {method: float(loss.sum()) / int(known.sum()) for method, loss in losses.items()}
    best = min(means, key=lambda name: means[name])
    errors = {
        method: _standard_error(loss - losses[best], known.sum(axis=1))
        for method, loss in losses.items()
    }
    method = next(name for name in METHODS if means[name] - means[best] <= errors[name])
    return CalibrationChoice(method, fit_map(method, y_true, logits, pos_weight), means, errors)


def _standard_error(sums: np.ndarray, sizes: np.ndarray) -> float:
    """Of sum(sums) / sum(sizes), a ratio over independent films (Cochran 1977, section 2.11)."""
    residual = sums - sizes * sums.sum() / sizes.sum()
    n = len(sums)
    return float(np.sqrt(n / max(1, n - 1) * np.sum(residual**2)) / sizes.sum())
