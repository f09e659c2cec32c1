from __future__ import annotations

from types import SimpleNamespace

import evaluate
import numpy as np
import pytest
from conftest import ROOT
from scipy.special import expit

from metrics import GenreMetrics
from movie_genres.decisions.scores import compute_scores
from movie_genres.decisions.thresholds import decide

RNG = np.random.default_rng(0)
Y_TRUE = (RNG.random((50, 3)) < 0.4).astype(int)
LOGITS = 2 * Y_TRUE - 1 + RNG.normal(0, 1, (50, 3))


def test_evaluate_loads_metrics_py_and_gives_the_same_scores(tmp_path) -> None:
    metric = evaluate.load(str(ROOT / "metrics.py"), cache_dir=str(tmp_path))
    y_prob, thresholds = expit(LOGITS), [0.3, 0.5, 0.6]
    found = metric.compute(
        predictions=y_prob.tolist(), references=Y_TRUE.tolist(), thresholds=thresholds
    )
    assert found == pytest.approx(compute_scores(Y_TRUE, decide(y_prob, thresholds), y_prob))


def test_logged_values_are_scalars_with_the_same_names_at_every_evaluation() -> None:
    metrics = GenreMetrics(["a", "b", "c"])
    first = metrics(SimpleNamespace(label_ids=Y_TRUE.astype("float32"), predictions=LOGITS))
    empty = np.zeros_like(Y_TRUE)
    second = metrics(SimpleNamespace(label_ids=empty, predictions=np.zeros((50, 3))))
    assert list(first) == list(second)
    assert all(type(value) is float for value in [*first.values(), *second.values()])


def test_the_sweep_is_at_least_as_good_as_one_half() -> None:
    metrics = GenreMetrics(["a", "b", "c"])
    logged = metrics(SimpleNamespace(label_ids=Y_TRUE, predictions=LOGITS - 1.5))
    assert logged["f1_micro"] > logged["f1_micro_at_0.5"]
    assert logged["f1_macro_per_genre"] >= logged["f1_macro"]
    counts = metrics.confusion["a"]
    assert counts["tp"] + counts["fn"] == Y_TRUE[:, 0].sum()
