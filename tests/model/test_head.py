from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from encoders import MAKERS, batch_of_ids
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from movie_genres.model.head import (
    LinearHead,
    captured_features,
    final_linear,
    fold_affine,
    set_head,
)
from movie_genres.model.probe import PENALTIES, fit_probe


@pytest.fixture(params=list(MAKERS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    return MAKERS[request.param]().eval()


def logits_of(model: PreTrainedModel) -> np.ndarray:
    with torch.inference_mode():
        return model(**batch_of_ids()).logits.numpy()


def test_what_enters_the_final_linear_gives_the_logits(model: PreTrainedModel) -> None:
    with captured_features(model) as seen:
        logits = logits_of(model)
    linear = final_linear(model)
    features = seen[0].numpy()
    assert features.shape == (5, 16)
    again = features @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    assert np.allclose(again, logits, atol=1e-5)


def test_an_affine_map_is_folded_in_and_undone(model: PreTrainedModel) -> None:
    before = logits_of(model)
    slope, shift = np.array([0.5, 1.7, 1.0]), np.array([-0.3, 2.0, 0.0])
    fold_affine(model, slope, shift)
    assert np.allclose(logits_of(model), before * slope + shift, atol=1e-5)
    fold_affine(model, 1 / slope, -shift / slope)
    assert np.allclose(logits_of(model), before, atol=1e-5)


def test_a_folded_map_survives_saving(model: PreTrainedModel, tmp_path: Path) -> None:
    fold_affine(model, np.array([0.5, 1.7, 1.0]), np.array([-0.3, 2.0, 0.0]))
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert np.array_equal(logits_of(again), logits_of(model))


def test_the_probe_is_the_logistic_regression_of_scikit_learn(model: PreTrainedModel) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(2, 3, (200, 16))
    y = (features[:, :3] + rng.normal(0, 3, (200, 3)) > 3).astype(int)
    weight = np.array([1.0, 2.0, 4.0])
    head = fit_probe(features, y, weight, inverse_penalty=0.3)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    for label in range(3):
        probe = LogisticRegression(C=0.3, class_weight={0: 1, 1: weight[label]})
        expected = probe.fit(standard, y[:, label]).decision_function(standard)
        assert np.allclose(features @ head.weight[label] + head.bias[label], expected, atol=1e-2)
    set_head(model, head)
    assert np.array_equal(final_linear(model).weight.detach().numpy(), head.weight)


def test_a_label_that_all_or_no_film_has_starts_from_its_rate() -> None:
    features = np.random.default_rng(0).normal(size=(50, 4))
    y = np.stack([np.zeros(50), np.ones(50)], axis=1)
    head = fit_probe(features, y, np.ones(2), inverse_penalty=0.3)
    assert not head.weight.any()
    assert head.bias[0] < -3
    assert head.bias[1] > 3


def test_a_probe_needs_the_memory_of_its_features_once_more() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 64)).astype(np.float32)
    y = (features[:, :1] > 0).astype(np.float32)
    tracemalloc.start()
    fit_probe(features, y, np.ones(1), inverse_penalty=1e-3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * features.nbytes


def test_the_penalty_of_the_probe_is_the_one_that_generalises() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 200))
    logits = np.stack([3 * features[:, 0], 0.3 * features[:, 1]], axis=1)
    y = (rng.random(logits.shape) < expit(logits)).astype(float)
    weight = np.array([1.0, 4.0])
    heads = {c: fit_probe(features, y, weight, inverse_penalty=c) for c in PENALTIES}
    chosen = fit_probe(features, y, weight)
    new = rng.normal(size=(20_000, 200))
    true = rng.random((20_000, 2)) < expit(np.stack([3 * new[:, 0], 0.3 * new[:, 1]], axis=1))

    def loss(head: LinearHead, label: int) -> float:
        z = new @ head.weight[label] + head.bias[label]
        return -np.mean(
            weight[label] * true[:, label] * log_expit(z) + ~true[:, label] * log_expit(-z)
        )

    for label, penalty in enumerate((PENALTIES[-1], PENALTIES[0])):
        best = min(PENALTIES, key=lambda c: loss(heads[c], label))
        assert best == penalty
        assert np.array_equal(chosen.weight[label], heads[best].weight[label])


def test_a_label_of_two_films_has_the_strongest_penalty() -> None:
    features = np.random.default_rng(0).normal(size=(50, 4))
    y = (np.arange(50) < 2).astype(float)[:, None]
    expected = fit_probe(features, y, np.ones(1), inverse_penalty=PENALTIES[0])
    assert np.array_equal(fit_probe(features, y, np.ones(1)).weight, expected.weight)
