from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import evaluate
import numpy as np
import pytest
from conftest import ROOT
from scipy.special import expit

from metrics import GenreMetrics, MultiLabelScores, check_scored
from movie_genres.decisions.scores import compute_scores
from movie_genres.decisions.thresholds import decide
from movie_genres.errors import InputError

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


SCORE_ELSEWHERE = """
import evaluate, sys
metric = evaluate.load(sys.argv[1], cache_dir=sys.argv[2])
print(metric.compute(predictions=[[0.9, 0.2]], references=[[1, 0]])["f1_micro"])
"""


def test_evaluate_loads_metrics_py_from_any_folder(tmp_path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCORE_ELSEWHERE, str(ROOT / "metrics.py"), str(tmp_path / "cache")],
        cwd=tmp_path, check=False, capture_output=True, text=True,
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules")},
    )  # fmt: skip
    assert found.stdout.strip() == "1.0", found.stderr


@pytest.mark.parametrize(
    ("predictions", "references", "thresholds", "words"),
    [
        ([[0.3, -1.0], [-1.0, 0.2]], [[1, 0], [0, 1]], 0.5, "-1, which is no probability"),
        ([[2.5, 0.5]], [[1, 0]], 0.5, "2.5, which is no probability"),
        ([[np.nan, 0.5]], [[1, 0]], 0.5, "nan, which is no probability"),
        ([[0.3, 0.5]], [[1, 2]], 0.5, "references hold 2, not 0, 1 or NaN"),
        ([[0.3, 0.5]], [[1, 0, 0]], 0.5, r"shape \(1, 2\) and references of shape \(1, 3\)"),
        ([[0.3, 0.5]], [[1, 0]], [0.5, 0.5, 0.5], "one for each of the 2 labels"),
        ([[0.3, 0.5]], [[1, 0]], -0.4, "thresholds hold -0.4"),
        ([[0.3, 0.5]], [[1, 0]], [0.5, 1.2], "thresholds hold 1.2"),
    ],
)
def test_what_is_no_probability_label_or_threshold_is_refused(
    predictions, references, thresholds, words
) -> None:
    arrays = (np.array(values, dtype=float) for values in (references, predictions, thresholds))
    with pytest.raises(InputError, match=words):
        check_scored(*arrays)
    with pytest.raises(InputError):
        MultiLabelScores().compute(
            predictions=predictions, references=references, thresholds=thresholds
        )
