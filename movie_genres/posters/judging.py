"""Text alone, poster alone and both, on the test films that have a poster."""

from __future__ import annotations

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
from movie_genres.posters.fusion import PREDICTIONS
from movie_genres.posters.prepared import posters_of, rows_with_poster
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
    deciding = {
        "text": (Decisions.of_config(config, model_folder), expit(text.astype(np.float64))),
        "poster": (Decisions.of_config(fused.poster.model.config, model_folder), poster),
        "both": (fused.decisions, both),
    }
    found = {way: (rule.decide(y_prob), y_prob) for way, (rule, y_prob) in deciding.items()}
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"row": rows, "image": pictures, "poster": list(poster), "both": list(both)}
    columns["y_pred"] = list(found["both"][0])
    pd.DataFrame(columns).to_parquet(folder / PREDICTIONS, index=False)
    return {
        "image_encoder": fused.poster.model.config.image_encoder,
        "films": {split: len(rows_with_poster(prepared, split)) for split in prepared.splits},
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
