"""The fusion of two logits: what the poster adds, and the text alone where it adds nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from movie_genres import InputError
from movie_genres.decisions.calibration import cross_entropy
from movie_genres.posters.fusion import KEY, Fusion

LABELS = ["Drama", "Horror"]


def films(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and calibrated logits of two independent views: their sum is the true logit."""
    rng = np.random.default_rng(seed)
    text, poster = rng.normal(size=(2, count, len(LABELS))) * 1.5
    return (rng.random(text.shape) < expit(text + poster)).astype(float), text, poster


def test_two_independent_views_are_added() -> None:
    y, text, poster = films(3000)
    fusion = Fusion.fit(y, text, poster)
    assert np.allclose(fusion.weights, [[1, 1], [1, 1], [0, 0]], atol=0.15)
    y, text, poster = films(1000, seed=1)
    both, alone = (
        cross_entropy(y, logits).mean() for logits in (fusion.logits(text, poster), text)
    )
    assert both < alone - 0.05


def test_a_poster_that_says_nothing_changes_nothing() -> None:
    y, text, _ = films(3000)
    y = (np.random.default_rng(2).random(y.shape) < expit(text)).astype(float)
    noise = np.random.default_rng(3).normal(size=text.shape)
    assert np.allclose(Fusion.fit(y, text, noise).weights, [[1, 1], [0, 0], [0, 0]], atol=0.1)


def test_a_genre_of_few_films_stays_near_the_text() -> None:
    y, text, poster = films(3000)
    y[20:, 1] = np.nan
    weights = Fusion.fit(y, text, poster).weights
    assert weights[1, 0] > 0.8 and weights[1, 1] < 0.6
    y[:, 1] = np.nan
    assert np.array_equal(Fusion.fit(y, text, poster).weights[:, 1], [1, 0, 0])


def test_it_is_stored_by_genre_name() -> None:
    fusion = Fusion(np.array([[0.9, 1.0], [0.4, 0.1], [-0.1, 0.0]]))
    config: Any = SimpleNamespace(**{KEY: fusion.to_json(LABELS)})
    assert np.array_equal(Fusion.of_config(config, LABELS, "m").weights, fusion.weights)
    with pytest.raises(InputError, match="for other genres"):
        Fusion.of_config(config, ["Comedy", "Horror"], "m")
    config = SimpleNamespace()
    with pytest.raises(InputError, match="does not read posters"):
        Fusion.of_config(config, LABELS, "m")
