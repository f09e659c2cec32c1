"""The poster model and its fusion with the text: fitted on train and validation, and stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from transformers import PretrainedConfig

from movie_genres.decisions.calibration import validation_folds
from movie_genres.decisions.policies import choose_policy, tune_policies
from movie_genres.decisions.stored import by_name, publish_decisions, stored_thresholds
from movie_genres.decisions.thresholds import OBJECTIVES
from movie_genres.decisions.tuning import ThresholdSets, tune
from movie_genres.errors import InputError
from movie_genres.files import write_json
from movie_genres.model.head import set_head
from movie_genres.model.probe import fit_probe
from movie_genres.posters.fusion import KEY, TEXT_ALONE, Fusion
from movie_genres.posters.model import FOLDER, PosterModel
from movie_genres.posters.prepared import posters_of, rows_with_poster
from movie_genres.preparation.loading import Prepared
from movie_genres.preparation.splits import SPLITS

MIN_POSTERS = 30
"""Films with a poster that a split needs: fewer say nothing of three numbers a genre."""
TextLogits = Callable[[Sequence[str]], np.ndarray]
"""Texts -> logits of the text model as it is published, shape (n_texts, n_labels)."""


def check_before_training(image_model: str, prepared: Prepared) -> None:
    """Raises: InputError: If too few films have a poster, or the model cannot read them."""
    check_posters(prepared, SPLITS)
    poster = PosterModel.load(image_model, "--image-model", prepared.labels)
    poster.features(posters_of(prepared, "test")[1][:1], "float32")


def check_posters(prepared: Prepared, splits: Sequence[str]) -> None:
    """Raises: InputError: If too few films of one of the splits have a poster."""
    counts = {split: len(rows_with_poster(prepared, split)) for split in splits}
    if min(counts.values()) < MIN_POSTERS:
        found = ", ".join(f"{split} {count}" for split, count in counts.items())
        raise InputError(
            f"too few films have a poster ({found}; each split needs {MIN_POSTERS}): prepare the "
            "data with --image-dir"
        )


def fit_poster_model(
    image_model: str,
    prepared: Prepared,
    *,
    pos_weight: np.ndarray,
    precision: str,
) -> PosterModel:
    """An image encoder with the linear probe of the train split's posters as its head.

    Args:
        image_model: Folder or Hub id.
        prepared: With posters.
        pos_weight: As `fit_probe` takes it.
        precision: That the encoder computes in.
    """
    print("fitting the poster model", flush=True)
    poster = PosterModel.load(image_model, "--image-model", prepared.labels)
    rows, pictures = posters_of(prepared, "train")
    features, y = poster.features(pictures, precision), prepared.y("train")[rows]
    set_head(poster.model, fit_probe(features, y, pos_weight))
    # For the card; a path says something about this machine alone.
    folder = Path(image_model)
    poster.model.config.image_encoder = folder.resolve().name if folder.exists() else image_model
    poster.model.config.n_posters = len(rows)
    return poster


def tune_posters(
    poster: PosterModel,
    text_logits: TextLogits,
    config: PretrainedConfig,
    prepared: Prepared,
    model_folder: Path,
    *,
    pos_weight: np.ndarray,
    objective: str,
    never_empty: bool,
    seed: int,
) -> None:
    """Calibrate a poster model, fit the fusion, and store both with the text model.

    Args:
        poster: Uncalibrated; the calibration is folded into it in place.
        text_logits: Of the text model.
        config: Of the text model; gets the fusion.
        prepared: The films of validation that have a poster are fitted on.
        model_folder: Of the text model; gets the folder of the poster model.
        pos_weight: Class weights of the probe, shape (n_labels,).
        objective: As `tune` takes it.
        never_empty: Likewise.
        seed: Likewise.
    """
    rows, pictures = posters_of(prepared, "validation")
    labels, y = prepared.labels, prepared.y("validation")[rows]
    texts = prepared.texts("validation")
    before = poster.logits(pictures)
    tuned = tune(
        y, before, pos_weight=pos_weight, objective=objective, never_empty=never_empty, seed=seed
    )
    publish_decisions(poster.model, tuned, labels)
    poster.save(model_folder / FOLDER)
    text, after = text_logits([texts[row] for row in rows]), tuned.calibration.map.logits(before)
    fusion = Fusion.fit(y, text, after)
    sets, alone = _tune_fused(fusion, y, text, after, objective, never_empty=never_empty, seed=seed)
    about = {"n_posters": len(rows), TEXT_ALONE: by_name(labels, alone)}
    stored = {KEY: fusion.to_json(labels) | stored_thresholds(sets, labels) | about}
    config.update(stored)
    path = model_folder / "config.json"
    write_json(path, dict(sorted((json.loads(path.read_text("utf-8")) | stored).items())))


def _tune_fused(
    fusion: Fusion,
    y: np.ndarray,
    text: np.ndarray,
    poster: np.ndarray,
    objective: str,
    *,
    never_empty: bool,
    seed: int,
) -> tuple[ThresholdSets, np.ndarray]:
    """Policy and thresholds of fused logits, as `tune` chooses those of a model's.

    Returns:
        Them, and the thresholds of the text alone, chosen likewise on the same films.
    """
    folds, y_text = list(validation_folds(len(y), seed)), expit(text.astype(np.float64))
    fused = [
        (rows, held_out, expit(Fusion.fit(y[rows], text[rows], poster[rows]).logits(text, poster)))
        for rows, held_out in folds
    ]
    y_prob = expit(fusion.logits(text, poster))

    def choose(name: str, folds: Sequence[Any], y_prob: np.ndarray) -> tuple[str, np.ndarray]:
        policy = choose_policy(y, folds, name, never_empty=never_empty, seed=seed).policy
        return policy, tune_policies(y, y_prob, name)[policy]

    found = {name: choose(name, fused, y_prob) for name in dict.fromkeys((objective, *OBJECTIVES))}
    policy, thresholds = found.pop(objective)
    _, alone = choose(objective, [(*fold, y_text) for fold in folds], y_text)
    return ThresholdSets(objective, policy, {policy: thresholds}, never_empty, found), alone
