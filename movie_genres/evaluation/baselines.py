"""Logits of the baselines, which get the same calibration and threshold tuning as the model.

Labels are multi-hot, NaN where unknown: each label is learnt from the films where it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from movie_genres.decisions.scores import mean_average_precision

Split = tuple[Sequence[str], np.ndarray]
"""Texts, and their labels of shape (n_texts, n_labels)."""

PENALTIES = (1.0, 3.0, 10.0)
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
    settings = tune_tfidf(train, validation)
    logits = tfidf_logits(*train, validation[0], test_texts, settings=settings)
    return logits[0], logits[1], settings


def tune_tfidf(train: Split, validation: Split) -> TfidfSettings:
    """The settings of the best mAP on validation.

    First words or pairs, counted sublinearly or not, at the default penalty; then the penalty for
    the best of these. Bounded by `TUNED_FILMS` and `TUNED_LABELS`.
    """
    texts, y = train
    step = -(-len(texts) // TUNED_FILMS)
    labels = np.sort(np.argsort(-(y == 1).sum(axis=0), kind="stable")[:TUNED_LABELS])
    y_validation = validation[1][:, labels]
    fits = _Fits(texts[::step], y[::step, labels], [validation[0]])

    def best_of(settings: Sequence[TfidfSettings]) -> TfidfSettings:
        scores = [mean_average_precision(y_validation, fits.logits(one)[0]) for one in settings]
        return settings[int(np.argmax(scores))]

    default = TfidfSettings()
    counting = best_of(
        [
            replace(default, longest_ngram=longest, sublinear=sublinear)
            for longest in (1, 2)
            for sublinear in (True, False)
        ]
    )
    return best_of([replace(counting, penalty=penalty) for penalty in PENALTIES])


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
    return _Fits(train_texts, y_train, others).logits(settings or TfidfSettings())


class _Fits:
    """Fits on the same texts, which are counted once for each length of the n-grams."""

    def __init__(
        self, texts: Sequence[str], y_train: np.ndarray, others: Sequence[Sequence[str]]
    ) -> None:
        self.texts, self.y_train, self.others = texts, y_train, others
        self.counted: dict[int, list[csr_matrix]] = {}

    def logits(self, settings: TfidfSettings) -> list[np.ndarray]:
        counts, *others = self._counts(settings.longest_ngram)
        weigh = TfidfTransformer(sublinear_tf=settings.sublinear).fit(counts)
        inputs = [weigh.transform(rows) for rows in others]
        return _fit(weigh.transform(counts), self.y_train, inputs, settings.penalty)

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
