"""The gate: whether a folder as it goes to the Hub, or came back from it, is what was measured.

First what can be read (label list, thresholds, the card's figures), then what a process of its own
gets by plain `pipeline`, by `GenreClassifier` and by the card's own code (trial.py). Each check
gives what it found as sentences; none found means that the folder may pass.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from movie_genres.decisions.scores import confusion_counts
from movie_genres.decisions.thresholds import decide
from movie_genres.errors import InputError
from movie_genres.hub.card_reading import card_code, stale_figures

TOLERANCE = 1e-5
"""Of probabilities; a decision whose probability is that near to its threshold is a tie."""
TRIED_FILMS = 200
"""Spread evenly over the test split; a few seconds for a small model on a CPU."""


_METRICS = {"per_genre", "thresholds", "never_empty", "test", "baselines", "intervals"}
OFFLINE = {"HF_HUB_OFFLINE": "1"}
"""Environment of a process that must not ask the Hub."""


@dataclass(frozen=True)
class Place:
    """Where published files are: in a staged folder, or on the Hub at a commit."""

    folder: Path
    """Where they can be read."""
    repo_id: str
    """How another process names them."""
    commit: str | None
    room: Path
    """Its working directory: `repo_id` is a path from here, or it is a Hub id."""
    environment: Mapping[str, str]
    """What it needs besides this process's."""


@dataclass(frozen=True)
class Measured:
    """What a run measured on its test split."""

    metrics: dict[str, Any]
    texts: list[str]
    y_true: np.ndarray
    """Shape (n_films, n_labels)."""
    y_prob: np.ndarray
    """Same shape."""

    @classmethod
    def of_run(cls, run: Path) -> Measured:
        """Read metrics.json and predictions.parquet.

        Raises:
            InputError: If they are damaged.
        """
        metrics = _read_json(run / "metrics.json")
        if not metrics.keys() >= _METRICS:
            raise InputError(f"{run / 'metrics.json'} is not one that finetune.py wrote")
        path = run / "predictions.parquet"
        try:
            rows = pd.read_parquet(path)
            y_true, y_prob = (np.stack(rows[name].tolist()) for name in ("y_true", "probabilities"))
            return cls(metrics, rows["text"].tolist(), y_true, y_prob)
        except (ValueError, LookupError) as error:
            raise InputError(f"{path} is damaged: {error}") from None

    @property
    def labels(self) -> list[str]:
        return list(self.metrics["per_genre"])

    @property
    def thresholds(self) -> np.ndarray:
        return np.array([self.metrics["thresholds"][label] for label in self.labels])

    def decide(self, y_prob: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """As the run decided."""
        return decide(y_prob, thresholds, never_empty=self.metrics["never_empty"])

    @property
    def tried(self) -> np.ndarray:
        """Rows that the trial is given."""
        return np.unique(np.linspace(0, len(self.texts) - 1, TRIED_FILMS).astype(int))


def check_model(place: Place, measured: Measured) -> list[str]:
    """Compare a published model with what was measured; give the differences."""
    found = check_files(place.folder, measured)
    if found:
        return found
    with tempfile.TemporaryDirectory() as scratch:
        snippet = Path(scratch) / "snippet.py"
        code = card_code((place.folder / "README.md").read_text(encoding="utf-8"))
        snippet.write_text(code, encoding="utf-8")
        request = {
            "kind": "model", "repo_id": place.repo_id, "revision": place.commit,
            "folder": str(place.folder), "snippet": str(snippet),
            "texts": [measured.texts[row] for row in measured.tried],
        }  # fmt: skip
        answers = run_trial(request, place)
    return [answers] if isinstance(answers, str) else check_answers(answers, measured)


def check_files(folder: Path, measured: Measured) -> list[str]:
    """Compare what can be read: config.json, the card, and metrics.json with the predictions."""
    config = _read_json(folder / "config.json")
    id2label = config.get("id2label") or {}
    labels = [id2label[index] for index in sorted(id2label, key=int)]
    if labels != measured.labels:
        return [f"config.json has the genres {', '.join(labels)}; metrics.json has others"]
    stored = config.get("thresholds") or {}
    found = [
        f"the threshold of {name} is {stored.get(name)} in config.json, {threshold} in metrics.json"
        for name, threshold in measured.metrics["thresholds"].items()
        if stored.get(name) != threshold
    ]
    if bool(config.get("never_empty")) != measured.metrics["never_empty"]:
        found.append("never_empty is not the same in config.json and metrics.json")
    y_pred = measured.decide(measured.y_prob, measured.thresholds)
    for cell, counts in confusion_counts(measured.y_true, y_pred).items():
        for name, count in zip(labels, counts.tolist(), strict=True):
            row = measured.metrics["per_genre"][name]
            if row[cell] != count:
                found.append(
                    f"{cell} of {name} is {row[cell]} in metrics.json, {count} by "
                    "predictions.parquet"
                )
    card = (folder / "README.md").read_text(encoding="utf-8")
    return found + stale_figures(card, measured.metrics)


def check_answers(answers: Mapping[str, Any], measured: Measured) -> list[str]:
    """Compare what the trial found with what was measured."""
    rows = measured.tried
    expected = measured.y_prob[rows]
    tie = np.abs(expected - measured.thresholds) <= TOLERANCE
    decided = measured.decide(expected, measured.thresholds)
    found = []
    for way in ("pipeline", "classifier"):
        y_prob = _columns(answers[way], measured.labels)
        difference = float(np.abs(y_prob - expected).max())
        if not difference <= TOLERANCE:  # NaN is a difference
            found.append(
                f"probabilities by {way} differ from predictions.parquet by up to {difference:.2g}"
            )
        thresholds = _columns([answers["thresholds"]], measured.labels)[0]
        others = (measured.decide(y_prob, thresholds) != decided) & ~tie
        if others.any():
            found.append(f"{others.sum()} of {others.size} decisions by {way} are others")
    film, printed = (
        _columns([answers[key]], measured.labels)[0] for key in ("film", "snippet_scores")
    )
    genres = {
        label
        for label, given in zip(
            measured.labels, measured.decide(film[None], measured.thresholds)[0], strict=True
        )
        if given
    }
    near = np.abs(film - measured.thresholds) <= TOLERANCE
    if not np.abs(film - printed).max() <= TOLERANCE or (
        set(answers["snippet_genres"]) != genres and not near.any()
    ):
        found.append("the card's code gives other genres than the model")
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path.name} is damaged: {error}") from None


