"""The benchmark of ensembles: each training's own logits, mixtures and differences by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import finetune
from benchmarks.comparison import Comparison
from benchmarks.ensembles import OURS, mean, member_logits, render
from movie_genres.decisions.stored import undo_calibration
from movie_genres.inference.runtimes import predict_logits
from movie_genres.model.folders import load_model
from movie_genres.preparation.loading import load_prepared


def test_logits_of_a_training_are_of_its_own_weights(
    tiny_arguments: Callable[..., list[str]], prepared_folder: Path, tmp_path: Path
) -> None:
    comparison, prepared = Comparison(tmp_path), load_prepared(prepared_folder)
    run = comparison.run(10)
    assert finetune.main(tiny_arguments(run, "--frozen-share", "0.5")) == 0
    model, tokenizer = load_model(str(run / "model"))
    undo_calibration(model, prepared.labels)
    expected = predict_logits(model, tokenizer, prepared.texts("test"), max_length=32)
    # The one training is the model: what is published must not be where its weights come from.
    file = run / "model" / "model.safetensors"
    weights = load_file(file)
    layer = [name for name in weights if ".layer.1." in name and "weight" in name]
    assert layer
    zeros = {name: torch.zeros_like(weights[name]) for name in layer}
    save_file(weights | zeros, file, metadata={"format": "pt"})
    ((_, found),) = member_logits(comparison, prepared, 10)
    assert np.allclose(found, expected, atol=1e-5)


def test_logits_are_averaged_split_by_split() -> None:
    validation, test = mean([(np.array([1.0, 2.0]), np.array([5.0])), (np.zeros(2), np.ones(1))])
    assert validation.tolist() == [0.5, 1.0]
    assert test.tolist() == [3.0]


def test_differences_are_to_this_project_by_seed() -> None:
    def scores(value: float) -> dict[str, float]:
        return dict.fromkeys(("average_precision_macro", "f1_micro", "f1_macro"), value)

    table = render({OURS: [scores(0.6), scores(0.5)], "more": [scores(0.7), scores(0.62)]})
    ours, more = table.splitlines()[2:]
    assert ours.startswith(f"| {OURS} | 0.550 ± 0.071 |")
    assert ours.endswith("|  |  |  |")
    # The differences are 0.10 and 0.12; half of the interval is t(0.975, 1) = 12.706 times 0.01.
    assert more.endswith("| +0.110 (-0.017 to +0.237) |")
