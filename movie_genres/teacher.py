"""Soft labels: what a teacher that reads whole plots, and has not seen the film, thinks of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from sklearn.model_selection import KFold

from movie_genres.baselines import tfidf_logits
from movie_genres.calibration import choose_calibration
from movie_genres.losses import UNKNOWN

N_FOLDS = 5


def teacher_probabilities(texts: Sequence[str], y: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Calibrated probabilities of TF-IDF + logistic regression, each film's by a fit without it.

    A teacher that had learnt the film's own labels by heart would only repeat them. Distillation:
    Hinton et al. 2015, arXiv:1503.02531.

    Args:
        texts: Of the training split, whole.
        y: Their labels, NaN where unknown, shape (n_films, n_labels).
        seed: Of the folds.

    Returns:
        float32 in (0, 1), shape (n_films, n_labels).
    """
    folds = KFold(min(N_FOLDS, len(y)), shuffle=True, random_state=seed)
    logits = np.empty(y.shape)
    for others, own in folds.split(y):
        (logits[own],) = tfidf_logits(
            [texts[i] for i in others], y[others], [texts[i] for i in own]
        )
    calibration = choose_calibration(y, logits, np.ones(y.shape[1]), seed=seed)
    return calibration.map.probabilities(logits).astype(np.float32)


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
