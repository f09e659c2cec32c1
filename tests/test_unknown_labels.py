"""Labels that are not known (NaN): from the prepared folder to the report they count in nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import finetune
from movie_genres.evaluation.baselines import prior_logits, tfidf_logits
from movie_genres.evaluation.predictions import Predictions
from movie_genres.model.probe import fit_probe
from movie_genres.preparation.loading import load_prepared
from movie_genres.training.losses import UNKNOWN, positive_weights, weighted_bce_sum


def test_an_unknown_cell_has_no_gradient() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    labels = torch.tensor([[1.0, UNKNOWN, 0.0]])
    weighted_bce_sum(logits, labels, torch.ones(3)).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[-0.5, 0.0, 0.5]]


def test_weights_probe_and_baselines_learn_from_known_films_alone() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random((300, 2)) < 0.3).astype(float)
    features = rng.normal(size=(300, 4)) + y[:, [0]]
    texts = [f"word{int(true[0])} other{n % 7} film" for n, true in enumerate(y)]
    partly = y.copy()
    partly[100:, 0] = np.nan
    assert positive_weights(partly, "balanced")[0] == positive_weights(y[:100], "balanced")[0]
    assert prior_logits(partly, 1)[0, 0] == prior_logits(y[:100], 1)[0, 0]
    probe = fit_probe(features, partly, np.ones(2), inverse_penalty=1.0)
    standard = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    by_hand = LogisticRegression(C=1.0, max_iter=300).fit(standard[:100], y[:100, 0])
    logits = features @ probe.weight.T + probe.bias
    assert np.allclose(logits[:, 0], by_hand.decision_function(standard), atol=1e-3)
    (given,) = tfidf_logits(texts, partly, texts[:5])
    (fewer,) = tfidf_logits(texts[:100], y[:100], texts[:5])
    (everything,) = tfidf_logits(texts, y, texts[:5])
    assert np.allclose(given[:, 1], everything[:, 1])
    # The words are weighed by all films, so that the likeness to the known films is not exact.
    assert np.abs(given[:, 0] - fewer[:, 0]).max() < np.abs(given[:, 0] - everything[:, 0]).min()


@pytest.mark.usefixtures("drawn_figures")
def test_a_run_on_partly_known_labels_ends_with_a_whole_report(
    partly_known: Path, tiny_arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    arguments = tiny_arguments(folder, "--num-train-epochs", "1")
    arguments[arguments.index("--dataset-dir") + 1] = str(partly_known)
    assert finetune.main(arguments) == 0
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    y_true = load_prepared(partly_known).y("test")
    for name, label in zip(metrics["per_genre"], range(y_true.shape[1]), strict=True):
        row = metrics["per_genre"][name]
        counted = row["tp"] + row["fp"] + row["fn"] + row["tn"]
        assert counted == (~np.isnan(y_true[:, label])).sum()
    written = Predictions.read(folder / "predictions.parquet")
    assert np.array_equal(written.y_true, y_true, equal_nan=True)
