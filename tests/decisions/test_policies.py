"""The threshold policies, and the choice between them on held-out films."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from movie_genres.decisions.calibration import validation_folds
from movie_genres.decisions.policies import (
    POLICIES,
    PolicyChoice,
    choose_policy,
    paired_standard_errors,
    tune_policies,
)
from movie_genres.decisions.thresholds import (
    OBJECTIVES,
    decide,
    objective_value,
    search_global_threshold,
    search_label_thresholds,
)

Draw = tuple[np.ndarray, np.ndarray]


def draw_films(n_films: int, seed: int) -> Draw:
    """Labels of six genres, drawn from the probabilities of their logits, and these logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(np.linspace(-2.5, -0.5, 6), 2, (n_films, 6))
    return (rng.random(logits.shape) < expit(logits)).astype(int), logits


def choose(films: Draw, shift: np.ndarray | float, objective: str, seed: int = 0) -> PolicyChoice:
    """The policy for films whose probabilities are off by a shift of the logit."""
    y_true, logits = films
    y_prob = expit(logits + shift)
    folds = [(fit, rows, y_prob) for fit, rows in validation_folds(len(y_true), seed)]
    return choose_policy(y_true, folds, objective, seed=seed)


def test_the_fitted_policies_beat_half_on_the_rows_they_were_fitted_on() -> None:
    y_true, logits = draw_films(300, seed=5)
    y_prob = expit(logits - 1)
    fitted = tune_policies(y_true, y_prob)
    assert tuple(fitted) == POLICIES
    values = {p: objective_value(y_true, decide(y_prob, t), "f1_micro") for p, t in fitted.items()}
    assert values["global"] > values["fixed"]
    assert (fitted["fixed"] == 0.5).all()
    assert len(set(fitted["global"])) == 1


def test_a_genre_s_own_threshold_counts_as_much_as_its_positives_let_it() -> None:
    y_true, logits = draw_films(300, seed=5)
    y_prob = expit(logits)
    fitted = tune_policies(y_true, y_prob, "f1_macro")
    own = search_label_thresholds(y_true, y_prob, "f1_macro")
    n = y_true.sum(axis=0)
    expected = (n * own + 20 * fitted["global"]) / (n + 20)
    assert fitted["per_genre"] == pytest.approx(expected)
    assert len(set(n)) > 1


def test_a_genre_without_positives_takes_the_global_threshold() -> None:
    y_true = np.array([[1, 0], [1, 0], [0, 0], [0, 0]])
    y_prob = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.1], [0.2, 0.1]])
    fitted = tune_policies(y_true, y_prob)
    assert fitted["per_genre"][1] == fitted["global"][1]


def test_the_policies_are_compared_on_rows_their_thresholds_were_not_fitted_on() -> None:
    # Five positives in each genre and noise for scores: own thresholds fit noise and lose.
    rng = np.random.default_rng(1)
    y_true = (rng.random((100, 12)) < 0.1).astype(int)
    y_prob = rng.random((100, 12))
    halves = np.arange(50), np.arange(50, 100)
    folds = [(halves[0], halves[1], y_prob), (halves[1], halves[0], y_prob)]
    choice = choose_policy(y_true, folds)
    in_sample = decide(y_prob, tune_policies(y_true, y_prob)["per_genre"])
    assert objective_value(y_true, in_sample, "f1_micro") > choice.values["per_genre"]
    for policy in POLICIES:
        held_out = objective_value(y_true, choice.held_out[policy], "f1_micro")
        assert choice.values[policy] == held_out
        assert choice.differences[policy] == max(choice.values.values()) - held_out


@pytest.mark.parametrize("objective", ["f1_micro", "f1_samples"])
def test_without_a_true_difference_the_simplest_policy_is_nearly_always_taken(
    objective: str,
) -> None:
    many, logits = draw_films(100_000, seed=999)
    # With this shift 0.5 is the best threshold of all, so that nothing can be gained.
    best_is_half = -logit(search_global_threshold(many, expit(logits), objective))
    choices = [choose(draw_films(400, s), best_is_half, objective, s) for s in range(40)]
    assert sum(c.policy == "fixed" for c in choices) >= 34
    # The highest value alone would often have taken another.
    assert sum(c.values["fixed"] < max(c.values.values()) for c in choices) >= 8


@pytest.mark.parametrize("objective", ["f1_micro", "f1_macro", "f1_samples"])
def test_a_large_true_difference_decides_for_the_better_policy(objective: str) -> None:
    alternating = np.array([-2.0, 2.0] * 3)
    for seed in range(5):
        films = draw_films(400, seed)
        assert choose(films, -2.0, objective, seed).policy != "fixed"
        assert choose(films, alternating, objective, seed).policy == "per_genre"


def test_the_simplest_policy_within_one_standard_error_is_taken() -> None:
    for seed in range(20):
        choice = choose(draw_films(200, seed), 0.3, "f1_macro", seed)
        allowed = [p for p in POLICIES if choice.differences[p] <= choice.standard_errors[p]]
        assert choice.policy == allowed[0]


def test_under_a_minimum_precision_the_best_policy_is_taken() -> None:
    for seed in range(5):
        choice = choose(draw_films(400, seed), -1.0, "recall_at_precision_0.7", seed)
        assert choice.differences[choice.policy] == 0


def test_a_mean_over_films_has_the_standard_error_of_a_mean() -> None:
    y_true, logits = draw_films(500, seed=0)
    decisions = {"a": decide(expit(logits), 0.5), "b": decide(expit(logits), 0.3)}
    errors = paired_standard_errors(y_true, decisions, "a", "subset_accuracy")
    right_a, right_b = ((y_true == y_pred).all(axis=1) for y_pred in decisions.values())
    by_hand = (right_a.astype(float) - right_b).std(ddof=1) / np.sqrt(500)
    assert errors["b"] == pytest.approx(by_hand, rel=0.15)
    assert errors["a"] == 0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_standard_error_is_the_spread_of_the_difference_over_other_films(
    objective: str,
) -> None:
    def decisions(logits: np.ndarray) -> dict[str, np.ndarray]:
        return {"a": decide(expit(logits), 0.5), "b": decide(expit(logits), 0.3)}

    differences = []
    for seed in range(200):
        y_true, logits = draw_films(300, seed)
        a, b = (objective_value(y_true, p, objective) for p in decisions(logits).values())
        differences.append(a - b)
    y_true, logits = draw_films(300, seed=1000)
    errors = paired_standard_errors(y_true, decisions(logits), "a", objective)
    assert errors["b"] == pytest.approx(np.std(differences), rel=0.25)


def test_the_choice_depends_on_the_seed_alone_and_knows_unknown_labels() -> None:
    y_true, logits = draw_films(200, seed=3)
    partly = np.where(np.random.default_rng(0).random(y_true.shape) < 0.3, np.nan, y_true)
    partly[:5] = np.nan
    for objective in OBJECTIVES:
        first, again = (choose((partly, logits), 0.5, objective, seed=2) for _ in range(2))
        assert first.standard_errors == again.standard_errors
        assert all(np.isfinite(error) for error in first.standard_errors.values())
        moved = np.where(np.isnan(partly), -logits, logits)
        other = choose((partly, moved), 0.5, objective, seed=2)
        assert other.values == pytest.approx(first.values)
        assert other.standard_errors == pytest.approx(first.standard_errors)
