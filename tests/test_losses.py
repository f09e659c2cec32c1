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

from movie_genres.losses import MAX_POS_WEIGHT, positive_weights, weighted_bce_sum

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


def step(processes: int, batch: int, accumulation: int, encoder: Path, data: Path) -> dict:
    """Loss and gradient norm of one optimiser step over the same films, however divided."""
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1",
                   "--num_processes", str(processes), "--mixed_precision", "no",
                   "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    environment = os.environ | {
        "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)
    }  # fmt: skip
    arguments = [str(WORKER), str(batch), str(accumulation), str(encoder), str(data)]
    done = subprocess.run(
        launch + arguments, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_the_step_is_the_same_however_it_is_divided(
    tiny_encoder: Path, prepared_folder: Path
) -> None:
    whole = step(1, 8, 1, tiny_encoder, prepared_folder)
    logits, labels = torch.tensor(whole["logits"]), torch.tensor(whole["labels"])
    expected = binary_cross_entropy_with_logits(
        logits, labels, pos_weight=torch.tensor(whole["pos_weight"])
    )
    assert whole["loss"] == pytest.approx(expected.item(), abs=2e-4)
    for processes, batch, accumulation in ((1, 2, 4), (2, 4, 1), (2, 2, 2)):
        divided = step(processes, batch, accumulation, tiny_encoder, prepared_folder)
        assert divided["world_size"] == processes
        for name in ("loss", "grad_norm", "eval_loss"):
            assert divided[name] == pytest.approx(whole[name], rel=1e-3), (processes, batch, name)