def _columns(rows: list[dict[str, float]], labels: list[str]) -> np.ndarray:
    """Values by genre as an array in label order; NaN where a genre is missing."""
    return np.array([[row.get(label, np.nan) for label in labels] for row in rows])


def run_trial(request: Mapping[str, Any], place: Place) -> dict[str, Any] | str:
    """Run trial.py in a process of its own; give its answer, or the error it ended with."""
    project = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (project, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch) / "request.json", Path(scratch) / "answer.json"
        asked.write_text(json.dumps(request), encoding="utf-8")
        environment = {"PYTHONPATH": path, "HF_DATASETS_CACHE": scratch, **place.environment}
        # -P: what lies in the working directory is data, and shadows no module.
        code = "from movie_genres.hub.trial import main; main()"
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, str(asked), str(answered)],
            cwd=place.room, env=os.environ | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return json.loads(answered.read_text(encoding="utf-8"))
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return f"in a process of its own: {last.removeprefix('movie_genres.errors.')}"


def check_dataset(place: Place, counts: Mapping[str, int]) -> list[str]:
    """See that `load_dataset` finds as many rows in each split as were prepared."""
    request = {"kind": "dataset", "repo_id": place.repo_id, "revision": place.commit}
    found = run_trial(request, place)
    if isinstance(found, str):
        return [found]
    if found != dict(counts):
        return [f"load_dataset finds {found} rows, {dict(counts)} were prepared"]
    return []
