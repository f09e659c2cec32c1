"""predict.py and GenreClassifier: a trained model in use."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from transformers import pipeline

import predict
from movie_genres.errors import InputError
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.inference.prediction_files import SUFFIXES

Arguments = Callable[..., list[str]]


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_padding_and_batch_size_do_not_change_a_film_s_probabilities(finished_run: Path) -> None:
    classifier = GenreClassifier.from_pretrained(str(finished_run / "model"))
    texts = ["the ghost", "a sheriff finds the old saloon and " * 5, "jokes with a friend"]
    together = classifier.probabilities(texts)
    alone = np.concatenate([classifier.probabilities([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-6)
    assert np.allclose(together, classifier.probabilities(texts, batch_tokens=20), atol=1e-6)


def test_texts_are_truncated_as_in_training(finished_run: Path) -> None:
    classifier = GenreClassifier.from_pretrained(str(finished_run / "model"))
    assert classifier.max_length == 32
    text = " ".join(["ghost"] * 40)
    # One after the other: rows of one batch may be rounded differently.
    short, longer = (classifier.probabilities([t]) for t in (text, text + " saloon" * 40))
    assert np.array_equal(short, longer)


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.safetensors", b"damaged"), ("config.json", b"{"), ("tokenizer.json", b"{}")],
)
def test_a_damaged_model_is_refused_in_one_line(
    finished_run: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    shutil.copytree(finished_run / "model", tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        GenreClassifier.from_pretrained(str(tmp_path / "model"))
    assert len(str(caught.value).splitlines()) == 1


def test_a_film_without_a_plot_gets_no_genre(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = pd.DataFrame({"title": ["Ghost", "Film 2"], "plot": [None, "ghost blood cellar curse"]})
    films.to_parquet(tmp_path / "films.parquet")
    flags = ["--input", str(tmp_path / "films.parquet"), "--output", str(tmp_path / "out.jsonl")]
    assert predict.main(["--model", str(finished_run / "model"), *flags]) == 0
    assert "1 of 2 films have no plot" in capsys.readouterr().err
    assert pd.read_json(tmp_path / "out.jsonl", lines=True)["genres"][0] == []


def test_stale_thresholds_are_refused(finished_run: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(finished_run / "model", model)
    config = read_json(model / "config.json")
    config["id2label"]["1"] = "Mystery"
    config["label2id"] = {name: int(index) for index, name in config["id2label"].items()}
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="tuned for another label list"):
        GenreClassifier.from_pretrained(str(model))


def test_predict_prints_titles_genres_and_probabilities(
    finished_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(finished_run / "model")
    plot = "ghost blood cellar scream curse the old house"
    assert predict.main(["--model", model, "--title", "Film 3", plot]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Film 3"
    expected = GenreClassifier.from_pretrained(model)([plot], ["Film 3"])[0].genres
    assert [line.split() for line in printed[1:]] == [
        [genre, f"{probability:.2f}"] for genre, probability in expected.items()
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{plot}\n\nsheriff saloon desert\n"))
    assert predict.main(["--model", model]) == 0
    answers = [
        ", ".join(f"{genre} {probability:.2f}" for genre, probability in film.genres.items())
        for film in GenreClassifier.from_pretrained(model)([plot, "", "sheriff saloon desert"])
    ]
    assert capsys.readouterr().out.splitlines() == answers
    assert answers[1] == "" != answers[0]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_predict_reads_and_writes_files(finished_run: Path, tmp_path: Path, suffix: str) -> None:
    films = pd.DataFrame({"title": ["Film 1", "Film 2"], "plot": ["ghost blood", "saloon horse"]})
    source, output = tmp_path / f"films{suffix}", tmp_path / f"genres{suffix}"
    if suffix == ".csv":
        films.to_csv(source, index=False)
    elif suffix == ".jsonl":
        films.to_json(source, orient="records", lines=True)
    else:
        films.to_parquet(source)
    model = str(finished_run / "model")
    assert predict.main(["--model", model, "--input", str(source), "--output", str(output)]) == 0
    expected = GenreClassifier.from_pretrained(model)(
        films["plot"].tolist(), films["title"].tolist()
    )
    if suffix == ".csv":
        written = pd.read_csv(output, keep_default_na=False)
        genres = [cell.split("|") if cell else [] for cell in written["genres"]]
    else:
        written = (
            pd.read_json(output, lines=True) if suffix == ".jsonl" else pd.read_parquet(output)
        )
        genres = [list(cell) for cell in written["genres"]]
    assert written["title"].tolist() == ["Film 1", "Film 2"]
    assert genres == [list(prediction.genres) for prediction in expected]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "/nowhere", "a plot"], "is no model folder"),
        (["--model", ".", "--input", "films.csv"], "--input and --output go together"),
        (["--model", ".", "--input", "a.csv", "--output", "b.txt"], "must end in one of"),
        (["--model", ".", "--title", "Jaws", "a", "b"], "--title goes with exactly one plot"),
        (["--model", ".", "  "], "no plot given"),
    ],
)
def test_predict_refuses_bad_input(flags: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict.main(flags)


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--help"], 0, "--restart"),
        (["--model", ".", "--input", "films.csv"], 2, "--input and --output go together"),
        (["--model", ".", "--input", "a.csv", "--output", "b.txt"], 2, "must end in one of"),
        (["--model", ".", "--input", "no.csv", "--output", "b.csv"], 2, "there is no file no.csv"),
        (["--model", ".", "--restart", "a plot"], 2, "--restart goes with --input"),
        (["--model", ".", "--precision", "int8", "a plot"], 2, "without --onnx it is one of"),
    ],
)
def test_help_and_refused_arguments_need_neither_torch_nor_transformers(
    flags: list[str], code: int, message: str
) -> None:
    program = """
