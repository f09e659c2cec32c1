"""What training an encoder of bert-base's size costs on this machine.

    python -m benchmarks.bert_base

A random-weight BERT of bert-base's shape, 25 genres, AdamW, batches of 16 films x 128 tokens
without padding: float32 and bf16, plain, with gradient checkpointing, with the lower two thirds of
the layers frozen. Each setting in a process of its own, so that its memory is its own. Prints the
median step of `--steps` after `--warm-up`, and what follows for 5,000 and 50,000 films, of which
80 % train for 3 epochs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from benchmarks.machine import describe, machine
from movie_genres.model import devices
from movie_genres.model.devices import default_device
from movie_genres.model.layers import freeze_lower
from movie_genres.training.losses import weighted_bce_sum

GENRES, EPOCHS, TRAIN_SHARE = 25, 3, 0.8
FILMS = (5_000, 50_000)
SETTINGS = {
    "plain": {"checkpointing": False, "frozen_share": 0.0},
    "gradient checkpointing": {"checkpointing": True, "frozen_share": 0.0},
    "two thirds frozen": {"checkpointing": False, "frozen_share": 0.67},
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Steps of an encoder of bert-base's shape.")
    parser.add_argument("--steps", type=int, default=5, help="that are timed")
    parser.add_argument("--warm-up", type=int, default=2, help="steps before them")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--length", type=int, default=128, help="tokens per film")
    parser.add_argument("--layers", type=int, default=12, help="fewer for a trial of the script")
    parser.add_argument(
        "--precisions", nargs="+", choices=("float32", "bf16"), default=["float32", "bf16"]
    )
    parser.add_argument("--one", nargs=2, metavar=("SETTING", "PRECISION"), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    if args.one:
        print(json.dumps(measure(args, *args.one)))
        return 0
    print(f"{describe(machine())}; batches of {args.batch_size} x {args.length} tokens\n")
    columns = ["setting", "precision", "seconds per step", "tokens/s", "peak MiB"]
    columns += [f"hours, {films:,} films" for films in FILMS]
    print("| " + " | ".join(columns) + " |")
    print("|---|---" + "|---:" * (len(columns) - 2) + "|")
    given = list(sys.argv[1:] if argv is None else argv)
    for setting in SETTINGS:
        for precision in args.precisions:
            print(row(args, setting, precision, in_own_process(given, setting, precision)),
                  flush=True)  # fmt: skip
    print(f"\nHours: {TRAIN_SHARE:.0%} of the films x {EPOCHS} epochs, without evaluations.")
    return 0


def in_own_process(given: list[str], setting: str, precision: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bert_base", *given, "--one", setting, precision]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(args: argparse.Namespace, setting: str, precision: str) -> dict[str, float]:
    """Median seconds of a step, and the peak of the process in bytes."""
    devices.use_all_cores(1)
    torch.manual_seed(0)
    device = default_device()
    config = BertConfig(num_hidden_layers=args.layers)
    config.num_labels = GENRES
    model = BertForSequenceClassification(config).train()
    model.to(device)
    freeze_lower(model, float(SETTINGS[setting]["frozen_share"]))
    if SETTINGS[setting]["checkpointing"]:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    shape = args.batch_size, args.length
    batch = {
        "input_ids": torch.randint(1000, config.vocab_size, shape, device=device),
        "attention_mask": torch.ones(shape, dtype=torch.int64, device=device),
    }
    labels = torch.randint(2, (args.batch_size, GENRES), device=device).float()
    seconds = [
        step(model, optimizer, batch, labels, precision) for _ in range(args.warm_up + args.steps)
    ]
    median = float(np.median(seconds[args.warm_up :]))
    return {"seconds": median, "peak": devices.peak_memory_bytes() or 0}


def step(
    model: Any, optimizer: Any, batch: dict[str, torch.Tensor], labels: torch.Tensor, precision: str
) -> float:
    """The seconds of one optimiser step."""
    began = time.perf_counter()
    with devices.autocast(precision, labels.device):
        logits = model(**batch).logits
    weight = torch.ones(labels.shape[1], device=labels.device)
    (weighted_bce_sum(logits, labels, weight) / labels.numel()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    if labels.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def row(args: argparse.Namespace, setting: str, precision: str, found: dict[str, float]) -> str:
    seconds = found["seconds"]
    hours = [
        films * TRAIN_SHARE * EPOCHS / args.batch_size * seconds / 3600 for films in FILMS
    ]  # fmt: skip
    cells = [
        setting, precision, f"{seconds:.2f}", f"{args.batch_size * args.length / seconds:,.0f}",
        f"{found['peak'] / 2**20:,.0f}", *(f"{value:.1f}" for value in hours),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
