"""Soft labels: what a teacher that reads whole plots, and has not seen the film, thinks of it.

Two logistic regressions per genre, one on TF-IDF and one on the embeddings that the encoder gives
before it is trained, know different things: words that tell a genre, and what a plot is about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from datasets import Dataset
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.model_selection import KFold

from movie_genres.decisions.calibration import choose_calibration, cross_entropy
from movie_genres.evaluation.baselines import tfidf_logits
from movie_genres.training.losses import UNKNOWN
from movie_genres.training.probing import fit_probe

N_FOLDS = 5
INVERSE_PENALTY = 0.01
"""`C` on standardised embeddings."""

Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Rows to learn from and rows to judge -> logits of the latter."""


def teacher_probabilities(
    texts: Sequence[str], embeddings: np.ndarray, y: np.ndarray, *, seed: int = 0
) -> np.ndarray:
    """Calibrated probabilities of both regressions together, each film's by fits without it.

    A teacher that had learnt the film's own labels by heart would only repeat them. Distillation:
    Hinton et al. 2015, arXiv:1503.02531.

    Args:
        texts: Of the training split, whole.
        embeddings: Of these texts, shape (n_films, width).
        y: Their labels, NaN where unknown, shape (n_films, n_labels).
        seed: Of the folds.

    Returns:
        float32 in (0, 1), shape (n_films, n_labels).
    """

    def by_words(others: np.ndarray, own: np.ndarray) -> np.ndarray:
        (logits,) = tfidf_logits(
            [texts[row] for row in others], y[others], [texts[row] for row in own]
        )
        return logits

    def by_meaning(others: np.ndarray, own: np.ndarray) -> np.ndarray:
        head = fit_probe(
            embeddings[others], y[others], np.ones(y.shape[1]), inverse_penalty=INVERSE_PENALTY
        )
        return embeddings[own] @ head.weight.T + head.bias

    words, meaning = (
        calibrated(y, cross_fitted(fit, y.shape, seed), seed) for fit in (by_words, by_meaning)
    )
    share = minimize_scalar(
        lambda share: cross_entropy(y, (1 - share) * words + share * meaning),
        bounds=(0.0, 1.0),
        method="bounded",
    ).x
    logits = calibrated(y, (1 - share) * words + share * meaning, seed)
    return expit(logits).astype(np.float32)


def cross_fitted(fit: Fit, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Logits of every film by a fit on the folds that it is not in."""
    logits = np.empty(shape)
    folds = KFold(min(N_FOLDS, shape[0]), shuffle=True, random_state=seed)
    for others, own in folds.split(logits):
        logits[own] = fit(others, own)
    return logits


def calibrated(y: np.ndarray, logits: np.ndarray, seed: int) -> np.ndarray:
    return choose_calibration(y, logits, np.ones(y.shape[1]), seed=seed).map.logits(logits)


def with_soft_labels(films: Dataset, probabilities: np.ndarray, share: float) -> Dataset:
    """Tokenised films whose known labels are drawn towards a teacher's probabilities.

    Args:
        films: With `labels` as batches have them.
        probabilities: Of the teacher, shape (n_films, n_labels).
        share: Of the teacher in the new labels, in [0, 1].
    """
    labels = np.array(films["labels"], dtype=np.float32)
    mixed = (1 - share) * labels + share * probabilities
    column = np.where(labels == UNKNOWN, labels, mixed).astype(np.float32)
    return films.remove_columns("labels").add_column("labels", list(column))
