"""The exact search against brute force over all thresholds and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest
from sklearn.metrics import f1_score, jaccard_score, recall_score

from movie_genres.decisions.thresholds import (
    OBJECTIVES,
    decide,
    objective_value,
    search_global_threshold,
    search_label_thresholds,
    weighted_objective,
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


def candidates(y_prob: np.ndarray) -> list[float]:
    scores = np.unique(y_prob)
    return [-1.0, 2.0, *((scores[1:] + scores[:-1]) / 2)]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_global_search_finds_what_brute_force_finds(objective: str) -> None:
    for seed in range(40):
        y_true, y_prob = random_case(seed)
        threshold = search_global_threshold(y_true, y_prob, objective)
        reached = REFERENCE[objective](y_true, decide(y_prob, threshold))
        best = max(
            REFERENCE[objective](y_true, decide(y_prob, threshold))
            for threshold in candidates(y_prob)
        )
        assert reached == pytest.approx(best, abs=1e-12), seed


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_equal_scikit_learn(objective: str) -> None:
    for seed in range(20):
        y_true, y_prob = random_case(seed)
        y_pred = decide(y_prob, 0.5)
        expected = REFERENCE[objective](y_true, y_pred)
        assert objective_value(y_true, y_pred, objective) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("objective", [*OBJECTIVES, "recall_at_precision_0.5"])
def test_a_film_of_weight_two_counts_as_two_films(objective: str) -> None:
    rng = np.random.default_rng(0)
    y_true = np.where(rng.random((30, 3)) < 0.2, np.nan, rng.random((30, 3)) < 0.4)
    y_true[:3] = np.nan
    y_pred = (rng.random((30, 3)) < 0.5).astype(int)
    weights = rng.integers(0, 3, (5, 30)).astype(np.float32)
    found = weighted_objective(y_true, y_pred, objective, weights)
    for value, drawn in zip(found, weights.astype(int), strict=True):
        rows = np.repeat(np.arange(30), drawn)
        expected = objective_value(y_true[rows], y_pred[rows], objective)
        assert value == pytest.approx(expected, abs=1e-6)


def test_each_label_gets_its_own_best_f1_and_none_without_positives() -> None:
    for seed in range(40):
        y_true, y_prob = random_case(seed)
        thresholds = search_label_thresholds(y_true, y_prob)
        for label, threshold in enumerate(thresholds):
            true, prob = y_true[:, label], y_prob[:, label]
            assert np.isnan(threshold) == (not true.any())
            if true.any():
                best = max(
                    f1_score(true, prob >= threshold, zero_division=0)
                    for threshold in candidates(prob)
                )
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


def test_wrong_shapes_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        search_global_threshold(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="unknown objective 'f2'"):
        search_global_threshold(np.zeros((2, 2)), np.zeros((2, 2)), "f2")
    for name in ("recall_at_precision_", "recall_at_precision_0", "recall_at_precision_high"):
        with pytest.raises(ValueError, match="unknown objective 'recall_at_precision_"):
            search_label_thresholds(np.zeros((2, 2)), np.zeros((2, 2)), name)


def lower_bound(true: np.ndarray, pred: np.ndarray) -> float:
    """Of the precision, 95 % one-sided."""
    found = binomtest(int((true * pred).sum()), int(pred.sum()))
    return found.proportion_ci(0.9, method="wilson").low


@pytest.mark.parametrize("minimum", [0.1, 0.2, 0.3, 0.5, 1.0])
def test_the_most_recall_under_a_minimum_precision_equals_brute_force(minimum: float) -> None:
    def best_recall(true: np.ndarray, prob: np.ndarray) -> float:
        recalls = [0.0]  # nothing predicted: no wrong genre
        for t in candidates(prob):
            pred = prob >= t
            if pred.any() and lower_bound(true, pred) >= minimum:
                recalls.append(recall_score(true, pred))
        return max(recalls)

    name = f"recall_at_precision_{minimum}"
    for seed in range(12):
        y_true, y_prob = random_case(seed)
        if not y_true.any():
            continue
        threshold = search_global_threshold(y_true, y_prob, name)
        reached = objective_value(y_true, decide(y_prob, threshold), name)
        assert reached == pytest.approx(best_recall(y_true.ravel(), y_prob.ravel()))
        own = search_label_thresholds(y_true, y_prob, name)
        for label in np.flatnonzero(y_true.any(axis=0)):
            true, prob = y_true[:, label], y_prob[:, label]
            recall = recall_score(true, prob >= own[label])
            assert recall == pytest.approx(best_recall(true, prob)), seed


def test_the_minimum_precision_is_reached_on_new_films() -> None:
    rng = np.random.default_rng(0)

    def draw(n_films: int) -> tuple[np.ndarray, np.ndarray]:
        logits = rng.normal([-1.5, -1.0, -0.5], 2, (n_films, 3))
        return (rng.random(logits.shape) < expit(logits)).astype(int), expit(logits)

    many, prob = draw(50_000)
    reached, own = [], []
    for _ in range(40):
        films = draw(400)
        y_pred = decide(prob, search_global_threshold(*films, "recall_at_precision_0.8"))
        reached.append((many * y_pred).sum() / y_pred.sum())
        y_pred = decide(prob, search_label_thresholds(*films, "recall_at_precision_0.8"))
        own.append((many * y_pred).sum(axis=0) / np.maximum(y_pred.sum(axis=0), 1))
    # A threshold that just reaches 0.8 on 400 films reaches it in fewer than half of the cases.
    assert np.mean(np.array(reached) >= 0.8) > 0.85
    assert np.mean(np.array(own) >= 0.8) > 0.85
    assert np.mean(reached) < 0.86


def test_a_precision_that_is_missed_is_worth_less_than_any_recall() -> None:
    y_true = np.array([[1], [0], [0], [0]])
    nothing, all_given = np.zeros((4, 1)), np.ones((4, 1))
    assert objective_value(y_true, nothing, "recall_at_precision_0.5") == 0
    assert objective_value(y_true, all_given, "recall_at_precision_0.5") == -0.25


@pytest.mark.parametrize("objective", [*OBJECTIVES, "recall_at_precision_0.5"])
def test_unknown_cells_change_no_threshold(objective: str) -> None:
    """Cells that are NaN must count as if they were not there, whatever their score."""
    for seed in range(20):
        y_true, y_prob = random_case(seed)
        unknown = np.random.default_rng(seed + 100).random(y_true.shape) < 0.3
        partly = np.where(unknown, np.nan, y_true)
        known_rows = ~unknown.all(axis=1)
        if not known_rows.any() or not (partly == 1).any():
            continue
        moved = np.where(unknown, 1 - y_prob, y_prob)
        for search in (search_global_threshold, search_label_thresholds):
            assert np.array_equal(
                search(partly, y_prob, objective), search(partly, moved, objective), equal_nan=True
            )
        # An unknown cell that is neither true nor predicted changes no F1 and no row's rightness.
        pred = np.where(unknown, 0, decide(y_prob, 0.5))
        if objective in REFERENCE and not unknown.all(axis=0).any():
            expected = REFERENCE[objective](np.nan_to_num(partly)[known_rows], pred[known_rows])
            assert objective_value(partly, decide(y_prob, 0.5), objective) == pytest.approx(
                expected
            )


def test_never_empty_gives_the_most_probable_genre_where_none_passes() -> None:
    y_prob = np.array([[0.2, 0.4, 0.4], [0.6, 0.1, 0.7], [0.1, 0.1, 0.3]])
    thresholds = np.array([0.5, 0.5, 0.2])
    assert decide(y_prob, thresholds).tolist() == [[0, 0, 1], [1, 0, 1], [0, 0, 1]]
    assert decide(y_prob, 0.5).tolist() == [[0, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert decide(y_prob, 0.5, never_empty=True).tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize("objective", [*OBJECTIVES, "recall_at_precision_0.5"])
def test_films_of_which_nothing_is_known_give_no_threshold_of_their_own(objective: str) -> None:
    nothing, y_prob = np.full((4, 2), np.nan), np.random.default_rng(0).random((4, 2))
    assert search_global_threshold(nothing, y_prob, objective) == 0.5
    assert np.isnan(search_label_thresholds(nothing, y_prob, objective)).all()
