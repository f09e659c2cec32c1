"""What a film costs at use: predict.py's ways beside a stock `pipeline`, called row by row.

    python -m benchmarks.use --model runs/demo/model --dataset-dir data/prepared --films 2000

One process; the same texts for all, one way after the other, each after a few films to warm up;
medians of --repeats. Loading is left out, cleaning and deciding are in predict.py's times. bf16 is
measured where the CPU computes in it, the ONNX files where the model has them (evaluate_model.py
--onnx). Differences and changed decisions are those to the pipeline; F1 is that of the test films
among the texts, which come first. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import pipeline

from movie_genres.command_line import exit_code
from movie_genres.decisions.scores import compute_scores
from movie_genres.decisions.stored import Decisions
from movie_genres.errors import InputError
from movie_genres.inference.bulk import CHUNK_ROWS
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.inference.runtimes import ONNX_FILES
from movie_genres.model.devices import choose_precision
from movie_genres.preparation.loading import load_prepared

WARM_UP = 20
Way = Callable[[Sequence[str]], np.ndarray]
"""Texts -> probabilities, shape (n_texts, n_labels)."""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a film costs at use.")
    parser.add_argument("--model", required=True, help="model folder")
    parser.add_argument("--dataset-dir", type=Path, default=Path("data/prepared"))
    parser.add_argument("--films", type=int, default=2000, help="texts; test films come first")
    parser.add_argument("--repeats", type=int, default=1)
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Texts:
    """What all ways are given."""

    texts: list[str]
    y_true: np.ndarray
    """Of the test films, which are the first, shape (n_test, n_labels)."""


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    decisions = GenreClassifier.from_pretrained(args.model).decisions
    given = read_texts(args.dataset_dir, args.films, decisions.labels)
    ways = find_ways(args.model, decisions.labels)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    y_prob: dict[str, np.ndarray] = {}
    for way in ways.values():
        way(given.texts[:WARM_UP])
    for _ in range(args.repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            y_prob[name] = way(given.texts)
            seconds[name].append(time.perf_counter() - began)
    print(described(args.model, given, args.repeats))
    print(table({n: statistics.median(s) for n, s in seconds.items()}, y_prob, given, decisions))
    return 0


def read_texts(folder: Path, count: int, labels: Sequence[str]) -> Texts:
    """The first films of a prepared folder: of its test, then validation, then training split."""
    prepared = load_prepared(folder)
    if list(labels) != prepared.labels:
        raise InputError(f"{folder} has other genres than the model")
    texts = [t for split in ("test", "validation", "train") for t in prepared.texts(split)]
    if len(texts) < count:
        raise InputError(f"--films {count}: {folder} has {len(texts):,} only")
    return Texts(texts[:count], prepared.y("test")[:count])


def find_ways(model: str, labels: Sequence[str]) -> dict[str, Way]:
    """The pipeline first, then what predict.py offers here."""
    stock: Any = pipeline("text-classification", model=model, top_k=None, truncation=True)

    def row_by_row(texts: Sequence[str]) -> np.ndarray:
        scores = [{s["label"]: s["score"] for s in stock(text)[0]} for text in texts]
        return np.array([[row[label] for label in labels] for row in scores])

    ways: dict[str, Way] = {"`pipeline`, row by row": row_by_row}
    ways["predict.py"] = predictor(GenreClassifier.from_pretrained(model))
    if choose_precision("auto", on_cpu=not torch.cuda.is_available()) == "bf16":
        classifier = GenreClassifier.from_pretrained(model, precision="bf16")
        ways["predict.py --precision bf16"] = predictor(classifier)
    for precision, file in ONNX_FILES.items():
        if (Path(model) / "onnx" / file).is_file():
            classifier = GenreClassifier.from_pretrained(model, precision=precision, onnx=True)
            ways[f"predict.py --onnx --precision {precision}"] = predictor(classifier)
    return ways


def predictor(classifier: GenreClassifier) -> Way:
    """In chunks, as a file is predicted."""

    def predict(texts: Sequence[str]) -> np.ndarray:
        films = [
            film
            for start in range(0, len(texts), CHUNK_ROWS)
            for film in classifier(texts[start : start + CHUNK_ROWS])
        ]
        return np.array([list(film.probabilities.values()) for film in films])

    return predict


def described(model: str, given: Texts, repeats: int) -> str:
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    tokens = [len(ids) for ids in tokenizer(given.texts, truncation=True)["input_ids"]]
    device = "GPU" if torch.cuda.is_available() else f"{platform.machine()} CPU"
    return (
        f"{len(given.texts):,} texts of {np.mean(tokens):.0f} tokens on average "
        f"({max(tokens)} at most); {device}, {torch.get_num_threads()} threads of "
        f"{os.cpu_count()} CPUs, torch {torch.__version__}, median of {repeats}\n"
    )


def table(
    seconds: dict[str, float], y_prob: dict[str, np.ndarray], given: Texts, decisions: Decisions
) -> str:
    """Markdown; the first way is what the others are compared with."""
    n_films, n_test = len(given.texts), len(given.y_true)
    first = next(iter(seconds))
    y_pred = {name: decisions.decide(values) for name, values in y_prob.items()}
    lines = [
        "| | seconds | films/s | ms a film | times as fast | largest difference of a probability "
        f"| changed decisions | F1 micro, {n_test:,} test films |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, took in seconds.items():
        test = compute_scores(given.y_true, y_pred[name][:n_test], y_prob[name][:n_test])
        difference = np.abs(y_prob[name] - y_prob[first]).max()
        changed = int((y_pred[name] != y_pred[first]).sum())
        lines.append(
            f"| {name} | {took:.2f} | {n_films / took:,.1f} | {took / n_films * 1e3:.2f} "
            f"| {seconds[first] / took:.2f} | {difference:.1e} "
            f"| {changed:,} of {y_pred[name].size:,} | {test['f1_micro']:.4f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(exit_code(main))
