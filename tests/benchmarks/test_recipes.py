"""The recipes of a comparison: one form of result, the same definitions for all."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, made_up_films, prepare, write_csv
from transformers import AutoModel, AutoTokenizer

from benchmarks import recipes
from benchmarks.recipes import embed, fit_tfidf, judge
from movie_genres.decisions.scores import compute_scores
from movie_genres.preparation.loading import load_prepared
from movie_genres.training.arguments import parse_finetune_args


@pytest.fixture(scope="module")
def few_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    write_csv(folder / "films.csv", made_up_films(60))
    assert prepare(folder / "films.csv", folder / "data") == 0
    return folder / "data"


def run_recipe(
    recipe: str, data: Path, encoder: Path, output: Path, *flags: str
) -> tuple[dict[str, Any], Any]:
    arguments = ["--recipe", recipe, "--data", str(data), "--output", str(output), "--seed", "3"]
    more = ["--max-length", "32", "--model-name-or-path", str(encoder), *flags]
    assert recipes.main([*arguments, *more]) == 0
    arrays = np.load(output.with_suffix(".npz"), allow_pickle=False)
    return json.loads(output.read_text(encoding="utf-8")), arrays


@pytest.mark.parametrize("recipe", ["tfidf", "embeddings", "stock", "tuned"])
def test_a_recipe_leaves_its_scores_and_predictions_and_nothing_else(
    recipe: str, few_films: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    found, arrays = run_recipe(recipe, few_films, tiny_encoder, tmp_path / "result.json")
    prepared = load_prepared(few_films)
    assert np.array_equal(arrays["y_true"], prepared.y("test"))
    assert found["films"] == len(prepared.splits["train"])
    expected = compute_scores(arrays["y_true"], arrays["y_pred"], arrays["y_prob"])
    assert found["scores"] == pytest.approx(expected)
    assert found["seconds"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json", "result.npz"]


def test_this_project_is_trained_by_its_own_command_and_scored_by_its_own_files(
    prepared_folder: Path, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        shutil.copytree(finished_run, command[command.index("--output-dir") + 1])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(recipes.subprocess, "run", run)
    encoder, output = Path("default"), tmp_path / "result.json"
    found, _ = run_recipe("ours", prepared_folder, encoder, output, "--soup", "1")
    assert commands[0][1] == str(ROOT / "finetune.py")
    parse_finetune_args(commands[0][2:])
    assert commands[0][-2:] == ["--soup", "1"]
    metrics = json.loads((finished_run / "metrics.json").read_text(encoding="utf-8"))
    assert found["scores"] == pytest.approx(metrics["test"]["chosen"])
    assert found["plots_alone"] == metrics["plots_alone"]
    assert found["seconds"] == metrics["train"]["seconds"]


def test_thresholds_are_fitted_on_validation_and_scored_on_test(few_films: Path) -> None:
    prepared = load_prepared(few_films)
    trained = fit_tfidf(prepared)
    found, arrays = judge(prepared, trained, seed=0)
    other = recipes.Trained(trained.validation[::-1].copy(), trained.test, 1.0, None)
    assert not np.array_equal(judge(prepared, other, seed=0)[1]["y_prob"], arrays["y_prob"])
    at_half = compute_scores(arrays["y_true"], arrays["y_prob"] >= 0.5, arrays["y_prob"])
    assert found["scores_at_half"] == pytest.approx(at_half)


def test_embeddings_are_normalised_means_over_the_tokens(tiny_encoder: Path) -> None:
    model = AutoModel.from_pretrained(tiny_encoder).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    texts = ["the old house and the river", "a ghost"]
    for text, row in zip(texts, embed(model, tokenizer, texts, 32), strict=True):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = states.mean(0).numpy()
        assert np.allclose(row, mean / np.linalg.norm(mean), atol=1e-5)
