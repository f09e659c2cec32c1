"""The GPU's driver, as far as a CPU can run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import finetune
import prepare_dataset
import publish
from benchmarks import gpu, gpu_speed
from movie_genres.command_line import exit_code
from movie_genres.hub import gate
from movie_genres.hub.subprocess_check import predict_by_name


def test_without_a_gpu_it_says_so_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = tmp_path / "gpu"
    assert exit_code(lambda: gpu.main(["--work-dir", str(folder)])) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no GPU: torch") and "--device cpu" in error
    assert len(error.splitlines()) == 1 and not folder.exists()


def test_the_self_check_on_a_cpu_runs_every_part(
    tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = {f"{one.__name__}.py": one.main for one in (prepare_dataset, finetune, publish)}
    given: list[str] = []

    def run_here(*arguments: str, no_gpu: bool = False) -> None:
        """To start a Python for each command takes most of the time."""
        (first,) = (n for n, word in enumerate(arguments) if word in commands)
        given.append(arguments[first])
        assert commands[arguments[first]](arguments[first + 1 :]) == 0

    def check_here(request: dict[str, Any], place: Path, *_: Any) -> dict[str, Any]:
        with monkeypatch.context() as patch:
            patch.chdir(place)
            return predict_by_name(**{n: v for n, v in request.items() if n != "check"})

    monkeypatch.setattr(gpu, "run", run_here)
    monkeypatch.setattr(gate, "run_subprocess_check", check_here)
    folder = tmp_path / "gpu"
    arguments = ["--device", "cpu", "--work-dir", str(folder), "--films", "200", "--seconds", "0",
                 "--encoder", str(tiny_encoder), "--variants", "eager", "sdpa",
                 "--batches", "2", "--minutes", "60"]  # fmt: skip
    assert gpu.main(arguments) == 0
    assert given == ["prepare_dataset.py", *["finetune.py"] * 2, *["publish.py"] * 2]
    written = (folder / "results.md").read_text()
    assert "**no GPU**" in written
    for what in ("loss of a step", "its gradient", "probabilities after a whole run"):
        (line,) = (line for line in written.splitlines() if line.startswith(f"| {what}"))
        assert line.endswith("| the same |")
    assert written.count("| the gate: measured on cpu, checked on cpu | | | passes |") == 2
    for attention in ("eager", "fused (sdpa)"):
        (line,) = (line for line in written.splitlines() if line.startswith(f"| {attention} | 2 |"))
        films, tokens = (float(cell.replace(",", "")) for cell in line.split("|")[3:5])
        assert 0 < films < tokens
    assert "| 500,000 |" in written


def test_a_difference_is_named_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[int] = []
    loss_of = gpu_speed.loss_of

    def other_on_the_second_call(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        return loss_of(*arguments) * (1 + 1e-4 * (len(calls) - 1))

    monkeypatch.setattr(gpu, "loss_of", other_on_the_second_call)
    monkeypatch.setattr(gpu, "_NEEDED", ("no_such_package",))
    arguments = ["--device", "cpu", "--work-dir", str(tmp_path / "gpu"), "--minutes", "0"]
    assert gpu.main(arguments) == 1
    printed = capsys.readouterr().out
    assert "relative | 1.0e-04 | 1e-05 | **differs** |" in printed
    assert "this Python lacks no_such_package" in printed
    assert printed.count("not measured: the time was up") == 9


def test_the_flops_of_a_step_are_those_of_its_products() -> None:
    shape = gpu_speed.Shape("small", layers=3, width=8, heads=2, tokens=4)
    rows, counted = 5, 0.0
    for _ in range(3):  # layers
        for size_in, size_out in [(8, 8)] * 4 + [(8, 32), (32, 8)]:
            counted += 2 * rows * 4 * size_in * size_out
        counted += 2 * (2 * rows * 4 * 4 * 8)  # scores, and their product with the values
    assert shape.flops(rows) == pytest.approx(3 * counted)


def test_a_measurement_that_fails_is_said_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(*_: Any, **__: Any) -> None:
        raise RuntimeError("no C compiler | here")

    monkeypatch.setattr(gpu_speed, "measure", no_compiler)
    lines = list(
        gpu_speed.speed_table(
            gpu_speed.TINY, torch.device("cpu"), variants=["compile"], batches=[16], seconds=0,
            deadline=float("inf"),
        )
    )  # fmt: skip
    row = "| fused, `--torch-compile` | 16 | RuntimeError: no C compiler / here | | | |"
    assert lines[-1] == row
