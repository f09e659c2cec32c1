"""evaluate_model.py: judging a model again, and tuning it anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import evaluate_model
from movie_genres.decisions.scores import compute_scores
from movie_genres.decisions.stored import StoredCalibration, label_names
from movie_genres.decisions.thresholds import OBJECTIVES
from movie_genres.errors import InputError
from movie_genres.evaluation.predictions import Predictions
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.inference.runtimes import predict_logits
from movie_genres.model.folders import load_model
from movie_genres.preparation.loading import load_prepared

Arguments = Callable[..., list[str]]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_evaluate_model_repeats_the_report_and_retunes_for_another_objective(
    finished_run: Path, prepared_folder: Path, tmp_path: Path
) -> None:
    common = ["--model", str(finished_run / "model"), "--dataset-dir", str(prepared_folder)]
    assert evaluate_model.main([*common, "--output-dir", str(tmp_path / "again")]) == 0
    first, again = (read_json(f / "metrics.json") for f in (finished_run, tmp_path / "again"))
    assert again["test"]["chosen"] == pytest.approx(first["test"]["chosen"])
    assert again["calibration"]["before"] == pytest.approx(first["calibration"]["before"], abs=1e-5)
    assert not (tmp_path / "again" / "model").exists()

    retuned = tmp_path / "retuned"
    assert evaluate_model.main([*common, "--output-dir", str(retuned), "--retune"]) == 0
    # The calibration was undone before it was fitted again, so nothing has moved.
    config, old = (read_json(f / "model" / "config.json") for f in (retuned, finished_run))
    assert config["calibration"]["method"] == old["calibration"]["method"]
    for key in ("slope", "shift"):
        assert config["calibration"][key] == pytest.approx(old["calibration"][key], abs=1e-3)
    assert read_json(retuned / "metrics.json")["test"]["chosen"] == pytest.approx(
        first["test"]["chosen"], abs=1e-6
    )
    macro = tmp_path / "macro"
    flags = ["--output-dir", str(macro), "--retune", "--objective", "f1_macro"]
    assert evaluate_model.main([*common, *flags]) == 0
    assert read_json(macro / "model" / "config.json")["threshold_objective"] == "f1_macro"


def test_scores_for_plots_alone_are_those_of_films_without_a_title(
    finished_run: Path, prepared_folder: Path
) -> None:
    metrics = read_json(finished_run / "metrics.json")
    prepared = load_prepared(prepared_folder)
    rows = prepared.splits["test"]
    plots = [
        text.removeprefix(f"{title}. ")
        for text, title in zip(rows["text"], rows["title"], strict=True)
    ]
    classifier = GenreClassifier.from_pretrained(str(finished_run / "model"))
    y_prob = classifier.probabilities(plots)
    y_pred = y_prob >= classifier.decisions.thresholds
    assert plots != rows["text"]
    assert metrics["plots_alone"] == pytest.approx(
        compute_scores(prepared.y("test"), y_pred, y_prob), abs=1e-5
    )


def test_a_stored_calibration_is_undone_exactly(finished_run: Path) -> None:
    model, tokenizer = load_model(str(finished_run / "model"))
    stored = StoredCalibration.of_config(model, label_names(model.config))
    logits = predict_logits(model, tokenizer, ["the ghost"], max_length=32)
    assert np.allclose(stored.map.logits(stored.undo(logits)), logits, atol=1e-9)


def test_a_model_of_other_genres_is_refused(
    finished_run: Path, films_csv: Path, tmp_path: Path
) -> None:
    import prepare_dataset

    rows = films_csv.read_text().replace("Horror", "Mystery")
    films_csv.write_text(rows)
    other = tmp_path / "other"
    prepare_dataset.main(
        ["--source", str(films_csv), "--output-dir", str(other), "--min-genre-count", "5"]
    )
    arguments = ["--model", str(finished_run / "model"), "--dataset-dir", str(other)]
    with pytest.raises(InputError, match="model only: Horror; data only: Mystery"):
        evaluate_model.main([*arguments, "--output-dir", str(tmp_path / "out")])


def test_decisions_for_a_minimum_precision_and_without_empty_films(
    finished_run: Path, prepared_folder: Path, tmp_path: Path
) -> None:
    common = ["--model", str(finished_run / "model"), "--dataset-dir", str(prepared_folder)]
    flags = ["--retune", "--objective", "recall_at_precision_0.9", "--never-empty"]
    out = tmp_path / "careful"
    assert evaluate_model.main([*common, "--output-dir", str(out), *flags]) == 0
    metrics, config = read_json(out / "metrics.json"), read_json(out / "model" / "config.json")
    assert metrics["objective"] == config["threshold_objective"] == "recall_at_precision_0.9"
    assert config["never_empty"] is True
    assert set(metrics["objectives"]) == {"recall_at_precision_0.9", *OBJECTIVES}
    again = Predictions.read(out / "predictions.parquet")
    assert again.y_pred.any(axis=1).all()
    films = GenreClassifier.from_pretrained(str(out / "model"))(again.texts)
    decided = [[genre in film.genres for genre in again.labels] for film in films]
    assert np.array_equal(decided, again.y_pred)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--objective", "f1_macro"], "goes with --retune"),
        (["--never-empty"], "goes with --retune"),
        (["--retune", "--objective", "f2"], "unknown objective 'f2'"),
    ],
)
def test_flags_that_would_do_nothing_are_refused(
    tmp_path: Path, flags: list[str], message: str
) -> None:
    common = ["--model", ".", "--dataset-dir", ".", "--output-dir", str(tmp_path / "out")]
    with pytest.raises(InputError, match=message):
        evaluate_model.main([*common, *flags])


def test_data_whose_texts_are_composed_otherwise_are_refused(
    finished_run: Path, prepared_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "prepared"
    shutil.copytree(prepared_folder, other)
    report = read_json(other / "report.json")
    report["text_fields"] = {"names": ["plot"], "masked": []}
    (other / "report.json").write_text(json.dumps(report))
    arguments = ["--model", str(finished_run / "model"), "--dataset-dir", str(other)]
    with pytest.raises(InputError, match="reads texts of title, plot, .* has texts of plot"):
        evaluate_model.main([*arguments, "--output-dir", str(tmp_path / "out")])
