"""Logits of the baselines, which get the same calibration and threshold tuning as the model.

Labels are multi-hot, NaN where unknown: each label is learnt from the films where it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from movie_genres.decisions.scores import mean_average_precision

Split = tuple[Sequence[str], np.ndarray]
"""Texts, and their labels of shape (n_texts, n_labels)."""

PENALTIES = (1.0, 3.0, 10.0)
_TRIED: dict[str, tuple[Any, ...]] = {
    "longest_ngram": (1, 2),
    "sublinear": (True, False),
    "penalty": PENALTIES,
}
TUNED_FILMS = 10_000
TUNED_LABELS = 30
"""At most so many films to train on (evenly spread), and the most frequent genres, take part in the
choice of the settings: its time is bounded whatever the data. The fit itself has them all."""


@dataclass(frozen=True)
class TfidfSettings:
    """What validation chooses of the TF-IDF baseline."""

    penalty: float = 3.0
    """`C` of the logistic regressions: the inverse of the penalty's weight."""
    longest_ngram: int = 2
    """1: words; 2: words and pairs of words."""
    sublinear: bool = True
    """Whether a word counts by 1 + log of its occurrences in a text."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def prior_logits(y_train: np.ndarray, n_rows: int) -> np.ndarray:
    """Each label's log odds in the training split for every row, shape (n_rows, n_labels)."""
    positives, negatives = ((y_train == value).sum(axis=0) + 0.5 for value in (1, 0))
    return np.tile(np.log(positives / negatives), (n_rows, 1))


def tuned_tfidf_logits(
    train: Split, validation: Split, test_texts: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, TfidfSettings]:
    """TF-IDF with the settings of the best mAP on validation, fitted on all of `train`.

    Returns:
        Logits of validation and test, shape (n_rows, n_labels) each; the settings.
    """
    texts, y = train
    others, step = (validation[0], test_texts), -(-len(texts) // TUNED_FILMS)
    fits = _Fits(texts[::step], others)
    settings = _tune(fits, y[::step], validation[1])
    if step > 1:
        fits = _Fits(texts, others)
    logits = fits.logits(y, settings)
    return logits[0], logits[1], settings


def _tune(fits: _Fits, y: np.ndarray, y_validation: np.ndarray) -> TfidfSettings:
    """The settings of the best mAP on validation, found one after the other.

    First words or pairs, then counted sublinearly or not, then the penalty, each with the best of
    the former.
    """
    labels = np.sort(np.argsort(-(y == 1).sum(axis=0), kind="stable")[:TUNED_LABELS])

    @cache
    def quality(settings: TfidfSettings) -> float:
        logits = fits.logits(y[:, labels], settings)[0]
        return mean_average_precision(y_validation[:, labels], logits)

    best = TfidfSettings()
    for name, values in _TRIED.items():
        best = max((replace(best, **{name: value}) for value in values), key=quality)
    return best


def tfidf_logits(
    train_texts: Sequence[str],
    y_train: np.ndarray,
    *others: Sequence[str],
    settings: TfidfSettings | None = None,
) -> list[np.ndarray]:
    """TF-IDF of whole texts with one logistic regression per label.

    Args:
        train_texts: Texts to fit on.
        y_train: Their labels, NaN where unknown, shape (n_texts, n_labels).
        others: Texts to score.
        settings: None for the defaults.

    Returns:
        Logits of each of `others`, shape (n_rows, n_labels) each.
    """
    return _Fits(train_texts, others).logits(y_train, settings or TfidfSettings())


class _Fits:
    """Fits on the same texts, which are counted once for each length of the n-grams."""

    def __init__(self, texts: Sequence[str], others: Sequence[Sequence[str]]) -> None:
        self.texts, self.others = texts, others
        self.counted: dict[int, list[csr_matrix]] = {}

    def logits(self, y: np.ndarray, settings: TfidfSettings) -> list[np.ndarray]:
        counts, *others = self._counts(settings.longest_ngram)
        weigh = TfidfTransformer(sublinear_tf=settings.sublinear).fit(counts)
        inputs = [weigh.transform(rows) for rows in others]
        return _fit(weigh.transform(counts), y, inputs, settings.penalty)

    def _counts(self, longest: int) -> list[csr_matrix]:
        if longest not in self.counted:
            count = CountVectorizer(min_df=2, ngram_range=(1, longest), max_features=200_000)
            first = count.fit_transform(self.texts)
            self.counted[longest] = [first, *(count.transform(texts) for texts in self.others)]
        return self.counted[longest]


def _fit(
    features: csr_matrix, y_train: np.ndarray, inputs: Sequence[csr_matrix], penalty: float
) -> list[np.ndarray]:
    logits = [prior_logits(y_train, rows.shape[0]) for rows in inputs]
    for label, true in enumerate(y_train.T):
        known = np.flatnonzero(~np.isnan(true))
        if len(np.unique(true[known])) < 2:
            continue  # one class only: the base rate stays
        # Balanced weights help a linear model on rare genres; the tuner undoes their shift.
        # The dual of liblinear is the fastest solver where there are more words than films.
        model = LogisticRegression(
            C=penalty, class_weight="balanced", solver="liblinear", dual=True, max_iter=1000,
            random_state=0,
        )  # fmt: skip
        model.fit(features[known], true[known])
        for values, rows in zip(logits, inputs, strict=True):
            values[:, label] = model.decision_function(rows)
    return logits
