"""The exact search against brute force over all cuts and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, jaccard_score

from movie_genres.thresholds import (
    OBJECTIVES,
    POLICIES,
    choose_policy,
    decide,
    objective_value,
    search_global_threshold,
    search_label_thresholds,
    tune_policy,
)

REFERENCE = {
    "f1_micro": lambda t, p: f1_score(t, p, average="micro", zero_division=0),
    "f1_macro": lambda t, p: f1_score(t, p, average="macro", zero_division=0),
    "f1_samples": lambda t, p: f1_score(t, p, average="samples", zero_division=0),
    "jaccard_samples": lambda t, p: jaccard_score(t, p, average="samples", zero_division=0),
    "subset_accuracy": lambda t, p: np.mean((t == p).all(axis=1)),
}


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 12)), int(rng.integers(2, 5)))
    y_true = (rng.random(shape) < 0.4).astype(int)
    if seed % 3 == 0:
        y_true[:, 0] = 0  # a genre without films
    # Few distinct scores: many ties, 0 and 1 among them.
    return y_true, rng.integers(0, 6, shape) / 5 if seed % 2 else rng.random(shape)


def every_cut(y_prob: np.ndarray) -> list[float]:
    scores = np.unique(y_prob)
    return [-1.0, 2.0, *((scores[1:] + scores[:-1]) / 2)]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_global_search_finds_what_brute_force_finds(objective: str) -> None:
    for seed in range(40):
        y_true, y_prob = random_case(seed)
        threshold = search_global_threshold(y_true, y_prob, objective)
        reached = REFERENCE[objective](y_true, decide(y_prob, threshold))
        best = max(REFERENCE[objective](y_true, decide(y_prob, cut)) for cut in every_cut(y_prob))
        assert reached == pytest.approx(best, abs=1e-12), seed


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_equal_scikit_learn(objective: str) -> None:
    for seed in range(20):
        y_true, y_prob = random_case(seed)
        y_pred = decide(y_prob, 0.5)
        expected = REFERENCE[objective](y_true, y_pred)
        assert objective_value(y_true, y_pred, objective) == pytest.approx(expected, abs=1e-12)


def test_each_label_gets_its_own_best_f1_and_none_without_positives() -> None:
    for seed in range(40):
        y_true, y_prob = random_case(seed)
        thresholds = search_label_thresholds(y_true, y_prob)
        for label, threshold in enumerate(thresholds):
            true, prob = y_true[:, label], y_prob[:, label]
            assert np.isnan(threshold) == (not true.any())
            if true.any():
                best = max(f1_score(true, prob >= cut, zero_division=0) for cut in every_cut(prob))
                assert f1_score(true, prob >= threshold) == pytest.approx(best)


def test_thresholds_stand_midway_between_two_neighbouring_scores() -> None:
    y_true = np.array([[1], [1], [0], [0]])
    y_prob = np.array([[0.9], [0.6], [0.2], [0.1]])
    assert search_global_threshold(y_true, y_prob) == pytest.approx(0.4)
    # So the rounding of float32 changes no decision.
    noisy = y_prob.astype(np.float32)
    assert (decide(noisy, 0.4) == y_true).all()


def test_neighbouring_floating_point_numbers_are_kept_apart() -> None:
    rng = np.random.default_rng(0)
    for score in rng.random(200):
        y_true, y_prob = np.array([[1], [0]]), np.array([[np.nextafter(score, 1)], [score]])
        assert (decide(y_prob, search_global_threshold(y_true, y_prob)) == y_true).all()


def test_the_fitted_policies_beat_half_on_the_rows_they_were_fitted_on() -> None:
    rng = np.random.default_rng(5)
    y_true = (rng.random((300, 5)) < 0.2).astype(int)
    y_prob = np.clip(0.3 * y_true + 0.3 * rng.random((300, 5)), 0, 1)
    values = {
        policy: objective_value(
            y_true, decide(y_prob, tune_policy(policy, y_true, y_prob)), "f1_micro"
        )
        for policy in POLICIES
    }
    assert values["global"] > values["fixed_0.5"]
    own = tune_policy("per_genre", y_true, y_prob)
    shared = tune_policy("global", y_true, y_prob)
    shrunk = tune_policy("shrunk", y_true, y_prob)
    assert ((shrunk - own) * (shrunk - shared) <= 1e-12).all()  # between the two


def test_a_genre_without_positives_takes_the_global_threshold() -> None:
    y_true = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    y_prob = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.1], [0.2, 0.1]])
    assert tune_policy("per_genre", y_true, y_prob)[1] == tune_policy("global", y_true, y_prob)[1]


def test_the_policy_is_chosen_on_rows_its_thresholds_have_not_seen() -> None:
    # Ten positives per rare label and noise for scores: own thresholds fit noise and lose.
    rng = np.random.default_rng(1)
    y_true = (rng.random((100, 12)) < 0.1).astype(int)
    y_prob = rng.random((100, 12))
    halves = np.arange(50), np.arange(50, 100)
    folds = [(halves[0], halves[1], y_prob), (halves[1], halves[0], y_prob)]
    choice = choose_policy(y_true, folds)
    own_in_sample = decide(y_prob, tune_policy("per_genre", y_true, y_prob))
    assert objective_value(y_true, own_in_sample, "f1_micro") > choice.values["per_genre"]
    assert choice.policy == max(choice.values, key=lambda policy: choice.values[policy])


def test_wrong_shapes_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        search_global_threshold(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="unknown objective 'f2'"):
        search_global_threshold(np.zeros((2, 2)), np.zeros((2, 2)), "f2")
    with pytest.raises(ValueError, match="unknown policy 'best'"):
        tune_policy("best", np.ones((2, 2)), np.ones((2, 2)))
