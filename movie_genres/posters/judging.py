"""Text alone, poster alone and both, on the test films that have a poster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from transformers import PretrainedConfig

from movie_genres.decisions.intervals import paired_differences, score_intervals
from movie_genres.decisions.scores import compute_scores
from movie_genres.decisions.stored import Decisions
from movie_genres.posters.fitting import TextLogits
from movie_genres.posters.fused import FusedPosters
from movie_genres.posters.fusion import KEY, PREDICTIONS, TEXT_ALONE
from movie_genres.posters.prepared import posters_of
from movie_genres.preparation.loading import Prepared


def judge_posters(
    model_folder: str,
    text_logits: TextLogits,
    config: PretrainedConfig,
    prepared: Prepared,
    folder: Path,
) -> dict[str, Any]:
    """Score what is stored, on the test split, and write `PREDICTIONS` into `folder`.

    Args:
        model_folder: Of the text model with its poster model; or a Hub id.
        text_logits: Of the text model.
        config: Of the text model.
        prepared: With posters.
        folder: Of the run or the report.

    Returns:
        Scores, intervals and paired differences: "posters" of metrics.json.
    """
    rows, pictures = posters_of(prepared, "test")
    y, texts = prepared.y("test")[rows], prepared.texts("test")
    fused = FusedPosters.load(model_folder, config)
    text = text_logits([texts[row] for row in rows])
    poster, both = fused.probabilities(text, pictures)
    stored, about = getattr(config, KEY), fused.poster.model.config
    # With thresholds of its own for all films, it would differ by more than the poster.
    alone = np.array([stored[TEXT_ALONE][label] for label in prepared.labels])
    deciding = {
        "text": (replace(fused.decisions, thresholds=alone), expit(text.astype(np.float64))),
        "poster": (Decisions.of_config(about, model_folder), poster),
        "both": (fused.decisions, both),
    }
    found = {way: (rule.decide(y_prob), y_prob) for way, (rule, y_prob) in deciding.items()}
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"row": rows, "image": pictures, "poster": list(poster), "both": list(both)}
    columns["y_pred"] = list(found["both"][0])
    pd.DataFrame(columns).to_parquet(folder / PREDICTIONS, index=False)
    return {
        "image_encoder": about.image_encoder,
        # Fitted on the first two, which need not be of this data.
        "films": {"train": about.n_posters, "validation": stored["n_posters"], "test": len(rows)},
        "scores": {way: compute_scores(y, *predicted) for way, predicted in found.items()},
        "intervals": {
            way: {k: list(v) for k, v in score_intervals(y, *predicted).headline.items()}
            for way, predicted in found.items()
        },
        "differences": {
            way: {k: v.to_json() for k, v in paired_differences(y, found["both"], one).items()}
            for way, one in found.items()
            if way != "both"
        },
    }
