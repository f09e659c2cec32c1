"""The TF-IDF baseline: its settings are chosen on validation, by mAP alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from movie_genres.decisions.scores import mean_average_precision
from movie_genres.evaluation import baselines
from movie_genres.evaluation.baselines import (
    PENALTIES,
    Split,
    TfidfSettings,
    tfidf_logits,
    tuned_tfidf_logits,
)

WORDS = ["ghost", "house", "river", "train", "war", "love", "desert", "city", "storm", "night"]


def split(n_films: int, seed: int, *, order_matters: bool = False) -> Split:
    """Films of one genre: by two words, or by the order in which these two stand."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n_films) < 0.4).astype(np.float32)
    texts = []
    for has_genre in y:
        words = rng.choice(WORDS[2:], 12).tolist()
        pair = ["ghost", "house"] if has_genre else ["house", "ghost"]
        if not order_matters:
            pair = pair[:1] if rng.random() < 0.8 else rng.choice(WORDS[:2], 1).tolist()
        place = int(rng.integers(12))
        texts.append(" ".join([*words[:place], *pair, *words[place:]]))
    return texts, y[:, None]


def test_pairs_of_words_are_taken_where_they_alone_know_the_genre() -> None:
    train, validation = split(300, 0, order_matters=True), split(200, 1, order_matters=True)
    *_, settings = tuned_tfidf_logits(train, validation, validation[0])
    assert settings.longest_ngram == 2


def test_no_setting_that_was_tried_is_better_on_validation() -> None:
    train, validation = split(300, 2), split(200, 3)
    a, b, chosen = tuned_tfidf_logits(train, validation, validation[0])

    def quality(settings: TfidfSettings) -> float:
        (logits,) = tfidf_logits(*train, validation[0], settings=settings)
        return mean_average_precision(validation[1], expit(logits))

    best = quality(chosen)
    for penalty in PENALTIES:
        tried = TfidfSettings(penalty, chosen.longest_ngram, chosen.sublinear)
        assert quality(tried) <= best + 1e-12
    assert np.array_equal(a, b)
    assert mean_average_precision(validation[1], expit(a)) == pytest.approx(best)


def test_the_logits_are_those_of_an_ordinary_logistic_regression() -> None:
    texts, y = split(300, 4)
    others = split(50, 5)[0]
    settings = TfidfSettings(penalty=1.0, longest_ngram=2, sublinear=True)
    (found,) = tfidf_logits(texts, y, others, settings=settings)
    vectorizer = TfidfVectorizer(
        sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=200_000
    )
    features = vectorizer.fit_transform(texts)
    model = LogisticRegression(C=1.0, class_weight="balanced").fit(features, y[:, 0])
    expected = model.decision_function(vectorizer.transform(others))
    # liblinear's penalty holds the intercept too.
    assert np.corrcoef(found[:, 0], expected)[0, 1] > 0.999
    assert found[:, 0] == pytest.approx(expected, abs=0.15)


def test_only_so_many_films_and_genres_take_part_in_the_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    fit = baselines._fit

    def watched(features, y_train, inputs, penalty):
        seen.append((features.shape[0], y_train.shape[1]))
        return fit(features, y_train, inputs, penalty)

    monkeypatch.setattr(baselines, "_fit", watched)
    monkeypatch.setattr(baselines, "TUNED_FILMS", 100)
    monkeypatch.setattr(baselines, "TUNED_LABELS", 2)
    texts, y = split(250, 6)
    y = np.hstack([y, 1 - y, np.zeros_like(y)])
    y[0, 2] = 1
    tuned_tfidf_logits((texts, y), (texts[:50], y[:50]), texts[:5])
    assert set(seen[:-1]) == {(84, 2)}
    assert seen[-1] == (250, 3)


def test_texts_that_took_part_in_the_choice_are_not_counted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted = []

    class Counting(CountVectorizer):
        def fit_transform(self, texts, y=None):
            counted.append((len(texts), self.ngram_range[1]))
            return super().fit_transform(texts, y)

    monkeypatch.setattr(baselines, "CountVectorizer", Counting)
    train = split(100, 7)
    tuned_tfidf_logits(train, validation := split(50, 8), validation[0])
    assert counted == [(100, 1), (100, 2)]
