"""The one path by which a model is judged: model + prepared splits -> decisions and results.

Calibration and thresholds are fitted on the validation split; the test split is read once, by
the model as it is published, and only confirms.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from movie_genres.decisions.stored import Decisions, StoredCalibration, publish_decisions
from movie_genres.decisions.tuning import ThresholdSets, Tuned, tune
from movie_genres.evaluation.baselines import prior_logits, tfidf_logits
from movie_genres.evaluation.plots import plot_threshold_sweep
from movie_genres.evaluation.results import Baseline, Results, judge, judge_baseline
from movie_genres.files import replace_folder, written_whole
from movie_genres.inference.runtimes import predict_logits
from movie_genres.preparation.loading import Prepared

Logits = tuple[np.ndarray, np.ndarray]
"""Of the validation and the test split, each (n_samples, n_labels)."""


def tune_and_judge(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    *,
    max_length: int,
    pos_weight: np.ndarray,
    objective: str,
    never_empty: bool = False,
    seed: int,
    model_folder: Path,
) -> tuple[Results, Figure]:
    """Fit the decisions of an uncalibrated model, save it with them, and judge what was saved.

    Args:
        model: Uncalibrated; the calibration is folded into it in place.
        max_length: Tokens after which texts are cut.
        pos_weight: Class weights of its training, shape (n_labels,).
        objective: What the thresholds are for, as `objectives.find_objective` takes it.
        never_empty: Give the most probable genre to a film that reaches no threshold.
        seed: Of folds and bootstrap.
        model_folder: Where the published model goes; it appears whole or not at all.

    Returns:
        Results on the test split, and the threshold sweep on the validation split.
    """
    y_validation = prepared.y("validation")
    logits = predict_logits(model, tokenizer, prepared.texts("validation"), max_length=max_length)
    tuned = tune(
        y_validation,
        logits,
        pos_weight=pos_weight,
        objective=objective,
        never_empty=never_empty,
        seed=seed,
    )
    publish_decisions(model, tuned, prepared.labels)
    save_model(model, tokenizer, model_folder, max_length)
    results = _judge_test(model, tokenizer, prepared, tuned.thresholds, max_length, seed)
    sweep = plot_threshold_sweep(
        y_validation,
        tuned.calibration.map.probabilities(logits),
        {"best": float(tuned.thresholds.by_policy["global"][0]), "fixed": 0.5},
    )
    validation = tuned.validation_scores(y_validation)
    return replace(results, validation=validation, selection=_selection(tuned)), sweep


def judge_as_stored(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    *,
    max_length: int,
    seed: int,
    name: str,
) -> Results:
    """Score a published model on the test split with the thresholds it carries.

    Raises:
        InputError: If it carries none, or for another label list.
    """
    stored = Decisions.of_config(model.config, name)
    thresholds = ThresholdSets(
        getattr(model.config, "threshold_objective", "f1_micro"),
        "stored",
        {"fixed_0.5": np.full(len(prepared.labels), 0.5), "stored": stored.thresholds},
        stored.never_empty,
    )
    return _judge_test(model, tokenizer, prepared, thresholds, max_length, seed)


def _judge_test(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prepared: Prepared,
    thresholds: ThresholdSets,
    max_length: int,
    seed: int,
) -> Results:
    logits_of = partial(predict_logits, model, tokenizer, max_length=max_length)
    texts, plots = prepared.texts("test"), prepared.plots("test")
    return judge(
        prepared.labels,
        prepared.y("test"),
        logits_of(texts),
        StoredCalibration.of_config(model, prepared.labels),
        thresholds,
        plot_logits=logits_of(plots) if plots != texts else None,
        seed=seed,
    )


def judge_baselines(
    prepared: Prepared,
    *,
    objective: str,
    never_empty: bool = False,
    seed: int,
    probe: tuple[Logits, np.ndarray] | None = None,
) -> dict[str, Baseline]:
    """What a model must beat on the test split, each with the same calibration and threshold tuner.

    Args:
        probe: Logits of the linear probe and the class weights it was fitted with, if there is one.
    """
    y_train, y_validation, y_test = (prepared.y(s) for s in ("train", "validation", "test"))
    unweighted = np.ones(len(prepared.labels))
    validation, test = tfidf_logits(
        prepared.texts("train"), y_train, prepared.texts("validation"), prepared.texts("test")
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
            y_validation, on_validation, y_test, on_test,
            pos_weight=weight, objective=objective, never_empty=never_empty, seed=seed,
        )
        for name, ((on_validation, on_test), weight) in logits.items()
    }  # fmt: skip


def save_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, max_length: int
) -> None:
    """Write what is published: weights, config and a tokenizer that cuts after `max_length`."""
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    # The cut belongs to the model: `pipeline(..., truncation=True)` reads it from the tokenizer.
    tokenizer.model_max_length = max_length
    for local_only in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(local_only, None)
    with written_whole(new):
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        (new / "model.safetensors").chmod(0o644)
        replace_folder(new, folder)


def _selection(tuned: Tuned) -> dict[str, object]:
    """What the choices on the validation split were made by."""
    return {
        "calibration": {
            "adopted": tuned.calibration.method,
            "cross_validated_log_loss": tuned.calibration.cross_validated,
        },
        "policy": {
            "adopted": tuned.thresholds.policy,
            f"cross_validated_{tuned.thresholds.objective}": tuned.choice.values,
        },
    }
