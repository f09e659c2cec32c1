"""Logits of the baselines, which get the same calibration and threshold tuning as the model.

Labels are multi-hot, NaN where unknown: each label is learnt from the films where it is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

TFIDF_C = 1.0


def prior_logits(y_train: np.ndarray, n_rows: int) -> np.ndarray:
    """Each label's log odds in the training split for every row, shape (n_rows, n_labels)."""
    positives, negatives = ((y_train == value).sum(axis=0) + 0.5 for value in (1, 0))
    return np.tile(np.log(positives / negatives), (n_rows, 1))


def tfidf_logits(
    train_texts: Sequence[str], y_train: np.ndarray, *others: Sequence[str]
) -> list[np.ndarray]:
    """TF-IDF of whole texts (words and pairs) with one logistic regression per label.

    Returns:
        Logits of each of `others`, shape (n_rows, n_labels) each.
    """
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=200_000
    )
    features = vectorizer.fit_transform(train_texts)
    inputs = [vectorizer.transform(texts) for texts in others]
    logits = [prior_logits(y_train, len(texts)) for texts in others]
    for label, true in enumerate(y_train.T):
        known = np.flatnonzero(~np.isnan(true))
        if len(np.unique(true[known])) < 2:
            continue  # one class only: the base rate stays
        # Balanced weights help a linear model on rare genres; the tuner undoes their shift.
        model = LogisticRegression(C=TFIDF_C, class_weight="balanced")
        model.fit(features[known], true[known])
        for values, rows in zip(logits, inputs, strict=True):
            values[:, label] = model.decision_function(rows)
    return logits
