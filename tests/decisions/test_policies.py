"""The policies, and the choice between them on rows that their thresholds have not seen."""

from __future__ import annotations

import numpy as np

from movie_genres.decisions.objectives import objective_value
from movie_genres.decisions.policies import POLICIES, choose_policy, tune_policies
from movie_genres.decisions.thresholds import decide


def test_the_fitted_policies_beat_half_on_the_rows_they_were_fitted_on() -> None:
    rng = np.random.default_rng(5)
    y_true = (rng.random((300, 5)) < 0.2).astype(int)
    y_prob = np.clip(0.3 * y_true + 0.3 * rng.random((300, 5)), 0, 1)
    values = {
        policy: objective_value(
            y_true, decide(y_prob, tune_policies(y_true, y_prob)[policy]), "f1_micro"
        )
        for policy in POLICIES
    }
    assert values["global"] > values["fixed_0.5"]
    own = tune_policies(y_true, y_prob)["per_genre"]
    shared = tune_policies(y_true, y_prob)["global"]
    shrunk = tune_policies(y_true, y_prob)["shrunk"]
    assert ((shrunk - own) * (shrunk - shared) <= 1e-12).all()  # between the two


def test_a_genre_without_positives_takes_the_global_threshold() -> None:
    y_true = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    y_prob = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.1], [0.2, 0.1]])
    assert (
        tune_policies(y_true, y_prob)["per_genre"][1] == tune_policies(y_true, y_prob)["global"][1]
    )


def test_the_policy_is_chosen_on_rows_its_thresholds_have_not_seen() -> None:
    # Ten positives per rare label and noise for scores: own thresholds fit noise and lose.
    rng = np.random.default_rng(1)
    y_true = (rng.random((100, 12)) < 0.1).astype(int)
    y_prob = rng.random((100, 12))
    halves = np.arange(50), np.arange(50, 100)
    folds = [(halves[0], halves[1], y_prob), (halves[1], halves[0], y_prob)]
    choice = choose_policy(y_true, folds)
    own_in_sample = decide(y_prob, tune_policies(y_true, y_prob)["per_genre"])
    assert objective_value(y_true, own_in_sample, "f1_micro") > choice.values["per_genre"]
    assert choice.policy == max(choice.values, key=lambda policy: choice.values[policy])
