"""What is judged is the same on every device: true float32, float64 on no GPU, a fitting gate."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_finetune import read_json
from transformers import BertForSequenceClassification
from transformers.utils.import_utils import enable_tf32

import finetune
from movie_genres.errors import InputError
from movie_genres.evaluation import judge
from movie_genres.evaluation.judge import TextModel
from movie_genres.hub.gate import Measured, check_answers
from movie_genres.inference.classifier import GenreClassifier
from movie_genres.model.devices import device_name, forbid_tf32
from movie_genres.training.checkpoints import write_manifest

Arguments = Callable[..., list[str]]


@pytest.fixture
def unfinished(finished_run: Path, tmp_path: Path) -> Path:
    """A run of which the judging is left."""
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    for name in ("metrics.json", "README.md", "predictions.parquet", "mistakes.md"):
        (run / name).unlink()
    shutil.rmtree(run / "model")
    return run


# TF32


@pytest.fixture
def tf32(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Products of Linears round to TF32 where torch allows it, as an Ampere GPU does."""
    multiply = torch.nn.functional.linear

    def rounded(values: torch.Tensor) -> torch.Tensor:
        bits = values.detach().contiguous().view(torch.int32)
        return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)

    def product(layer: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        backends: Any = torch.backends
        if backends.cuda.matmul.fp32_precision == "tf32":
            return multiply(rounded(x), rounded(layer.weight), layer.bias)
        return multiply(x, layer.weight, layer.bias)

    monkeypatch.setattr(torch.nn.Linear, "forward", product)
    enable_tf32(True)
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    yield
    forbid_tf32()


def test_a_model_trained_in_tf32_is_judged_in_float32(
    tiny_arguments: Arguments, unfinished: Path, tf32: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert finetune.main(tiny_arguments(unfinished)) == 0
    monkeypatch.undo()
    rows = pd.read_parquet(unfinished / "predictions.parquet")
    published = GenreClassifier.from_pretrained(str(unfinished / "model"))
    found = published.probabilities(list(rows["text"]))
    assert np.abs(found - np.stack(rows["probabilities"])).max() < 1e-5


# A device without float64


class OnDevice(torch.Tensor):
    """A tensor as on Apple's GPUs: neither float64, nor NumPy before `cpu()`."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        if func is torch.Tensor.numpy:
            raise TypeError("can't convert mps:0 device type tensor to numpy")
        result = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return result


def test_the_emulated_device_refuses_what_the_real_one_does() -> None:
    tensor = torch.ones(2).as_subclass(OnDevice)
    for work in (lambda: tensor.double(), lambda: tensor.to(torch.float64), lambda: tensor.numpy()):
        with pytest.raises(TypeError, match=r"MPS|mps"):
            work()
    assert tensor.cpu().double().numpy().tolist() == [1, 1]


def test_a_model_on_a_device_without_float64_is_judged(
    tiny_arguments: Arguments, unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init, moved = TextModel.__init__, []

    def on_device(self: TextModel, model: Any, *args: Any) -> None:
        for module in model.modules():
            for name, weight in list(module.named_parameters(recurse=False)):
                setattr(module, name, torch.nn.Parameter(weight.detach().as_subclass(OnDevice)))
                moved.append(name)
        init(self, model, *args)

    monkeypatch.setattr(judge.TextModel, "__init__", on_device)
    # Writing weights copies them to the CPU, in a way that no subclass of a tensor stands.
    save = BertForSequenceClassification.save_pretrained

    def save_from_cpu(self: Any, folder: Path, **named: Any) -> None:
        state = {n: w.cpu().contiguous().clone() for n, w in self.state_dict().items()}
        save(self, folder, state_dict=state, **named)

    monkeypatch.setattr(BertForSequenceClassification, "save_pretrained", save_from_cpu)
    assert finetune.main(tiny_arguments(unfinished)) == 0
    assert len(moved) > 10
    rows = pd.read_parquet(unfinished / "predictions.parquet")
    published = GenreClassifier.from_pretrained(str(unfinished / "model"))
    found = published.probabilities(list(rows["text"]))
    assert np.abs(found - np.stack(rows["probabilities"])).max() < 1e-5


# A training that is finished elsewhere


def of_a_gpu(run: Path) -> None:
    """Let the run be one of two GPUs in bf16."""
    record = read_json(run / "args.json")
    record["training"] |= {"use_cpu": False, "bf16": True, "tf32": True}
    record["project"]["precision"] = "bf16"
    record["processes"] = 2
    (run / "args.json").write_text(json.dumps(record))
    path = run / "checkpoints" / "weights-1" / "seed_run.json"
    seed_run = read_json(path) | {"precision": "bf16", "device": "cuda", "processes": 2}
    path.write_text(json.dumps(seed_run))
    write_manifest(path.parent)


def test_a_training_that_is_done_is_judged_on_a_cpu_and_says_where_it_was_done(
    tiny_arguments: Arguments, unfinished: Path, finished_run: Path
) -> None:
    of_a_gpu(unfinished)
    record = read_json(unfinished / "args.json")
    assert finetune.main(tiny_arguments(unfinished, "--use-cpu")) == 0
    assert read_json(unfinished / "args.json") == record
    metrics, expected = (read_json(run / "metrics.json") for run in (unfinished, finished_run))
    assert metrics["test"] == expected["test"]
    train = metrics["train"]
    assert (train["precision"], train["device"], train["world_size"]) == ("bf16", "cuda", 2)
    assert metrics["measured_on"] == "cpu"
    assert " in bf16 on 2 × cuda" in (unfinished / "README.md").read_text(encoding="utf-8")
    # The command that trained prints the scores.
    assert finetune.main(tiny_arguments(unfinished)) == 0


def test_a_training_that_is_not_done_is_not_continued_on_another_device(
    tiny_arguments: Arguments, unfinished: Path
) -> None:
    of_a_gpu(unfinished)
    shutil.rmtree(unfinished / "checkpoints" / "weights-1")
    with pytest.raises(InputError, match=r"--precision \(bf16 in that run, float32 given\)"):
        finetune.main(tiny_arguments(unfinished, "--use-cpu"))


# The gate


def answers(run: Measured, difference: float, devices: list[str]) -> dict[str, Any]:
    """Of a subprocess check whose probabilities are all a little higher."""
    found = [
        dict(zip(run.labels, row, strict=True)) for row in run.y_prob[run.checked_rows] + difference
    ]
    genres = [n for n in run.labels if found[0][n] >= run.metrics["thresholds"][n]]
    return {
        "pipeline": found, "classifier": found, "thresholds": run.metrics["thresholds"],
        "film": found[0], "snippet_scores": found[0], "snippet_genres": genres,
        "devices": devices, "same_tokens": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("measured_on", "devices", "difference", "passes"),
    [
        ("cpu", ["cpu", "cpu"], 5e-6, True),
        ("cpu", ["cpu", "cpu"], 5e-5, False),
        (None, ["cpu", "cpu"], 5e-5, False),
        ("cuda", ["cpu", "cpu"], 5e-5, True),
        ("cuda", ["cuda", "cuda"], 5e-5, True),
        ("cpu", ["cuda", "cpu"], 5e-5, True),
        ("cuda", ["cpu", "cpu"], 6.5e-4, False),  # as of a model that was judged in TF32
        ("mps", ["cpu", "cpu"], float("nan"), False),
    ],
)
def test_the_gate_allows_what_comes_from_the_devices_and_no_more(
    finished_run: Path,
    measured_on: str | None,
    devices: list[str],
    difference: float,
    passes: bool,
) -> None:
    measured = Measured.of_run(finished_run)
    assert measured.metrics.pop("measured_on") == "cpu"
    if measured_on:
        measured.metrics["measured_on"] = measured_on
    found = check_answers(answers(measured, difference, devices), measured)
    assert bool(found) != passes, found


def test_a_device_has_the_name_that_a_card_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU of {device}")
    assert device_name(torch.device("cuda", 1)) == "GPU of cuda:1"
    for threads, words in ((1, "1 thread"), (4, "4 threads")):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=threads: count)
        assert device_name(torch.device("cpu")) == f"cpu ({platform.machine()}, {words})"
    assert device_name(torch.device("mps")) == "mps"
