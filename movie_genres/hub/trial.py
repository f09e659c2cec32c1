"""What a stranger gets from a published model: it runs in a process of its own (gate.py starts it).

Reads a request and writes an answer, both JSON files. A model id is a path as seen from the
working directory before the upload, and a Hub id after it; the code is the same. Each trial
imports what it needs itself: transformers takes longer to import than a dataset to try.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """`sys.argv`: the request's file, the answer's file."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    trials: dict[str, Any] = {"model": try_model, "dataset": try_dataset}
    trial = trials[request.pop("kind")]
    Path(sys.argv[2]).write_text(json.dumps(trial(**request)), encoding="utf-8")


def try_model(
    repo_id: str, revision: str | None, folder: str, texts: list[str], snippet: str
) -> dict[str, Any]:
    """Load a model in every way that its card names, and ask each the same.

    Args:
        revision: The commit; None for a folder.
        folder: The same files, as they lie on the disk.
        texts: As the column `text` has them.
        snippet: File with the code of the card, which defines `film`, `scores` and `genres`.

    Returns:
        Probabilities by genre of each text ("pipeline", "classifier"), the thresholds, and what
        the snippet found for its film beside what it should have found.
    """
    from huggingface_hub import snapshot_download
    from transformers import pipeline

    from movie_genres.inference.classifier import GenreClassifier

    folder = repo_id if revision is None else snapshot_download(repo_id, revision=revision)
    classifier = GenreClassifier.from_pretrained(folder)
    plain: Any = pipeline(
        "text-classification", model=repo_id, revision=revision, top_k=None, truncation=True
    )
    printed = runpy.run_path(snippet)
    labels = classifier.decisions.labels
    film = classifier.probabilities([printed["film"]])[0].tolist()
    return {
        "pipeline": [{s["label"]: s["score"] for s in scores} for scores in plain(texts)],
        "classifier": [
            dict(zip(labels, row, strict=True)) for row in classifier.probabilities(texts).tolist()
        ],
        "thresholds": plain.model.config.thresholds,
        "film": dict(zip(labels, film, strict=True)),
        "snippet_scores": {s["label"]: s["score"] for s in printed["scores"]},
        "snippet_genres": printed["genres"],
    }


def try_dataset(repo_id: str, revision: str | None) -> dict[str, int]:
    """Load a dataset by name: number of rows of each split."""
    from datasets import load_dataset

    splits = load_dataset(repo_id, revision=revision)
    return {name: len(rows) for name, rows in splits.items()}
