"""Two processes of one run: the result of one, whatever happens to one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from one_of_two import SOUP
from test_finetune import read_json

import finetune

LAUNCH = [
    *[sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", "0"],
    *["--config_file", str(ROOT / "configs" / "accelerate" / "two_processes_cpu.yaml")],
    str(ROOT / "tests" / "one_of_two.py"),
]


def last_state(run: Path) -> dict[str, Any]:
    folders = (run / "checkpoints").glob("checkpoint-*")
    return read_json(max(folders, key=lambda p: int(p.name[11:])) / "trainer_state.json")


def files(run: Path) -> set[str]:
    """Those of a run, its checkpoints apart: a stopped run has one more, and which of the others
    stays beside the last depends on which was the best."""
    found = (path.relative_to(run) for path in run.rglob("*") if path.is_file())
    return {str(path) for path in found if "checkpoint-" not in str(path)}


def assert_same_model(run: Path, other: Path) -> None:
    ours, theirs = (read_json(folder / "metrics.json") for folder in (run, other))
    assert ours["thresholds"] == pytest.approx(theirs["thresholds"], abs=1e-4)
    assert ours["test"]["chosen"] == pytest.approx(theirs["test"]["chosen"], abs=1e-4)
    probabilities = [
        np.stack(pd.read_parquet(folder / "predictions.parquet")["probabilities"])
        for folder in (run, other)
    ]
    assert np.abs(probabilities[0] - probabilities[1]).max() < 1e-4


def test_two_processes_of_which_one_is_stopped_and_that_go_on_end_as_one_process_does(
    tiny_arguments: Callable[..., list[str]], partly_known: Path, tmp_path: Path
) -> None:
    """With accumulation, class weights, unknown labels, and all splits uneven.

    Of the 159 films the last step of an epoch has 15: 12 for both processes together, then 3 for
    one and none for the other. The 21 of validation are fewer than one batch for each process.
    """
    one, two = tmp_path / "one", tmp_path / "two"
    arguments = tiny_arguments(
        one, "--dataset-dir", str(partly_known), "--gradient-accumulation-steps", "2",
        "--frozen-share", "0.5",
        "--logging-steps", "1", "--films-per-step", "24",
    )  # fmt: skip
    at = arguments.index("--per-device-train-batch-size")
    del arguments[at : at + 2]  # it follows from the films of a step: 12, and 6 in each of two
    assert finetune.main(arguments) == 0
    environment = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    arguments.remove("--output-dir")
    arguments.remove(str(one))
    done = subprocess.run(
        [*LAUNCH, str(two), *arguments], env=os.environ | environment,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    said = done.stdout
    assert said.count("stopped by SIGTERM after step 10; the same command resumes") == 1, done
    assert said.count("stopped by SIGTERM after step 3; the same command resumes") == 1
    assert said.count("resuming from") == 2
    assert said.count("checkpoint-10\n") == said.count("seed-run-1/checkpoint-3\n") == 1
    assert said.count("Test split") == 2
    # The last run failed on the second process; the first waited in vain, but not for ever.
    assert done.returncode != 0
    assert done.stderr.count("RuntimeError: made up") == 1
    assert said.count("2 process(es)") == 5
    assert not (tmp_path / "two-failed" / "metrics.json").exists()

    soup = tmp_path / "soup"
    assert finetune.main([*arguments, "--output-dir", str(soup), *SOUP]) == 0
    assert_same_model(tmp_path / "two-soup", soup)
    assert_same_model(two, one)
    assert files(two) == files(one)
    single, double = last_state(one), last_state(two)
    curves = [
        [log[name] for log in state["log_history"] for name in ("loss", "grad_norm", "eval_loss")
         if name in log] for state in (single, double)
    ]  # fmt: skip
    assert len(curves[0]) == 14 * 2 + 2
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)
    ours, theirs = (read_json(run / "metrics.json") for run in (two, one))
    assert (ours["train"]["world_size"], theirs["train"]["world_size"]) == (2, 1)
