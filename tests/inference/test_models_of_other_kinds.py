"""A model that gives no independent probabilities is refused; a run's folder is its model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import write_csv

import evaluate_model
import finetune
from movie_genres.errors import InputError
from movie_genres.inference.classifier import GenreClassifier


def changed(model: Path, folder: Path, **values: Any) -> str:
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))
    return str(folder)


@pytest.mark.parametrize("threshold", [None, 0.5])
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"problem_type": "single_label_classification"}, "'single_label_classification', 3 lab"),
        ({"problem_type": "regression"}, "'regression'"),
        ({"problem_type": None, "thresholds": None}, "problem_type None, 3 labels"),
    ],
)
def test_a_model_that_is_no_multi_label_one_is_refused(
    finished_run: Path, tmp_path: Path, values: dict[str, Any], says: str, threshold: float | None
) -> None:
    model = changed(finished_run / "model", tmp_path / "model", **values)
    with pytest.raises(InputError, match=f"is no multi-label model .*{says}"):
        GenreClassifier.from_pretrained(model, threshold=threshold)


def test_a_sentiment_model_and_one_of_one_label_are_refused(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    for number, labels in enumerate(({"0": "NEGATIVE", "1": "POSITIVE"}, {"0": "LABEL_0"})):
        model = changed(
            tiny_encoder, tmp_path / str(number), id2label=labels,
            label2id={name: int(key) for key, name in labels.items()},
        )  # fmt: skip
        if len(labels) == 1:
            from safetensors.torch import load_file, save_file

            weights = load_file(Path(model) / "model.safetensors")
            weights = {n: w[:1].clone() if n.startswith("class") else w for n, w in weights.items()}
            save_file(weights, Path(model) / "model.safetensors", {"format": "pt"})
        with pytest.raises(InputError, match="is no multi-label model"):
            GenreClassifier.from_pretrained(model, threshold=0.5)


def test_a_model_of_this_project_needs_no_problem_type(finished_run: Path, tmp_path: Path) -> None:
    model = changed(finished_run / "model", tmp_path / "model", problem_type=None)
    (expected,) = GenreClassifier.from_pretrained(str(finished_run / "model"))(["the ghost"])
    assert GenreClassifier.from_pretrained(model)(["the ghost"]) == [expected]


def test_the_evaluation_refuses_a_softmax_model_too(
    finished_run: Path, prepared_folder: Path, tmp_path: Path
) -> None:
    model = changed(
        finished_run / "model", tmp_path / "model", problem_type="single_label_classification"
    )
    with pytest.raises(InputError, match="is no multi-label model"):
        evaluate_model.main(
            ["--model", model, "--dataset-dir", str(prepared_folder),
             "--output-dir", str(tmp_path / "report"), "--retune"]
        )  # fmt: skip


def test_a_run_s_folder_is_taken_for_its_model(
    finished_run: Path, prepared_folder: Path, tmp_path: Path
) -> None:
    by_run, by_model = (
        GenreClassifier.from_pretrained(str(path))(["the ghost"])
        for path in (finished_run, finished_run / "model")
    )
    assert by_run == by_model
    flags = ["--dataset-dir", str(prepared_folder), "--output-dir", str(tmp_path / "report")]
    assert evaluate_model.main(["--model", str(finished_run), *flags]) == 0
    with pytest.raises(InputError, match=r"folder without a config\.json"):
        GenreClassifier.from_pretrained(str(tmp_path))


def test_a_file_in_place_of_a_prepared_folder_says_how_to_prepare_it(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "movies.v2.csv", [{"plot": "the ghost"}])
    command = rf"prepare_dataset.py --source {source} --output-dir data/movies"
    with pytest.raises(InputError, match=f"is a file, not a prepared dataset; .*{command}"):
        finetune.main(["--dataset-dir", str(source), "--output-dir", str(tmp_path / "run")])
