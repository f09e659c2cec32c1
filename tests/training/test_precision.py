"""One place decides the precision, and what is recorded is what ran."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import finetune
from movie_genres.errors import InputError, TrainingError
from movie_genres.training import precision
from movie_genres.training.arguments import parse_finetune_args
from movie_genres.training.precision import check_precision, decide_precision

Arguments = Callable[..., list[str]]
BY_LAUNCHER = "ACCELERATE_MIXED_PRECISION"


@pytest.fixture(autouse=True)
def suits_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has, "auto" is bf16."""
    monkeypatch.delenv(BY_LAUNCHER, raising=False)
    monkeypatch.setattr(precision, "choose_precision", lambda *_, **__: "bf16")


@pytest.mark.parametrize(
    ("given", "by_launcher", "decided"),
    [
        ({}, None, "bf16"),
        ({"precision": "auto"}, "no", "bf16"),
        ({"precision": "float32"}, "no", "float32"),
        ({"bf16": False}, None, "float32"),
        ({"fp16": False}, None, "bf16"),
        ({"bf16": True}, None, "bf16"),
        ({"bf16": True, "precision": "bf16"}, "bf16", "bf16"),
        ({}, "BF16", "bf16"),
        ({"precision": "bf16"}, "no", "bf16"),  # what a launcher says that was asked for nothing
    ],
)
def test_all_that_can_ask_for_a_precision_is_heard(
    given: dict[str, Any],
    by_launcher: str | None,
    decided: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if by_launcher:
        monkeypatch.setenv(BY_LAUNCHER, by_launcher)
    assert decide_precision(given) == decided


@pytest.mark.parametrize(
    ("given", "by_launcher", "message"),
    [
        (
            {"precision": "float32"}, "bf16",
            r"--precision float32 and ACCELERATE_MIXED_PRECISION=bf16 \(accelerate launch "
            r"--mixed_precision, or its file\) contradict; give one of them",
        ),
        ({"precision": "bf16"}, "fp16", "--precision bf16 and ACCELERATE_MIXED_PRECISION=fp16"),
        ({"precision": "fp16", "bf16": True}, None, "--precision fp16 and --bf16 contradict"),
        ({"bf16": True, "fp16": True}, None, "--bf16 and --fp16 contradict"),
        ({"precision": "bf16", "bf16": False}, None, "--precision bf16 and --bf16 False contra"),
        ({"bf16": False}, "bf16", r"ACCELERATE_MIXED_PRECISION=bf16 .* and --bf16 False contradi"),
        ({}, "fp8", "ACCELERATE_MIXED_PRECISION=fp8 is not one of: no, bf16, fp16"),
        ({"fp16": True}, None, "--fp16: fp16 needs a GPU"),
        ({"precision": "fp16"}, None, "--precision fp16: fp16 needs a GPU"),
        ({}, "fp16", "ACCELERATE_MIXED_PRECISION=fp16 .*fp16 needs a GPU"),
    ],
)  # fmt: skip
def test_contradictions_and_what_the_device_cannot_do_are_refused_by_name(
    given: dict[str, Any],
    by_launcher: str | None,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if by_launcher:
        monkeypatch.setenv(BY_LAUNCHER, by_launcher)
    with pytest.raises(InputError, match=message):
        decide_precision({"use_cpu": True} | given)


def test_a_flag_that_excludes_bf16_reaches_the_trainer(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("bf16: false\n")
    for argv in (["--bf16", "False"], [str(recipe)]):
        project, args = parse_finetune_args(argv)
        assert (project.precision, args.bf16, args.fp16) == ("float32", False, False)
        assert args.mixed_precision == "no"


@pytest.mark.parametrize("by_launcher", ["no", "bf16"])
def test_what_is_recorded_is_what_the_products_were_computed_in(
    tiny_arguments: Arguments, tmp_path: Path, by_launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    products: set[torch.dtype] = set()
    step, multiply = finetune.GenreTrainer.training_step, torch.nn.Linear.forward
    in_step: list[bool] = []

    def watched_step(self: finetune.GenreTrainer, *args: Any, **named: Any) -> torch.Tensor:
        in_step.append(True)
        loss = step(self, *args, **named)
        in_step.clear()
        return loss

    def watched_product(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        product = multiply(layer, x)
        products.update({product.dtype} if in_step else {})
        return product

    monkeypatch.setattr(finetune.GenreTrainer, "training_step", watched_step)
    monkeypatch.setattr(torch.nn.Linear, "forward", watched_product)
    monkeypatch.setenv(BY_LAUNCHER, by_launcher)
    monkeypatch.setattr(precision, "choose_precision", lambda *_, **__: "float32")
    arguments = tiny_arguments(tmp_path / "run", "--num-train-epochs", "1")
    index = arguments.index("--precision")
    del arguments[index : index + 2]
    assert finetune.main(arguments) == 0
    name, dtype = {"no": ("float32", torch.float32), "bf16": ("bf16", torch.bfloat16)}[by_launcher]
    assert products == {dtype}
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["train"]["precision"] == name
    assert f"s (linear probe included) in {name} on 1 × cpu" in (
        tmp_path / "run" / "README.md"
    ).read_text(encoding="utf-8")


def test_a_trainer_that_computes_in_another_precision_than_is_recorded_does_not_start() -> None:
    accelerator: Any = SimpleNamespace(mixed_precision="no")
    check_precision(accelerator, "float32")
    with pytest.raises(TrainingError, match="accelerate computes in no, but .* in bf16"):
        check_precision(accelerator, "bf16")
