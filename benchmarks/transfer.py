"""A model on films of another provider, beside a model that learnt from that provider.

    python -m benchmarks.transfer --model runs/a/model --trained-on data/a \\
        --own-model runs/b/model --dataset-dir data/b

Both are scored on the test films of `--dataset-dir` that share no id, title or plot with any film
of `--trained-on`, on the genres that both know, each with the thresholds that it carries; the first
also with calibration and thresholds fitted on the other provider's validation split. TF-IDF +
logistic regression learns from the same films as each model. Two providers seldom agree about a
film: IMDb's and TMDB's genre sets agree at a micro-F1 of 0.81, so no score between providers can be
expected to exceed that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import logit

from benchmarks.compare_report import HEADLINES
from movie_genres.command_line import exit_code
from movie_genres.decisions.scores import compute_scores
from movie_genres.errors import InputError
from movie_genres.evaluation.baselines import tfidf_logits
from movie_genres.evaluation.results import judge_baseline
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.preparation.duplicates import id_key, text_key
from movie_genres.preparation.loading import Prepared, load_prepared
from movie_genres.preparation.splits import SPLITS

SCORES = HEADLINES | {"precision": "precision_micro", "recall": "recall_micro"}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A model on films of another provider.")
    parser.add_argument("--model", required=True)
    parser.add_argument("--trained-on", type=Path, required=True, help="prepared folder")
    parser.add_argument("--own-model", required=True, help="trained on --dataset-dir")
    parser.add_argument("--dataset-dir", type=Path, required=True, help="prepared folder")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    here, there = load_prepared(args.trained_on), load_prepared(args.dataset_dir)
    genres = [genre for genre in there.labels if genre in here.labels]
    new = {split: new_films(there, split, here) for split in ("validation", "test")}
    y_true = labels(there, "test", genres)[new["test"]]
    print(
        f"{len(y_true):,} test films that the first has not seen, {len(genres)} shared genres; "
        f"left out: {', '.join(g for g in there.labels if g not in genres) or 'none'}\n"
    )
    print("| model | " + " | ".join(SCORES) + " |\n|---|" + "---:|" * len(SCORES))
    texts = {split: np.array(there.texts(split), dtype=object)[rows] for split, rows in new.items()}
    models = {"of the other provider": args.model, "of this provider": args.own_model}
    for name, model in models.items():
        y_prob, thresholds = predict(model, texts["test"].tolist(), genres)
        show(name, compute_scores(y_true, y_prob >= thresholds, y_prob))
    logits = [logit(predict(args.model, texts[s].tolist(), genres)[0]) for s in new]
    y_validation = labels(there, "validation", genres)[new["validation"]]
    retuned = judge_baseline(y_validation, logits[0], y_true, logits[1])
    show("of the other provider, decisions fitted here", retuned.scores)
    for name, source in (("of the other provider", here), ("of this provider", there)):
        show(f"TF-IDF {name}", tfidf_scores(source, genres, texts["test"].tolist(), y_true))
    return 0


def new_films(prepared: Prepared, split: str, known: Prepared) -> np.ndarray:
    """Rows of a split that share no id, title or plot with any film of another data set."""
    columns = zip(*(keys(known, known_split) for known_split in SPLITS), strict=True)
    seen = [{key for part in column for key in part} - {""} for column in columns]
    fresh = [
        not any(key in found for key, found in zip(film, seen, strict=True))
        for film in zip(*keys(prepared, split), strict=True)
    ]
    return np.flatnonzero(fresh)


def keys(prepared: Prepared, split: str) -> tuple[list[str], list[str], list[str]]:
    """Of each film: id, title and plot, the latter two without case and signs."""
    rows = prepared.splits[split]
    titles, plots = (list(map(text_key, some)) for some in (rows["title"], prepared.plots(split)))
    return list(map(id_key, rows["id"])), titles, plots


def labels(prepared: Prepared, split: str, genres: Sequence[str]) -> np.ndarray:
    return prepared.y(split)[:, [prepared.labels.index(genre) for genre in genres]]


def predict(name: str, texts: list[str], genres: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of these genres, (n_texts, n_genres), and the model's thresholds."""
    classifier = GenreClassifier.from_pretrained(name)
    known = classifier.decisions.labels
    absent = [genre for genre in genres if genre not in known]
    if absent:
        raise InputError(f"{name} does not know {', '.join(absent)}; was it trained on this data?")
    columns = [known.index(genre) for genre in genres]
    return classifier.probabilities(texts)[:, columns], classifier.decisions.thresholds[columns]


def tfidf_scores(
    source: Prepared, genres: Sequence[str], texts: list[str], y_true: np.ndarray
) -> dict[str, float]:
    y_train, y_validation = (labels(source, split, genres) for split in ("train", "validation"))
    validation, test = tfidf_logits(
        source.texts("train"), y_train, source.texts("validation"), texts
    )
    return judge_baseline(y_validation, validation, y_true, test).scores


def show(name: str, scores: dict[str, float]) -> None:
    print(f"| {name} | {' | '.join(f'{scores[s]:.3f}' for s in SCORES.values())} |", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
