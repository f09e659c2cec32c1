"""Class weights, and the loss of the Trainer under accumulation and several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from torch.nn.functional import binary_cross_entropy_with_logits

from movie_genres.losses import (
    MAX_POS_WEIGHT,
    positive_weights,
    restore_unknown,
    weighted_bce_sum,
)

WORKER = Path(__file__).parent / "one_step.py"


def test_weights_by_hand() -> None:
    y = np.zeros((100, 4), dtype=int)
    y[:50, 0] = y[:20, 1] = y[:1, 2] = 1
    assert positive_weights(y, "none").tolist() == [1, 1, 1, 1]
    assert positive_weights(y, "balanced").tolist() == [1, 4, MAX_POS_WEIGHT, 1]
    assert positive_weights(y, "sqrt") == pytest.approx([1, 2, np.sqrt(99), 1])
    with pytest.raises(ValueError, match="unknown class weights 'cube'"):
        positive_weights(y, "cube")


def test_the_loss_is_the_weighted_cross_entropy_by_hand() -> None:
    logits, labels = torch.tensor([[0.5, -1.0]]), torch.tensor([[1.0, 0.0]])
    weight = torch.tensor([3.0, 2.0])
    expected = 3 * np.log(1 + np.exp(-0.5)) + np.log(1 + np.exp(-1.0))
    assert weighted_bce_sum(logits, labels, weight).item() == pytest.approx(expected, rel=1e-6)


def run_steps(processes: int, encoder: Path, *steps: tuple[int, int, Path]) -> list[dict]:
    """What single steps over the same films log, each (batch, accumulation, data)."""
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1",
                   "--num_processes", str(processes), "--mixed_precision", "no",
                   "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    environment = os.environ | {
        "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)
    }  # fmt: skip
    arguments = [str(WORKER), str(encoder), *(str(part) for step in steps for part in step)]
    done = subprocess.run(
        launch + arguments, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert {step["world_size"] for step in found} == {processes}
    return found


def expected_loss(whole: dict) -> float:
    """The weighted cross-entropy over the known cells, by torch alone."""
    labels = torch.tensor(restore_unknown(np.array(whole["labels"])), dtype=torch.float32)
    known = ~labels.isnan()
    weight = torch.tensor(whole["pos_weight"]).expand(labels.shape)
    logits = torch.tensor(whole["logits"])
    return binary_cross_entropy_with_logits(
        logits[known], labels[known], pos_weight=weight[known]
    ).item()


def test_the_step_is_the_same_however_it_is_divided_and_unknown_labels_are_no_cells(
    tiny_encoder: Path, prepared_folder: Path, partly_known: Path
) -> None:
    all_known, accumulated, unknown = run_steps(
        1, tiny_encoder, (8, 1, prepared_folder), (2, 4, prepared_folder), (8, 1, partly_known)
    )
    labels = restore_unknown(np.array(unknown["labels"]))
    # Unevenly: two processes of four films each do not see the same number of labels.
    assert (~np.isnan(labels[:4])).sum() < (~np.isnan(labels[4:])).sum() - 3
    for whole in (all_known, unknown):
        assert whole["loss"] == pytest.approx(expected_loss(whole), abs=2e-4)
    shared, shared_accumulated, shared_unknown = run_steps(
        2, tiny_encoder, (4, 1, prepared_folder), (2, 2, prepared_folder), (2, 2, partly_known)
    )
    for whole, divided in (
        (all_known, accumulated),
        (all_known, shared),
        (all_known, shared_accumulated),
        (unknown, shared_unknown),
    ):
        for name in ("loss", "grad_norm"):
            assert divided[name] == pytest.approx(whole[name], rel=1e-3), name
    assert shared["eval_loss"] == pytest.approx(all_known["eval_loss"], rel=1e-3)
