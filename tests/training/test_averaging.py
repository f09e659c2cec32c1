"""Seed runs whose weights are averaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import finetune
from movie_genres.training import seed_runs
from movie_genres.training.averaging import SeedRun, SeedRunFolder, average

Arguments = Callable[..., list[str]]


def test_the_average_of_weights_by_hand() -> None:
    weights = [{"a": torch.tensor([1.0, 5.0])}, {"a": torch.tensor([3.0, 6.0])}]
    assert average(weights)["a"].tolist() == [2.0, 5.5]
    assert average(weights[:1])["a"].tolist() == [1.0, 5.0]


def test_damaged_weights_are_not_taken_for_complete_ones(tmp_path: Path) -> None:
    folder = SeedRunFolder(tmp_path / "weights-1")
    assert not folder.is_complete()
    weights, seed_run = {"a": torch.arange(4.0)}, SeedRun(1.5, 100, None)
    folder.save(weights, seed_run)
    assert folder.is_complete()
    assert folder.record() == seed_run
    assert torch.equal(folder.weights()["a"], weights["a"])
    path = folder.path / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert not folder.is_complete()


def test_the_published_weights_are_the_mean_of_seed_runs_in_other_orders(
    tiny_arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    arguments = tiny_arguments(run, "--soup", "2", "--frozen-share", "0.5")
    assert finetune.main(arguments) == 0
    first, second, published = (
        load_file(path)
        for path in (
            run / "checkpoints" / "weights-1" / "weights.safetensors",
            run / "checkpoints" / "weights-2" / "weights.safetensors",
            run / "model" / "model.safetensors",
        )
    )
    name = "bert.pooler.dense.weight"
    assert not np.allclose(first[name], second[name], atol=1e-4)
    assert np.allclose(published[name], (first[name] + second[name]) / 2, atol=1e-7)
    facts = json.loads((run / "metrics.json").read_text())["train"]
    assert len(facts["best_epochs"]) == 2
    assert {path.name for path in (run / "evaluations").iterdir()} == {"seed-run-1", "seed-run-2"}
    # The weights that are kept are all that resuming needs.
    before = json.loads((run / "metrics.json").read_text())["test"]
    (run / "metrics.json").unlink()
    capsys.readouterr()
    assert finetune.main(arguments) == 0
    assert "seed run 1 of 2" not in capsys.readouterr().out
    assert json.loads((run / "metrics.json").read_text())["test"] == before


def test_every_seed_run_computes_in_the_precision_that_was_asked(
    tiny_arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    products: list[set[torch.dtype]] = []
    train, multiply = seed_runs.train_with_checkpoints, torch.nn.Linear.forward

    def watched_training(trainer: finetune.GenreTrainer) -> None:
        products.append(set())
        train(trainer)

    def watched_product(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        product = multiply(layer, x)
        if torch.is_grad_enabled() and products:  # freezing looks at gradients before it
            products[-1].add(product.dtype)
        return product

    monkeypatch.setattr(seed_runs, "train_with_checkpoints", watched_training)
    monkeypatch.setattr(torch.nn.Linear, "forward", watched_product)
    flags = ["--soup", "2", "--precision", "bf16", "--frozen-share", "0.5", "--probe-c", "0"]
    assert finetune.main(tiny_arguments(tmp_path / "run", *flags)) == 0
    assert products == [{torch.bfloat16}, {torch.bfloat16}]