import sys
import predict
from movie_genres.command_line import exit_code
try:
    code = exit_code(predict.main)
except SystemExit as end:  # argparse, after --help
    code = end.code
assert not {"torch", "transformers", "scipy", "datasets"} & set(sys.modules)
assert "--help" not in sys.argv or "pyarrow" not in sys.modules
sys.exit(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *flags], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, message in done.stdout + done.stderr) == (code, True), done.stderr


def test_a_model_without_thresholds_is_refused_for_decisions(tiny_encoder: Path) -> None:
    with pytest.raises(InputError, match="no thresholds in its config.json"):
        GenreClassifier.from_pretrained(str(tiny_encoder))


def test_pipeline_and_classifier_agree_on_one_text(finished_run: Path) -> None:
    model = str(finished_run / "model")
    scores = pipeline("text-classification", model=model)("the ghost", top_k=None, truncation=True)
    prediction = GenreClassifier.from_pretrained(model)(["the ghost"])[0]
    assert {s["label"]: s["score"] for s in scores} == pytest.approx(
        prediction.probabilities, abs=1e-6
    )


def test_thresholds_of_another_objective_or_one_threshold_replace_those_of_the_config(
    finished_run: Path,
) -> None:
    model = str(finished_run / "model")
    config = read_json(finished_run / "model" / "config.json")
    macro = GenreClassifier.from_pretrained(model, objective="f1_macro").decisions
    stored = config["thresholds_for_other_objectives"]["f1_macro"]["thresholds"]
    assert macro.thresholds.tolist() == [stored[label] for label in macro.labels]
    chosen = GenreClassifier.from_pretrained(model, objective=config["threshold_objective"])
    assert chosen.decisions.thresholds.tolist() == list(
        GenreClassifier.from_pretrained(model).decisions.thresholds
    )
    plots = ["the ghost", "the sheriff and the wedding"]
    for film in GenreClassifier.from_pretrained(model, threshold=0.3)(plots):
        expected = {genre for genre, p in film.probabilities.items() if p >= 0.3}
        assert set(film.genres) == expected
    with pytest.raises(InputError, match=r"recall_at_precision_0.9: .* has thresholds for f1_mic"):
        GenreClassifier.from_pretrained(model, objective="recall_at_precision_0.9")
    with pytest.raises(InputError, match=r"--threshold 1.5 is not in \[0, 1\]"):
        GenreClassifier.from_pretrained(model, threshold=1.5)


def test_never_empty_gives_every_film_with_a_plot_a_genre(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(finished_run / "model")
    classifier = GenreClassifier.from_pretrained(model, threshold=1.0, never_empty=True)
    film, empty = classifier(["the ghost", ""])
    assert list(film.genres) == [max(film.probabilities, key=lambda g: film.probabilities[g])]
    assert not empty.genres
    flags = ["--model", model, "--threshold", "1"]
    assert predict.main([*flags, "the ghost"]) == 0
    assert "no genre reaches its threshold" in capsys.readouterr().out
    assert predict.main([*flags, "--never-empty", "the ghost"]) == 0
    assert next(iter(film.genres)) in capsys.readouterr().out.splitlines()[1]


def test_with_one_threshold_for_all_genres_the_model_needs_none(tiny_encoder: Path) -> None:
    classifier = GenreClassifier.from_pretrained(str(tiny_encoder), threshold=0.0)
    assert list(classifier(["the ghost"])[0].genres)
