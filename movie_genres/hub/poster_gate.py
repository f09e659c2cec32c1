"""The gate's part for posters: whether `poster/` and the fusion are what was measured."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from movie_genres.decisions.scores import compute_scores
from movie_genres.errors import InputError
from movie_genres.hub.gate import Location, Measured
from movie_genres.hub.subprocess_check import run_subprocess_check

_CHECKED = 50
"""Films; a few seconds for a small image encoder on a CPU."""


def check_posters(location: Location, measured: Measured, run: Path) -> list[str]:
    """Compare what a fresh process predicts from posters with what was measured.

    Raises:
        InputError: If the run does not say what was measured.
    """
    has_model = (location.folder / "poster").exists()
    if has_model != ("posters" in measured.metrics):
        return [
            "there is a poster model, but metrics.json has no scores of it; judge it on data that "
            "has posters"
            if has_model
            else "metrics.json has scores of a poster model, and the folder poster/ is missing"
        ]
    if not has_model:
        return []
    from movie_genres.posters.fusion import KEY, PREDICTIONS

    try:
        config = json.loads((location.folder / "config.json").read_text(encoding="utf-8"))
        stored = config[KEY]["thresholds"]
        thresholds = np.array([stored[label] for label in measured.labels])
        rows = pd.read_parquet(run / PREDICTIONS)
        both, y_pred = (np.stack(rows[name].tolist()) for name in ("both", "y_pred"))
        scores = compute_scores(measured.y_true[rows["row"]], y_pred, both)
        rows = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, _CHECKED).astype(int))]
        images = [base64.b64encode(image).decode() for image in rows["image"]]
        texts = [measured.texts[row] for row in rows["row"]]
    except (OSError, ValueError, LookupError) as error:
        raise InputError(
            f"{run / PREDICTIONS} or the fusion in config.json is missing or damaged: {error}"
        ) from None
    said = measured.metrics["posters"]["scores"]["both"]
    if wrong := [name for name in said if not np.isclose(said[name], scores[name], atol=1e-5)]:
        return [f"{', '.join(wrong)} of text and poster is another one by {PREDICTIONS}"]
    request = {
        "check": "posters", "repo_id": location.repo_id, "revision": location.commit,
        "texts": texts, "images": images,
    }  # fmt: skip
    answers = run_subprocess_check(request, location.working_directory, location.environment)
    if isinstance(answers, str):
        return [answers]
    return _compare(answers, measured, rows, thresholds)


def _compare(
    answers: Mapping[str, Any], measured: Measured, rows: pd.DataFrame, thresholds: np.ndarray
) -> list[str]:
    tolerance, found = measured.tolerance(answers["devices"]), []
    for way, name in (("poster", "by the poster"), ("both", "by text and poster")):
        y_prob = np.array([[row.get(g, np.nan) for g in measured.labels] for row in answers[way]])
        difference = float(np.abs(y_prob - np.stack(rows[way].tolist())).max())
        if not difference <= tolerance:  # NaN is a difference
            found.append(
                f"probabilities {name} differ from those measured by up to {difference:.2g} "
                f"(allowed: {tolerance:g})"
            )
    decided = [[label in genres for label in measured.labels] for genres in answers["genres"]]
    near = np.abs(np.stack(rows["both"].tolist()) - thresholds) <= tolerance
    changed = (np.array(decided) != np.stack(rows["y_pred"].tolist())) & ~near
    if changed.any():
        found.append(f"{changed.sum()} decisions by text and poster differ from those measured")
    return found
