"""What a recipe came to on one split: logits in, one JSON file out.

Every recipe is judged by the same code: its validation logits go through this project's
calibration and threshold tuner, its test logits are read once. The JSON file is written last, so
where it stands the job is done.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks.machine import machine, versions
from movie_genres.decisions.scores import (
    compute_scores,
    expected_calibration_error,
    mean_average_precision,
)
from movie_genres.decisions.thresholds import decide
from movie_genres.decisions.tuning import tune
from movie_genres.evaluation.predictions import Predictions
from movie_genres.files import write_json
from movie_genres.preparation.loading import Prepared

OWN_OBJECTIVES = ("f1_macro", "subset_accuracy")
"""Besides micro-F1, thresholds are tuned for each of these, and it is scored under them."""

Point = tuple[float, float, float]
"""(seconds, epoch, validation mAP)."""


@dataclass(frozen=True)
class Trained:
    """What a recipe gives to be judged."""

    validation: np.ndarray
    """Uncalibrated logits of the validation films, shape (n_films, n_labels)."""
    test: np.ndarray
    """Likewise of the test films."""
    seconds: float
    """From the texts to the trained model: tokenising, fitting, evaluations once an epoch."""
    tokens: int | None
    """That the training read, padding not counted; None where it reads no tokens."""
    peak_memory: int | None
    """Of the process until the model was trained, in bytes."""
    precision: str
    curve: list[Point] = field(default_factory=list)
    """Before the final model, which stands at `seconds`."""
    pos_weight: np.ndarray | None = None
    """Class weights of the training, whose shift the tuner undoes; shape (n_labels,)."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What else is worth telling: the learning rate that was chosen, and the like."""


@dataclass(frozen=True)
class OutcomeFile:
    """Where a job's outcome stands."""

    folder: Path
    seed: int
    recipe: str

    @property
    def path(self) -> Path:
        return self.folder / f"{self.seed}-{self.recipe}.json"

    @property
    def predictions(self) -> Path:
        """Of the test films, as finetune.py writes them: `metrics.py compare` takes two."""
        return self.path.with_suffix(".parquet")

    @property
    def logits(self) -> Path:
        """Of validation and test, as the recipe gives them."""
        return self.path.with_suffix(".npz")

    def read(self) -> dict[str, Any] | None:
        """None where the job is not done."""
        return json.loads(self.path.read_text(encoding="utf-8")) if self.path.is_file() else None

    def write(self, prepared: Prepared, trained: Trained) -> dict[str, Any]:
        """Judge what was trained, and write the three files, the JSON last."""
        outcome, predictions = judge_recipe(prepared, trained, self.seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        np.savez(self.logits, validation=trained.validation, test=trained.test)
        predictions.write(self.predictions)
        outcome = {"seed": self.seed, "recipe": self.recipe} | outcome
        write_json(self.path, outcome)
        return outcome

    def take_over(self, same: OutcomeFile) -> dict[str, Any]:
        """The outcome of a job whose training is the same, the JSON last."""
        for there, here in ((same.logits, self.logits), (same.predictions, self.predictions)):
            shutil.copyfile(there, here)
        outcome = json.loads(same.path.read_text(encoding="utf-8")) | {"recipe": self.recipe}
        write_json(self.path, outcome)
        return outcome


def judge_recipe(
    prepared: Prepared, trained: Trained, seed: int
) -> tuple[dict[str, Any], Predictions]:
    """Scores, costs and curve of a recipe as JSON has them, and its decisions on the test films."""
    y_validation, y_test = prepared.y("validation"), prepared.y("test")
    tuned = tune(
        y_validation,
        trained.validation,
        pos_weight=trained.pos_weight,
        other_objectives=OWN_OBJECTIVES,
        seed=seed,
    )
    raw = expit(trained.test.astype(np.float64))
    y_prob = tuned.calibration.map.probabilities(trained.test)
    y_pred = decide(y_prob, tuned.thresholds.chosen)
    own = {
        name: compute_scores(y_test, decide(y_prob, thresholds), y_prob)[name]
        for name, (_, thresholds) in tuned.thresholds.other_objectives.items()
    }
    final = mean_average_precision(y_validation, expit(trained.validation.astype(np.float64)))
    seconds = trained.seconds
    outcome = {
        "test": {
            "fixed_0.5": compute_scores(y_test, decide(raw, 0.5), raw),
            "tuned": compute_scores(y_test, y_pred, y_prob),
            "own_objective": own,
        },
        "ece": {
            "before": expected_calibration_error(y_test, raw),
            "after": expected_calibration_error(y_test, y_prob),
        },
        "policy": tuned.thresholds.policy,
        "calibration": tuned.calibration.method,
        "validation_average_precision_macro": final,
        "curve": [[round(s, 2), epoch, score] for s, epoch, score in trained.curve],
        "seconds": round(seconds, 2),
        "tokens": trained.tokens,
        "tokens_per_second": None if trained.tokens is None else round(trained.tokens / seconds, 1),
        "peak_memory_bytes": trained.peak_memory,
        "precision": trained.precision,
        "facts": trained.facts,
        "machine": machine(),
        "versions": versions(),
    }
    ids, texts = (list(prepared.splits["test"][name]) for name in ("id", "text"))
    return outcome, Predictions(prepared.labels, ids, texts, y_test, y_prob, y_pred)
