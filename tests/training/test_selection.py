"""The average of the seed runs is kept unless a seed run is ahead by more than chance."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file
from transformers import EvalPrediction

import finetune
from movie_genres.training import seed_runs
from movie_genres.training.averaging import SeedRunFolder
from movie_genres.training.checkpoints import write_manifest
from movie_genres.training.losses import mean_loss
from movie_genres.training.selection import Choice, Scorer

Arguments = Callable[..., list[str]]


FILMS = np.random.default_rng(0).permutation(np.repeat([-1.0, 1.0], 50))


class Scores(Scorer):
    """A film scores the bias of a Linear, more or less the weight."""

    def predict(self, model: Any) -> EvalPrediction:
        found = float(model.bias[0]) + float(model.weight[0]) * FILMS
        return EvalPrediction(found[:, None], np.zeros((len(FILMS), 1)))


def scorer(**more: Any) -> Scores:
    named = {"metric": "average_precision_macro", "greater_is_better": True} | more
    return Scores(
        None,  # type: ignore[arg-type]
        lambda found: {"average_precision_macro": float(found.predictions.mean())},
        np.ones(1), precision="float32", **named,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("biases", "greater", "kept", "value"),
    [
        ((1.0, 4.0, 1.0), True, "seed run 2", 4.0),
        ((1.0, 4.0, 1.0), False, "seed run 1", 1.0),
        ((2.0, 2.0, 2.0), True, "average", 2.0),
    ],
)
def test_the_best_on_the_validation_split_is_kept_and_a_tie_is_the_average_s(
    biases: tuple[float, ...], greater: bool, kept: str, value: float
) -> None:
    model: Any = torch.nn.Linear(1, 1)
    weights = [{"weight": torch.ones(1, 1) * b, "bias": torch.ones(1) * b} for b in biases]
    choice = scorer(greater_is_better=greater).keep_best(model, weights)
    assert choice.kept == kept
    assert list(choice.scores) == ["average", "seed run 1", "seed run 2", "seed run 3"]
    assert choice.scores["average"] == pytest.approx(np.mean(biases))
    assert model.bias.item() == model.weight.item() == value


@pytest.mark.parametrize(("ahead", "kept"), [(0.1, "average"), (0.3, "seed run 2")])
def test_a_seed_run_is_kept_only_if_it_is_ahead_by_more_than_a_standard_error(
    ahead: float, kept: str
) -> None:
    # Seed run 2 minus the average is +2 or -2 in 100 films: a standard error of about 0.2.
    weights = [
        {"weight": torch.full((1, 1), w), "bias": torch.full((1,), b)}
        for w, b in ((0.0, 0.0), (3.0, 1.5 * ahead), (0.0, 0.0))
    ]
    assert scorer().keep_best(torch.nn.Linear(1, 1), weights).kept == kept


def test_the_sentence_names_what_is_kept_and_why() -> None:
    scores = {"average": 0.46, "seed run 1": 0.472, "seed run 2": 0.422, "seed run 3": 0.478}
    choice = Choice("seed run 3", "average_precision_macro", scores)
    assert choice.sentence() == (
        "seed run 3 is kept: validation mAP 0.460 of the averaged weights, 0.472 / 0.422 / 0.478 "
        "of the seed runs"
    )


def test_an_average_that_is_worse_than_a_seed_run_is_not_published(
    tiny_arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    arguments = tiny_arguments(run, "--soup", "2", "--num-train-epochs", "4")
    assert finetune.main(arguments) == 0
    # Far away from the first one, so that nothing good lies between.
    second = run / "checkpoints" / "weights-2"
    weights = {
        name: torch.from_numpy(np.random.default_rng(0).normal(size=w.shape)).float()
        for name, w in load_file(second / "weights.safetensors").items()
    }
    save_file(weights, second / "weights.safetensors")
    write_manifest(second)
    (run / "metrics.json").unlink()
    capsys.readouterr()
    assert finetune.main(arguments) == 0
    averaging = json.loads((run / "metrics.json").read_text())["train"]["averaging"]
    assert averaging["kept"] == "seed run 1"
    assert averaging["scores"]["seed run 1"] > averaging["scores"]["average"]
    sentence = Choice(**averaging).sentence()
    assert sentence in capsys.readouterr().out
    assert sentence in (run / "README.md").read_text(encoding="utf-8")
    first, published = (
        load_file(path)
        for path in (
            run / "checkpoints" / "weights-1" / "weights.safetensors",
            run / "model" / "model.safetensors",
        )
    )
    name = "bert.pooler.dense.weight"
    assert np.array_equal(published[name], first[name])


def test_the_score_is_that_of_the_training_s_evaluation(
    tiny_arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, float] = {}
    keep_best = Scorer.keep_best

    def watched(self: Scorer, model: Any, weights: Any) -> Choice:
        choice = keep_best(self, model, weights)
        found.update(choice.scores)
        return choice

    monkeypatch.setattr(Scorer, "keep_best", watched)
    monkeypatch.setattr(finetune, "finish", lambda *_: None)
    for metric in ("average_precision_macro", "loss"):
        run = tmp_path / metric
        flags = ["--soup", "2", "--num-train-epochs", "1", "--metric-for-best-model", metric]
        assert finetune.main(tiny_arguments(run, *flags)) == 0
        for number in (1, 2):
            (path,) = (run / "evaluations" / f"seed-run-{number}").iterdir()
            evaluated = json.loads(path.read_text())["metrics"][f"eval_{metric}"]
            assert found[f"seed run {number}"] == pytest.approx(evaluated, abs=1e-5)


def test_unknown_labels_are_no_part_of_the_loss_that_it_may_be() -> None:
    logits, labels = np.array([[0.3, -2.0]]), np.array([[1.0, -100.0]])
    expected = float(np.log1p(np.exp(-0.3)))
    assert mean_loss(logits, labels, torch.ones(2)) == pytest.approx(expected)


def test_a_process_that_does_not_average_loads_no_weights(
    tiny_arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    arguments = tiny_arguments(run, "--soup", "2", "--num-train-epochs", "1")
    monkeypatch.setattr(finetune, "finish", lambda *_: None)
    assert finetune.main(arguments) == 0
    loaded: list[Path] = []
    read = SeedRunFolder.weights

    def watched(self: SeedRunFolder) -> Any:
        loaded.append(self.path)
        return read(self)

    class Second:
        is_main_process = False

        def wait_for_everyone(self) -> None:
            pass

    monkeypatch.setattr(SeedRunFolder, "weights", watched)
    with monkeypatch.context() as patch:
        patch.setattr(seed_runs, "PartialState", Second)
        assert finetune.main(arguments) == 0
    assert loaded == []
    assert finetune.main(arguments) == 0
    assert len(loaded) == 2
