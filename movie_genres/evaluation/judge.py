"""The one path by which a model is judged: model + prepared splits -> decisions and results.

Calibration and thresholds are fitted on the validation split; the test split is read once, by
the model as it is published, and only confirms.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from movie_genres.decisions.stored import Decisions, StoredCalibration, publish_decisions
from movie_genres.decisions.tuning import ThresholdSets, Tuned, tune
from movie_genres.evaluation.baselines import prior_logits, tuned_tfidf_logits
from movie_genres.evaluation.plots import plot_threshold_sweep
from movie_genres.evaluation.results import Baseline, Results, judge, judge_baseline
from movie_genres.files import replace_folder, write_json, written_whole
from movie_genres.inference.runtimes import predict_logits
from movie_genres.model.folders import SERVED_LENGTH
from movie_genres.preparation.loading import Prepared

Logits = tuple[np.ndarray, np.ndarray]
"""Of the validation and the test split, each (n_samples, n_labels)."""


@dataclass(frozen=True)
class TextModel:
    """A model with what it needs to read texts."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    """Tokens to which texts are truncated."""

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Logits of texts, in float32, shape (n_texts, n_labels)."""
        return predict_logits(self.model, self.tokenizer, texts, max_length=self.max_length)

    def save(self, folder: Path) -> None:
        """Write what is published: weights, config and tokenizer; all of it or nothing."""
        new = folder.with_name(folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        # `pipeline(..., truncation=True)` reads the length from the tokenizer.
        self.tokenizer.model_max_length = self.max_length
        for local_only in ("is_local", "local_files_only"):
            self.tokenizer.init_kwargs.pop(local_only, None)
        with written_whole(new):
            self.model.save_pretrained(new)
            self.tokenizer.save_pretrained(new)
            write_json(new / SERVED_LENGTH, {"max_seq_length": self.max_length})
            (new / "model.safetensors").chmod(0o644)
            replace_folder(new, folder)


def tune_and_judge(
    text_model: TextModel,
    prepared: Prepared,
    *,
    pos_weight: np.ndarray,
    objective: str,
    never_empty: bool = False,
    seed: int,
    model_folder: Path,
) -> tuple[Results, Figure]:
    """Fit the decisions of an uncalibrated model, save it with them, and judge what was saved.

    Args:
        text_model: Uncalibrated; the calibration is folded into it in place.
        prepared: The validation split is fitted on, the test split is scored.
        pos_weight: Class weights of its training, shape (n_labels,).
        objective: What the thresholds are for, as `thresholds.find_objective` takes it.
        never_empty: Give the most probable genre to a film that reaches no threshold.
        seed: Of folds and resamples.
        model_folder: For the published model, which appears whole or not at all.

    Returns:
        Results on the test split, and the threshold sweep on the validation split.
    """
    y_validation = prepared.y("validation")
    logits = text_model.logits(prepared.texts("validation"))
    tuned = tune(
        y_validation,
        logits,
        pos_weight=pos_weight,
        objective=objective,
        never_empty=never_empty,
        seed=seed,
    )
    publish_decisions(text_model.model, tuned, prepared.labels)
    text_model.save(model_folder)
    results = _judge_test(text_model, prepared, tuned.thresholds)
    sweep = plot_threshold_sweep(
        y_validation,
        tuned.calibration.map.probabilities(logits),
        {name: float(tuned.thresholds.by_policy[name][0]) for name in ("global", "fixed")},
    )
    validation = tuned.validation_scores(y_validation)
    return replace(results, validation=validation, selection=_selection(tuned)), sweep


def judge_as_stored(text_model: TextModel, prepared: Prepared, *, name: str) -> Results:
    """Score a published model on the test split with the thresholds it carries.

    Raises:
        InputError: If it carries none, or those of another label list.
    """
    config = text_model.model.config
    stored = Decisions.of_config(config, name)
    thresholds = ThresholdSets(
        objective=getattr(config, "threshold_objective", "f1_micro"),
        policy="stored",
        by_policy={"fixed": np.full(len(prepared.labels), 0.5), "stored": stored.thresholds},
        never_empty=stored.never_empty,
    )
    return _judge_test(text_model, prepared, thresholds)


def _judge_test(text_model: TextModel, prepared: Prepared, thresholds: ThresholdSets) -> Results:
    texts, plots = prepared.texts("test"), prepared.plots("test")
    results = judge(
        prepared.labels,
        prepared.y("test"),
        text_model.logits(texts),
        StoredCalibration.of_config(text_model.model, prepared.labels),
        thresholds=thresholds,
        plot_logits=text_model.logits(plots) if plots != texts else None,
    )
    return replace(results, device=text_model.model.device.type)


def judge_baselines(
    prepared: Prepared,
    *,
    objective: str,
    never_empty: bool = False,
    seed: int,
    probe: tuple[Logits, np.ndarray] | None = None,
) -> dict[str, Baseline]:
    """Score the baselines on the test split, calibrated and tuned as the model is.

    Args:
        prepared: Baselines are fitted on the train split and tuned on the validation split.
        objective: What the thresholds are for, as `thresholds.find_objective` takes it.
        never_empty: As for the model.
        seed: Of folds and resamples.
        probe: Logits of the linear probe and the class weights it was fitted with, if there is one.

    Returns:
        By name: prior, tfidf_logreg and, if given, linear_probe.
    """
    y_train, y_validation, y_test = (prepared.y(s) for s in ("train", "validation", "test"))
    unweighted = np.ones(len(prepared.labels))
    validation, test, settings = tuned_tfidf_logits(
        (prepared.texts("train"), y_train),
        (prepared.texts("validation"), y_validation),
        prepared.texts("test"),
    )
    logits: dict[str, tuple[Logits, np.ndarray]] = {
        "prior": (
            (prior_logits(y_train, len(y_validation)), prior_logits(y_train, len(y_test))),
            unweighted,
        ),
        "tfidf_logreg": ((validation, test), unweighted),
    }
    if probe is not None:
        logits["linear_probe"] = probe
    return {
        name: judge_baseline(
            y_validation, validation_logits, y_test, test_logits,
            pos_weight=weight, objective=objective, never_empty=never_empty, seed=seed,
            settings=settings.to_json() if name == "tfidf_logreg" else None,
        )
        for name, ((validation_logits, test_logits), weight) in logits.items()
    }  # fmt: skip


def _selection(tuned: Tuned) -> dict[str, object]:
    """By which cross-validated figures calibration and policy were chosen."""
    choice = tuned.choice
    return {
        "calibration": {
            "adopted": tuned.calibration.method,
            "cross_validated_log_loss": tuned.calibration.cross_validated,
            "standard_error": tuned.calibration.standard_errors,
        },
        "policy": {
            "adopted": choice.policy,
            "objective": tuned.thresholds.objective,
            "cross_validated": {
                policy: {
                    "value": choice.values[policy],
                    "behind_best": choice.differences[policy],
                    "standard_error": choice.standard_errors[policy],
                }
                for policy in choice.values
            },
        },
    }
