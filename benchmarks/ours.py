"""This project's recipe: finetune.py as a user runs it, and what its run folder tells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy.special import expit

from benchmarks.commands import call
from benchmarks.outcomes import Point, Trained
from movie_genres.decisions.scores import mean_average_precision
from movie_genres.decisions.stored import undo_calibration
from movie_genres.inference.runtimes import predict_logits
from movie_genres.model.encoder import find_encoder
from movie_genres.model.folders import load_model
from movie_genres.preparation.loading import Prepared
from movie_genres.training.probe import probe_logits
from movie_genres.training.run_folder import RunFolder


def train_ours(
    prepared: Prepared,
    *,
    data: Path,
    encoder: str,
    max_length: int,
    seed: int,
    flags: list[str],
    folder: Path,
) -> Trained:
    """Run finetune.py into `folder` (a complete run is not repeated), and read what it left.

    Args:
        data: The prepared folder.
        encoder: As `--model-name-or-path` takes it.
        max_length: Tokens after which texts are cut.
        flags: More of them, for finetune.py.
    """
    call("finetune.py", "--dataset-dir", data, "--output-dir", folder, "--seed", seed,
         "--max-length", max_length, "--model-name-or-path", encoder, *flags)  # fmt: skip
    run = RunFolder(folder)
    train = (run.metrics() or {})["train"]
    project = json.loads((folder / "args.json").read_text(encoding="utf-8"))["project"]
    model, tokenizer = load_model(str(run.model))
    stored = undo_calibration(model, prepared.labels)
    validation, test = (
        predict_logits(model, tokenizer, prepared.texts(split), max_length=max_length)
        for split in ("validation", "test")
    )
    members = [run.member(number).load()[1] for number in range(1, project["soup"] + 1)]
    curve = evaluation_curve(run.evaluations)
    if project["probe_c"]:
        cut = project["train_length"] or max_length
        curve = [probe_point(run, encoder, prepared, cut, seed), *curve]
    return Trained(
        validation,
        test,
        train["seconds"],
        sum(member.tokens for member in members),
        train["peak_memory_bytes"],
        train["precision"],
        curve,
        stored.pos_weight,
        facts={"soup": project["soup"], "best_epochs": train["best_epochs"], "flags": flags},
    )


def evaluation_curve(folder: Path) -> list[Point]:
    """The evaluations of all trainings of a run, in the order of time."""
    files = (json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("step-*.json"))
    return sorted(
        (file["seconds"], file["epoch"], file["metrics"]["eval_average_precision_macro"])
        for file in files
    )


def probe_point(
    run: RunFolder, encoder: str, prepared: Prepared, max_length: int, seed: int
) -> Point:
    """The head that training starts from is a model already, when it is fitted."""
    logits, _ = probe_logits(run, find_encoder(encoder), prepared, max_length, seed)
    y_prob = expit(logits.astype(np.float64))
    score = mean_average_precision(prepared.y("validation"), y_prob)
    return run.load_probe()[1], 0.0, score
