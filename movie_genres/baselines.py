"""What a model must beat, as logits that go through the same calibration and threshold tuning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier


def prior_logits(y_train: np.ndarray, n_rows: int) -> np.ndarray:
    """Each label's log odds in the training split for every row, shape (n_rows, n_labels)."""
    positives = y_train.sum(axis=0) + 0.5
    return np.tile(np.log(positives / (len(y_train) + 1 - positives)), (n_rows, 1))


def tfidf_logits(
    train_texts: Sequence[str], y_train: np.ndarray, *others: Sequence[str]
) -> list[np.ndarray]:
    """TF-IDF of whole texts (words and pairs) with one logistic regression per label.

    Returns:
        Decision values for each of `others`, shape (n_rows, n_labels) each.
    """
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=200_000
    )
    features = vectorizer.fit_transform(train_texts)
    # Balanced weights help a linear model on rare genres; the tuner undoes their shift.
    model = OneVsRestClassifier(LogisticRegression(C=TFIDF_C, class_weight="balanced"))
    model.fit(features, y_train)
    return [model.decision_function(vectorizer.transform(texts)) for texts in others]


TFIDF_C = 1.0
