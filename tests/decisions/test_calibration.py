from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from movie_genres.decisions.calibration import METHODS, choose_calibration, cross_entropy, fit_map
from movie_genres.decisions.tuning import tune

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(-1, 2, (4000, 3))


def labels_of(logits: np.ndarray, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).random(logits.shape) < expit(logits)).astype(int)


def test_the_shift_of_class_weights_is_undone_before_anything_is_fitted() -> None:
    weight = np.array([1.0, 2.0, 5.0])
    fitted = fit_map("none", labels_of(LOGITS), LOGITS, weight)
    assert np.allclose(fitted.logits(LOGITS), LOGITS - np.log(weight))


def test_a_temperature_is_found() -> None:
    y_true = labels_of(LOGITS)
    fitted = fit_map("temperature", y_true, 2.5 * LOGITS, np.ones(3))
    assert np.allclose(fitted.slope, 1 / 2.5, rtol=0.05)
    assert np.allclose(fitted.shift, 0)


def test_the_affine_map_comes_near_an_unpenalised_logistic_regression_on_many_films() -> None:
    logits = 0.8 * LOGITS + 0.3
    y_true = labels_of(LOGITS)
    fitted = fit_map("affine", y_true, logits, np.ones(3))
    for label in range(3):
        plain = LogisticRegression(C=1e6).fit(logits[:, [label]], y_true[:, label])
        assert fitted.slope[label] == pytest.approx(plain.coef_[0, 0], abs=0.08)
        assert fitted.shift[label] == pytest.approx(plain.intercept_[0], abs=0.08)


def test_a_genre_with_a_handful_of_films_hardly_moves() -> None:
    logits = np.linspace(-4, 4, 30)[:, None]
    y_true = (logits > 0).astype(int)  # separable: without the prior the slope runs away
    fitted = fit_map("affine", y_true, logits, np.ones(1))
    assert 0.5 < fitted.slope[0] < 3


def test_the_method_with_the_least_held_out_loss_is_adopted() -> None:
    y_true = labels_of(LOGITS)
    overconfident = choose_calibration(y_true, 3 * LOGITS, np.ones(3))
    assert overconfident.method != "none"
    before, after = (
        cross_entropy(y_true, 3 * LOGITS).mean(),
        cross_entropy(y_true, overconfident.map.logits(3 * LOGITS)).mean(),
    )
    assert after < before
    assert set(overconfident.cross_validated) == set(METHODS)


def test_scores_against_the_labels_are_flattened_and_never_turned_round() -> None:
    y_true = labels_of(LOGITS, 5)
    chosen = choose_calibration(y_true, -LOGITS, np.ones(3)).map
    assert (chosen.slope > 0).all()
    assert (chosen.slope < 0.5).all()
    after, before = (cross_entropy(y_true, x).mean() for x in (chosen.logits(-LOGITS), -LOGITS))
    assert after < before


def test_the_cross_entropy_by_hand() -> None:
    y_true, logits = np.array([[1, 0, np.nan]]), np.array([[2.0, -1.0, 3.0]])
    expected = [-np.log(expit(2.0)), -np.log(1 - expit(-1.0)), np.nan]
    assert cross_entropy(y_true, logits)[0] == pytest.approx(expected, nan_ok=True)
    assert np.isfinite(cross_entropy(np.array([[1, 0]]), np.array([[-800.0, 800.0]]))).all()


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown calibration 'isotonic'"):
        fit_map("isotonic", np.ones((2, 1)), np.ones((2, 1)), np.ones(1))


@pytest.mark.parametrize("method", METHODS)
def test_unknown_cells_change_no_map(method: str) -> None:
    y_true = labels_of(LOGITS).astype(float)
    y_true[:1000, 1] = np.nan
    moved = LOGITS.copy()
    moved[:1000, 1] += 5
    fitted, again = (fit_map(method, y_true, logits, np.ones(3)) for logits in (LOGITS, moved))
    assert np.array_equal(fitted.slope, again.slope)
    assert np.array_equal(fitted.shift, again.shift)
    assert np.array_equal(*(cross_entropy(y_true, x) for x in (LOGITS, moved)), equal_nan=True)
    if method == "affine":
        fewer = fit_map(method, labels_of(LOGITS)[1000:], LOGITS[1000:], np.ones(3))
        assert fitted.slope[1] == pytest.approx(fewer.slope[1], abs=1e-6)


def test_a_temperature_of_few_separable_films_does_not_run_away() -> None:
    logits = np.linspace(-4, 4, 60)[:, None]
    y_true = (logits > 0).astype(int)
    fitted = fit_map("temperature", y_true, logits, np.ones(1))
    assert 1 < fitted.slope[0] < 3


def test_without_a_true_gain_no_calibration_is_nearly_always_adopted() -> None:
    rng = np.random.default_rng(3)
    adopted = least = 0
    for seed in range(30):
        logits = rng.normal(-1, 2, (300, 3))
        found = choose_calibration(labels_of(logits, seed), logits, np.ones(3), seed=seed)
        adopted += found.method == "none"
        losses = found.cross_validated
        least += min(losses, key=lambda name: losses[name]) == "none"
    assert adopted >= 25
    assert adopted > least  # the least loss alone would have taken another


def test_a_validation_split_without_a_known_label_is_refused() -> None:
    with pytest.raises(ValueError, match="no label of the validation split is known"):
        choose_calibration(np.full((9, 2), np.nan), np.zeros((9, 2)), np.ones(2))


def test_one_label_and_mostly_unknown_ones_are_tuned() -> None:
    y_true = labels_of(LOGITS[:80, :1]).astype(float)
    assert tune(y_true, LOGITS[:80, :1]).thresholds.chosen.shape == (1,)
    y_true[2:] = np.nan  # of some folds nothing is known
    tuned = tune(y_true, LOGITS[:80, :1])
    assert np.isfinite(tuned.thresholds.chosen).all()
